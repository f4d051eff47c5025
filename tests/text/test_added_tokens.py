"""Added tokens in a text: the rest is covered by the tests of both ways of encoding."""

from minibert.text.added_tokens import WHITE_SPACE, find_added_tokens
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer


def test_of_tokens_that_are_equal_after_normalization_the_first_one_is_found() -> None:
    """As in `tokenizers`."""
    tokenizer = build_tokenizer(SPECIAL_TOKENS)
    tokenizer.add_tokens(["New", "new", "nEW"])
    found = tokenizer.encode("NEW", add_special_tokens=False).ids
    added = tokenizer.get_added_tokens_decoder()
    parts = find_added_tokens("NEW", [token for _, token in sorted(added.items())], str.lower)
    assert [part.added for part in parts] == [added[index].content for index in found] == ["New"]


def test_white_space_is_that_of_unicode() -> None:
    assert len(WHITE_SPACE) == 25
    assert {*" \t\n\r\v\f\x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000"} <= {*WHITE_SPACE}
