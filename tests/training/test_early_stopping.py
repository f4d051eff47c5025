"""Early stopping, and the model of the best evaluation.

Mistakes that these tests detect: a metric compared in the wrong direction; NaN, null or an equal value that counts as better;
patience that is off by one, or counts steps; a best checkpoint that is deleted with the old ones; a run that forgets, when it
is resumed, what was best; the model of the last step in place of the best one; settings chosen in a later evaluation.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert.model import BertForMaskedLM
from minibert.text.options import InvalidOption
from minibert.training.best import BestEvaluation
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.events import Finished, Saved, StepDone
from minibert.training.job import Job, JobError
from minibert.training.options import DeviceOptions, OutputOptions
from minibert.training.records import Column, RunRecord, compare_runs
from minibert.training.run import TrainingRun
from tests.training.test_job import NumberTask, events, steps_of

LOSS, ACCURACY = Column("loss", "validation_loss", ".3f", higher_is_better=False), Column("acc.", "validation_acc", ".1%")
VALUES = {2: 5.0, 4: 3.0, 6: 4.0, 8: 3.0, 10: math.nan, 12: 2.0, 14: 2.5}
"""Losses of the evaluations after every second step. The best one before step 12 is that of step 4."""


class TestBestEvaluation:
    @pytest.mark.parametrize(
        ("metric", "values", "expected"),
        [
            (ACCURACY, [0.5, 0.7, 0.6], (2, 0.7, 1)),
            (LOSS, [0.5, 0.7, 0.6], (1, 0.5, 2)),
            (LOSS, [0.5, 0.5], (1, 0.5, 1)),
            (ACCURACY, [math.nan, None, -1.0], (3, -1.0, 0)),
            (ACCURACY, [0.1, math.nan, math.inf], (1, 0.1, 2)),
            (LOSS, [0.1, math.nan, -math.inf, None], (1, 0.1, 3)),
            (LOSS, [math.nan, None], (0, None, 2)),
            (LOSS, [], (0, None, 0)),
        ],
    )
    def test_values(self, metric: Column, values: list[float | None], expected: tuple) -> None:
        best = BestEvaluation()
        for step, value in enumerate(values, start=1):
            best = best.after(step, value, metric)
        assert best == BestEvaluation(*expected)


def finished(found: list) -> Finished:
    assert isinstance(found[-1], Finished)
    return found[-1]


def weights_at(step: int, folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a run that ends at a step, with the schedule of 14 steps."""
    events(NumberTask(14, values=VALUES), folder, checkpoint_every=1, keep=100)
    return BertForMaskedLM.from_pretrained(folder / "checkpoints" / f"step-{step:06d}").state_dict()


class TestPatience:
    @pytest.mark.parametrize(("patience", "last"), [(1, 6), (2, 8), (3, 10), (4, 14)])
    def test_the_run_ends_after_evaluations_that_are_not_better(self, tmp_path: Path, patience: int, last: int) -> None:
        """With patience 4, step 12 is better in time."""
        found = events(NumberTask(14, values=VALUES), tmp_path, patience=patience)
        assert steps_of(found) == [*range(1, last + 1)]
        assert finished(found).step == last
        assert finished(found).model_of_step == (12 if last == 14 else 4)

    def test_the_direction_is_that_of_the_metric(self, tmp_path: Path) -> None:
        main = Column("number", "validation_number_loss", ".3f", higher_is_better=True)
        found = events(NumberTask(14, values=VALUES, main_metric=main), tmp_path, patience=2)
        assert (finished(found).step, finished(found).model_of_step) == (6, 2)

    def test_the_best_model_is_exported(self, tmp_path: Path) -> None:
        """Not that of the last step. The checkpoint of the best evaluation is kept, though newer ones are enough for `keep`."""
        events(NumberTask(14, values=VALUES), tmp_path / "run", patience=3, checkpoint_every=1, keep=1)
        names = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
        assert names == ["step-000004", "step-000010"]
        exported = BertForMaskedLM.from_pretrained(tmp_path / "run").state_dict()
        best, last = weights_at(4, tmp_path / "whole"), weights_at(10, tmp_path / "whole")
        assert all(torch.equal(exported[name], best[name]) for name in exported)
        assert not all(torch.equal(exported[name], last[name]) for name in exported)

    def test_a_better_evaluation_is_marked_and_saved(self, tmp_path: Path) -> None:
        found = events(NumberTask(14, values=VALUES), tmp_path, patience=4, checkpoint_every=100)
        marked = [event.entry["step"] for event in found if isinstance(event, StepDone) and event.is_best]
        assert marked == [2, 4, 12]

    def test_evaluations_without_a_number_count(self, tmp_path: Path) -> None:
        """If no evaluation has a number, the model is that of the last step."""
        found = events(NumberTask(14, values=dict.fromkeys(range(15), math.nan)), tmp_path, patience=2)
        assert (finished(found).step, finished(found).model_of_step, finished(found).best.value) == (4, 4, None)

    @pytest.mark.parametrize("options", [{"patience": 2}, {"restore_best": True}])
    def test_no_validation_data(self, tmp_path: Path, options: Mapping[str, Any]) -> None:
        with pytest.raises(JobError, match="needs validation data: leave out --patience and --restore-best"):
            events(NumberTask(main_metric=None), tmp_path, **options)

    def test_zero_is_refused(self) -> None:
        with pytest.raises(InvalidOption, match="patience 0: must be at least 1"):
            OutputOptions(patience=0)


