"""Sentences that are split into words: as a key, and as text."""

import pytest

from minibert.text.labeled.tagged import TaggedSentence, join_words, sentence_key


def test_sentences_with_the_same_words_are_equal_in_every_unicode_form() -> None:
    composed, decomposed = TaggedSentence(("a", "caf\u00e9")), TaggedSentence(("a", "cafe\u0301"), ("O", "O"), line=7)
    assert sentence_key(composed) == sentence_key(decomposed) != sentence_key(TaggedSentence(("a", "cafe")))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["\u5317", "\u4eac"], "\u5317\u4eac"),
        (["a\u5317", "\u4eacb"], "a\u5317\u4eacb"),
        (["\u5317a", "\u4eac"], "\u5317a \u4eac"),
        (["\u5317", "b\u4eac"], "\u5317 b\u4eac"),
        (["New", "York"], "New York"),
        (["a", "", "b"], "a  b"),
        ([], ""),
    ],
)
def test_words_are_joined_without_a_space_between_two_characters_of_a_script_without_spaces(
    words: list[str], text: str
) -> None:
    assert join_words(words) == text
