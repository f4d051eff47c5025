"""Receipts: a computation that makes a difference is found, and the rows are named."""

import math
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.model.adapters import Bottleneck, LoRA
from minibert.study.evaluation.receipt import Check, Evaluated, compare, decision, receipt, relative_difference
from minibert.study.evaluation.two_processes import PROCESSES, part_of
from minibert.text.labeled.text_rows import TextRow
from minibert.text.tokenizer import save_tokenizer
from minibert.training.classification import Classification
from minibert.training.task_type import TASK_FILE
from minibert.training.trained import load_trained
from tests.trained_models import WORDS, trained_model

random = np.random.default_rng(0)
ROWS = [TextRow(" ".join(random.choice(WORDS, size=1 + number)), None, "good", number + 2) for number in range(20)]
"""Texts of 1 to 20 words."""


@pytest.fixture
def evaluated(tmp_path: Path) -> Evaluated:
    return Evaluated.compute(load_trained(trained_model(tmp_path / "model")), ROWS)


@pytest.mark.usefixtures("forked_processes")
def test_a_correct_computation_passes_all_checks(evaluated: Evaluated) -> None:
    """Two processes are really started, and transformers loads the exported model."""
    checks = {check.name: check for check in receipt(evaluated)}
    assert checks.pop("adapter = merged").skipped == "the model has no adapter"
    assert len(checks) == 3
    for check in checks.values():
        assert (check.rows, check.differences, check.skipped) == (20, [], "")
        assert check.largest <= check.tolerance


class TestBrokenComputation:
    def test_padding_that_is_not_masked_is_found(self, tmp_path: Path) -> None:
        """A text then depends on the length of the longest text in its batch. The longest one has no padding."""
        trained = load_trained(trained_model(tmp_path / "model"))
        forward = trained.network.forward

        def without_mask(input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor):
            return forward(input_ids, None, token_type_ids)

        trained.network.forward = without_mask
        check = next(receipt(Evaluated.compute(trained, ROWS)))
        assert check.name == "batches of one = padded batches"
        assert check.largest > 1000 * check.tolerance
        named = {each.row for each in check.differences}
        assert len(named) > 10
        assert 19 not in named
        assert all(each.text == ROWS[each.row].text and each.line == each.row + 2 for each in check.differences)
        assert check.predictions_differ

    def test_rows_in_another_order_are_found(self, evaluated: Evaluated) -> None:
        """As if two processes had exchanged two of their results."""
        logits = list(evaluated.logits)
        logits[3], logits[11] = logits[11], logits[3]
        check = compare("swapped", evaluated, lambda: logits)
        assert {each.row for each in check.differences} == {3, 11}

    def test_other_weights_are_found(self, evaluated: Evaluated, tmp_path: Path) -> None:
        """As if a process had loaded another model."""
        other = Evaluated.compute(load_trained(trained_model(tmp_path / "other", seed=1)), ROWS)
        assert len(compare("other", evaluated, lambda: other.logits).differences) == len(ROWS)

    def test_a_small_difference_is_listed_but_the_prediction_is_the_same(self, evaluated: Evaluated) -> None:
        logits = [each + 1e-3 * (number == 5) for number, each in enumerate(evaluated.logits)]
        check = compare("rounded", evaluated, lambda: logits)
        assert [(each.row, each.differs) for each in check.differences] == [(5, False)]
        assert not check.predictions_differ

    def test_logits_that_are_not_finite_are_a_difference(self, evaluated: Evaluated) -> None:
        logits = [each * math.nan if number == 5 else each for number, each in enumerate(evaluated.logits)]
        check = compare("damaged", evaluated, lambda: logits)
        assert [each.row for each in check.differences] == [5]
        assert check.fields()["largest_difference"] is None

    def test_a_predicted_number_differs_if_it_is_not_rounding(self, tmp_path: Path) -> None:
        """A number has no class that could stay the same."""
        task_type = Classification(("score",), "regression", 64)
        rows = [TextRow("good", None, "1.5"), TextRow("very bad", None, "0")]
        evaluated = Evaluated.compute(load_trained(trained_model(tmp_path / "model", task_type)), rows)
        assert not compare("same", evaluated, partial(list, evaluated.logits)).predictions_differ
        check = compare("moved", evaluated, lambda: [evaluated.logits[0], evaluated.logits[1] + 0.1])
        assert [(each.row, each.differs) for each in check.differences] == [(1, True)]


