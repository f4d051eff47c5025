"""Tokenizers loaded from files: the ids of transformers for every setting, or an error that names the setting."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import event, given, settings

from minibert.text.tokenizer import load_tokenizer, save_tokenizer
from tests.text.tokenizer_folders import STRINGS, folders, write

transformers = pytest.importorskip("transformers")


def their_ids(folder: Path) -> list[list[int]]:
    """Return the ids of the hostile strings that transformers computes."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text)["input_ids"] for text in STRINGS]


@settings(max_examples=150)
@given(folders())
def test_ids_equal_those_of_transformers(files: dict[str, str]) -> None:
    """Whatever transformers can load is loaded with the same ids, or refused. Saved again, transformers finds the same ids."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write(files, Path(temporary) / "given")
        try:
            tokenizer = load_tokenizer(folder)
        except ValueError as error:
            event(str(error).replace(temporary, ""))
            return
        expected = their_ids(folder)
        assert [encoding.ids for encoding in tokenizer.encode_batch(STRINGS)] == expected
        save_tokenizer(tokenizer, folder.parent / "saved")
        assert their_ids(folder.parent / "saved") == expected
        assert [encoding.ids for encoding in load_tokenizer(folder.parent / "saved").encode_batch(STRINGS)] == expected
