"""The page of the experiments, and what they do to a network."""

import copy
from pathlib import Path

import pytest
import torch

from benchmarks.ideas import prompting
from benchmarks.ideas.__main__ import EXPERIMENTS, FOLDER, PAGE, page
from benchmarks.ideas.common import Row
from benchmarks.ideas.heads import heads_of, without_heads
from benchmarks.ideas.weights import changed, matrices, mebibytes, rounded, without_random, without_smallest
from minibert import BertConfig, BertForSequenceClassification, record
from minibert.text.module_families import MODULE_FAMILIES
from tests.strategies import normal

SIZES = {"vocab_size": 30, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 16}
IDS = torch.tensor([[2, 7, 9, 11, 3]])


@pytest.fixture
def model() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**SIZES, initializer_range=0.5)).double().eval()


def test_the_page_is_that_of_the_results() -> None:
    """`python -m benchmarks.ideas` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_experiment_has_a_result_and_a_figure() -> None:
    shared = {"__init__", "__main__", "common", "short_runs", "electra_ablations"}
    modules = {path.stem for path in FOLDER.glob("*.py")} - shared
    assert modules == EXPERIMENTS.keys()
    for names in EXPERIMENTS.values():
        for name in names:
            assert (FOLDER / f"{name}.json").is_file()
            assert (PAGE.parent / "ideas" / f"{name}.png").is_file()


def test_a_row_shows_mean_and_deviation() -> None:
    row = Row({"setting": "x"}, {"accuracy": [0.5, 0.7], "loss": [2.0]})
    assert row.shown("accuracy", ".1%") == "60.0% ± 14.1%"
    assert row.shown("loss", ".2f") == "2.00"


def test_removed_heads_have_no_influence(model: BertForSequenceClassification) -> None:
    """The logits are those of a forward pass in which the contexts of these heads are zeros. The model itself stays."""
    before, removed = copy.deepcopy(model.state_dict()), [(0, 1), (1, 0), (1, 2)]
    assert len(heads_of(model)) == 6

    def zero(layer: int):
        keep = torch.tensor([(layer, head) not in removed for head in range(3)])
        return lambda context: context * keep[:, None, None]

    with record(model, edit={f"layers.{layer}.attention.context": zero(layer) for layer in range(2)}):
        expected = model(IDS).logits
    torch.testing.assert_close(without_heads(model, removed)(IDS).logits, expected)
    assert not torch.allclose(model(IDS).logits, expected)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_the_smallest_weights_are_removed() -> None:
    weight = normal(0, 8, 5)
    pruned = without_smallest(weight, 0.3)
    assert int((pruned == 0).sum()) == 12
    assert weight[pruned == 0].abs().max() < pruned[pruned != 0].abs().min()
    random = without_random(weight, 0.3, torch.Generator().manual_seed(0))
    assert int((random == 0).sum()) == 12
    assert not torch.equal(random == 0, pruned == 0)


@pytest.mark.parametrize("per_row", [True, False])
@pytest.mark.parametrize("bits", [8, 4, 2])
def test_rounded_weights_are_whole_units(bits: int, per_row: bool) -> None:
    """No weight moves by more than half a unit, and the largest one stays."""
    weight = normal(1, 6, 7)
    found, most = rounded(weight, bits, per_row), 2 ** (bits - 1) - 1
    unit = (weight.abs().amax(dim=1, keepdim=True) if per_row else weight.abs().max()) / most
    numbers = found / unit
    torch.testing.assert_close(numbers, numbers.round())
    assert numbers.abs().max().round() == most
    assert ((found - weight).abs() <= unit / 2 + 1e-12).all()
    assert not rounded(torch.zeros(2, 2), bits, per_row).any()


def test_only_matrices_of_the_encoder_change(model: BertForSequenceClassification) -> None:
    """The size counts them, with a unit in single precision for each row or matrix."""
    count = sum(weight.numel() for weight in matrices(model))
    assert count == 30 * 12 + 2 * (4 * 12 * 12 + 2 * 12 * 16) + 12 * 12
    assert mebibytes(model, 32, per_row=True) == 4 * count / 2**20
    assert mebibytes(model, 8, per_row=False) == (count + 4 * len([*matrices(model)])) / 2**20
    other = changed(model, torch.zeros_like)
    same = [name for name, weight in other.state_dict().items() if torch.equal(weight, model.state_dict()[name])]
    assert "classifier.weight" in same
    assert "bert.embeddings.positions.weight" in same
    assert "bert.layers.0.attention.query.weight" not in same


def test_each_class_has_a_word_and_each_pattern_a_gap() -> None:
    assert [*prompting.WORDS] == [*MODULE_FAMILIES]
    assert len({*prompting.WORDS.values()}) == len(MODULE_FAMILIES)
    assert all(pattern.count("[MASK]") == 1 for pattern in prompting.PATTERNS)


def test_results_have_no_path_of_a_machine() -> None:
    for path in FOLDER.glob("*.json"):
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
