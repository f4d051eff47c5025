"""A training job with a small task of its own: errors in evaluations, other settings, extensions, odd files in its folder."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minibert.commands import progress as terminal_progress
from minibert.commands.training import describe_step
from minibert.model import BertConfig, BertForMaskedLM
from minibert.text.batching import batches_by_count
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training.checkpoints import Checkpoints
from minibert.training.distributed import SINGLE_PROCESS, Processes
from minibert.training.events import Event, Finished, Saved, Started, StepDone
from minibert.training.job import EvaluationError, Job, JobError
from minibert.training.loop import MAX_SKIPPED_STEPS, DivergenceError
from minibert.training.objective import LossSum
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.options import DeviceOptions, OutputOptions
from minibert.training.records import Column, Evaluation, RunRecord, TaskMetrics, compare_runs
from minibert.training.run import TrainingRun

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, "a"])
CONFIG = BertConfig(
    vocab_size=6, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, max_position_embeddings=4
)
NUMBER_LOSS = Column("number loss", "validation_number_loss", ".3f", higher_is_better=False)


@dataclass(frozen=True)
class Numbers:
    """A batch of numbers."""

    values: Tensor

    def to(self, device: torch.device) -> "Numbers":
        return Numbers(self.values.to(device))


class NumberExamples:
    """Eight numbers; also the epoch."""

    lengths = np.ones(8, dtype=np.int64)

    def epoch(self, number: int) -> "NumberExamples":
        return self

    def batch_indices(self, batch_sampler: Any) -> list[Any]:
        return batch_sampler(self.lengths, np.random.default_rng(0))

    def batch(self, indices: Any) -> Numbers:
        return Numbers(torch.from_numpy(indices).float())


class NumberObjective:
    """A term that is no classification: it has a loss, and nothing that is correct."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def target_counts(self, batch: Numbers) -> dict[str, int]:
        return {"number": len(batch.values)}

    def loss_sums(self, model: nn.Module, batch: Numbers) -> dict[str, LossSum]:
        weight = torch.stack([parameter.square().mean() for parameter in model.parameters()]).sum()
        return {"number": LossSum(self.factor * (weight * batch.values).sum())}


@dataclass
class NumberTask:
    """A task without accuracies, without masked language modeling, and with few settings."""

    steps: int = 6
    factor: float = 1.0
    failures: Mapping[int, Exception] = field(default_factory=dict)
    values: Mapping[int, float | None] = field(default_factory=dict)
    """Result of the evaluation after each step; 1 if it is not given."""
    main_metric: Column | None = NUMBER_LOSS
    metrics = TaskMetrics("number", "number", (NUMBER_LOSS,))
    tokenizer = TOKENIZER
    summary = "numbers"
    baselines: Mapping[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return {"task": "number", "training": {"steps": self.steps}}

    def make_run(self, device_options: DeviceOptions, processes: Processes) -> TrainingRun[Any, Any]:
        torch.manual_seed(0)
        return TrainingRun(
            BertForMaskedLM(CONFIG),
            NumberExamples(),
            NumberObjective(self.factor),
            partial(batches_by_count, batch_size=2),
            partial(adamw, learning_rate=0.1),
            partial(warmup_linear, steps=self.steps),
            steps=self.steps,
        )

    def cost(self, run: TrainingRun[Any, Any]) -> tuple[int, int]:
        return 1, 1

    def evaluate(self, run: TrainingRun[Any, Any]) -> Evaluation:
        if run.steps_done in self.failures:
            raise self.failures[run.steps_done]
        return Evaluation({"validation_number_loss": self.values.get(run.steps_done, 1.0)}, "fine")

    def describe(self, batches: Sequence[Any]) -> list[str]:
        return []


def events(task: NumberTask, out: Path, **options: Any) -> list[Event]:
    """Run a job to its end."""
    out.mkdir(exist_ok=True)
    output = OutputOptions(out, **{"resume": True, "checkpoint_every": 100, "evaluate_every": 2} | options)
    return list(Job(lambda folder, create: task, output, DeviceOptions(device="cpu"), SINGLE_PROCESS).events())


def steps_of(found: list[Event]) -> list[int]:
    return [event.entry["step"] for event in found if isinstance(event, StepDone)]


class TestEvaluationErrors:
    @pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("out of memory"), ValueError("too long"), OSError("gone")])
    def test_the_run_is_saved_first(self, tmp_path: Path, error: Exception) -> None:
        """The step and its metrics are saved, the error is named, and resuming continues after the step."""
        with pytest.raises(EvaluationError, match=rf"the evaluation after step 4 has failed: {type(error).__name__}: "):
            events(NumberTask(failures={4: error}), tmp_path)
        assert Checkpoints(tmp_path / "checkpoints").newest().name == "step-000004"
        assert [entry["step"] for entry in RunRecord.read(tmp_path).metrics] == [1, 2, 3, 4]
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
        found = events(NumberTask(), tmp_path)
        assert steps_of(found) == [5, 6]
        assert isinstance(found[-1], Finished)

    def test_an_error_in_the_last_evaluation_does_not_lose_the_model(self, tmp_path: Path) -> None:
        with pytest.raises(EvaluationError, match="after step 6"):
            events(NumberTask(failures={6: ValueError("x")}), tmp_path)
        assert steps_of(events(NumberTask(failures={6: ValueError("x")}), tmp_path)) == []
        assert (tmp_path / "model.safetensors").is_file()


