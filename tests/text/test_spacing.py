"""Spaces between the words of an output, learned from text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.spacing import SPACING_FILE, Spacing
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.text.wordpiece_encoding import encode

TEXTS = [
    "It costs $3.50, not 1,000 (see p. 7).",
    'He said: "The U.S. isn\'t far."',
    'A well-known t-shirt - it\'s "red" and "blue".',
    "Er fragte: „Wie spät ist es?“",
    "我们学习机器翻译。很好！",
    "السلام عليكم، كيف حالك؟",
]


def tokenizer_for(texts: list[str], lowercase: bool = False):
    characters = sorted({character for text in texts for character in text + text.lower() if not character.isspace()})
    return build_tokenizer([*SPECIAL_TOKENS, *characters, *(f"##{character}" for character in characters)], lowercase)


class TestSpacing:
    @pytest.mark.parametrize("text", TEXTS)
    def test_learned_text_is_restored(self, text: str) -> None:
        """Prices, abbreviations, quotes, hyphens, and scripts without spaces: the decoded tokens are the text."""
        tokenizer = tokenizer_for(TEXTS)
        spacing = Spacing.learn(TEXTS, tokenizer)
        assert spacing.decode(tokenizer.encode(text).ids, tokenizer) == text

    def test_rules_apply_to_other_words_of_the_same_shape(self) -> None:
        """A context consists of shapes, not of words."""
        tokenizer = tokenizer_for(TEXTS)
        spacing = Spacing.learn(TEXTS, tokenizer)
        for text in ("She paid $72.10, not 2,500 (see p. 9).", 'A hand-made shirt - it\'s "old" and "new".'):
            assert spacing.join(encode(text, tokenizer.get_vocab(), lowercase=False).words) == text

    def test_the_more_frequent_spacing_is_learned(self) -> None:
        """Of two spacings of one context. A tie is a space."""
        tokenizer = tokenizer_for(["a-b"])
        for texts, expected in (
            (["a-b", "a-b", "a - b"], "b-a"),
            (["a-b", "a - b", "a - b"], "b - a"),
            (["a-b", "a - b"], "b - a"),
        ):
            assert Spacing.learn(texts, tokenizer).join(["b", "-", "a"]) == expected

    def test_a_word_of_an_unknown_shape_is_written_as_others_after_its_left_one(self) -> None:
        """After an opening parenthesis there is no space, whatever follows."""
        texts = ["a (b) c"]
        assert Spacing.learn(texts, tokenizer_for(texts)).join(["a", "(", "7", ")"]) == "a (7)"

    def test_a_context_of_four_words_is_stored_only_if_it_differs_from_that_of_the_inner_two(self) -> None:
        texts = ["a-b", "a-b", "b - 1"]
        glued = Spacing.learn(texts, tokenizer_for(texts)).glued
        assert glued["a -"] is True
        assert glued[" a - 0"] is False
        assert " a - a" not in glued

    def test_longer_contexts_decide_first(self) -> None:
        """Four shapes, then two, then the right one, then the left one, then a space."""
        words = ["a", ".", "b", "c"]
        for glued, expected in (
            ({}, "a . b c"),
            ({"after .": True}, "a .b c"),
            ({"after .": True, "before a": False}, "a . b c"),
            ({"before a": False, ". a": True}, "a .b c"),
            ({". a": True, "a . a a": False}, "a . b c"),
            ({" a . a": True}, "a. b c"),
            ({"a a a ": True, ". a a ": True}, "a . bc"),
        ):
            assert Spacing(glued).join(words) == expected

    def test_removed_characters_are_no_spaces(self) -> None:
        """U+200B and the like, which the tokenizer removes."""
        tokenizer = tokenizer_for(["a."])
        assert Spacing.learn(["a\u200b."], tokenizer).join(["b", "."]) == "b."
        assert Spacing.learn(["a\u3000."], tokenizer).join(["b", "."]) == "b ."

    def test_lowercase_tokenizer(self) -> None:
        """Shapes are those of the words that the tokenizer writes, in which there are no capital letters."""
        tokenizer = tokenizer_for(TEXTS, lowercase=True)
        spacing = Spacing.learn(TEXTS, tokenizer)
        assert spacing.decode(tokenizer.encode(TEXTS[1]).ids, tokenizer) == TEXTS[1].lower()

    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1), max_size=8))
    def test_words_are_never_changed(self, words: list[str]) -> None:
        """Without spaces, the joined words are the words."""
        spacing = Spacing.learn(TEXTS, tokenizer_for(TEXTS))
        assert spacing.join(words).replace(" ", "") == "".join(words)

    def test_special_tokens_are_left_out(self) -> None:
        tokenizer = build_tokenizer([*SPECIAL_TOKENS, "a", "##b", "."])
        ids = [tokenizer.token_to_id(token) for token in ("[CLS]", "a", "[UNK]", "##b", "[PAD]", ".", "[SEP]")]
        assert Spacing({"before .": True}).decode(ids, tokenizer) == "ab."

    def test_no_text_and_no_words(self) -> None:
        tokenizer = tokenizer_for(["a"])
        assert Spacing.learn([], tokenizer).glued == {}
        assert Spacing.learn(["", "\u200b"], tokenizer).decode([2, 3], tokenizer) == ""

    def test_saved_rules_are_loaded_unchanged(self, tmp_path) -> None:
        spacing = Spacing.learn(TEXTS, tokenizer_for(TEXTS))
        assert Spacing.load(tmp_path) is None
        (tmp_path / SPACING_FILE).write_text(spacing.to_json(), encoding="utf-8")
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(b"")
        for source in (tmp_path, weights):  # a checkpoint is its folder, or a file in it
            assert Spacing.load(source).glued == spacing.glued

    @pytest.mark.parametrize("contents", [b"", b"{", b"[]", b'{"a": 1}', b"null", b"\xff", b"[" * 100_000])
    def test_damaged_file_is_refused(self, contents: bytes, tmp_path) -> None:
        (tmp_path / SPACING_FILE).write_bytes(contents)
        with pytest.raises(ValueError, match=r"spacing\.json: (is not|must contain one JSON object)"):
            Spacing.load(tmp_path)