class TestAdapter:
    """A model with LoRA: the folder of a run has the merged weights, and the adapter in a folder of its own."""

    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        trained = load_trained(trained_model(tmp_path / "base"))
        LoRA(rank=2).apply(trained.network)
        torch.manual_seed(1)
        for name, parameter in trained.network.named_parameters():
            if "lora" in name:
                torch.nn.init.normal_(parameter)
        trained.network.save_pretrained(tmp_path / "run")
        save_tokenizer(trained.tokenizer, tmp_path / "run")
        (tmp_path / "run" / TASK_FILE).write_text(trained.type.to_json(), encoding="utf-8")
        return tmp_path / "run"

    def checks(self, source: Path) -> dict[str, Check]:
        evaluated = Evaluated.compute(load_trained(source), ROWS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("minibert.study.evaluation.receipt.logits_in_two_processes", lambda *_: evaluated.logits)
            return {check.name: check for check in receipt(evaluated)}

    @pytest.mark.parametrize("folder", ["", "adapter"])
    def test_merged_equals_the_adapter(self, run: Path, folder: str) -> None:
        """Whether the folder of the run is evaluated, or that of the adapter."""
        check = self.checks(run / folder)["adapter = merged"]
        assert (check.skipped, check.differences) == ("", [])
        assert 0 < check.largest < check.tolerance

    def test_an_adapter_that_is_not_the_merged_one_is_found(self, run: Path) -> None:
        shutil.rmtree(run / "adapter")
        trained = load_trained(run.parent / "base")
        LoRA(rank=2).apply(trained.network)
        trained.network.save_pretrained(run.parent / "untrained")
        shutil.move(run.parent / "untrained" / "adapter", run / "adapter")
        assert len(self.checks(run)["adapter = merged"].differences) == len(ROWS)

    def test_an_adapter_that_cannot_be_merged_is_not_checked(self, tmp_path: Path) -> None:
        trained = load_trained(trained_model(tmp_path / "base"))
        Bottleneck(size=2).apply(trained.network)
        trained.network.save_pretrained(tmp_path / "run")
        skipped = {name: check.skipped for name, check in self.checks(tmp_path / "run").items() if check.skipped}
        assert skipped == dict.fromkeys(
            ("adapter = merged", "transformers = minibert"), "a bottleneck adapter cannot be merged into the weights"
        )


def test_without_transformers_the_check_says_so(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setattr("minibert.study.evaluation.receipt.logits_in_two_processes", lambda *_: evaluated.logits)
    assert "not installed" in [*receipt(evaluated)][-1].skipped


def test_float64_has_a_smaller_tolerance(tmp_path: Path) -> None:
    trained = load_trained(trained_model(tmp_path / "model"), dtype=torch.float64)
    check = next(receipt(Evaluated.compute(trained, ROWS[:4])))
    assert check.largest <= check.tolerance == 1e-10


def test_decisions_have_no_numbers_that_rounding_changes() -> None:
    answer = {"answer": "Ulm", "start": 3, "score": 0.5, "candidates": [{"answer": "Ulm", "score": 0.5}], "tags": ["O", "B"]}
    assert decision(answer) == {"answer": "Ulm", "start": 3, "tags": ["O", "B"]}


def test_differences_are_relative_to_the_largest_logit() -> None:
    assert relative_difference(np.array([100.0, 1.0]), np.array([100.0, 2.0])) == 0.01
    assert relative_difference(np.array([0.1]), np.array([0.2])) == pytest.approx(0.1)
    assert math.isnan(relative_difference(np.zeros(2), np.zeros(3)))


def test_a_score_is_computed_over_the_whole_set(evaluated: Evaluated) -> None:
    """It does not depend on the batches. The mean of the macro F1 of single rows is another number."""
    rows = [replace(row, label=("bad", "good")[number % 2]) for number, row in enumerate(ROWS)]
    trained = evaluated.trained
    whole, alone = (Evaluated.compute(trained, rows, max_tokens).results.values for max_tokens in (4096, 1))
    assert alone == pytest.approx(whole, abs=1e-6)
    of_rows = [Evaluated.compute(trained, [row]).results.values["macro_f1"] for row in rows]
    assert abs(np.mean(of_rows) - whole["macro_f1"]) > 0.01


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_each_row_is_computed_by_one_process(evaluated: Evaluated, count: int) -> None:
    """Also if there are fewer rows than processes."""
    examples = evaluated.examples[:count]
    parts = [part_of(rank, examples).tolist() for rank in range(PROCESSES)]
    assert sorted(index for part in parts for index in part) == [*range(count)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_fields_name_the_rows() -> None:
    assert Check("x", skipped="no adapter").fields() == {"check": "x", "skipped": "no adapter"}
