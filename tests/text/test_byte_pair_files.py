"""Checkpoints of before tokenizer.json: the vocabulary and the merges of byte-level BPE in files of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import models

from minibert.text.byte_alphabet import byte_pair_vocabulary
from minibert.text.byte_pair_training import count_byte_words, train_byte_pairs
from minibert.text.tokenizer_loading import load_tokenizer
from tests.hostile_text import HOSTILE_TEXTS

transformers = pytest.importorskip("transformers")
TEXT = [*Path(__file__).read_text(encoding="utf-8").splitlines(), *HOSTILE_TEXTS]
FIELDS = {"lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
OLDER_FILES: list[dict[str, dict[str, Any]]] = [
    {"config.json": {"model_type": "roberta"}},
    {"config.json": {"model_type": "gpt2"}},
    {"tokenizer_config.json": {"tokenizer_class": "RobertaTokenizerFast", "add_prefix_space": True}},
    {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "pad_token": "<|endoftext|>"}},
    {
        "config.json": {"model_type": "roberta"},
        "special_tokens_map.json": {"mask_token": {"content": "<mask>", **FIELDS}},
        "added_tokens.json": {"[new]": 400},
    },
]


def write_older_files(folder: Path, **files: dict[str, Any]) -> None:
    """Write a vocabulary and merges in files of their own, with <|endoftext|> as the last token."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    pairs = train_byte_pairs(count_byte_words(TEXT), 400, special)
    models.BPE(dict(zip(byte_pair_vocabulary(pairs, special), range(400), strict=True)), pairs).save(str(folder))
    for name, fields in files.items():
        (folder / name).write_text(json.dumps(fields))


@pytest.mark.parametrize("files", OLDER_FILES)
def test_vocabulary_and_merges_in_files_of_their_own(files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The ids, segments and offsets are those of transformers."""
    write_older_files(tmp_path, **files)
    theirs, ours = transformers.AutoTokenizer.from_pretrained(tmp_path), load_tokenizer(tmp_path)
    for text in [*filter(None, HOSTILE_TEXTS), "a [new] <|endoftext|>b <mask> c</s>"]:
        for pair in ((text,), (text, f"{text}b")):
            expected = theirs(*pair, return_token_type_ids=True, return_offsets_mapping=True)
            found = ours.encode(*pair)
            assert found.ids == expected["input_ids"], pair
            assert found.type_ids == expected["token_type_ids"], pair
            assert found.offsets == expected["offset_mapping"], pair


@pytest.mark.parametrize(
    ("changed", "content", "message"),
    [
        ("merges.txt", "a b c\n", r"vocab.json and .*merges.txt: are not a vocabulary and merges"),
        ("merges.txt", "nothing known\n", r"vocab.json: is not a tokenizer that can be used"),
        ("merges.txt", None, "has no tokenizer: tokenizer.json, vocab.txt, or vocab.json with merges.txt"),
        ("vocab.json", "{", "vocab.json and .*merges.txt: are not a vocabulary and merges"),
        ("vocab.json", '{"a": "b"}', "vocab.json and .*merges.txt: are not a vocabulary and merges|is not a tokenizer"),
        ("config.json", "{}", "vocab.txt: not found. If it is not BERT's tokenizer, set tokenizer_class in tokenizer_config"),
    ],
)
def test_damaged_files_of_byte_pairs_are_named(changed: str, content: str | None, message: str, tmp_path: Path) -> None:
    write_older_files(tmp_path, **{"config.json": {"model_type": "roberta"}})
    (tmp_path / changed).unlink() if content is None else (tmp_path / changed).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_tokenizer(tmp_path)