class TestTasksWithoutAccuracy:
    def test_steps_and_runs_are_shown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """No accuracy, no seed, no preset, no corpus."""
        found = events(NumberTask(), tmp_path / "run")
        entry = next(event.entry for event in found if isinstance(event, StepDone))
        assert "loss " in describe_step(entry)
        monkeypatch.setattr("minibert.training.classification.CLASSIFICATION", NumberTask.metrics)
        (row,) = compare_runs([RunRecord.read(tmp_path / "run")])
        assert (row["run"], row["preset"], row["seed"], row["step"], row["number loss"]) == ("run", "-", "-", "6/6", "1.000")


class TestExtension:
    def test_a_finished_run_is_extended(self, tmp_path: Path) -> None:
        """The learning rates after the last step are those of the longer schedule; the earlier length is recorded."""
        events(NumberTask(steps=4), tmp_path)
        found = events(NumberTask(steps=8), tmp_path)
        started = next(event for event in found if isinstance(event, Started))
        assert started.extended_from == 4
        assert steps_of(found) == [5, 6, 7, 8]
        events(NumberTask(steps=8), tmp_path / "whole")
        rates = [[entry["learning_rate"] for entry in RunRecord.read(out).metrics] for out in (tmp_path, tmp_path / "whole")]
        assert rates[0][4:] == rates[1][4:]
        assert rates[0][:4] != rates[1][:4]
        settings = json.loads((tmp_path / "run.json").read_text())
        assert (settings["training"]["steps"], settings["extended_from"]) == (8, [4])
        again = events(NumberTask(steps=9), tmp_path)
        assert steps_of(again) == [9]
        assert RunRecord.read(tmp_path).settings["extended_from"] == [4, 8]
        started = next(event for event in events(NumberTask(steps=9), tmp_path) if isinstance(event, Started))
        assert started.extended_from is None

    def test_fewer_steps_are_refused(self, tmp_path: Path) -> None:
        events(NumberTask(steps=4), tmp_path)
        with pytest.raises(JobError, match=r"training\.steps: 4, now 3"):
            events(NumberTask(steps=3), tmp_path)


