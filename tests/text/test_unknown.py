"""The share of a text that becomes [UNK]."""

import pytest

from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.text.unknown import UnknownText, count_unknown

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, "a", "##b", "e", "中"])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a ab e"], UnknownText(4, 0)),
        (["a xyz\tab "], UnknownText(6, 3)),
        (["É 中国中"], UnknownText(4, 1)),
        (["[UNK] a"], UnknownText(6, 5)),
        (["a" * 101, "x"], UnknownText(102, 102, 101)),
        (["x" * 100], UnknownText(100, 100, 0)),
        (["", " \n"], UnknownText(0, 0)),
        ([], UnknownText(0, 0)),
    ],
)
def test_characters_of_unknown_words(texts: list[str], expected: UnknownText) -> None:
    """Characters of the original text, without white space. A literal [UNK] is text, whose letters are unknown here."""
    assert count_unknown(texts, TOKENIZER) == count_unknown(iter(texts), TOKENIZER) == expected


def test_share_and_sum() -> None:
    assert (UnknownText(8, 1, 1) + UnknownText(2, 1)) == UnknownText(10, 2, 1)
    assert UnknownText(10, 2).share == 0.2
    assert UnknownText().share == 0


@pytest.mark.parametrize(
    ("unknown", "words"),
    [
        (UnknownText(1000, 10, 10), None),
        (UnknownText(1000, 11, 0), "--alphabet-size"),
        (UnknownText(1000, 600, 400), "words of more than 100 characters"),
    ],
)
def test_a_warning_above_one_percent_names_the_cause(unknown: UnknownText, words: str | None) -> None:
    described = unknown.describe()
    assert described.startswith(f"{unknown.share:.2%} of the characters become [UNK].")
    assert ("Warning" in described) == (words is not None)
    assert words is None or words in described


@pytest.mark.parametrize("characters", [0, 5])
def test_text_of_which_a_part_is_known_passes_the_check(characters: int) -> None:
    UnknownText(characters, max(0, characters - 1)).check()


def test_text_that_is_all_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match=r"all of the characters become \[UNK\]; most are in words of more than 100"):
        UnknownText(102, 102, 101).check()
