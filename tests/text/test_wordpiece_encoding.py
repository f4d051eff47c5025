"""WordPiece encoding: equal to `tokenizers` at every stage, on every character and on random text."""

import unicodedata
from functools import cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken

from minibert.text.added_tokens import split_added_tokens
from minibert.text.tokenizer import SPECIAL_TOKENS, bert_normalizer, bert_pre_tokenizer, build_tokenizer
from minibert.text.wordpiece_encoding import encode, match_steps, normalize, pre_tokenize, split_word
from minibert.text.wordpiece_training import CONTINUATION_PREFIX, count_words, train_wordpiece
from tests.text.tokenizer_folders import STRINGS, added_tokens

EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]  # without surrogates
RECLASSIFIED = "\u166d\u1734\u1885\u1886\ua9bd\U000111c9"
"""Characters whose class has changed since Unicode 8."""

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
VOCABULARY = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *CHARACTERS[::2], *LONGER])}
TOKENIZERS = {lowercase: build_tokenizer(list(VOCABULARY), lowercase) for lowercase in (True, False)}


def their_words(text: str, lowercase: bool) -> tuple[str, list[str]]:
    """Return the normalized text and its words, computed by `tokenizers`."""
    normalized = bert_normalizer(lowercase).normalize_str(text)
    return normalized, [word for word, _ in bert_pre_tokenizer().pre_tokenize_str(normalized)]


def our_words(text: str, lowercase: bool) -> tuple[str, list[str]]:
    normalized = normalize(text, lowercase)
    return normalized, pre_tokenize(normalized)


@cache
def differing(lowercase: bool) -> list[str]:
    """Return the characters that both treat differently between two letters. Search in batches first, for speed."""
    found = []
    for start in range(0, len(EVERY_CHARACTER), 256):
        batch = EVERY_CHARACTER[start : start + 256]
        if our_words("a".join(batch), lowercase) != their_words("a".join(batch), lowercase):
            found += [one for one in batch if our_words(f"a{one}b", lowercase) != their_words(f"a{one}b", lowercase)]
    return found


def is_newer(character: str, lowercase: bool) -> bool:
    """Check that one of the Unicode tables lacks the character: it is newer than Unicode 8, or than Python's version."""
    if unicodedata.category(character) == "Cn":
        return our_words(f"a{character}b", lowercase) == (f"a{character}b", [f"a{character}b"])
    since_3_2 = unicodedata.ucd_3_2_0.category(character) == "Cn"
    unchanged = their_words(f"a{character}b", lowercase) == (f"a{character}b", [f"a{character}b"])
    has_rule = unicodedata.category(character) in ("Mn", "Cf") or unicodedata.category(character).startswith("P")
    return since_3_2 and unchanged and (has_rule or unicodedata.decomposition(character) != "")


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character(lowercase: bool) -> None:
    """Over all of Unicode, only new and reclassified characters differ, and none before the Arabic block."""
    found = differing(lowercase)
    assert [hex(ord(one)) for one in found if one not in RECLASSIFIED and not is_newer(one, lowercase)] == []
    assert all(ord(one) > 0x600 for one in found)
    assert len(found) < 800


def texts() -> st.SearchStrategy[str]:
    """Texts of any Unicode characters that both support, with many special cases among them."""
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
def test_normalization_and_pre_tokenization_equal_tokenizers(data: st.DataObject, lowercase: bool) -> None:
    """Normalized text and words are equal for random texts."""
    text = data.draw(texts())
    assert our_words(text, lowercase) == their_words(text, lowercase)


@given(st.data(), st.booleans())
def test_ids_equal_those_of_tokenizers(data: st.DataObject, lowercase: bool) -> None:
    """Tokens and ids are equal for random texts with special tokens, unknown words and very long words."""
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


