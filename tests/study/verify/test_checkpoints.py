"""`minibert verify A --against B`: two checkpoints of one architecture, stage by stage and parameter by parameter."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert import Bert, BertConfig, BertForPreTraining, Transformer, TransformerConfig
from minibert.commands import main
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.pretrained import PretrainedModel
from minibert.study.verify.checkpoints import compare_checkpoints
from minibert.study.verify.diagnosis import Names
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=8,
    max_position_embeddings=32,
    initializer_range=0.5,
)
WORDS = [f"w{number}" for number in range(35)]


def unchanged(model: Any) -> None: ...


def save(
    folder: Path,
    config: Any = CONFIG,
    change: Callable[[Any], None] = unchanged,
    network: type[PretrainedModel] = BertForPreTraining,
    words: list[str] | None = WORDS,
) -> str:
    """Save a network with weights of the same seed, and return its folder."""
    torch.manual_seed(0)
    model = network(config)
    with torch.no_grad():
        change(model)
    model.save_pretrained(folder)
    if words is not None:
        save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *words]), folder)
    return str(folder)


def swap_queries_and_keys(model: BertForPreTraining) -> None:
    attention = model.bert.layers[1].attention
    attention.query, attention.key = attention.key, attention.query


def transpose_values(model: BertForPreTraining) -> None:
    attention = model.bert.layers[0].attention
    attention.value.weight.copy_(attention.value.weight.T.clone())


def change_an_unused_position(model: BertForPreTraining) -> None:
    model.bert.embeddings.positions.weight[30, 2] += 0.01


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "swapped": (
        {"change": swap_queries_and_keys},
        [
            "The first stage that differs from B is layers.1.attention.query.",
            "Largest difference: ",
            "Parameters that differ: 2 of 46",
            "equal to layers.1.attention.key.weight of B",
            "equal to layers.1.attention.query.weight of B",
        ],
    ),
    "transposed": (
        {"change": transpose_values},
        [
            "is layers.0.attention.value.",
            "the weight is transposed",
            "equal to layers.0.attention.value.weight, transposed of B",
        ],
    ),
    "unused position": (
        {"change": change_an_unused_position},
        [
            "All 58 stages agree with B",
            "Parameters that differ: 1 of 46",
            "embeddings.positions.weight: largest difference 1.00e-02",
        ],
    ),
    "depth": (
        {"config": replace(CONFIG, num_hidden_layers=3)},
        [
            "num_hidden_layers (3 in B, 2 in A)",
            "only one side has them: 22 stages",
            "layers.2.attention.query.weight: only in B",
        ],
    ),
    "width": (
        {"config": replace(CONFIG, hidden_size=12)},
        [
            "hidden_size (12 in B, 8 in A)",
            "is embeddings.words.",
            "(2, 17, 12) in B, (2, 17, 8) in A",
            "(40, 12) in B, (40, 8) in A",
        ],
    ),
    "heads": (
        {"config": replace(CONFIG, num_attention_heads=4)},
        ["num_attention_heads (4 in B, 2 in A)", "is layers.0.attention.query.", "(2, 4, 17, 2) in B, (2, 2, 17, 4) in A"],
    ),
    "inner size": (
        {"config": replace(CONFIG, intermediate_size=12)},
        ["intermediate_size (12 in B, 8 in A)", "layers.0.feed_forward.intermediate.weight: (12, 8) in B, (8, 8) in A"],
    ),
    "positions": (
        {"config": replace(CONFIG, max_position_embeddings=10)},
        ["max_position_embeddings (10 in B, 32 in A)", "embeddings.positions.weight: (10, 8) in B, (32, 8) in A"],
    ),
    "vocabulary": (
        {"config": replace(CONFIG, vocab_size=41)},
        ["vocab_size (41 in B, 40 in A)", "embeddings.words.weight: (41, 8) in B, (40, 8) in A"],
    ),
    "segments": (
        {"config": replace(CONFIG, type_vocab_size=1)},
        ["type_vocab_size (1 in B, 2 in A)", "embeddings.segments.weight: (1, 8) in B, (2, 8) in A"],
    ),
    "activation": (
        {"config": replace(CONFIG, hidden_act="relu")},
        ["is layers.0.activation.", "the activation function: relu in B, gelu in A", "All 46 parameters agree."],
    ),
    "eps": ({"config": replace(CONFIG, layer_norm_eps=1e-3)}, ["the eps of layer normalization: 0.001 in B, 1e-12 in A"]),
    "no head": (
        {"network": Bert},
        ["others are missing", "only one side has them: 3 stages, such as mlm.transform", "mlm.bias: only in A"],
    ),
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the checkpoint A."""
    monkeypatch.chdir(tmp_path)
    save(Path("A"))
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_difference_is_found_and_named(folders: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    """The first stage that differs, the settings and the parameters. Exit code 1, in float64 as in float32."""
    changes, expected = CASES[case]
    save(Path("B"), **changes)
    for dtype in ("float32", "float64"):
        assert main(["verify", "A", "--against", "B", "--dtype", dtype]) == 1
        shown = capsys.readouterr().out
        for text in expected:
            assert text in shown
    assert main(["verify", "A", "--against", "B", "--json"]) == 1
    assert not json.loads(capsys.readouterr().out)["agrees"]


@pytest.mark.parametrize("attention", ["auto", "explicit", "fused"])
def test_equal_checkpoints_agree(folders: Path, capsys: pytest.CaptureFixture[str], attention: str) -> None:
    """A dropout probability is a setting that differs, but it changes nothing here."""
    save(Path("B"), replace(CONFIG, hidden_dropout_prob=0.3))
    assert main(["verify", "A", "--against", "B", "--attention", attention]) == 0
    shown = capsys.readouterr().out
    assert "stages agree with B, to 0.0e+00" in shown
    assert "All 46 parameters agree." in shown
    assert "Settings that differ: hidden_dropout_prob (0.3 in B, 0.1 in A)\n" in shown
    assert main(["verify", "A", "--against", "B", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"]


def test_the_tokenizers_are_compared_first(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("B"), words=[*WORDS[:3], WORDS[4], WORDS[3], *WORDS[5:]])
    assert main(["verify", "A", "--against", "B"]) == 1
    shown = capsys.readouterr().out
    assert "The tokenizers differ" in shown
    assert "  B: " in shown
    assert "  A: " in shown
    assert main(["verify", "A", "--against", "B", "--ids", "5", "6", "7"]) == 0


def test_one_tokenizer_is_enough(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text is encoded with the tokenizer that exists."""
    save(Path("B"), words=None)
    for first, second in (("A", "B"), ("B", "A")):
        assert main(["verify", first, "--against", second, "--text", "w1 w2"]) == 0
        assert "The tokenizers are not compared: a tokenizer is missing." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "network"),
    [
        (GPT2Config(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2), GPT2LMHeadModel),
        (
            TransformerConfig(
                vocab_size=40, hidden_size=8, num_attention_heads=2, intermediate_size=8, encoder_layers=1, decoder_layers=1
            ),
            Transformer,
        ),
    ],
)
def test_other_architectures(folders: Path, capsys: pytest.CaptureFixture[str], config: Any, network: Any) -> None:
    """Each agrees with itself, and cannot be compared with a BERT."""
    save(Path("B"), config, network=network)
    assert main(["verify", "B", "--against", "B"]) == 0
    assert main(["verify", "A", "--against", "B"]) == 2
    assert f"A is a BertForPreTraining and B a {network.__name__}" in capsys.readouterr().err


def test_transformers_is_not_needed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["verify", "A", "--against", "A"]) == 0


@pytest.mark.parametrize("option", [["--reference", "x"], ["--save-reference", "x"], ["--attention-from", "my.py:f"]])
def test_options_for_transformers_are_refused(folders: Path, capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    assert main(["verify", "A", "--against", "A", *option]) == 2
    assert "leave out" in capsys.readouterr().err


def test_each_parameter_that_differs_is_named_once() -> None:
    """Those of both networks, and those that only one has."""
    ours, reference = BertForPreTraining(CONFIG), BertForPreTraining(CONFIG)
    ours.load_state_dict(reference.state_dict())
    with torch.no_grad():
        ours.bert.embeddings.norm.bias.add_(1)
        ours.nsp.bias.add_(1)
    found = compare_checkpoints(reference, ours, Names("a", "b"))
    assert len(found.parameters) == 2
    assert found.settings == {}
    both = len(dict(ours.named_parameters()))
    assert found.parameters_compared == both
    fewer = compare_checkpoints(reference, Bert(CONFIG).requires_grad_(False), Names("a", "b"))
    names = [each.name for each in fewer.parameters]
    assert len({*names}) == len(names)
