"""Tests with damaged checkpoints: each is loaded, or rejected with a clear error, quickly and with little memory."""

import json
import os
import resource
import struct
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from minibert import Bert, BertConfig, BertForPreTraining, Transformer, TransformerConfig
from minibert.commands import main
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

CONFIG = BertConfig(
    vocab_size=12, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, max_position_embeddings=8
)
CHECKPOINTS = 200
ODD_VALUES = [
    None,
    True,
    -1,
    0,
    1.5,
    10**9,
    10**18,
    10**400,
    "",
    "8",
    "gelu",
    [],
    {},
    [1],
    {"a": 1},
    float("nan"),
    float("inf"),
]


def damage(folder: Path, generator: np.random.Generator) -> str:
    """Damage a checkpoint in one random way, and return a description."""
    kind = generator.choice(["flip", "cut", "header", "value", "key", "json", "add"])
    weights = folder / str(generator.choice([name.name for name in folder.glob("*model*")]))
    content = bytearray(weights.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    field = str(generator.choice(list(config)))
    if kind == "flip":
        for position in generator.integers(0, len(content), generator.integers(1, 20)):
            content[position] ^= 1 << generator.integers(0, 8)
        weights.write_bytes(content)
    elif kind == "cut":
        weights.write_bytes(content[: generator.integers(0, len(content))])
    elif kind == "header":  # the length of the header of a safetensors file, and the header
        for position in generator.integers(0, min(len(content), 400), 3):
            content[position] = generator.integers(0, 256)
        weights.write_bytes(content)
    elif kind == "add":
        weights.write_bytes(content + generator.bytes(generator.integers(1, 99)))
    elif kind == "json":
        text = bytearray((folder / "config.json").read_bytes())
        text[generator.integers(0, len(text))] = generator.integers(0, 256)
        (folder / "config.json").write_bytes(text)
    else:
        if kind == "key":
            del config[field]
        else:
            config[field] = ODD_VALUES[generator.integers(0, len(ODD_VALUES))]
        (folder / "config.json").write_text(json.dumps(config))
    return f"{kind} {weights.name if kind in ('flip', 'cut', 'header', 'add') else field}"


def load(folder: Path) -> tuple[str, str]:
    """Load a checkpoint; return "loaded" or "rejected", and the error message. Any other error is a bug."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Bert.from_pretrained(folder)
    except (ValueError, FileNotFoundError) as error:
        return "rejected", str(error)
    return "loaded", ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("without_shape_checks")
def test_damaged_checkpoint_is_loaded_or_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of 200 checkpoints is loaded, or raises ValueError or FileNotFoundError with the path in the message.

    None takes more than 5 seconds, and all together take less than half a gigabyte of memory.
    """
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG)
    outcomes: dict[str, int] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(CHECKPOINTS):
        folder = tmp_path / str(number)
        model.save_pretrained(folder)
        save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *"abcdefg"]), folder)
        if number % 3 == 0:
            tensors = {f"bert.{name}": tensor for name, tensor in model.bert.state_dict().items()}
            torch.save(tensors, folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        description = damage(folder, np.random.default_rng(number))
        start = time.monotonic()
        outcome, message = load(folder)
        assert outcome == "loaded" or str(folder) in message, (description, message)
        if number % 10 == 0:
            assert main(["fill-mask", str(folder), "a [MASK]"]) in (0, 2), description
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert time.monotonic() - start < 5, description
    assert "Traceback" not in capsys.readouterr().err
    assert min(outcomes["loaded"], outcomes["rejected"]) > 0.06 * CHECKPOINTS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # in kilobytes


def write_safetensors(path: Path, header: object, data: bytes = b"\0" * 64) -> None:
    """Write a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[]",
        b"null",
        b"[" * 50_000,
        {"a": {}},
        {"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 64]}},
        {"a": {"dtype": "F32", "shape": [16], "data_offsets": [64, 0]}},
        {"a": {"dtype": "F32", "shape": [0, 2**40], "data_offsets": [0, 0]}},
        {"a": {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]}},
        {"__metadata__": {"format": 5}},
        {"__metadata__": {"format": "tf"}, "a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]}},
    ],
    ids=lambda header: str(header)[:50],
)
def test_wrong_header_is_rejected(tmp_path: Path, header: object) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    for data in (b"", b"\0" * 64):
        write_safetensors(tmp_path / "model.safetensors", header, data)
        outcome, message = load(tmp_path)
        assert outcome == "rejected"
        assert "model.safetensors" in message
        assert message.isprintable()
        assert len(message) < 500


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 200, -1])
def test_truncated_file_is_rejected(tmp_path: Path, name: str, cut: int) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    file = tmp_path / name
    if name == "pytorch_model.bin":
        torch.save(safetensors.torch.load_file(tmp_path / "model.safetensors"), file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(ValueError, match=rf"{name}: is (not a complete|empty|a text file)"):
        Bert.from_pretrained(file)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    "value", [*ODD_VALUES, 2**64, 1e300, -1e300, "\x1b[31m", "\ud800", "x" * 10**5, json.loads("[" * 300 + "]" * 300)]
)
def test_odd_value_in_any_field_is_accepted_or_rejected(tmp_path: Path, value: object) -> None:
    """The message names the file, is short and has no characters that control a terminal."""
    model = BertForPreTraining(CONFIG)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for field in [*config, "num_labels", "quantization_config", "is_decoder", "position_embedding_type", "problem_type"]:
        (tmp_path / "config.json").write_text(json.dumps(config | {field: value}))
        outcome, message = load(tmp_path)
        assert outcome == "loaded" or str(tmp_path) in message, field
        assert not message or (message.isprintable() and len(message) < 1000), field


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"", "is not an index of weights"),
        (b"[]", "is not an index of weights"),
        (b"{}", "is not an index of weights"),
        (b"[" * 100_000, "is not an index of weights"),
        (b"\xff\xfe{", "is not an index of weights"),
        ({"weight_map": []}, "is not an index of weights"),
        ({"weight_map": "a.safetensors"}, "is not an index of weights"),
        ({"weight_map": {}}, "has 0 layers"),
        ({"weight_map": {"x": "c.safetensors"}}, "lists c.safetensors, which is missing"),
        ({"weight_map": {"x": 5}}, "lists 5, which is missing"),
        ({"weight_map": {"x": ".."}}, "lists .., which is missing"),
        ({"weight_map": {"x": ""}}, "lists , which is missing"),
        ({"weight_map": {"x": "../a.safetensors"}}, "'../a.safetensors' is not a plain file name"),
        ({"weight_map": {"x": "/etc/passwd"}}, "'/etc/passwd' is not a plain file name"),
        ({"weight_map": {"x": "a.safetensors"}}, "lists tensor x in a.safetensors, which does not have it"),
        ({"weight_map": {"x": "config.json"}}, "config.json: is JSON, not a checkpoint"),
        (
            {"weight_map": {"pooler.dense.bias": "a.safetensors", "pooler.dense.weight": "b.safetensors"}},
            "is in two of its files",
        ),
    ],
    ids=str,
)
def test_damaged_index_is_rejected(tmp_path: Path, index: object, message: str) -> None:
    Bert(CONFIG).save_pretrained(tmp_path)
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes((tmp_path / "model.safetensors").read_bytes())
    (tmp_path / "model.safetensors").unlink()
    content = index if isinstance(index, bytes) else json.dumps(index).encode()
    (tmp_path / "model.safetensors.index.json").write_bytes(content)
    outcome, error = load(tmp_path)
    assert outcome == "rejected"
    assert str(tmp_path) in error
    assert message in error


def test_tensor_of_another_shape_or_type_is_rejected_by_name(tmp_path: Path) -> None:
    """Scalars, empty tensors, another number of axes, integers, complex numbers and eight-bit numbers."""
    Bert(CONFIG).save_pretrained(tmp_path)
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    for name, tensor in tensors.items():
        for wrong in (
            torch.tensor(1.0),
            torch.zeros(0),
            torch.zeros(2, 2, 2),
            tensor.long(),
            tensor > 0,
            tensor.to(torch.complex64),
            tensor.to(torch.float8_e4m3fn),
            tensor * torch.nan,
        ):
            safetensors.torch.save_file(tensors | {name: wrong}, tmp_path / "model.safetensors")
            assert name in load(tmp_path)[1]


def test_position_tables_of_an_absurd_size_are_not_computed(tmp_path: Path) -> None:
    """A MarianMT file may lack them."""
    model = Transformer(
        TransformerConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, encoder_layers=1, decoder_layers=1)
    )
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text()) | {"positions": "learned", "max_position_embeddings": 10**12}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
    without_tables = {name: tensor for name, tensor in tensors.items() if "embed_positions" not in name}
    safetensors.torch.save_file(without_tables, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"has no position tables, and max_position_embeddings of config\.json is too large"):
        Transformer.from_pretrained(tmp_path)


def test_a_file_may_be_overwritten_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not memory-mapped: reading a mapped file that has become shorter ends the process."""
    Bert(CONFIG).save_pretrained(tmp_path)
    parse, file = safetensors.torch.load, tmp_path / "model.safetensors"

    def overwritten(content: bytes) -> dict[str, torch.Tensor]:
        os.truncate(file, 0)
        return parse(content)

    expected = Bert.from_pretrained(tmp_path).state_dict()
    monkeypatch.setattr(safetensors.torch, "load", overwritten)
    found = Bert.from_pretrained(tmp_path).state_dict()
    assert file.stat().st_size == 0
    assert all(torch.equal(found[name], expected[name]) for name in expected)
