"""The readable encoder: equal to `tokenizers` at every stage, on every character and on random text."""

import unicodedata
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, normalizer, pre_tokenizer
from minibert.text.wordpiece_encoding import encode, match_steps, normalize, pre_tokenize, split_special_tokens, split_word
from minibert.text.wordpiece_training import CONTINUATION_PREFIX, count_words, train_wordpiece

EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]  # without surrogates
RECLASSIFIED = "\u166d\u1734\u1885\u1886\ua9bd\U000111c9"
"""Characters that have become another class since Unicode 8."""

SAMPLES = [
    "The café's naïve résumé, déjà vu!",
    "ΟΔΥΣΣΕΥΣ ὈΔΥΣΣΕΎΣ Σ",
    "İstanbul ISPARTA ıǰ ß ẞ ﬁ Ǆ",
    "机器学习 (machine learning) 是人工智能的一个分支。",
    "東京タワーがぎぐ 한국어 서울",
    "👩‍👩‍👧 👍🏽 ❤️ 🇫🇷",
    "zero\u200bwidth\u200d \ufeffbom soft\u00adhyphen \u202eleft",
    "line\nbreak\ttab\rreturn\x0bvertical\x0cform\x1cfile\x85next\u2028line\u2029par\u00a0no-break\u3000wide",
    "\x00null \x7fdelete \ufffdreplaced \ue000private",
    "a\u0301\u0323 \u0323a\u0301 \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd नमस्ते किं \u1112\u1161\u11ab",
    "[MASK][PAD]a[MASK]b [mask] [MA\x00SK] [[UNK]] [CLS] [SEP",
    "$1+1=2~`^|<> ##ab a##b ### €£",
    "x" * 100 + " " + "x" * 101 + " " + "é" * 101,
    "",
    " \n",
]
CHARACTERS = sorted({character for text in SAMPLES for character in normalize(text)} - {" "})
LONGER = ["ab", "ba", "déjà", "学习", "##b", "##ab", "##学", "##ς", "##σ", "##\u0323", "##x", "x" * 60, "##" + "x" * 40]
VOCABULARY = {piece: number for number, piece in enumerate([*SPECIAL_TOKENS, *CHARACTERS[::2], *LONGER])}
TOKENIZERS = {lowercase: build_tokenizer(list(VOCABULARY), lowercase) for lowercase in (True, False)}


def their_words(text: str, lowercase: bool) -> tuple[str, list[str]]:
    """The normalized text and its words, according to `tokenizers`."""
    normalized = normalizer(lowercase).normalize_str(text)
    return normalized, [word for word, _ in pre_tokenizer().pre_tokenize_str(normalized)]


def our_words(text: str, lowercase: bool) -> tuple[str, list[str]]:
    normalized = normalize(text, lowercase)
    return normalized, pre_tokenize(normalized)


@cache
def differing(lowercase: bool) -> list[str]:
    """The characters that the two treat differently between two letters: looked for in batches, then one by one."""
    found = []
    for start in range(0, len(EVERY_CHARACTER), 256):
        batch = EVERY_CHARACTER[start : start + 256]
        if our_words("a".join(batch), lowercase) != their_words("a".join(batch), lowercase):
            found += [one for one in batch if our_words(f"a{one}b", lowercase) != their_words(f"a{one}b", lowercase)]
    return found


def is_newer(character: str, lowercase: bool) -> bool:
    """One of the two does not know the character: it came after Unicode 8 for them, or after this Python's Unicode for us."""
    if unicodedata.category(character) == "Cn":
        return our_words(f"a{character}b", lowercase) == (f"a{character}b", [f"a{character}b"])
    since_3_2 = unicodedata.ucd_3_2_0.category(character) == "Cn"
    left_alone = their_words(f"a{character}b", lowercase) == (f"a{character}b", [f"a{character}b"])
    ruled = unicodedata.category(character) in ("Mn", "Cf") or unicodedata.category(character).startswith("P")
    return since_3_2 and left_alone and (ruled or unicodedata.decomposition(character) != "")


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character(lowercase: bool) -> None:
    """All of Unicode: only what is newer than a table differs, or has changed class; nothing before Arabic does."""
    found = differing(lowercase)
    assert [hex(ord(one)) for one in found if one not in RECLASSIFIED and not is_newer(one, lowercase)] == []
    assert all(ord(one) > 0x600 for one in found)
    assert len(found) < 800


def texts() -> st.SearchStrategy[str]:
    """Any Unicode, and texts rich in what is treated specially, of characters that both know."""
    unknown = "".join({*differing(True), *differing(False)})
    anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=unknown))
    parts = [
        *SPECIAL_TOKENS,
        *SAMPLES,
        *"aAbB x.,-[]#$'éÉßΣςİıǅ中文学𠀀あ가",
        " ",
        "\n",
        "\x00",
        "\u00ad",
        "\u200d",
        "\u0301",
        "\u0323",
    ]
    rich = st.lists(st.sampled_from(parts) | anything, max_size=12).map("".join)
    return anything | rich | st.text("ab中. #", max_size=30)