class TestOddFiles:
    @pytest.mark.parametrize(
        "content", ["", "[]", "{", "null", "3", '"x"', "{}", '{"task": "number", "training": []}', "\x00", "[" * 100_000]
    )
    def test_settings(self, tmp_path: Path, content: str) -> None:
        """They are refused with the name of the file; nothing in the folder changes."""
        events(NumberTask(), tmp_path)
        (tmp_path / "run.json").write_text(content)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(JobError, match=r"run\.json: "):
            events(NumberTask(), tmp_path)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def test_no_settings(self, tmp_path: Path) -> None:
        events(NumberTask(), tmp_path)
        (tmp_path / "run.json").unlink()
        with pytest.raises(JobError, match=r"it has no run\.json"):
            events(NumberTask(), tmp_path)

    @pytest.mark.parametrize("lines", [[], ["null", "[]", "3", '{"loss": 1}', '{"step": "x"}', "{", "\x00"], ['{"step": 3}']])
    def test_lost_metrics_are_counted(self, tmp_path: Path, lines: list[str]) -> None:
        """Lines that are no entry of a step count as lost."""
        events(NumberTask(steps=4), tmp_path)
        (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
        found = events(NumberTask(steps=5), tmp_path)
        started = next(event for event in found if isinstance(event, Started))
        kept = lines.count('{"step": 3}')
        assert started.lost_metrics == 4 - kept
        record = RunRecord.read(tmp_path)
        assert (record.steps_done, record.lost_steps) == (5, 4 - kept)
        assert record.seconds >= 0


def test_the_count_of_skipped_steps_is_saved(tmp_path: Path) -> None:
    """A run that is stopped between skipped steps ends after as many of them as one that is not stopped."""
    out = tmp_path / "stopped"
    with pytest.raises(DivergenceError, match=f"in steps 1 to {MAX_SKIPPED_STEPS}"):
        events(NumberTask(factor=float("nan"), steps=20), tmp_path / "whole")
    out.mkdir()
    job = Job(
        lambda *_: NumberTask(factor=float("nan"), steps=20), OutputOptions(out, resume=True), DeviceOptions(device="cpu")
    )
    for event in job.events():
        if isinstance(event, StepDone) and event.entry["step"] == 2:
            job.stop()
    with pytest.raises(DivergenceError, match=f"in steps 1 to {MAX_SKIPPED_STEPS}"):
        events(NumberTask(factor=float("nan"), steps=20), out)


def test_a_saved_event_follows_every_checkpoint(tmp_path: Path) -> None:
    found = events(NumberTask(), tmp_path, checkpoint_every=4)
    assert [event.step for event in found if isinstance(event, Saved)] == [4, 6]


def test_metrics_are_on_the_disk_before_their_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that after a power failure no step of the checkpoint lacks its metrics."""
    flushed, fsync, save = {}, os.fsync, Checkpoints.save

    def record(handle: int) -> None:
        fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        flushed[path.name] = path.read_bytes() if path.is_file() else b""

    def checked(self: Checkpoints, step: int, write: Any) -> Path:
        assert flushed["metrics.jsonl"] == (tmp_path / "metrics.jsonl").read_bytes()
        assert flushed["metrics.jsonl"].count(b"\n") == step
        return save(self, step, write)

    monkeypatch.setattr(os, "fsync", record)
    monkeypatch.setattr(Checkpoints, "save", checked)
    found = events(NumberTask(), tmp_path, checkpoint_every=2)
    assert any(isinstance(event, Saved) for event in found)


def test_a_second_job_in_the_folder_is_refused(tmp_path: Path) -> None:
    """While another process trains in it. Nothing is written."""
    code = "from minibert.files import *\nwith locked(Path('.lock')): print(1, flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=PIPE, stdout=PIPE, cwd=tmp_path) as other:
        other.stdout.readline()
        with pytest.raises(JobError, match=r"another process is training in .*: wait for its end"):
            events(NumberTask(), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]
        other.kill()
    assert isinstance(events(NumberTask(), tmp_path)[-1], Finished)


@pytest.mark.parametrize("change", [0.0, -1.0], ids=["standing still", "going back"])
def test_no_time_is_negative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: float
) -> None:
    """With a clock that does not advance: neither the duration of a step nor the time left."""
    for name in ("perf_counter", "monotonic"):
        monkeypatch.setattr(time, name, partial(next, count(1000.0, change)))
    monkeypatch.setattr(terminal_progress, "SECONDS_BETWEEN_LINES", -100.0)
    steps = [event for event in events(NumberTask(), tmp_path) if isinstance(event, StepDone)]
    with terminal_progress.progress("Training", 2) as advance:
        for step in steps[:2]:
            assert step.entry["seconds"] == 0
            advance(describe_step(step.entry))
    assert "Training 1/2, 0 s left" in capsys.readouterr().out
