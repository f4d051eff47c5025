"""The effect of a function on a training: the three runs, and the result in words."""

import math
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import pytest
import torch

from minibert import BertConfig
from minibert.classroom import small_pretraining, training_effect
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Named, Report, Verdict
from minibert.classroom.small_pretraining import Curve, Data, built_in_data
from minibert.classroom.solution import solution
from minibert.classroom.training_effect import VISIBLE, TrainingEffect, effect_figure
from minibert.study.checked_attention import UserCodeError
from minibert.study.drawing import BLUE, GRAY, ORANGE
from minibert.study.user_code import limits_of
from minibert.text.corpus import Document

STEPS = [25, 50, 75, 1_000]


def effect(loss: float, verdict: Verdict = Verdict.WRONG, noise: float = 0.25) -> TrainingEffect:
    """Return the effect of a function with a last loss. The losses of two seeds differ by most in the first half."""
    right, other = [7.0, 6.0, 5.0, 4.0], [3.0, 6.0, 5.0 - noise, 4.0]
    return TrainingEffect(Curve(STEPS, right), Curve(STEPS, [7.0, 6.0, 5.0, loss]), Curve(STEPS, other), verdict)


@pytest.mark.parametrize(
    ("loss", "verdict", "headline"),
    [
        (5.0, Verdict.WRONG, "This bug costs 1 nats"),
        (3.0, Verdict.WRONG, "This bug saves 1 nats"),
        (4.5, Verdict.WRONG, "This bug does not show in the loss, which is why it survives"),
        (4.75, Verdict.ERROR, "This bug costs 0.75 nats"),
        (5.0, Verdict.CONVENTION, "This convention costs 1 nats"),
        (3.5, Verdict.CONVENTION, "This convention does not change the loss"),
        (4.0, Verdict.PASSED, "This function does not change the loss"),
        (4.0, Verdict.WARNING, "This function does not change the loss"),
        (math.inf, Verdict.WRONG, "With this bug the loss is not finite"),
        (math.nan, Verdict.PASSED, "With this function the loss is not finite"),
    ],
)
def test_an_effect_counts_beyond_twice_the_noise(loss: float, verdict: Verdict, headline: str) -> None:
    found = effect(loss, verdict)
    assert found.headline == headline
    assert (found.noise, found.right.losses[-1]) == (0.25, 4.0)
    if math.isfinite(loss):
        assert found.cost == loss - 4.0
        assert found.sentence == (
            f"{headline}: the losses differ by {abs(loss - 4):.3f} nats after 1,000 steps, "
            "and those of two seeds by up to 0.250."
        )
    else:
        assert found.sentence == f"{headline} after 1,000 steps."


def test_a_small_effect_is_not_visible_without_any_noise() -> None:
    assert "does not show" in effect(4.0 + VISIBLE * 0.99, noise=0.0).headline
    assert "costs" in effect(4.0 + VISIBLE * 1.01, noise=0.0).headline


def test_the_last_difference_of_two_seeds_counts() -> None:
    found = effect(4.0)
    found.other_seed.losses[-1] = 3.0
    assert found.noise == 1.0


def test_the_figure_has_a_curve_for_each_run() -> None:
    found = effect(4.5)
    [axes] = effect_figure(found, EXERCISES["softmax"]).axes
    lines = {line.get_color(): [*zip(*line.get_data(), strict=True)] for line in axes.lines}
    curves = {ORANGE: found.mine, BLUE: found.right, GRAY: found.other_seed}
    assert lines == {color: [*zip(curve.steps, curve.losses, strict=True)] for color, curve in curves.items()}
    assert {text.get_text() for text in axes.texts} == {"your function", "minibert", "minibert, other seed"}
    assert axes.get_title("left") == f"{found.headline}\nPretraining of a small BERT with your softmax"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "validation loss (nats per masked token)")


class Fake:
    """Stands for the process of the learner's function and for its check. It keeps what it gets."""

    def __init__(self, *arguments: object) -> None:
        self.arguments, self.calls = arguments, []

    def __enter__(self) -> "Fake":
        return self

    def __exit__(self, *error: object) -> None:
        pass


DATA = object.__new__(Data)
REPORT = Report("softmax", Verdict.CONVENTION, mistakes=[Named("no scale", "bug", "You left it out.", "", "")])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list:
    """Three runs that take no time, and a function that passes the check. Returns their arguments."""
    seen = []

    def pretrain(data: Data, seed: int, seconds: float, steps: int = 0, is_over: Event | None = None) -> Curve:
        seen.append((data, seed, seconds, steps, torch.get_num_threads()))
        return Curve([25, 50], [6.0, 5.0 + seed])

    def train(code: Fake, *arguments: object) -> tuple:
        seen.append((code.arguments, arguments))
        return ([25, 50], [6.0, 5.5]), {}

    monkeypatch.setattr(training_effect, "built_in_data", lambda: DATA)
    monkeypatch.setattr(training_effect, "is_part_of_pretraining", lambda exercise, data: exercise.name != "gelu")
    monkeypatch.setattr(training_effect, "pretrain", pretrain)
    monkeypatch.setattr(training_effect, "UserCode", type("Code", (Fake,), {"__call__": train}))
    monkeypatch.setattr(training_effect, "SandboxRunner", Fake)
    monkeypatch.setattr(training_effect, "check_function", lambda exercise, runner, find: seen.append(runner) or REPORT)
    return seen


