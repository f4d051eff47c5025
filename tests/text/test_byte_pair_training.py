"""Training of byte-level BPE: the merges of `tokenizers`, and tokenizers that transformers loads."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from minibert.text.byte_alphabet import BYTE_LETTERS, Merge, byte_pair_vocabulary, from_byte_letters, to_byte_letters
from minibert.text.byte_pair_training import (
    count_byte_words,
    train_byte_pair_tokenizer,
    train_byte_pairs,
    train_byte_pairs_with_tokenizers,
)
from minibert.text.corpus import Document
from minibert.text.tokenizer import (
    GPT2_TOKENS,
    ROBERTA_TOKENS,
    build_byte_pair_tokenizer,
    build_tokenizer,
    byte_level_difference,
    byte_level_pre_tokenizer,
    save_tokenizer,
    token_id,
)
from minibert.text.tokenizer_loading import load_tokenizer
from tests.hostile_text import HOSTILE_TEXTS

SPECIAL = ["<s>", "</s>"]
words = st.dictionaries(st.text("abcĠÃ", min_size=1, max_size=9), st.integers(1, 50), min_size=1, max_size=12)
CORPORA = {
    "this file": Path(__file__).read_text(encoding="utf-8").splitlines(),
    "hostile texts": [text for text in HOSTILE_TEXTS for _ in range(2)],
    "repeated letters": ["a" * length for length in range(1, 40)] + ["ab" * length for length in range(20)],
    "Chinese": ["机器学习是人工智能的一个分支。", "机器学习的算法", "人工智能"] * 3,
    "ties": ["abcd bcda cdab dabc", "xy yx  xy\tyx\n xy"],
    "nothing": [""],
}


def slow_byte_pairs(counts: Mapping[str, int], vocab_size: int) -> list[Merge]:
    """Train by the definition: count all pairs again before each merge."""
    spelled, vocabulary, merges = {word: [*word] for word in counts}, byte_pair_vocabulary([], SPECIAL), list[Merge]()
    while len(vocabulary) < vocab_size:
        pairs = Counter[Merge]()
        for word, pieces in spelled.items():
            for pair in pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], vocabulary.index(pair[0]), vocabulary.index(pair[1])))
        merges.append(best)
        vocabulary.append("".join(best))
        for word, pieces in spelled.items():
            joined: list[str] = []
            for piece in pieces:
                joined[-1:] = ["".join(best)] if joined and (joined[-1], piece) == best else [*joined[-1:], piece]
            spelled[word] = joined
    return merges


@given(words, st.integers(258, 290))
def test_training_equals_its_definition(counts: dict[str, int], vocab_size: int) -> None:
    """Incremental counts give the same merges as counting all pairs again before each merge."""
    assert train_byte_pairs(counts, vocab_size, SPECIAL) == slow_byte_pairs(counts, vocab_size)


@given(words)
def test_merges_do_not_depend_on_the_order_of_words(counts: dict[str, int]) -> None:
    assert train_byte_pairs(dict(reversed(counts.items())), 280, SPECIAL) == train_byte_pairs(counts, 280, SPECIAL)


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("vocab_size", [300, 1000])
def test_the_merges_are_those_of_tokenizers(corpus: str, vocab_size: int) -> None:
    """In the same order: ties are broken by the ids of both tokens."""
    texts = CORPORA[corpus]
    expected = train_byte_pairs_with_tokenizers(texts, vocab_size, SPECIAL)
    assert train_byte_pairs(count_byte_words(texts), vocab_size, SPECIAL) == expected


@given(st.lists(st.text("ab'sÄ1 \n") | st.text("a\u3000\u1c80\x1c 中😀"), max_size=9))
def test_the_merges_of_random_texts_are_those_of_tokenizers(texts: list[str]) -> None:
    expected = train_byte_pairs_with_tokenizers(texts, 290, SPECIAL)
    assert train_byte_pairs(count_byte_words(texts), 290, SPECIAL) == expected


def test_a_special_token_may_be_spelled_like_a_merged_one() -> None:
    """Then they are one token, as in `tokenizers`."""
    texts = ["hug hugs hugging bug bugs"] * 3
    special = ["<s>", "ug", "h", "hug"]
    merges = train_byte_pairs(count_byte_words(texts), 270, special)
    assert merges == train_byte_pairs_with_tokenizers(texts, 270, special)
    assert len(byte_pair_vocabulary(merges, special)) == 256 + 3 + len(merges) - 2
    stored = Tokenizer(models.BPE())
    stored.pre_tokenizer = byte_level_pre_tokenizer()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    stored.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=270, special_tokens=special, initial_alphabet=alphabet, min_frequency=2)
    )
    ids = stored.get_vocab()
    assert byte_pair_vocabulary(merges, special) == sorted(ids, key=ids.__getitem__)


def test_the_id_of_a_special_token_breaks_a_tie() -> None:
    """A merged pair that is spelled like a special token has its id, which is smaller than those of the bytes."""
    counts = {"ug": 1, "ugs": 3, "yz": 3}
    assert train_byte_pairs(counts, 260, ["<s>", "ug"]) == [("u", "g"), ("ug", "s"), ("y", "z")]
    assert train_byte_pairs(counts, 260, ["<s>", "</s>"]) == [("u", "g"), ("y", "z")]


def test_the_alphabet() -> None:
    """A letter for each byte, as in `tokenizers`, and back."""
    assert sorted(BYTE_LETTERS) == sorted(pre_tokenizers.ByteLevel.alphabet())
    for text in filter(None, HOSTILE_TEXTS):
        assert from_byte_letters(to_byte_letters(text)) == text
        found = byte_level_pre_tokenizer().pre_tokenize_str(text)
        assert to_byte_letters(text) == "".join(word for word, _ in found)
    assert from_byte_letters(to_byte_letters("é")[0]) == "\ufffd"


def test_vocab_size_that_is_too_small() -> None:
    message = "vocab_size 257 is too small: special tokens and bytes need 258. Raise it"
    with pytest.raises(ValueError, match=message):
        train_byte_pairs({"ab": 3}, 257, SPECIAL)
    with pytest.raises(ValueError, match=message):
        train_byte_pairs_with_tokenizers(["ab"], 257, SPECIAL)
    assert train_byte_pairs({"ab": 3}, 258, SPECIAL) == []


@given(st.lists(st.text("ab'\u3000\x1c\u180e\u200b \t\n\r\x0b\x85中") | st.text(), max_size=5))
def test_counting_equals_its_definition(texts: list[str]) -> None:
    """Counting chunks first gives the same result as cutting each text as a whole."""
    cut = byte_level_pre_tokenizer().pre_tokenize_str
    assert count_byte_words(texts) == Counter(word for text in texts for word, _ in cut(text))


def test_tokenizer_of_documents() -> None:
    """`train_byte_pair_tokenizer` counts the words of all documents: those after the first begin with a space."""
    documents = [Document("a", ("hug hug", "pug")), Document("b", ("hug",))]
    expected = train_byte_pairs({"hug": 2, "Ġhug": 1, "Ġpug": 1}, 265, ROBERTA_TOKENS.values())
    vocabulary = train_byte_pair_tokenizer(documents, vocab_size=265).get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__)[261:] == ["".join(merge) for merge in expected]
    assert train_byte_pair_tokenizer(documents).get_vocab() == vocabulary  # the usual size is large enough for all merges
    assert len(train_byte_pair_tokenizer(documents, 260, GPT2_TOKENS).get_vocab()) == 259  # no other pair occurs twice


TEXTS = ["The cat's  <mask>, déjà vu", "a <s> b<|endoftext|> 😀</s>", " x", "日本 [MASK]\n", "<pad>\x00"]


@pytest.mark.parametrize("names", [ROBERTA_TOKENS, GPT2_TOKENS], ids=["roberta", "gpt2"])
def test_round_trip_with_transformers(tmp_path: Path, names: dict[str, str]) -> None:
    """transformers and `load_tokenizer` give the same ids, segments and offsets, and know the special tokens."""
    transformers = pytest.importorskip("transformers")
    tokenizer = build_byte_pair_tokenizer(train_byte_pairs(count_byte_words(TEXTS * 3), 300, names.values()), names)
    save_tokenizer(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert type(theirs).__name__ == {"</s>": "RobertaTokenizer", "<|endoftext|>": "GPT2Tokenizer"}[names["eos_token"]]
    assert {name: getattr(theirs, name) for name in names} == names
    loaded = load_tokenizer(tmp_path)
    assert loaded.to_str() == tokenizer.to_str()
    for text in [*TEXTS, *filter(None, HOSTILE_TEXTS)]:
        for pair in ((text,), (text, "weights")):
            expected = theirs(*pair, return_token_type_ids=True, return_offsets_mapping=True)
            found = tokenizer.encode(*pair)
            assert found.ids == expected["input_ids"], pair
            assert found.type_ids == expected["token_type_ids"], pair
            assert found.offsets == expected["offset_mapping"], pair
            assert tokenizer.decode(found.ids) == theirs.decode(expected["input_ids"], skip_special_tokens=True)


def test_special_tokens_have_the_ids_of_roberta() -> None:
    tokenizer = build_byte_pair_tokenizer([])
    assert [tokenizer.id_to_token(index) for index in range(5)] == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert [token_id(tokenizer, name) for name in ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")] == [0, 1, 2, 3, 4]
    assert tokenizer.encode("a <mask>b").ids[2:-1] == [4, *tokenizer.encode("b").ids[1:-1]]  # the mask includes the space
    assert build_byte_pair_tokenizer([], GPT2_TOKENS).token_to_id("<|endoftext|>") == 0


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("normalizer", normalizers.NFC(), 'normalizer.type null; this tokenizer has "NFC"'),
        ("pre_tokenizer", pre_tokenizers.Whitespace(), 'pre_tokenizer.type "ByteLevel"; this tokenizer has "Whitespace"'),
        ("pre_tokenizer", pre_tokenizers.ByteLevel(use_regex=False), "pre_tokenizer.use_regex true; this tokenizer has false"),
        ("model", models.BPE({"a": 0}, []), "a token for each byte; this tokenizer has none for Ā, ā, Ă"),
        ("pre_tokenizer", byte_level_pre_tokenizer(add_prefix_space=True), None),
        ("post_processor", processors.ByteLevel(trim_offsets=False), None),
    ],
)
def test_differences_from_byte_level_bpe(part: str, value: object, message: str | None) -> None:
    tokenizer = build_byte_pair_tokenizer([("a", "b")])
    setattr(tokenizer, part, value)
    assert byte_level_difference(tokenizer) == message


def test_wordpiece_is_not_byte_level_bpe() -> None:
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert byte_level_difference(build_tokenizer(names)) == 'model.type "BPE"; this tokenizer has "WordPiece"'
