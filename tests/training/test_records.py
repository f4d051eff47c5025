"""The files of a run, and its metrics: means over nothing are absent, not zero."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from minibert.commands.training import describe_step
from minibert.training.loop import Score, Step
from minibert.training.records import (
    Column,
    RunRecord,
    append_metrics,
    compare_runs,
    differences,
    different_settings,
    drop_metrics_after,
    flush_metrics,
    read_metrics,
    step_entry,
    validation_entry,
)
from minibert.training.reference_runs import FILE, Reference, comparable_settings, reference_for

STEP = Step(1, {"mlm": 3.44, "nsp": None}, {"mlm": 0.25, "nsp": None}, 1.0, 0.1, skipped=False)
SETTINGS = {"task": "pretraining", "training": {"seed": 0, "steps": 9}, "vocabulary": {}, "corpus": {}}


def entry_of(step: Step) -> dict[str, object]:
    return step_entry(step, tokens=100, operations=10**9, seconds=0.5)


class TestTermsWithoutTargets:
    def test_the_metrics_are_null(self, tmp_path: Path) -> None:
        """Of a training step and of an evaluation; the other terms keep theirs."""
        scores = {"mlm": Score(3.0, 0.5, 8), "nsp": Score(None, None, 0)}
        append_metrics(tmp_path, entry_of(STEP) | validation_entry(scores))
        stored = json.loads((tmp_path / "metrics.jsonl").read_text())
        assert (stored["mlm_loss"], stored["mlm_accuracy"]) == (3.44, 0.25)
        assert (stored["validation_mlm_loss"], stored["validation_mlm_accuracy"]) == (3.0, 0.5)
        for name in ("nsp_loss", "nsp_accuracy", "validation_nsp_loss", "validation_nsp_accuracy"):
            assert stored[name] is None

    def test_a_dash_is_printed(self) -> None:
        assert describe_step(entry_of(STEP)).startswith("loss 3.44 + - nats; accuracy: MLM 25%, NSP -; 200 tokens/s")

    def test_a_loss_that_is_not_finite_is_not_a_dash(self) -> None:
        diverged = replace(STEP, losses={"mlm": math.nan, "nsp": None}, skipped=True)
        assert describe_step(entry_of(diverged)).startswith("loss not finite + - nats")

    def test_a_squared_error_is_not_in_nats_and_has_no_accuracy(self) -> None:
        step = replace(STEP, losses={"classification": 1.5}, accuracies={})
        assert describe_step(entry_of(step)).startswith("loss 1.50; 200 tokens/s")
        diverged = replace(step, losses={"classification": math.nan}, skipped=True)
        assert describe_step(entry_of(diverged)).startswith("loss not finite; ")

    def test_curves_have_a_gap(self) -> None:
        """A step with null is NaN in the curve; a step without the metric is not in it."""
        metrics = [{"step": 1, "a": 2.0}, {"step": 2, "a": None}, {"step": 3}, {"step": 4, "a": 1.0}]
        (one, two), (three, four), (five, six) = RunRecord("r", SETTINGS, metrics).curve("a")
        assert (one, two, three, five, six) == (1, 2.0, 2, 4, 1.0)
        assert math.isnan(four)

    def test_the_table_of_runs_has_a_dash(self) -> None:
        absent = dict.fromkeys(("validation_mlm_accuracy", "validation_nsp_accuracy"))
        metrics = [entry_of(STEP) | {"validation_mlm_loss": 3.0} | absent]
        (row,) = compare_runs([RunRecord("r", SETTINGS, metrics)])
        assert (row["MLM loss"], row["MLM acc."], row["NSP acc."]) == ("3.000", "-", "-")

    def test_reference_runs_compare_what_both_have(self) -> None:
        """A metric that no reference run has is not compared; one that only the run lacks is named."""
        entry = {"step": 5, "validation_mlm_loss": 3.0, "validation_mlm_accuracy": 0.5, "validation_nsp_accuracy": None}
        band = Reference.from_runs([RunRecord("r", SETTINGS, [entry])])
        assert band.verdict(5, entry) == "on track"
        assert band.verdict(5, entry | {"validation_nsp_accuracy": 0.1}) == "on track"
        assert band.verdict(5, entry | {"validation_mlm_accuracy": None}) == "off track: there is no MLM accuracy"
        assert band.loss_band == [(5, 2.95, 3.05)]
        without_loss = Reference.from_runs([RunRecord("r", SETTINGS, [entry | {"validation_mlm_loss": None}])])
        assert without_loss.loss_band == []

    def test_bands_are_as_wide_as_the_range_on_each_side(self) -> None:
        """A value outside of them is named, with its side."""
        entries = [{"step": 5, "validation_mlm_loss": loss} for loss in (3.0, 3.4, 3.1)]
        band = Reference.from_runs([RunRecord("r", SETTINGS, [entry]) for entry in entries])
        assert band.loss_band == [(5, 2.6, 3.8)]
        sides = {2.6: "on track", 3.8: "on track", 2.5: "off track: MLM loss 2.50 is below 2.60 to 3.80"}
        for loss, verdict in (sides | {3.9: "off track: MLM loss 3.90 is above 2.60 to 3.80"}).items():
            assert band.verdict(5, {"validation_mlm_loss": loss}) == verdict
        assert band.verdict(6, {}) == ""


class TestReferenceSettings:
    def test_what_differs_between_seeds_and_machines_is_left_out(self) -> None:
        settings = {
            "task": "a",
            "training": {"seed": 1, "steps": 2},
            "corpus": {"name": "b", "digest": "c"},
            "options": {"d": 1},
        }
        assert comparable_settings(settings) == {"task": "a", "training": {"steps": 2}, "corpus": {"name": "b"}}
        assert comparable_settings({"task": "a"}) == {"task": "a"}

    def test_each_reference_is_found_for_any_seed_and_only_with_its_settings(self) -> None:
        for stored in json.loads(FILE.read_text()).values():
            settings = stored["settings"]
            training = settings["training"] | {"seed": 99}
            assert reference_for(settings | {"training": training}) == Reference(**stored)
            assert reference_for(settings | {"training": training | {"steps": 1}}) is None


class TestMetricsFile:
    def test_it_has_no_numbers_that_are_not_finite(self) -> None:
        assert entry_of(replace(STEP, gradient_norm=math.inf))["gradient_norm"] is None

    def test_it_is_flushed_and_so_is_its_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        flushed: list[Path] = []
        monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(Path(f"/proc/self/fd/{handle}").readlink()))
        append_metrics(tmp_path, entry_of(STEP))
        flush_metrics(tmp_path)
        assert flushed == [tmp_path / "metrics.jsonl", tmp_path]

    def test_steps_after_a_checkpoint_are_dropped(self, tmp_path: Path) -> None:
        """The others are in order, and those without metrics are counted."""
        for number in (4, 1, 3, 5):
            append_metrics(tmp_path, entry_of(replace(STEP, number=number)))
        assert drop_metrics_after(tmp_path, 4) == 1
        assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()] == [1, 3, 4]


def test_speed_is_that_of_all_steps() -> None:
    """An entry may lack the number of tokens, or the time."""
    metrics = [{"step": 1, "seconds": 2.0}, {"step": 2, "tokens": 10, "seconds": 3.0}, {"step": 3, "tokens": 10}]
    record = RunRecord("r", SETTINGS, metrics)
    assert (record.seconds, record.tokens_per_second) == (5.0, 4.0)


def test_rows_of_all_runs_have_the_same_columns() -> None:
    metrics = [entry_of(STEP) | {"validation_mlm_loss": 3.0}]
    one, other = compare_runs([RunRecord(name, SETTINGS, metrics) for name in ("one", "other")])
    assert {**one, "run": "other"} == other
    assert other["MLM loss"] == "3.000"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_evaluation_that_is_not_finite_has_no_metrics(bad: float) -> None:
    assert validation_entry({"mlm": Score(bad, 0.5, 8), "nsp": Score(None, None, 0)}) == {}


@pytest.mark.parametrize(
    "damaged",
    [
        *('"seconds": {"a": 1}', '"tokens": "many"', '"step": -5', '"step": true, "tokens": []', '"mlm_loss": [[1]]'),
        *('"seconds": null', '"tokens": true', '"mlm_loss": [1.0]', f'"validation_mlm_accuracy": 1{"0" * 400}'),
    ],
)
def test_entries_with_other_values_than_numbers_are_left_out(tmp_path: Path, damaged: str) -> None:
    """The step counts as lost, and the table has the other steps."""
    (tmp_path / "run.json").write_text(json.dumps(SETTINGS))
    append_metrics(tmp_path, entry_of(STEP))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, ' + damaged + "}\n")
    append_metrics(tmp_path, entry_of(replace(STEP, number=3)))
    record = RunRecord.read(tmp_path)
    assert [entry["step"] for entry in record.metrics] == [1, 3]
    assert record.lost_steps == 1
    assert compare_runs([record])[0]["step"] == "3/9"


def test_a_folder_with_the_name_of_the_metrics_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(ValueError, match=r"metrics\.jsonl: is not a file; move it away"):
        read_metrics(tmp_path)


def test_data_with_another_name_and_the_same_digest_are_the_same() -> None:
    """A resumed command has absolute paths."""
    before, now = ({"corpus": {"train": name, "digest": ["1"], "task": {"train": name}}} for name in ("a.tsv", "/data/a.tsv"))
    assert differences(before, now) == []
    now["corpus"]["digest"] = ["2"]
    assert differences(before, now) == ["corpus.digest: ['1'], now ['2']"]


def test_of_digests_only_the_beginnings_are_shown() -> None:
    before, now = ({"start": {"digest": digit * 64}} for digit in "ab")
    assert differences(before, now) == [f"start.digest: {'a' * 12}…, now {'b' * 12}…"]


def test_settings_that_are_not_equal_in_all_runs_are_listed_with_the_value_of_each() -> None:
    """A setting that a run does not have is None."""
    first = {"task": "a", "training": {"seed": 0, "steps": 9}, "corpus": {"digest": "a" * 64}}
    second = {"task": "a", "training": {"seed": 1, "steps": 9, "dropout": 0.1}, "corpus": {"digest": "b" * 64}}
    assert different_settings([RunRecord("r", settings, []) for settings in (first, second, first)]) == [
        "training.seed: 0, 1, 0",
        f"corpus.digest: {'a' * 12}…, {'b' * 12}…, {'a' * 12}…",
        "training.dropout: None, 0.1, None",
    ]


def test_the_kind_of_a_run_is_its_task_and_its_problem() -> None:
    settings = [
        {"task": "a"},
        {"task": "a", "task_settings": {}},
        {"task": "a", "task_settings": {"problem_type": "regression"}},
    ]
    assert [RunRecord("r", each, []).kind for each in settings] == ["a", "a", "a, regression"]


@pytest.mark.parametrize("higher_is_better", [False, True])
def test_a_value_that_is_no_number_is_worse_than_every_number(higher_is_better: bool) -> None:
    """And not better than another one of its kind."""
    column = Column("a", "b", ".1f", higher_is_better)
    for odd in (None, math.nan, math.inf, -math.inf):
        assert column.is_better(1.0, odd)
        assert not column.is_better(odd, 1.0)
        assert not column.is_better(odd, odd)
    assert column.is_better(2.0, 1.0) is higher_is_better
    assert column.is_better(1.0, 2.0) is not higher_is_better
    assert not column.is_better(1.0, 1.0)


def test_the_evaluation_of_the_written_model_is_the_last_one_or_that_of_its_step() -> None:
    metrics = [{"step": step, "validation_mlm_loss": 1.0 * step} for step in (1, 2, 3)] + [{"step": 4}]
    for settings, step in ((SETTINGS, 3), (SETTINGS | {"model_of_step": 2}, 2), (SETTINGS | {"model_of_step": 9}, 3)):
        record = RunRecord("r", settings, metrics)
        assert (record.model_evaluation["step"], record.last_evaluation["step"]) == (step, 3)
