"""Fine-tuning starts from a checkpoint with the head of another task, or of the same one; it is seeded, told and evaluated."""

import math
import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minibert import BertConfig, BertForSequenceClassification
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.stacks import LayerStack
from minibert.text.labeled.examples import Example, LabeledBatch
from minibert.text.labeled.text_rows import TextRow
from minibert.training.checkpoints import set_seed
from minibert.training.classification import CLASSIFICATION, Classification
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.finetuning import _describe, describe_steps, run_settings, start_model, with_dropout
from minibert.training.loop import Score
from minibert.training.options import DeviceOptions, FineTuningConfig
from minibert.training.preparation import prepare_model
from minibert.training.records import Evaluation
from minibert.training.tagging import Tagging
from minibert.training.transfer_options import TransferConfig
from tests.training.test_finetuning_options import CPU, TRAINING, make_task

CONFIG = BertConfig(
    vocab_size=13, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, max_position_embeddings=16
)
REGRESSION = Classification(("score",), "regression")


@pytest.mark.parametrize(
    ("stored", "problem_type", "task", "is_kept"),
    [
        (["a", "b"], None, Classification(("a", "b")), True),
        (["b", "a"], None, Classification(("a", "b")), False),
        (["LABEL_0", "LABEL_1"], None, Classification(("0", "1")), True),
        (["LABEL_0", "LABEL_1"], None, Classification(("1", "2")), False),
        (["LABEL_0", "LABEL_1"], None, Classification(("a", "b")), False),
        (["LABEL_0"], None, REGRESSION, True),
        (["similarity"], "regression", REGRESSION, True),
        (["toxic"], "multi_label_classification", REGRESSION, False),
        (["a", "b"], None, REGRESSION, False),
    ],
)
def test_a_head_is_kept_if_its_outputs_have_the_same_meaning(
    tmp_path: Path, stored: list[str], problem_type: str | None, task: Classification, is_kept: bool
) -> None:
    """Hugging Face calls classes without names LABEL_0, and the output of a regression, too."""
    model = BertForSequenceClassification(replace(CONFIG.with_labels(stored), problem_type=problem_type))
    model.save_pretrained(tmp_path)
    started = start_model(read_checkpoint(tmp_path), task, FineTuningConfig())
    kept = started.state_dict()["classifier.weight"]
    stored_weight = model.state_dict()["classifier.weight"]
    assert (kept.shape == stored_weight.shape and torch.equal(kept, stored_weight)) == is_kept
    assert ("classifier.weight" in started.initialized) != is_kept


def test_a_tagger_has_no_problem_type() -> None:
    assert Tagging(("O", "B-X")).model_config(replace(CONFIG, problem_type="regression")).problem_type is None


def test_a_new_head_is_no_reason_to_warn(tmp_path: Path) -> None:
    """The summary of the run says what is new. Warnings about other things stay as they are."""
    BertForSequenceClassification(CONFIG.with_labels(["a", "b"])).save_pretrained(tmp_path)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        filters = [*warnings.filters]
        start_model(read_checkpoint(tmp_path), REGRESSION, FineTuningConfig())
        assert filters == warnings.filters
    assert not found


@pytest.mark.parametrize(
    ("dropout", "classifier_dropout", "expected"),
    [(None, None, (0.1, 0.2, 0.3)), (0.5, None, (0.5, 0.5, None)), (None, 0.5, (0.1, 0.2, 0.5)), (0.0, 0.5, (0.0, 0.0, 0.5))],
)
def test_dropout(dropout: float | None, classifier_dropout: float | None, expected: tuple[float | None, ...]) -> None:
    """What is not given stays. A dropout for everything is that before the classifier, too."""
    config = replace(CONFIG, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, classifier_dropout=0.3)
    changed = with_dropout(config, dropout, classifier_dropout)
    assert (changed.hidden_dropout_prob, changed.attention_probs_dropout_prob, changed.classifier_dropout) == expected


class TestSeeds:
    def weights(self, seed: int) -> Tensor:
        """Return the weights of a new classifier, after some random numbers for other things."""
        torch.rand(3)
        task = make_task(seed=seed)
        task = replace(task, new_model=lambda: BertForSequenceClassification(task.type.model_config(CONFIG)))
        return task.make_run(CPU, SINGLE_PROCESS).model.classifier.weight

    def test_the_new_weights_are_those_of_the_seed(self) -> None:
        assert torch.equal(self.weights(1), self.weights(1))
        assert not torch.equal(self.weights(1), self.weights(2))

    @pytest.mark.parametrize("rank", [0, 3])
    def test_the_random_numbers_of_training_are_those_of_the_seed_and_the_process(self, rank: int) -> None:
        draws = []
        make_task(seed=5).make_run(CPU, Processes(rank=rank))
        for _ in range(2):
            draws.append((torch.rand(()), np.random.rand(), random.random()))  # noqa: NPY002 - that of other libraries
            set_seed(5 + rank)
        assert draws[0] == draws[1]


