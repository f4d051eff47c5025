"""WordPiece training, and building, saving and loading tokenizers."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minibert.text import word_counts, wordpiece_training
from minibert.text.corpus import Document
from minibert.text.tokenizer import (
    SPECIAL_TOKENS,
    bert_normalizer,
    bert_pre_tokenizer,
    build_tokenizer,
    save_tokenizer,
    token_id,
)
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.text.wordpiece_training import (
    CONTINUATION_PREFIX,
    count_words,
    train_tokenizer,
    train_with_tokenizers,
    train_wordpiece,
)

words = st.dictionaries(st.text("abcé中", min_size=1, max_size=6), st.integers(1, 50), min_size=1, max_size=12)


def slow_wordpiece(counts: dict[str, int], vocab_size: int) -> list[str]:
    """Train by the definition: count all pairs again before each merge."""
    spelled = {word: [word[0], *(CONTINUATION_PREFIX + c for c in word[1:])] for word in counts}
    vocabulary = [*SPECIAL_TOKENS, *sorted({piece for pieces in spelled.values() for piece in pieces})]
    while len(vocabulary) < vocab_size:
        pairs: dict[tuple[str, str], int] = {}
        for word, pieces in spelled.items():
            for pair in pairwise(pieces):
                pairs[pair] = pairs.get(pair, 0) + counts[word]
        if not pairs or max(pairs.values()) < 2:
            break
        best = min(pair for pair, count in pairs.items() if count == max(pairs.values()))
        merged = best[0] + best[1].removeprefix(CONTINUATION_PREFIX)
        if merged not in vocabulary:
            vocabulary.append(merged)
        for word, pieces in spelled.items():
            joined: list[str] = []
            for piece in pieces:
                joined[-1:] = [merged] if joined and (joined[-1], piece) == best else [*joined[-1:], piece]
            spelled[word] = joined
    return vocabulary


@given(words, st.integers(20, 60))
def test_training_equals_its_definition(counts: dict[str, int], vocab_size: int) -> None:
    """Incremental counts give the same vocabulary as counting all pairs again before each merge."""
    assert train_wordpiece(counts, vocab_size) == slow_wordpiece(counts, vocab_size)


@given(words)
def test_vocabulary_does_not_depend_on_the_order_of_words(counts: dict[str, int]) -> None:
    """Ties are broken lexicographically."""
    backwards = dict(reversed(counts.items()))
    assert train_wordpiece(backwards, 40) == train_wordpiece(counts, 40)


@given(words, st.integers(20, 60))
def test_training_words_are_never_unknown(texts: dict[str, int], vocab_size: int) -> None:
    """Training words are encoded without [UNK], and their tokens joined give the word."""
    counts = count_words(texts, lowercase=False)
    tokenizer = build_tokenizer(train_wordpiece(counts, vocab_size), lowercase=False)
    for word in counts:
        pieces = tokenizer.encode(word).tokens[1:-1]
        assert "[UNK]" not in pieces
        assert "".join(piece.removeprefix(CONTINUATION_PREFIX) for piece in pieces) == word


def test_ties_are_broken_lexicographically() -> None:
    """All three pairs occur twice, and "a ##b" is first."""
    assert train_wordpiece({"cd": 2, "ab": 2, "bc": 2}, 100)[-3:] == ["ab", "bc", "cd"]


def test_rare_characters_are_excluded() -> None:
    vocabulary = train_wordpiece({"aa": 5, "az": 1}, 100, alphabet_size=1)
    assert vocabulary == [*SPECIAL_TOKENS, "##a", "a", "aa"]


def test_vocab_size_that_is_too_small() -> None:
    with pytest.raises(ValueError, match="vocab_size 6 is too small: special tokens and characters need 7"):
        train_wordpiece({"ab": 3}, 6)
    with pytest.raises(ValueError, match="vocab_size 6 is too small: special tokens and characters need 8"):
        train_with_tokenizers(["ab " * 3], 6)


def test_words_are_normalized_as_in_bert() -> None:
    """Words are lowercase without accents. Every punctuation character and every Chinese character is a word."""
    assert dict(count_words(["Déjà-vu, 机器 学习!"])) == dict.fromkeys(["deja", "-", "vu", ",", "机", "器", "学", "习", "!"], 1)
    assert "Déjà" in count_words(["Déjà"], lowercase=False)


WHITE = [*" \n\r\t\x0b\x0c\x1c\x85\u00a0\u3000\u200b\u00ad"]
LETTERS = [*"abÉßΣİ,-中가か", "\u0301", "\u0323", "\u3099", "\u1161"]
spaced_texts = (
    st.lists(st.sampled_from(WHITE) | st.sampled_from(LETTERS), max_size=20).map("".join) | st.text("a\n ") | st.text()
)


@given(st.lists(spaced_texts, max_size=5), st.booleans(), st.sampled_from([1, 3, 1000]))
@example(["".join(f"a{white}b" for white in WHITE), "a\u0301 \u0323a\n\u0301"], True, 1)
def test_counting_equals_its_definition(texts: list[str], lowercase: bool, chunks: int) -> None:
    """Counting chunks first gives the same result as normalizing and splitting each text as a whole, for any chunk limit."""
    normalize, pre_tokenize = bert_normalizer(lowercase).normalize_str, bert_pre_tokenizer().pre_tokenize_str
    with patch.object(word_counts, "MAX_DISTINCT_CHUNKS", chunks):
        assert count_words(texts, lowercase) == Counter(word for text in texts for word, _ in pre_tokenize(normalize(text)))


def test_both_trainers_agree_without_ties() -> None:
    """The vocabulary of `tokenizers` starts with special tokens and contains ours. It adds only characters that begin words."""
    texts = ["hug " * 16, "Hugs " * 7, "pug " * 3, "机器 学习 " * 2]
    ours, theirs = train_wordpiece(count_words(texts), 100), train_with_tokenizers(iter(texts), 100)
    assert theirs[:5] == list(SPECIAL_TOKENS)
    assert set(ours) <= set(theirs)
    assert set(theirs) - set(ours) == {"g", "s", "u"}
    assert len(train_with_tokenizers(texts, 17)) == 17
    assert "Hug" in train_with_tokenizers(texts, 100, lowercase=False)
    assert build_tokenizer(theirs).encode("hugs pugs").tokens == ["[CLS]", "hugs", "pug", "##s", "[SEP]"]


def test_tokenizer_of_documents() -> None:
    """`train_tokenizer` counts the sentences of all documents."""
    documents = [Document("a", ("Hug hug.", "Pug.")), Document("b", ("Hug.",))]
    expected = train_wordpiece({"hug": 3, "pug": 1, ".": 3}, 20)
    vocabulary = train_tokenizer(documents, vocab_size=20).get_vocab()
    assert sorted(vocabulary, key=vocabulary.__getitem__) == expected


@pytest.mark.parametrize("lowercase", [True, False])
def test_round_trip_with_transformers(tmp_path: Path, lowercase: bool) -> None:
    """transformers and `load_tokenizer` give the same ids, also for pairs and Chinese, and from vocab.txt alone."""
    transformers = pytest.importorskip("transformers")
    texts = ["The weights of the tensor.", "机器学习 with tensors, déjà vu", "[MASK] of the [MASK] …", ""]
    tokenizer = build_tokenizer(train_wordpiece(count_words(texts * 3, lowercase), 120), lowercase)
    assert (tokenizer.encode("The").ids == tokenizer.encode("the").ids) == lowercase
    save_tokenizer(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.mask_token_id == token_id(tokenizer, "[MASK]")
    loaded = load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    from_vocabulary = load_tokenizer(tmp_path)
    for text in texts:
        expected = tokenizer.encode(text, "weights").ids
        assert theirs(text, "weights")["input_ids"] == expected
        assert loaded.encode(text, "weights").ids == expected
        assert from_vocabulary.encode(text, "weights").ids == expected


def test_errors_contain_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: is not a tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=r"the vocabulary has no \[MASK\]"):
        build_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])
    with pytest.raises(ValueError, match=r"the tokenizer has no \[X\]"):
        token_id(build_tokenizer(SPECIAL_TOKENS), "[X]")


def test_the_alphabet_grows_with_the_vocabulary() -> None:
    """3,000 equally frequent Chinese characters fit into half of 8,000 tokens, so that 99.95% of the text is known."""
    characters = [chr(0x4E00 + number) for number in range(3000)]
    counts = dict.fromkeys(characters, 5)
    assert len(train_wordpiece(counts, 8000)) == 5 + 2999
    assert len(train_wordpiece(counts, 4000)) == 5 + 2000
    assert len(train_wordpiece(counts, 2000)) == 5 + 1000
    assert len(train_wordpiece(counts, 8000, alphabet_size=7)) == 5 + 7
    syllables = {one + other: 5 for one, other in pairwise(characters)}
    assert len(set("".join(train_wordpiece(syllables, 8000)[5:])) - {"#"}) == 2000  # each with two tokens


@pytest.mark.parametrize(("vocab_size", "expected"), [(1, ""), (2, "a"), (4, "ab"), (7, "ab"), (8, "abc")])
def test_the_tokens_of_the_alphabet_are_at_most_half_of_the_vocabulary(
    monkeypatch: pytest.MonkeyPatch, vocab_size: int, expected: str
) -> None:
    """A character that begins words and continues others is two tokens, such as the third here."""
    monkeypatch.setattr(wordpiece_training, "MIN_ALPHABET_SIZE", 0)
    assert wordpiece_training._alphabet({"ab": 9, "ac": 3, "cb": 1}, vocab_size, None) == {*expected}


def test_the_alphabet_covers_a_share_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters are added until 99.95% of the text is covered, and not one more."""
    monkeypatch.setattr(wordpiece_training, "MIN_ALPHABET_SIZE", 0)
    assert wordpiece_training._alphabet({"a": 9995, "b": 5}, 100, None) == {"a"}
    assert wordpiece_training._alphabet({"a": 9994, "b": 6}, 100, None) == {"a", "b"}


def test_characters_that_hardly_occur_are_not_in_the_alphabet() -> None:
    """With 99.95% of the text covered, characters that occur once do not use up the vocabulary."""
    counts = {chr(0x4E00 + number): 9000 for number in range(1100)} | {chr(0xAC00 + number): 1 for number in range(2000)}
    vocabulary = train_wordpiece(counts, 8000)
    assert len(vocabulary) == 5 + 1100
    few = {chr(0x4E00 + number): 1000 for number in range(10)} | {chr(0xAC00 + number): 1 for number in range(900)}
    assert len(train_wordpiece(few, 8000)) == 5 + 910


def test_the_alphabet_of_tokenizers_grows_too() -> None:
    texts = [" ".join(chr(0x4E00 + number) for number in range(3000))] * 2
    unknown = build_tokenizer(train_with_tokenizers(texts, 8000)).encode(texts[0]).tokens.count("[UNK]")
    assert unknown == 0
    assert build_tokenizer(train_with_tokenizers(texts, 8000, alphabet_size=100)).encode(texts[0]).tokens.count("[UNK]") == 2900
