"""What a job does, in which order and in which process: with a run that trains nothing and is fast."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from minibert.files import describe
from minibert.training import job as job_module
from minibert.training.best import BestEvaluation
from minibert.training.checkpoints import Checkpoints
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.events import Event, Finished, Interrupted, Prepared, Saved, Started, StepDone
from minibert.training.job import LOCK_FILE, EvaluationError, Job, JobError, _extended_from
from minibert.training.loop import Step
from minibert.training.options import DeviceOptions, OutputOptions
from minibert.training.records import EXTENDED_FROM, MODEL_OF_STEP, Evaluation, read_metrics, read_settings
from minibert.training.run import DataPosition, TrainingRun
from tests.training.test_job import NumberTask

STATE = "state.json"
"""The only file of a checkpoint: the number of steps, and the best evaluation."""


class FastRun(TrainingRun[Any, Any]):
    """A run without a model."""

    def __init__(self, steps: int) -> None:
        self.steps, self.steps_done, self.report = steps, 0, None
        self.best, self.position = BestEvaluation(), DataPosition()
        self.did: list[str] = []
        """What the job has asked for."""

    def run(self) -> Iterator[Step]:
        while self.steps_done < self.steps:
            self.steps_done += 1
            yield Step(self.steps_done, {"number": 1.0}, {}, 1.0, 0.1, False)

    def save(self, checkpoints: Checkpoints, tokenizer: Any = None) -> None:
        self.did.append(f"save {self.steps_done}")
        state = json.dumps([self.steps_done, self.best.step, self.best.value, self.best.evaluations_since])
        checkpoints.save(self.steps_done, lambda folder: (folder / STATE).write_text(state) and None)

    def resume(self, folder: str | Path) -> None:
        self.steps_done, *best = json.loads((Path(folder) / STATE).read_text())
        self.best = BestEvaluation(*best)

    def restore_weights(self, folder: str | Path) -> None:
        self.did.append(f"restore {Path(folder).name}")

    def export(self, folder: str | Path, tokenizer: Any = None) -> None:
        self.did.append("export")


@dataclass
class FastTask(NumberTask):
    """The task of a run without a model."""

    steps: int = 5
    runs: list[FastRun] = field(default_factory=list)

    def make_run(self, *_: Any) -> FastRun:
        self.runs.append(FastRun(self.steps))
        return self.runs[-1]


@dataclass(frozen=True)
class WithAnother(Processes):
    """A process that trains together with another one, which adds these numbers, and may have an error."""

    other: dict[str, Any] = field(default_factory=dict)

    def sum_numbers(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: value + self.other.get(name, 0) for name, value in values.items()}

    def first_error(self, message: str) -> str:
        return message or self.other.get("error", "")


def make_job(task: FastTask, out: Path, processes: Processes = SINGLE_PROCESS, **options: Any) -> Job:
    output = {"resume": True, "checkpoint_every": 100, "evaluate_every": 1} | options
    return Job(lambda *_: task, OutputOptions(out, **output), processes=processes)


def events(task: FastTask, out: Path, processes: Processes = SINGLE_PROCESS, **options: Any) -> list[Event]:
    return [*make_job(task, out, processes, **options).events()]


def kinds(found: Sequence[Event]) -> list[tuple[type[Event], int | None]]:
    """Return the kind of each event, and its step if it has one."""
    return [(type(each), each.entry["step"] if isinstance(each, StepDone) else getattr(each, "step", None)) for each in found]


class TestOrder:
    def test_all_events_of_a_run(self, tmp_path: Path) -> None:
        """A checkpoint after every second step, and after the last one."""
        steps = [(StepDone, 1), (StepDone, 2), (Saved, 2), (StepDone, 3), (StepDone, 4), (Saved, 4), (StepDone, 5), (Saved, 5)]
        found = kinds(events(FastTask(), tmp_path, checkpoint_every=2))
        assert found == [(Prepared, None), (Started, None), *steps, (Finished, 5)]

    def test_a_run_that_is_interrupted_is_saved_and_not_finished(self, tmp_path: Path) -> None:
        task = FastTask()
        job, found = make_job(task, tmp_path), []
        for event in job.events():
            found.append(event)
            if isinstance(event, StepDone) and event.entry["step"] == 2:
                job.stop()
        assert kinds(found)[2:] == [(StepDone, 1), (StepDone, 2), (Saved, 2), (Interrupted, 2)]
        assert task.runs[0].did == ["save 2"]

    def test_metrics_are_flushed_before_each_checkpoint(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        task = FastTask()
        monkeypatch.setattr(job_module, "flush_metrics", lambda out: task.runs[-1].did.append(f"flush {out.name}"))
        events(task, tmp_path, checkpoint_every=3)
        flush = f"flush {tmp_path.name}"
        assert task.runs[0].did == [flush, "save 3", flush, "save 5", "export"]

    @pytest.mark.parametrize("seconds", [0.0, 1.5, -1.0])
    def test_the_time_of_a_step(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        """That of its computation, without that of the caller and of checkpoints. It is never negative."""
        monkeypatch.setattr(time, "perf_counter", partial(next, count(1000.0, seconds)))
        events(FastTask(), tmp_path)
        assert [entry["seconds"] for entry in read_metrics(tmp_path)] == [max(0.0, seconds)] * 5

    def test_settings_are_a_text_of_lines(self, tmp_path: Path) -> None:
        """People read and compare them. Fields that the job adds have the same form."""
        values = {1: 2.0, 2: 1.0}
        for steps in (2, 4):
            events(FastTask(steps, values=values), tmp_path, restore_best=True)
            text = (tmp_path / "run.json").read_text()
            assert text == json.dumps(json.loads(text), indent=2) + "\n"
            assert text.count("\n") > 10


class TestTask:
    def test_its_run_is_made_for_the_device_and_the_processes_of_the_job(self, tmp_path: Path) -> None:
        given: list[Any] = []

        class Asked(FastTask):
            def make_run(self, *arguments: Any) -> FastRun:
                given.append(arguments)
                return super().make_run(*arguments)

        options, processes = DeviceOptions(device="cpu", micro_batch_size=3), replace(SINGLE_PROCESS, local_rank=0)
        [*Job(lambda *_: Asked(), OutputOptions(tmp_path), options, processes).events()]
        assert given == [(options, processes)]

    @pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (5, [5]), (9, [5]), (None, [5])])
    def test_it_is_evaluated_regularly_and_after_the_last_step(
        self, tmp_path: Path, every: int | None, expected: list[int]
    ) -> None:
        found = events(FastTask(), tmp_path, evaluate_every=every)
        assert [event.entry["step"] for event in found if isinstance(event, StepDone) and event.evaluation] == expected


class TestFolder:
    def test_it_is_locked_until_the_end(self, tmp_path: Path) -> None:
        """In a folder that the job makes."""
        out = tmp_path / "new" / "run"
        for _ in make_job(FastTask(), out).events():
            assert (out / LOCK_FILE).is_file()
        assert not (out / LOCK_FILE).exists()

    def test_a_model_without_checkpoints_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_text("precious")
        with pytest.raises(JobError, match="holds a model, but no checkpoint to resume from: choose another --out"):
            events(FastTask(), tmp_path)

    @pytest.mark.parametrize(("before", "now", "expected"), [(4, 5, 4), (4, 4, None), (5, 4, None), (None, 4, None)])
    def test_a_run_is_extended_by_more_steps(self, before: int | None, now: int, expected: int | None) -> None:
        assert _extended_from({"training": {"steps": before}}, {"training": {"steps": now}}) == expected

    def test_all_earlier_lengths_of_a_run_stay_in_its_settings(self, tmp_path: Path) -> None:
        """Also if it is resumed without more steps."""
        for steps in (2, 4, 5, 5):
            events(FastTask(steps), tmp_path)
        assert read_settings(tmp_path)[EXTENDED_FROM] == [2, 4]

    @pytest.mark.parametrize("error", [ValueError("x.tsv, line 3: no label"), FileNotFoundError(2, "No such file", "x.tsv")])
    def test_data_that_cannot_be_used(self, tmp_path: Path, error: Exception) -> None:
        """The message is that for users."""

        def prepare(*_: Any) -> FastTask:
            raise error

        with pytest.raises(JobError) as refused:
            next(Job(prepare, OutputOptions(tmp_path)).events())
        assert str(refused.value) == describe(error)


class TestBest:
    VALUES: Mapping[int, float | None] = {1: 3.0, 2: 1.0, 3: None, 4: 2.0, 5: 1.0}

    def test_its_checkpoint_is_kept_and_restored(self, tmp_path: Path) -> None:
        """Before the export, with a note in run.json. An evaluation without a number is not the best one."""
        task = FastTask(values=self.VALUES)
        *_, finished = events(task, tmp_path, checkpoint_every=1, keep=1, restore_best=True)
        assert task.runs[0].did[-2:] == ["restore step-000002", "export"]
        assert (finished.best, finished.model_of_step) == (BestEvaluation(2, 1.0, 3), 2)
        assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000002", "step-000005"]
        assert read_settings(tmp_path)[MODEL_OF_STEP] == 2

    def test_without_the_option_the_last_model_is_exported(self, tmp_path: Path) -> None:
        task = FastTask(values=self.VALUES)
        *_, finished = events(task, tmp_path, checkpoint_every=1, keep=1)
        assert (finished.best.step, finished.model_of_step, task.runs[0].did[-2:]) == (2, 5, ["save 5", "export"])
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000005"]

    @pytest.mark.parametrize("options", [{"patience": 3}, {"restore_best": True}])
    def test_there_is_none_without_validation_data(self, tmp_path: Path, options: dict[str, Any]) -> None:
        """That is said before the first step."""
        task = FastTask(main_metric=None)
        with pytest.raises(JobError, match="the best evaluation needs validation data: leave out --patience"):
            events(task, tmp_path, **options)
        assert task.runs[0].steps_done == 0

    def test_a_run_without_its_checkpoint_cannot_go_on_with_the_option(self, tmp_path: Path) -> None:
        """Without the option, it can."""
        events(FastTask(values=self.VALUES), tmp_path, checkpoint_every=1, keep=1)
        with pytest.raises(JobError, match="the best evaluation of this run was after step 2, whose checkpoint is damaged"):
            events(FastTask(8, values=self.VALUES), tmp_path, restore_best=True)
        assert kinds(events(FastTask(8, values=self.VALUES), tmp_path))[-1] == (Finished, 8)

    def test_its_checkpoint_is_kept_by_a_run_that_goes_on(self, tmp_path: Path) -> None:
        """Also if nothing better is found."""
        for steps in (3, 5):
            events(FastTask(steps, values={1: 1.0} | dict.fromkeys(range(2, 6), 2.0)), tmp_path, keep=1, restore_best=True)
        assert (tmp_path / "checkpoints" / "step-000001").is_dir()

    def test_a_run_that_has_stopped_early_does_no_further_step(self, tmp_path: Path) -> None:
        """When it is resumed, it is finished again."""
        for steps in ([1, 2, 3], []):
            task = FastTask(values=self.VALUES)
            found = events(task, tmp_path, patience=1)
            assert [step for kind, step in kinds(found) if kind is StepDone] == steps
            assert (kinds(found)[-1], task.runs[0].did[-1]) == ((Finished, 3), "export")


class TestSeveralProcesses:
    def test_metrics_are_those_of_all(self, tmp_path: Path) -> None:
        events(FastTask(), tmp_path, WithAnother(other={"tokens": 10.0, "operations": 20.0}))
        assert {f"{entry['tokens']} {entry['operations']}" for entry in read_metrics(tmp_path)} == {"11 21"}

    def test_each_may_interrupt_all(self, tmp_path: Path) -> None:
        assert kinds(events(FastTask(), tmp_path, WithAnother(other={"stop": 1.0})))[-1] == (Interrupted, 1)

    def test_the_value_of_the_main_process_decides(self, tmp_path: Path) -> None:
        """What is the best evaluation, for all."""
        *_, finished = events(FastTask(steps=1), tmp_path, WithAnother(rank=1, other={"value": 7.0}))
        assert finished.best == BestEvaluation(1, 7.0)

    @pytest.mark.parametrize("options", [{}, {"restore_best": True, "checkpoint_every": 1}])
    def test_only_the_main_process_writes(self, tmp_path: Path, options: Mapping[str, Any]) -> None:
        """Checkpoints apart, which the run writes. No lock, even while it runs: the main process has it."""
        task = FastTask(values={1: 1.0, 2: 2.0})
        found = []
        for event in make_job(task, tmp_path, WithAnother(rank=1, other={"value": 0.0}), **options).events():
            assert {path.name for path in tmp_path.iterdir()} <= {"checkpoints"}
            found.append(event)
        assert isinstance(found[-1], Finished)

    def test_an_error_in_the_evaluation_of_another_one_ends_all(self, tmp_path: Path) -> None:
        """After a checkpoint, and without metrics of this evaluation."""
        processes = WithAnother()

        class Failing(FastTask):
            def evaluate(self, run: Any) -> Evaluation:
                processes.other["error"] = "OSError: gone"
                return super().evaluate(run)

        with pytest.raises(EvaluationError, match="the evaluation after step 2 has failed: OSError: gone"):
            events(Failing(), tmp_path, processes, evaluate_every=2)
        assert [entry["step"] for entry in read_metrics(tmp_path) if "validation_number_loss" not in entry] == [1, 2]
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]

    @pytest.mark.parametrize(
        ("rank", "local_rank", "turn"), [(0, 0, 0), (4, 0, 1), (1, 1, 2), (5, 1, 2)], ids=["main", "other machine", "2", "4"]
    )
    @pytest.mark.parametrize("is_new", [True, False])
    def test_data_are_prepared_in_order(self, tmp_path: Path, rank: int, local_rank: int, turn: int, is_new: bool) -> None:
        """After as many exchanges of errors as there are earlier turns. The main process of a new run makes a tokenizer."""
        happened: list[Any] = []

        class Noting(Processes):
            def first_error(self, message: str) -> str:
                happened.append("exchange")
                return message

        def prepare(folder: Path, create: bool) -> FastTask:
            happened.append((folder, create))
            return FastTask()

        newest = None if is_new else tmp_path / "step"
        Job(prepare, OutputOptions(tmp_path), processes=Noting(rank=rank, local_rank=local_rank))._prepare_in_order(newest)
        expected: list[Any] = ["exchange"] * 3
        expected.insert(turn, (newest or tmp_path, is_new and rank == 0))
        assert happened == expected