@given(
    st.sets(st.text("ab", min_size=1, max_size=4).flatmap(lambda p: st.sampled_from([p, CONTINUATION_PREFIX + p]))),
    st.text("ab#"),
)
@example({"a", "#", "##", "##b"}, "ab")
def test_any_vocabulary(pieces: set[str], word: str) -> None:
    """Longest-match-first encoding equals that of `tokenizers`, also for words that cannot be split."""
    vocabulary = [*SPECIAL_TOKENS, "#", *sorted(pieces - {"#"})]
    expected = build_tokenizer(vocabulary).encode(word, add_special_tokens=False).tokens
    assert [piece for of_word in encode(word, dict.fromkeys(vocabulary, 0)).pieces for piece in of_word] == expected


@given(
    st.text("abc", min_size=1),
    st.sets(st.text("abc", min_size=1).flatmap(lambda p: st.sampled_from([p, CONTINUATION_PREFIX + p]))),
)
def test_every_step_finds_the_longest_match(word: str, vocabulary: set[str]) -> None:
    """Every step looks up all prefixes of the rest of the word, longest first, and stops at the first match."""
    rest = word
    for step in match_steps(word, vocabulary):
        *missed, last = [candidate.removeprefix(CONTINUATION_PREFIX) for candidate in step.candidates]
        assert [*missed, last] == [rest[:end] for end in range(len(rest), len(last) - 1, -1)]
        assert step.piece == (step.candidates[-1] if step.candidates[-1] in vocabulary else None)
        assert vocabulary.isdisjoint(step.candidates[:-1])
        rest = rest[len(last) :] if step.piece else rest
    assert (rest == "") == (split_word(word, vocabulary) != ("[UNK]",))


class TestSplitWord:
    """The pieces of one word."""

    def test_value(self) -> None:
        """The pieces of the example in Wu et al., and of words that cannot be split."""
        vocabulary = {"un", "u", "##aff", "##able", "##a", "aff", "able", "affable"}
        assert split_word("unaffable", vocabulary) == ("un", "##aff", "##able")
        assert split_word("affable", vocabulary) == ("affable",)
        assert split_word("unfair", vocabulary) == ("[UNK]",)
        assert split_word("able", vocabulary - {"able"} | {"##ble"}) == ("[UNK]",)
        assert split_word("unaffablex", vocabulary) == ("[UNK]",)
        assert split_word("abc", {"ab", "a", "##bc"}) == ("[UNK]",)
        assert split_word("a" * 100, {"a", "##a"}) == ("a", *["##a"] * 99)
        assert split_word("a" * 101, {"a", "##a"}) == ("[UNK]",)

    @given(st.text("abc", min_size=1, max_size=8), st.sets(st.text("abc", min_size=1, max_size=3)))
    @example("ab", {"a", "ab"})
    def test_pieces_are_the_word_or_unknown(self, word: str, pieces: set[str]) -> None:
        """Without ##, the pieces are the letters of the word. The first piece is the longest possible beginning."""
        vocabulary = {*"abc", "##a", "##b", "##c", *pieces, *(CONTINUATION_PREFIX + piece for piece in pieces)}
        found = split_word(word, vocabulary)
        assert "".join(piece.removeprefix(CONTINUATION_PREFIX) for piece in found) == word
        assert [piece.startswith(CONTINUATION_PREFIX) for piece in found] == [False] + [True] * (len(found) - 1)
        assert found[0] == max((piece for piece in vocabulary if word.startswith(piece)), key=len)

    @given(
        st.text("abc", min_size=1, max_size=8),
        st.sets(st.text("abc", min_size=1, max_size=3)),
        st.sets(st.text("abc", max_size=3)),
    )
    @example("abc", {"ab", "a"}, {"bc"})
    @example("ab", {"a", "b"}, set())
    def test_known_pieces_after_the_longest_beginning(self, word: str, beginnings: set[str], endings: set[str]) -> None:
        """A word is unknown, or its pieces are known and the first is the longest possible beginning."""
        vocabulary = {*beginnings, *(CONTINUATION_PREFIX + piece for piece in endings if piece)}
        found = split_word(word, vocabulary)
        if found != ("[UNK]",):
            assert vocabulary.issuperset(found)
            assert found[0] == max((piece for piece in beginnings if word.startswith(piece)), key=len)

    @given(st.integers(1, 100))
    @example(100)
    def test_words_of_known_letters_are_known(self, length: int) -> None:
        assert len(split_word("a" * length, {"a", "##a"})) == length

    @given(st.text("abc", min_size=1, max_size=8), st.integers(0, 8))
    def test_one_unknown_letter_makes_the_word_unknown(self, word: str, position: int) -> None:
        vocabulary = {*"abc", "##a", "##b", "##c"}
        assert split_word(f"{word[:position]}!{word[position:]}", vocabulary) == ("[UNK]",)