def test_the_runs_have_as_many_steps_and_differ_in_one_function_or_in_the_seed(runs: list) -> None:
    """They run with one thread, which is set back."""
    softmax, threads = EXERCISES["softmax"], torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        found = training_effect.training_effect(softmax, "a:b/my.py:mine", print, seconds=2.0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    checked, right, *others = runs
    assert checked.arguments == (softmax, Path("a:b/my.py"), "mine", limits_of(60.0))
    assert right == (DATA, 0, 2.0, 0, 1)
    code = ("a:b/my.py:mine", small_pretraining.compute, print, limits_of(72.0))
    advice = "Training with minibert's function is 6 times faster."
    own = ((*code, advice), ("softmax", DATA, 72.0, 50))
    assert sorted(others, key=len) == [own, (DATA, 1, math.inf, 50, 1)]
    curves = Curve([25, 50], [6.0, 5.0]), Curve([25, 50], [6.0, 5.5]), Curve([25, 50], [6.0, 6.0])
    assert found == TrainingEffect(*curves, Verdict.CONVENTION, ("no scale. You left it out.",))


def test_the_run_with_another_seed_ends_if_the_learners_fails(runs: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the learner's code is shown at once."""

    def fail(*_: object) -> None:
        raise UserCodeError("it fails")

    def pretrain(data: Data, seed: int, seconds: float, steps: int = 0, is_over: Event | None = None) -> Curve:
        if is_over is not None:
            runs.append(is_over.wait(timeout=10))
        return Curve([25], [6.0])

    monkeypatch.setattr(training_effect, "_train", fail)
    monkeypatch.setattr(training_effect, "pretrain", pretrain)
    with pytest.raises(UserCodeError, match="it fails"):
        training_effect.training_effect(EXERCISES["softmax"], "my.py:softmax", print)
    assert runs[1:] == [True]


def test_an_exercise_outside_the_pretraining_is_refused_before_it(runs: list) -> None:
    with pytest.raises(ValueError, match="pretraining does not compute gelu: choose another exercise, such as softmax"):
        training_effect.training_effect(EXERCISES["gelu"], "my.py:gelu", print)
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("verdict", "line", "message"),
    [
        (Verdict.ERROR, 3, "my.py, line 3: It fails."),
        (Verdict.STOPPED, None, "my.py: It fails."),
        (Verdict.EMPTY, 2, "my.py, line 2: It fails."),
    ],
)
def test_a_function_that_does_not_run_is_refused_before_any_training(
    runs: list, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, line: int | None, message: str
) -> None:
    report = Report("softmax", verdict, reason="It fails.", line=line)
    monkeypatch.setattr(training_effect, "check_function", lambda exercise, runner, find: report)
    with pytest.raises(UserCodeError) as error:
        training_effect.training_effect(EXERCISES["softmax"], "my.py:softmax", print)
    assert (str(error.value), runs) == (message, [])


@pytest.fixture(scope="module")
def small_data() -> Data:
    """Return the data of a pretraining whose documents have two sentences."""
    documents = [Document("", (f"The cat number {n} sat.", f"The dog of {n} looked at the cat.")) for n in range(200)]
    corpus = SimpleNamespace(documents=documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_pretraining, "builtin_corpus", lambda: corpus)
        patch.setattr(small_pretraining, "VOCABULARY_SIZE", 100)
        return built_in_data.__wrapped__()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("greedy_decoding", "pretraining does not compute greedy_decoding"),
        ("mask_tokens", "mask_tokens is no stage of a model: its result is no tensor"),
    ],
)
def test_exercises_that_are_no_stage_are_refused(
    tmp_path: Path, small_data: Data, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """After one step of the pretraining, here of a small network."""
    monkeypatch.setattr(training_effect, "built_in_data", lambda: small_data)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    monkeypatch.setattr(small_pretraining, "quickstart_config", lambda size: BertConfig(vocab_size=size, **sizes))
    (tmp_path / "my.py").write_text(solution(EXERCISES[name]))
    with pytest.raises((ValueError, UserCodeError), match=message):
        training_effect.training_effect(EXERCISES[name], f"{tmp_path / 'my.py'}:{name}", print)
