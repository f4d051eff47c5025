"""Several seeds and learning curves: which rows, weights and settings each run has, and the summary of their scores."""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.model import BertForSequenceClassification
from minibert.study.drawing import figure
from minibert.study.learning_curve import (
    MIN_STEPS,
    RunScores,
    Spread,
    Variation,
    curve_variations,
    finish,
    nested_order,
    parse_sizes,
    seed_variations,
    stored_scores,
)
from minibert.training.classification import Classification
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.finetuning import FineTuning
from minibert.training.job import Job
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions
from tests.training.test_multitask import CONFIG, TOKENIZER, make_rows

CPU = DeviceOptions(device="cpu")
LABELS = Classification(("a", "b", "c", "d"))


def make_task(rows: int = 60, epochs: float = 1) -> FineTuning:
    """A task whose start has weights of its own, as a checkpoint has."""
    torch.manual_seed(7)
    start = BertForSequenceClassification(LABELS.model_config(CONFIG)).state_dict()

    def new_model() -> BertForSequenceClassification:
        model = BertForSequenceClassification(LABELS.model_config(CONFIG))
        model.load_state_dict(start)
        return model

    config = FineTuningConfig(epochs=epochs, batch_size=8, learning_rate=1e-2)
    settings = {"task": "classification", "training": {"batch_size": 8}}
    return FineTuning(LABELS, config, new_model, TOKENIZER, make_rows(rows, False, 0), make_rows(20, False, 1), settings)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=200), st.integers(0, 5), st.data())
def test_every_beginning_of_the_order_has_the_shares_of_all_rows(strata: list[str], seed: int, data: st.DataObject) -> None:
    """The number of rows of each stratum differs by at most one per other stratum from its share."""
    order = nested_order(strata, np.random.default_rng(seed))
    assert sorted(order) == [*range(len(strata))]
    size = data.draw(st.integers(0, len(strata)))
    counts, totals = Counter(strata[index] for index in order[:size]), Counter(strata)
    for stratum, total in totals.items():
        assert abs(counts[stratum] - size * total / len(strata)) <= len(totals) / 2 + 1e-9


def test_orders_of_different_seeds_differ() -> None:
    orders = {tuple(nested_order("ab" * 50, np.random.default_rng(seed))) for seed in range(4)}
    assert len(orders) == 4


def test_runs_of_a_curve() -> None:
    """Smaller training sets are parts of larger ones, and both starts of a seed have the same rows."""
    task = make_task()
    applied = {each: each.apply(task) for each in curve_variations([4, 16, 60], seed=3, seeds=2)}
    assert len({each.folder for each in applied}) == len(applied) == 12
    texts = {each: [row.text for row in run.train_rows] for each, run in applied.items()}
    for seed in (3, 4):
        for small, large in ((4, 16), (16, 60)):
            assert not Counter(texts[Variation(seed, "pretrained", small)]) - Counter(
                texts[Variation(seed, "pretrained", large)]
            )
        assert texts[Variation(seed, "pretrained", 16)] == texts[Variation(seed, "from scratch", 16)]
    assert texts[Variation(3, "pretrained", 16)] != texts[Variation(4, "pretrained", 16)]
    for each, run in applied.items():
        assert run.config.seed == each.seed
        assert run.steps >= MIN_STEPS
        assert (
            run.settings["training"] | {"seed": each.seed, "rows": each.rows, "start": each.start} == run.settings["training"]
        )


def test_many_rows_have_the_epochs_of_the_config() -> None:
    assert Variation(0, "pretrained", 60).apply(make_task(epochs=20)).config.epochs == 20


def test_from_scratch_has_the_same_config_and_random_weights() -> None:
    """They depend on the seed. The pretrained model has the weights of the checkpoint for every seed."""
    task = make_task()

    def weights(start: str, seed: int) -> torch.Tensor:
        run = Variation(seed, start, 16).apply(task).make_run(CPU, SINGLE_PROCESS)
        assert run.model.config == task.new_model().config
        return run.model.bert.embeddings.words.weight.detach().clone()

    trained = task.new_model().bert.embeddings.words.weight
    assert torch.equal(weights("pretrained", 0), trained)
    assert torch.equal(weights("pretrained", 1), trained)
    assert not torch.equal(weights("from scratch", 0), trained)
    assert not torch.equal(weights("from scratch", 0), weights("from scratch", 1))
    assert torch.equal(weights("from scratch", 0), weights("from scratch", 0))


@pytest.mark.parametrize(("text", "sizes"), [("all", [50]), ("32,8", [8, 32]), (" 8 , all,8", [8, 50]), ("50,all", [50])])
def test_sizes(text: str, sizes: list[int]) -> None:
    assert parse_sizes(text, 50) == sizes


@pytest.mark.parametrize("text", ["", "8,", "x", "1", "0", "-3", "51", "1e2", "8.0", "²"])
def test_sizes_that_are_not_possible(text: str) -> None:
    with pytest.raises(ValueError, match="from 2 to 50, the number of training rows"):
        parse_sizes(text, 50)


def test_mean_and_sample_deviation() -> None:
    assert Spread.of([0.5, 0.7]).format(".1%") == "60.0% ± 14.1%"
    assert Spread.of([0.5]).format(".1%") == "50.0%"
    for values in ([None, 0.5], [math.nan, 0.5], []):
        assert Spread.of(values).format(".1%") == "-"


def run_scores() -> RunScores:
    values = {4: (0.2, 0.4), 16: (0.5, 0.7)}
    scores = {
        each: {"accuracy": values[each.rows][each.seed] / (1 if each.start == "pretrained" else 2), "loss": 1.0}
        for each in curve_variations([4, 16], 0, 2)
    }
    return RunScores.create(make_task(), scores)


def test_summary_of_a_curve() -> None:
    results = run_scores().to_json()
    json.dumps(results, allow_nan=False)
    assert results["metric"] == "accuracy"
    assert [run["folder"] for run in results["runs"][:2]] == ["pretrained/4-rows/seed-0", "pretrained/4-rows/seed-1"]
    summary = {(each["rows"], each["start"]): each["metrics"]["accuracy"] for each in results["summary"]}
    assert summary[16, "pretrained"] == {"mean": pytest.approx(0.6), "deviation": pytest.approx(0.2 / math.sqrt(2))}
    assert summary[4, "from scratch"]["mean"] == pytest.approx(0.15)


def test_figure_of_a_curve() -> None:
    (axes,) = figure(run_scores().figure()).axes
    assert axes.lines[0].get_xydata().tolist() == [[4, pytest.approx(0.3)], [16, pytest.approx(0.6)]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "16"]


def test_a_finished_run_keeps_its_scores_and_no_checkpoints(tmp_path: Path) -> None:
    """With another setting its scores are refused."""
    (variation,) = seed_variations(5, 1)
    task = variation.apply(make_task())
    assert stored_scores(tmp_path, task.settings) is None
    *_, finished = Job(lambda *_: task, OutputOptions(tmp_path), CPU).events()
    scores = finish(tmp_path, finished.model_of_step)
    assert 0 <= scores["accuracy"] <= 1
    assert stored_scores(tmp_path, task.settings) == scores
    assert not (tmp_path / "checkpoints").exists()
    assert (tmp_path / "model.safetensors").is_file()
    other = Variation(6).apply(replace(task))
    with pytest.raises(ValueError, match=r"was started with other settings \(training.seed: 5, now 6\)"):
        stored_scores(tmp_path, other.settings)
    with pytest.raises(ValueError, match="has no evaluation after step 3"):
        finish(tmp_path, 3)
