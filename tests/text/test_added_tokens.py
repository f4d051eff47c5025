"""Added tokens in a text: the rest is covered by the tests of both ways of encoding."""

from tokenizers import AddedToken

from minibert.text.added_tokens import WHITE_SPACE, find_added_tokens


def test_of_tokens_that_are_equal_after_normalization_the_first_one_is_found() -> None:
    """In `tokenizers` it is any of them, and another one in the next run."""
    tokens = [AddedToken(content) for content in ("New", "new", "nEW")]
    assert [part.added for part in find_added_tokens("NEW", tokens, str.lower)] == ["New"]


def test_white_space_is_that_of_unicode() -> None:
    assert len(WHITE_SPACE) == 25
    assert {*" \t\n\r\v\f\x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"} <= {*WHITE_SPACE}
