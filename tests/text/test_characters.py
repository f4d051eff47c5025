"""Vocabularies of characters."""

from collections import Counter
from pathlib import Path

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.characters import build_character_tokenizer, choose_characters, count_characters
from minibert.text.from_options import make_tokenizer
from minibert.text.options import VocabularyOptions
from minibert.text.tokenizer import END_OF_TEXT, UNK, save_tokenizer, special_token, without_special_tokens
from minibert.text.tokenizer_loading import load_tokenizer

TEXTS = ["Hello, world!", "今日は  ünïcode 😀", "a' b - c\t(d)"]


@given(st.text())
def test_any_text_of_the_characters_is_kept(text: str) -> None:
    """One token for each character, in its order; also for white space, and for text that looks like a special token."""
    characters = choose_characters(count_characters([text, END_OF_TEXT]), 1000)
    tokenizer = without_special_tokens(build_character_tokenizer(characters))
    for each in (text, text + END_OF_TEXT):
        assert tokenizer.encode(each).tokens == [*each]
        assert tokenizer.decode(tokenizer.encode(each).ids) == each


def test_the_most_frequent_characters_are_chosen() -> None:
    assert count_characters(["ab", "a"]) == Counter({"a": 2, "\n": 2, "b": 1})
    assert choose_characters(Counter("cabbage"), 3) == ["a", "b", "c"]
    options = VocabularyOptions(pieces="characters", vocab_size=10)
    assert make_tokenizer(options, TEXTS, "gpt2").get_vocab_size() == 10
    assert make_tokenizer(VocabularyOptions(pieces="characters", alphabet_size=4), TEXTS, "gpt2").get_vocab_size() == 5


def test_transformers_loads_it_and_computes_the_same(tmp_path: Path) -> None:
    """Unknown characters become the end token, which is also the one that ends a text."""
    tokenizer = make_tokenizer(VocabularyOptions(pieces="characters"), TEXTS, "gpt2")
    save_tokenizer(tokenizer, tmp_path, 64)
    ours, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (theirs.eos_token, theirs.unk_token, special_token(ours, UNK)) == (END_OF_TEXT,) * 3
    for text in (*TEXTS, "xyz", "a\nb", f"a{END_OF_TEXT}b", ""):
        ids = theirs(text).input_ids
        assert ours.encode(text).ids == ids == tokenizer.encode(text).ids
        assert ours.decode(ids, skip_special_tokens=False) == theirs.decode(ids)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_other_models_refuse_it(kind: str) -> None:
    with pytest.raises(ValueError, match="pieces: a vocabulary of characters has no tokens for masks and pairs"):
        make_tokenizer(VocabularyOptions(pieces="characters"), TEXTS, kind)  # type: ignore[arg-type]
