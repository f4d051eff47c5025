"""What a config.json says about special tokens is the same after loading and saving."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert import Bert, BertConfig, GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig, load
from minibert.model import families
from minibert.model.families import FAMILIES
from minibert.model.pretrained import PretrainedModel
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.model.t5_config import T5Config
from minibert.model.vit import ViTModel
from minibert.model.vit_config import ViTConfig

SIZES: dict[str, Any] = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
TEXT: dict[str, Any] = {**SIZES, "vocab_size": 40, "max_position_embeddings": 16}
NETWORKS: dict[str, Any] = {
    "bert": lambda: Bert(BertConfig(**TEXT, num_hidden_layers=1)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(**TEXT, num_hidden_layers=1)),
    "t5": lambda: T5ForConditionalGeneration(T5Config(**TEXT, encoder_layers=1, decoder_layers=1)),
    "vit": lambda: ViTModel(ViTConfig(**SIZES, num_hidden_layers=1, image_size=4, patch_size=2)),
    "marian": lambda: Transformer(TransformerConfig(**TEXT, encoder_layers=1, decoder_layers=1, positions="learned")),
}
NAMES = [f"{name}_token_id" for name in ("pad", "bos", "eos", "sep", "cls", "mask", "decoder_start", "forced_eos")]
ODD = dict(zip(NAMES, (5, 6, 7, 8, 9, 10, 11, 12), strict=True))


def network(family: str) -> PretrainedModel:
    if family in NETWORKS:
        made: PretrainedModel = NETWORKS[family]()
        return made
    encoder = families.NETWORKS[FAMILIES[family].networks[Bert]]
    return encoder(FAMILIES[family].config_class(**TEXT, num_hidden_layers=1))


def token_ids(folder: Path) -> dict[str, Any]:
    """Return the special tokens as transformers reads them."""
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.from_pretrained(folder)
    return {name: getattr(config, name, None) for name in NAMES}


def change(folder: Path, changes: dict[str, Any], without: tuple[str, ...] = ()) -> None:
    stored = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({name: value for name, value in stored.items() if name not in without}))


@pytest.mark.parametrize("family", [*NETWORKS, *FAMILIES])
def test_special_tokens_survive(family: str, tmp_path: Path) -> None:
    """In every family, whether the network uses them or not."""
    network(family).save_pretrained(tmp_path / "before")
    change(tmp_path / "before", ODD)
    load(tmp_path / "before").save_pretrained(tmp_path / "after")
    assert token_ids(tmp_path / "after") == token_ids(tmp_path / "before")
    assert json.loads((tmp_path / "after" / "config.json").read_text()).items() >= ODD.items()


@pytest.mark.parametrize(
    ("changes", "without"),
    [
        ({"pad_token_id": None}, ()),
        ({"pad_token_id": -1}, ()),
        ({"eos_token_id": 50256, "bos_token_id": 50256}, ()),
        ({"bos_token_id": None}, ()),
        ({"eos_token_id": [3, 4]}, ()),
        ({}, ("bos_token_id", "eos_token_id", "pad_token_id")),
    ],
)
def test_odd_special_tokens_of_gpt2_survive(changes: dict[str, Any], without: tuple[str, ...], tmp_path: Path) -> None:
    """GPT-2 has no use for padding, and files of a small vocabulary often have the numbers of the published models."""
    network("gpt2").save_pretrained(tmp_path / "before")
    change(tmp_path / "before", changes, without)
    load(tmp_path / "before").save_pretrained(tmp_path / "after")
    assert token_ids(tmp_path / "after") == token_ids(tmp_path / "before")


def test_generation_of_transformers_is_the_same(tmp_path: Path) -> None:
    """It derives a mask from the padding piece: a text with piece 0 must not begin to have padding."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**TEXT, num_hidden_layers=2, initializer_range=0.5))
    model.save_pretrained(tmp_path / "before")
    change(tmp_path / "before", {"pad_token_id": None})
    load(tmp_path / "before").save_pretrained(tmp_path / "after")
    ids = torch.tensor([[3, 0, 0, 8, 0, 7]])
    before, after = (
        transformers.GPT2LMHeadModel.from_pretrained(tmp_path / name).generate(ids, max_new_tokens=6, do_sample=False)
        for name in ("before", "after")
    )
    assert before.tolist() == after.tolist()


def test_a_new_value_replaces_that_of_the_file(tmp_path: Path) -> None:
    network("gpt2").save_pretrained(tmp_path)
    change(tmp_path, {"pad_token_id": -1, "eos_token_id": 3})
    config = load(tmp_path).config
    assert (
        replace(config, pad_token_id=4, eos_token_id=5).hub_fields().items() >= {"pad_token_id": 4, "eos_token_id": 5}.items()
    )