def test_trained_vocabulary_in_two_scripts() -> None:
    """With a trained vocabulary, ids equal those of `tokenizers`, for English and Chinese."""
    lines = [*SAMPLES[:4], "机器学习使用数据。数据很重要。", "Learning machines learn from data; data matter."] * 2
    vocabulary = train_wordpiece(count_words(lines), 300)
    tokenizer = build_tokenizer(vocabulary)
    ids = {token: index for index, token in enumerate(vocabulary)}
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
    """The longest matching added token is split off. Without added tokens the text is not split."""
    tokens = {token: AddedToken(token) for token in ("[E", "[E]", "[E1]")}
    assert [part.text for part in split_added_tokens("a[E][E1]b", tokens)] == ["a", "[E]", "[E1]", "b"]
    assert [part.text for part in split_added_tokens("a[MASK]", {})] == ["a[MASK]"]
    assert encode("x[E1]Y", {"x": 0, "y": 1}, added={2: AddedToken("[E1]", special=True)}).ids == (0, 2, 1)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
def test_an_added_token_may_include_the_spaces_next_to_it(left: bool, right: bool) -> None:
    """Spaces between two tokens belong to the first one that includes them."""
    found = split_added_tokens("a  [E]  [E] b", {"[E]": AddedToken("[E]", lstrip=left, rstrip=right)})
    first, second = ("  " * left + "[E]" + "  " * right, "  " * (left and not right) + "[E]" + " " * right)
    between, before, after = ("" if left or right else "  ", "" if left else "  ", "" if right else " ")
    expected = ["a" + before, first, between, second, after + "b"]
    assert [part.text for part in found] == [text for text in expected if text]


@given(st.data(), added_tokens(len(VOCABULARY)), st.booleans(), st.sampled_from([None, True, False]), st.booleans())
def test_added_tokens_and_settings(
    data: st.DataObject, added: dict[int, AddedToken], lowercase: bool, strip_accents: bool | None, chinese: bool
) -> None:
    """Added tokens of every kind are found as in `tokenizers`, with every normalization."""
    tokenizer = build_tokenizer(list(VOCABULARY))
    tokenizer.normalizer = bert_normalizer(lowercase, strip_accents, chinese)
    tokenizer.add_tokens(list(added.values()))
    parts = [*(token.content for token in added.values()), *STRINGS, " ", "a", "A", "b", "_", "中"]
    text = "".join(data.draw(st.lists(st.sampled_from(parts), max_size=8)))
    added = tokenizer.get_added_tokens_decoder()
    found = encode(text, VOCABULARY, lowercase, added, strip_accents, chinese)
    assert list(found.ids) == tokenizer.encode(text, add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("lowercase", "strip_accents", "expected"),
    [
        (True, None, "de"),
        (True, True, "de"),
        (True, False, "dé"),
        (False, None, "Dé"),
        (False, False, "Dé"),
        (False, True, "De"),
    ],
)
def test_accents_are_stripped_as_asked_for_and_otherwise_with_the_case(
    lowercase: bool, strip_accents: bool | None, expected: str
) -> None:
    assert normalize("Dé", lowercase, strip_accents) == expected
