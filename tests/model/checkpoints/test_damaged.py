"""Tests with damaged checkpoints: each is loaded, or rejected with a clear error, quickly and with little memory."""

import json
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import Bert, BertConfig, BertForPreTraining
from minibert.commands import main
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

CONFIG = BertConfig(
    vocab_size=12, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, max_position_embeddings=8
)
CHECKPOINTS = 500
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
    """Each of 500 checkpoints is loaded, or raises ValueError or FileNotFoundError with the path in the message.

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
    assert min(outcomes["loaded"], outcomes["rejected"]) > 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # in kilobytes
