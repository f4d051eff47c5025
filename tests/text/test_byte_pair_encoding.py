"""Encoding with byte-level BPE: equal to `tokenizers` at every stage, on every character and on hostile text."""

import random
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from minibert.text.byte_alphabet import Merge, from_byte_letters, to_byte_letters
from minibert.text.byte_pair_encoding import ByteLevelText, apply_merges, cut_words, encode_byte_pairs, merge_steps
from minibert.text.byte_pair_training import count_byte_words, train_byte_pairs
from minibert.text.token_pairs import merge_pieces
from minibert.text.tokenizer import GPT2_TOKENS, ROBERTA_TOKENS, build_byte_pair_tokenizer, byte_level_pre_tokenizer
from tests.hostile_text import HOSTILE_TEXTS

EVERY_CHARACTER = [one for one in map(chr, range(0xF0000)) if unicodedata.category(one) not in ("Cn", "Cs")]
"""Without surrogates, without characters that may be newer than Python's tables, and without the private planes."""
PARTS = [
    *HOSTILE_TEXTS,
    *"aAÉßΣ1½٣'sst中文가あ \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u1680\u180e\u2003\u200b\u2028\u202f\u3000\ufeff\x00€_-",
    *("'s", "'S", "'ll", " 'd", "  ", "   ", "e\u0301", "👩‍👩‍👧‍👦", "🇩🇪", "<mask>", " <mask> ", "</s>", "<|endoftext|>"),
]


@cache
def merges() -> list[Merge]:
    texts = [*Path(__file__).read_text(encoding="utf-8").splitlines(), *HOSTILE_TEXTS, "machine 机器学习 déjà vu 😀 " * 3]
    return train_byte_pairs(count_byte_words(texts), 1000, ROBERTA_TOKENS.values())


def their_words(text: str, add_prefix_space: bool = False) -> list[str]:
    return [word for word, _ in byte_level_pre_tokenizer(add_prefix_space).pre_tokenize_str(text)]


def our_words(text: str, add_prefix_space: bool = False) -> list[str]:
    return [to_byte_letters(word) for word in cut_words(text, add_prefix_space)]


def encoded(text: str, tokenizer: Tokenizer, pairs: list[Merge]) -> ByteLevelText:
    return encode_byte_pairs(text, tokenizer.get_vocab(), pairs, tokenizer.get_added_tokens_decoder())


def test_every_character() -> None:
    """Every character has the same class as in `tokenizers`: letter, number, white space or other."""
    for start in range(0, len(EVERY_CHARACTER), 500):
        text = "".join(f"a{one} {one}" for one in EVERY_CHARACTER[start : start + 500])
        assert our_words(text) == their_words(text), hex(start)


any_text = st.text(st.characters(exclude_categories=["Cn", "Cs"]))
texts = st.lists(st.sampled_from(PARTS) | any_text, max_size=9).map("".join) | st.text("a1' \n\t.s") | any_text


@given(texts, st.booleans())
def test_words_equal_those_of_tokenizers(text: str, add_prefix_space: bool) -> None:
    """Nothing is lost: without the added space, the words joined are the text."""
    assert our_words(text, add_prefix_space) == their_words(text, add_prefix_space)
    assert "".join(cut_words(text)) == text


@given(texts)
def test_ids_equal_those_of_tokenizers(text: str) -> None:
    """For the tokenizers of RoBERTa and GPT-2, and the pieces joined are the text."""
    for names in (ROBERTA_TOKENS, GPT2_TOKENS):
        tokenizer = build_byte_pair_tokenizer(merges(), names)
        found = encoded(text, tokenizer, merges())
        assert list(found.ids) == tokenizer.encode(text, add_special_tokens=False).ids
        pieces = zip(found.words, found.pieces, found.added, strict=True)
        assert all(from_byte_letters("".join(word_pieces)) == word for word, word_pieces, added in pieces if not added)


@pytest.mark.slow
def test_ids_of_5000_hostile_texts() -> None:
    """With merges from real words of many lengths, and texts of up to 60 parts."""
    generator, tokenizer = random.Random(0), build_byte_pair_tokenizer(merges())
    drawn = ["".join(generator.choices(PARTS, k=generator.randrange(1, 60))) for _ in range(5000)]
    for text, theirs in zip(drawn, tokenizer.encode_batch(drawn, add_special_tokens=False), strict=True):
        assert list(encoded(text, tokenizer, merges()).ids) == theirs.ids


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_texts(text: str) -> None:
    tokenizer = build_byte_pair_tokenizer(merges())
    assert list(encoded(text, tokenizer, merges()).ids) == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("letter", ["a", "ab", "é", "😀", " ", "1", "\x00"])