class TestSummary:
    @pytest.mark.parametrize(
        ("options", "steps_per_epoch", "expected"),
        [
            (
                {"epochs": 3, "batch_size": 1000, "learning_rate": 0.01, "warmup_fraction": 0.1},
                2000,
                "run: 6,000 steps (3 epochs of 2,000 steps), batch size 1,000, peak learning rate 0.01 "
                "(warm-up 0.1 of the steps, then linear decay to 0)",
            ),
            (
                {"steps": 3, "batch_size": 6, "schedule": "constant", "warmup_fraction": 0.0},
                2,
                "run: 3 steps (1.5 epochs of 2 steps), batch size 6, peak learning rate "
                "(warm-up 0 of the steps, then constant)",
            ),
        ],
    )
    def test_steps(self, options: dict[str, Any], steps_per_epoch: int, expected: str) -> None:
        """Without a learning rate of its own, a run has one that depends on the size of the model."""
        assert describe_steps(FineTuningConfig(**options), steps_per_epoch) == expected

    def test_data(self) -> None:
        """The notes first, without control characters; then each part that there is."""
        task = replace(make_task(), notes=["Data: a\x1b.tsv"])
        first, second = (sum(len(each.input_ids) for each in part) for part in (task.train.examples, task.validation))
        lines = ["Data: a\\u001b.tsv", f"training: 16 rows, {first} tokens", f"validation: 8 rows, {second} tokens"]
        assert task.data_summary == "\n  ".join(lines)
        assert replace(task, validation_rows=[]).data_summary == "\n  ".join(lines[:2])

    def test_windows_and_cut_texts_are_counted(self) -> None:
        examples = [Example([2, 5, 3], [0] * 3, {}, is_cut=is_cut) for is_cut in (False, True, True)]
        assert _describe("test", [1, 2, 3], examples[:1] * 3, 8) == "test: 3 rows, 9 tokens"
        assert _describe("test", [1, 2, 3], examples, 8) == "test: 3 rows, 9 tokens; too long for 8 tokens, and cut: 2"
        assert _describe("test", [1], examples[:1] * 3, 8) == "test: 1 rows, 9 tokens, 3 windows"

    def test_the_example_whose_length_is_nearest_to_16_tokens_is_shown(self) -> None:
        """One of the validation data, or without them of the training data. A single text has no second one."""
        rows = [TextRow(" ".join(["a"] * letters), label="a") for letters in (1, 12, 30)]
        task = replace(make_task(), type=Classification(("a", "b"), max_length=64), train_rows=rows)
        assert replace(task, validation_rows=[]).short_texts == (rows[1].text, None)
        assert replace(task, validation_rows=[TextRow("b c", "d", label="a")]).short_texts == ("b c", "d")

    def test_a_batch_is_described_without_padding(self) -> None:
        """Each example with its tokens and targets, in order."""
        batch = LabeledBatch(
            torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]]),
            torch.tensor([[True] * 4, [True] * 3 + [False]]),
            torch.zeros(2, 4, dtype=torch.long),
            {"labels": torch.tensor([1, 0])},
        )
        expected = ["tokens: [CLS] a b [SEP]\nlabels: 1", "tokens: [CLS] c [SEP]\nlabels: 0"]
        assert make_task().describe([batch, batch]) == expected * 2


class TestEvaluation:
    def test_without_validation_rows_there_is_none(self) -> None:
        """And no metric by which a best evaluation could be chosen."""
        task = make_task()
        assert task.main_metric == task.type.main_metric
        without = replace(task, validation_rows=[])
        assert without.main_metric is None
        assert without.evaluate(without.make_run(CPU, SINGLE_PROCESS)) is None

    def test_a_loss_that_is_not_finite_gives_no_metrics(self) -> None:
        """All validation rows are evaluated: at once, if they are few."""
        task, found = make_task(), []

        def run_evaluation(batches: Any, objective: Any) -> dict[str, Score]:
            found.extend(batches)
            return {CLASSIFICATION.term: Score(math.nan, 0.5, 8)}

        assert task.evaluate_with(run_evaluation) == (Evaluation({}, "the loss is not finite"), task.type)
        (batch,) = found
        assert len(batch.input_ids) == 8
        assert not batch.input_ids[~batch.attention_mask].any()


class TestRuns:
    @pytest.mark.parametrize("feature_extraction", [False, True])
    def test_the_cost_of_a_step(self, feature_extraction: bool) -> None:
        """Looking up features is no work of the encoder. The tokens are counted in any case."""
        task = make_task(TransferConfig(feature_extraction=feature_extraction))
        run = task.make_run(CPU, SINGLE_PROCESS)
        next(run.run())
        tokens, operations = task.cost(run)
        assert tokens == sum(int(batch.attention_mask.sum()) for batch in run.last_batches) > 0
        assert (operations == 0) == feature_extraction

    def test_the_report_knows_the_part_of_the_last_epoch(self) -> None:
        report = run_settings(make_task().new_model(), replace(TRAINING, steps=3), 2)["report"]
        assert report.epochs == 1.5

    @pytest.mark.parametrize("is_on", [False, True])
    def test_the_options_of_the_encoder_are_obeyed(self, monkeypatch: pytest.MonkeyPatch, is_on: bool) -> None:
        """Batches have many lengths: compiled code must not depend on them."""
        compiled = []
        monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiled.append((self, options)))
        options = DeviceOptions(device="cpu", recompute=is_on, compile=is_on)
        model = prepare_model(make_task().new_model(), TRAINING.precision, options)
        assert [each.recompute for each in model.modules() if isinstance(each, LayerStack)] == [is_on]
        assert compiled == ([(model.bert, {"dynamic": True})] if is_on else [])
        assert next(model.parameters()).dtype == torch.float64