@given(st.data(), st.booleans())
def test_normalizing_and_cutting_equal_tokenizers(data: st.DataObject, lowercase: bool) -> None:
    """Whatever stands beside a character."""
    text = data.draw(texts())
    assert our_words(text, lowercase) == their_words(text, lowercase)


@given(st.data(), st.booleans())
def test_the_ids_equal_those_of_tokenizers(data: st.DataObject, lowercase: bool) -> None:
    """Special tokens in the text, pieces, unknown and very long words."""
    text = data.draw(texts())
    encoded = encode(text, VOCABULARY, lowercase)
    expected = TOKENIZERS[lowercase].encode(text, add_special_tokens=False)
    assert [piece for word in encoded.pieces for piece in word] == expected.tokens
    assert list(encoded.ids) == expected.ids


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("text", SAMPLES)
def test_samples(text: str, lowercase: bool) -> None:
    assert our_words(text, lowercase) == their_words(text, lowercase)
    expected = TOKENIZERS[lowercase].encode(text, add_special_tokens=False).ids
    assert list(encode(text, VOCABULARY, lowercase).ids) == expected


@given(st.sets(st.text("ab", min_size=1, max_size=4).flatmap(lambda p: st.sampled_from([p, CONTINUATION_PREFIX + p]))), st.text("ab#"))
@example({"a", "#", "##", "##b"}, "ab")
def test_any_vocabulary(pieces: set[str], word: str) -> None:
    """Longest match first, with pieces that lead to a dead end as well."""
    vocabulary = [*SPECIAL_TOKENS, "#", *sorted(pieces - {"#"})]
    expected = build_tokenizer(vocabulary).encode(word, add_special_tokens=False).tokens
    assert [piece for of_word in encode(word, dict.fromkeys(vocabulary, 0)).pieces for piece in of_word] == expected


@given(st.text("abc", min_size=1), st.sets(st.text("abc", min_size=1).flatmap(lambda p: st.sampled_from([p, CONTINUATION_PREFIX + p]))))
def test_a_match_is_the_longest(word: str, vocabulary: set[str]) -> None:
    """Every step tries all beginnings of what is left, longest first, and ends at the first that is a piece."""
    left = word
    for match in match_steps(word, vocabulary):
        *missed, last = [beginning.removeprefix(CONTINUATION_PREFIX) for beginning in match.tried]
        assert [*missed, last] == [left[:end] for end in range(len(left), len(last) - 1, -1)]
        assert match.piece == (match.tried[-1] if match.tried[-1] in vocabulary else None)
        assert vocabulary.isdisjoint(match.tried[:-1])
        left = left[len(last) :] if match.piece else left
    assert (left == "") == (split_word(word, vocabulary) != ("[UNK]",))


def test_a_train_vocabulary_in_two_scripts() -> None:
    """A vocabulary of real size spells what it has learned from, Chinese included, as `tokenizers` does."""
    lines = [*SAMPLES[:4], "机器学习使用数据。数据很重要。", "Learning machines learn from data; data matter."] * 2
    vocabulary = train_wordpiece(count_words(lines), 300)
    tokenizer = build_tokenizer(vocabulary)
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    for line in lines:
        assert list(encode(line, ids).ids) == tokenizer.encode(line, add_special_tokens=False).ids


def test_the_stages_of_a_chinese_sentence() -> None:
    encoded = encode("学习 BERT，[MASK]!", {"[UNK]": 1, "[MASK]": 4, "学": 5, "习": 6, "be": 7, "##rt": 8, "，": 9, "!": 10})
    assert encoded.text == "学习 BERT，[MASK]!"
    assert encoded.normalized == " 学  习  bert，[MASK]!"
    assert encoded.words == ("学", "习", "bert", "，", "[MASK]", "!")
    assert encoded.pieces == (("学",), ("习",), ("be", "##rt"), ("，",), ("[MASK]",), ("!",))
    assert encoded.ids == (5, 6, 7, 8, 9, 4, 10)


def test_other_special_tokens() -> None:
    """The longest of those that begin at a place is taken; without any, the text stays whole."""
    assert split_special_tokens("a[E][E1]b", ["[E", "[E]", "[E1]"]) == ["a", "[E]", "", "[E1]", "b"]
    assert split_special_tokens("a[MASK]", []) == ["a[MASK]"]
    assert encode("x[E1]Y", {"x": 0, "y": 1, "[E1]": 2}, special=["[E1]"]).ids == (0, 2, 1)