def test_very_long_words(letter: str) -> None:
    """Merges of a repeated letter overlap: the leftmost pair is merged first."""
    text = letter * 9001
    pairs = train_byte_pairs(count_byte_words([letter * length for length in range(1, 70)]), 290, ROBERTA_TOKENS.values())
    tokenizer = build_byte_pair_tokenizer(pairs)
    assert list(encoded(text, tokenizer, pairs).ids) == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize("text", ["\ud800", "a\udfff b", "\ud83d\ude00"])
def test_halves_of_surrogate_pairs_are_refused(text: str) -> None:
    """They have no bytes. `tokenizers` refuses them, too."""
    with pytest.raises(UnicodeEncodeError):
        encode_byte_pairs(text, {}, [])
    with pytest.raises(TypeError):
        build_byte_pair_tokenizer([]).encode(text)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), max_size=3, unique=True), st.text("abc", max_size=12))
def test_every_step_merges_the_known_pair_of_lowest_rank(pairs: list[Merge], word: str) -> None:
    ranks, before = {pair: rank for rank, pair in enumerate(pairs)}, tuple(word)
    for step in merge_steps(word, ranks):
        known = [ranks[pair] for pair in pairwise(before) if pair in ranks]
        assert step.rank == min(known) == ranks[step.pair]
        assert "".join(step.pieces) == word
        assert len(step.pieces) < len(before)
        before = step.pieces
    assert apply_merges(word, ranks) == before
    assert not {*pairwise(before)} & {*ranks}


def test_steps_have_the_ranks_of_their_merges() -> None:
    assert [step.rank for step in merge_steps("ughugs", {("u", "g"): 0, ("g", "s"): 1, ("h", "ug"): 2})] == [0, 2]


@st.composite
def trained_merges(draw: st.DrawFn) -> tuple[list[str], list[Merge]]:
    """Draw words, and the merges that are learned from them."""
    drawn = draw(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=5))
    return drawn, train_byte_pairs({word: 2 + number for number, word in enumerate(drawn)}, 270, [])


class TestApplyMerges:
    """The pieces of one word."""

    def test_value(self) -> None:
        """Of the merges that fit, the one with the lowest rank is applied, until none fits."""
        ranks = {("u", "g"): 0, ("g", "s"): 1, ("h", "ug"): 2, ("hu", "gs"): 3}
        assert apply_merges("hugs", ranks) == ("hug", "s")
        assert apply_merges("hgs", ranks) == ("h", "gs")
        assert apply_merges("aug", ranks) == ("a", "ug")
        assert apply_merges("", ranks) == ()
        assert apply_merges("aaaaa", {("a", "a"): 0, ("aa", "aa"): 1, ("aa", "a"): 2}) == ("aaaa", "a")
        assert apply_merges("abcd", {("c", "d"): 0, ("b", "c"): 1, ("a", "bc"): 2}) == ("a", "b", "cd")

    @given(trained_merges())
    @example((["abab", "aaa"], [("a", "b"), ("ab", "ab"), ("a", "a"), ("aa", "a")]))
    @example((["abcd"], [("c", "d"), ("b", "c"), ("a", "bc")]))
    def test_encoding_repeats_the_training(self, trained: tuple[list[str], list[Merge]]) -> None:
        """A word of the training has the pieces that it has at the end of the training."""
        for word in trained[0]:
            pieces = tuple(word)
            for pair in trained[1]:
                pieces = merge_pieces(pieces, pair, "".join(pair))
            assert apply_merges(word, {pair: rank for rank, pair in enumerate(trained[1])}) == pieces

    @given(trained_merges(), st.text("abc", max_size=12))
    @example((["ab"], [("a", "b")]), "ab")
    def test_pieces_are_the_word_and_no_merge_fits(self, trained: tuple[list[str], list[Merge]], word: str) -> None:
        found = apply_merges(word, {pair: rank for rank, pair in enumerate(trained[1])})
        assert "".join(found) == word
        assert not {*pairwise(found)} & {*trained[1]}


def test_added_tokens_are_found_first() -> None:
    """A mask includes the space before it, and a word that is added is found in the text."""
    tokenizer = build_byte_pair_tokenizer(merges())
    tokenizer.add_tokens([AddedToken("new", single_word=True)])
    found = encoded("a <mask> new renew", tokenizer, merges())
    assert found.words[:4] == ("a", " <mask>", " ", "new")
    assert found.added[:5] == (False, True, False, True, False)
    assert list(found.ids) == tokenizer.encode("a <mask> new renew", add_special_tokens=False).ids