class TestRestoringWithoutStopping:
    def test_all_steps_are_done(self, tmp_path: Path) -> None:
        found = events(NumberTask(10, values=VALUES), tmp_path, restore_best=True)
        assert (finished(found).step, finished(found).model_of_step) == (10, 4)

    def test_without_the_option_the_last_model_is_exported(self, tmp_path: Path) -> None:
        """The best evaluation is known, so that it can be named."""
        found = events(NumberTask(10, values=VALUES), tmp_path, checkpoint_every=1)
        assert (finished(found).model_of_step, finished(found).best.step) == (10, 4)
        assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000009", "step-000010"]


def test_the_table_of_runs_has_the_evaluation_of_the_written_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the best one if its model was restored, and else of the last one. Resuming does not take it for a setting."""
    monkeypatch.setattr("minibert.training.classification.CLASSIFICATION", NumberTask.metrics)
    for options, expected in (({"restore_best": True}, "3.000"), ({}, "3.500")):
        out = tmp_path / f"{len(options)}"
        for _ in range(2):
            events(NumberTask(8, values={**VALUES, 8: 3.5}), out, **options)
            (row,) = compare_runs([RunRecord.read(out)])
            assert row["number loss"] == expected
            assert row["step"] == "8/8"


class TestResuming:
    @pytest.mark.slow
    def test_from_every_checkpoint(self, tmp_path: Path) -> None:
        """A run that is killed continues from any of its checkpoints with the same best evaluation."""
        expected = finished(events(NumberTask(14, values=VALUES), tmp_path / "whole", patience=3))
        for step in range(1, 10):
            out = tmp_path / f"{step}"
            self.run_until(step, out)
            found = events(NumberTask(14, values=VALUES), out, patience=3, keep=1, checkpoint_every=1)
            assert steps_of(found) == [*range(step + 1, 11)]
            assert (finished(found).step, finished(found).best) == (expected.step, expected.best)
            one, other = (BertForMaskedLM.from_pretrained(folder).state_dict() for folder in (out, tmp_path / "whole"))
            assert all(torch.equal(one[name], other[name]) for name in one)

    @staticmethod
    def run_until(step: int, out: Path) -> None:
        """Run a job and leave it after a step, as if it was killed after its checkpoint."""
        out.mkdir()
        output = OutputOptions(out, resume=True, checkpoint_every=1, keep=1, evaluate_every=2, patience=3)
        task = NumberTask(14, values=VALUES)
        job = Job(lambda folder, create: task, output, DeviceOptions(device="cpu"), SINGLE_PROCESS).events()
        next(event for event in job if isinstance(event, Saved) and event.step == step)
        job.close()

    def test_a_run_that_has_stopped_stays_stopped(self, tmp_path: Path) -> None:
        """With more patience it continues."""
        events(NumberTask(14, values=VALUES), tmp_path, patience=2)
        again = events(NumberTask(14, values=VALUES), tmp_path, patience=2)
        assert steps_of(again) == []
        assert finished(again).model_of_step == 4
        more = events(NumberTask(14, values=VALUES), tmp_path, patience=4)
        assert steps_of(more) == [9, 10, 11, 12, 13, 14]
        assert finished(more).model_of_step == 12

    def test_the_best_checkpoint_is_lost(self, tmp_path: Path) -> None:
        """It was not kept because the run began without the option, or it is damaged."""
        self.run_until(7, tmp_path / "damaged")
        (tmp_path / "damaged" / "checkpoints" / "step-000004" / "config.json").write_text("")
        events(NumberTask(8, values=VALUES), tmp_path / "without", keep=1)
        for steps, folder in ((14, "damaged"), (9, "without")):
            with pytest.raises(JobError, match="was after step 4, whose checkpoint is damaged or was not kept"):
                events(NumberTask(steps, values=VALUES), tmp_path / folder, patience=3)


class Calibrated(NumberTask):
    """A task that chooses a setting in every evaluation."""

    def make_run(self, *args: Any) -> TrainingRun:
        run = super().make_run(*args)
        run.extra_files["task.json"] = "initial"
        return run

    def evaluate(self, run: TrainingRun) -> Any:
        run.extra_files["task.json"] = f"chosen after step {run.steps_done}"
        return super().evaluate(run)


def test_settings_chosen_in_the_best_evaluation_are_exported(tmp_path: Path) -> None:
    """Also by a run that is resumed after its last step."""
    for _ in range(2):
        events(Calibrated(10, values=VALUES), tmp_path, patience=3)
        assert (tmp_path / "task.json").read_text() == "chosen after step 4"


def test_evaluations_at_the_end_of_every_epoch(tmp_path: Path) -> None:
    """An epoch has four steps. The last step has an evaluation, too."""
    found = events(NumberTask(10), tmp_path, evaluate_every=None)
    assert [e.entry["step"] for e in found if isinstance(e, StepDone) and e.evaluation is not None] == [4, 8, 10]
