"""Checkpoints come from strangers: whatever is wrong with one, it is loaded or named, at once and without eating memory."""

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
DAMAGED = 500
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
    """Does one thing to a checkpoint, and says what."""
    kind = generator.choice(["flip", "cut", "header", "value", "key", "json", "add"])
    weights = folder / str(generator.choice([name.name for name in folder.glob("*model*")]))
    content = bytearray(weights.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    field = str(generator.choice(list(config)))
    if kind == "flip":
        for place in generator.integers(0, len(content), generator.integers(1, 20)):
            content[place] ^= 1 << generator.integers(0, 8)
        weights.write_bytes(content)
    elif kind == "cut":
        weights.write_bytes(content[: generator.integers(0, len(content))])
    elif kind == "header":  # where a safetensors file says how long its header is, and what is in it
        for place in generator.integers(0, min(len(content), 400), 3):
            content[place] = generator.integers(0, 256)
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
    """Whether a checkpoint is loaded or named, and the message. Any other error is a bug."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Bert.from_pretrained(folder)
    except (ValueError, FileNotFoundError) as error:
        return "named", str(error)
    return "loaded", ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("without_shape_checks")
def test_a_damaged_checkpoint_is_loaded_or_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """500 of them: ValueError or FileNotFoundError, never another error, a long wait or half a gigabyte of memory."""
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG)
    outcomes: dict[str, int] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(DAMAGED):
        folder = tmp_path / str(number)
        model.save_pretrained(folder)
        save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *"abcdefg"]), folder)
        if number % 3 == 0:
            tensors = {f"bert.{name}": tensor for name, tensor in model.bert.state_dict().items()}
            torch.save(tensors, folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        done = damage(folder, np.random.default_rng(number))
        began = time.monotonic()
        outcome, message = load(folder)
        assert outcome == "loaded" or str(folder) in message, (done, message)
        if number % 10 == 0:
            assert main(["fill-mask", str(folder), "a [MASK]"]) in (0, 2), done
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert time.monotonic() - began < 5, done
    assert "Traceback" not in capsys.readouterr().err
    assert min(outcomes["loaded"], outcomes["named"]) > 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # in kilobytes
