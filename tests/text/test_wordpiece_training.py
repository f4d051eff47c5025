"""WordPiece training and the tokenizer."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minibert.text import wordpiece_training
from minibert.text.tokenizer import (
    SPECIAL_TOKENS,
    build_tokenizer,
    load_tokenizer,
    normalizer,
    pre_tokenizer,
    save_tokenizer,
    token_id,
)
from minibert.text.wordpiece_training import CONTINUATION_PREFIX, count_words, train_with_tokenizers, train_wordpiece

words = st.dictionaries(st.text("abcé中", min_size=1, max_size=6), st.integers(1, 50), min_size=1, max_size=12)


def slow_wordpiece(counts: dict[str, int], size: int) -> list[str]:
    """The definition, with everything counted anew before each merge."""
    spelled = {word: [word[0], *(CONTINUATION_PREFIX + c for c in word[1:])] for word in counts}
    vocabulary = [*SPECIAL_TOKENS, *sorted({piece for pieces in spelled.values() for piece in pieces})]
    while len(vocabulary) < size:
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
def test_training_is_its_definition(counts: dict[str, int], size: int) -> None:
    """The incremental bookkeeping gives what counting everything anew before each merge gives."""
    assert train_wordpiece(counts, size) == slow_wordpiece(counts, size)


@given(words)
def test_the_order_of_the_words_does_not_matter(counts: dict[str, int]) -> None:
    """Ties are broken by the letters, never by the order of things in memory."""
    backwards = dict(reversed(counts.items()))
    assert train_wordpiece(backwards, 40) == train_wordpiece(counts, 40)


@given(words, st.integers(20, 60))
def test_every_word_can_be_spelled(texts: dict[str, int], size: int) -> None:
    """No [UNK] in the words that were learned from, and the pieces put together are the word."""
    counts = count_words(texts, lowercase=False)
    tokenizer = build_tokenizer(train_wordpiece(counts, size), lowercase=False)
    for word in counts:
        pieces = tokenizer.encode(word).tokens[1:-1]
        assert "[UNK]" not in pieces
        assert "".join(piece.removeprefix(CONTINUATION_PREFIX) for piece in pieces) == word


def test_ties_are_broken_lexicographically() -> None:
    """All three pairs stand together twice: "a ##b" comes first."""
    assert train_wordpiece({"cd": 2, "ab": 2, "bc": 2}, 100)[-3:] == ["ab", "bc", "cd"]


def test_rare_characters_are_left_out() -> None:
    vocabulary = train_wordpiece({"aa": 5, "az": 1}, 100, alphabet=1)
    assert vocabulary == [*SPECIAL_TOKENS, "##a", "a", "aa"]


def test_a_size_that_is_too_small_is_named() -> None:
    with pytest.raises(ValueError, match="a vocabulary of 6 is too small: special tokens and characters need 7"):
        train_wordpiece({"ab": 3}, 6)
    with pytest.raises(ValueError, match="a vocabulary of 6 is too small: special tokens and characters need 8"):
        train_with_tokenizers(["ab " * 3], 6)


def test_the_normalization_is_berts() -> None:
    """Lower case, no accents, punctuation by itself, every Chinese character a word."""
    assert dict(count_words(["Déjà-vu, 机器 学习!"])) == dict.fromkeys(["deja", "-", "vu", ",", "机", "器", "学", "习", "!"], 1)
    assert "Déjà" in count_words(["Déjà"], lowercase=False)


WHITE = [*" \n\r\t\x0b\x0c\x1c\x85\u00a0\u3000\u200b\u00ad"]
LETTERS = [*"abÉßΣİ,-中가か", "\u0301", "\u0323", "\u3099", "\u1161"]
spaced_texts = (
    st.lists(st.sampled_from(WHITE) | st.sampled_from(LETTERS), max_size=20).map("".join) | st.text("a\n ") | st.text()
)


@given(st.lists(spaced_texts, max_size=5), st.booleans(), st.sampled_from([1, 3, 1000]))
@example(["".join(f"a{white}b" for white in WHITE), "a\u0301 \u0323a\n\u0301"], True, 1)
def test_counting_is_its_definition(texts: list[str], lowercase: bool, chunks: int) -> None:
    """Cut at spaces first, in parts of any size: the same as every text normalized and cut as a whole."""
    normalize, cut = normalizer(lowercase).normalize_str, pre_tokenizer().pre_tokenize_str
    with patch.object(wordpiece, "MAX_DISTINCT_CHUNKS", chunks):
        assert count_words(texts, lowercase) == Counter(word for text in texts for word, _ in cut(normalize(text)))


def test_what_is_counted_need_not_fit_into_memory() -> None:
    """No more chunks than allowed are kept before they are looked into, and a text more."""
    with patch.object(wordpiece, "MAX_DISTINCT_CHUNKS", 10):
        sizes = [len(chunks) for chunks in wordpiece_training._count_chunks(f"a{number} b{number}" for number in range(100))]
    assert max(sizes) == 10
    assert sum(sizes) == 200


def test_the_trainer_of_tokenizers_learns_the_same_where_nothing_ties() -> None:
    """Special tokens first; the merges of ours, among them; Chinese too."""
    texts = ["hug " * 16, "Hugs " * 7, "pug " * 3, "机器 学习 " * 2]
    ours, theirs = train_wordpiece(count_words(texts), 100), train_with_tokenizers(iter(texts), 100)
    assert theirs[:5] == list(SPECIAL_TOKENS)
    assert set(ours) <= set(theirs)
    assert set(theirs) - set(ours) == {"g", "s", "u"}
    assert len(train_with_tokenizers(texts, 17)) == 17
    assert "Hug" in train_with_tokenizers(texts, 100, lowercase=False)
    assert build_tokenizer(theirs).encode("hugs pugs").tokens == ["[CLS]", "hugs", "pug", "##s", "[SEP]"]


@pytest.mark.parametrize("lowercase", [True, False])
def test_round_trip_with_transformers(tmp_path: Path, lowercase: bool) -> None:
    """AutoTokenizer reads the folder and gives the same ids, pairs and Chinese included; so does vocab.txt alone."""
    transformers = pytest.importorskip("transformers")
    texts = ["The weights of the tensor.", "机器学习 with tensors, déjà vu", "[MASK] of the [MASK] …", ""]
    tokenizer = build_tokenizer(train_wordpiece(count_words(texts * 3, lowercase), 120), lowercase)
    assert (tokenizer.encode("The").ids == tokenizer.encode("the").ids) == lowercase
    save_tokenizer(tokenizer, tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.mask_token_id == token_id(tokenizer, "[MASK]")
    again = load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    from_vocabulary = load_tokenizer(tmp_path)
    for text in texts:
        expected = tokenizer.encode(text, "weights").ids
        assert theirs(text, "weights")["input_ids"] == expected
        assert again.encode(text, "weights").ids == expected
        assert from_vocabulary.encode(text, "weights").ids == expected


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: is not a tokenizer"):
        load_tokenizer(tmp_path)
    with pytest.raises(ValueError, match=r"the vocabulary has no \[MASK\]"):
        build_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"])
    with pytest.raises(ValueError, match=r"the tokenizer has no \[X\]"):
        token_id(build_tokenizer(SPECIAL_TOKENS), "[X]")
