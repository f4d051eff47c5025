"""The smallest input for which a learner's function fails."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from minibert.classroom.checking import check
from minibert.classroom.counterexample import MAX_CALLS, Search
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.probes import expected, probes
from minibert.classroom.questions import Answered, problem_of
from minibert.classroom.report import Stage
from minibert.classroom.running import LocalRunner, Outcome, watched


def search_for(function, name: str) -> Search:
    exercise = EXERCISES[name]
    runner, probe = LocalRunner(exercise, function), probes(exercise)[0]
    call = Answered(exercise, probe, runner(probe.arguments, gradients=False), expected(exercise)[0], runner)
    return Search(call, problem_of(call))


def test_the_example_has_few_small_whole_numbers_and_the_difference(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    example = check(lambda scores: 2 * scores.softmax(-1), EXERCISES["softmax"]).example
    assert [text.count("0.") for text in example.arguments.values()] == [1]
    assert [each.strip("[]") for each in (example.mine, example.expected, example.difference)] == ["2.", "1.", "1."]
    assert not [*tmp_path.iterdir()]
    assert capfd.readouterr() == ("", "")


def test_a_mistake_that_needs_two_numbers_gets_two() -> None:
    example = check(lambda scores: (2 * scores).softmax(-1), EXERCISES["softmax"]).example
    assert sorted(example.arguments["scores"].strip("[]").split()) == ["0.", "1."]


def test_small_differences_are_found() -> None:
    report = check(lambda x: F.gelu(x, approximate="tanh"), EXERCISES["gelu"])
    assert report.example is not None
    assert report.example.mine != report.example.expected


def test_the_example_is_the_same_every_time() -> None:
    def wrong(query, key, value, keep=None):
        return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) @ value.abs()

    calls = [search_for(wrong, "scaled_dot_product_attention").run()[0] for _ in range(2)]
    first, second = (call.probe.arguments for call in calls)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_example_of_an_error_has_its_text() -> None:
    def fails(scores):
        return scores.softmax(-1) if scores.numel() < 2 else scores.reshape(-1, 7919)

    example = check(fails, EXERCISES["softmax"]).example
    assert example.mine.startswith("RuntimeError: ")
    assert example.expected
    assert not example.difference


def test_the_example_of_a_gradient_has_the_gradients() -> None:
    def wrong(hidden, gain, bias, eps=1e-12):
        variance, mean = torch.var_mean(hidden, -1, keepdim=True, correction=0)
        return gain * (hidden - mean.detach()) / torch.sqrt(variance + eps) + bias

    report = check(wrong, EXERCISES["layer_norm"])
    assert report.failed is Stage.GRADIENTS
    assert "hidden" in report.reason
    assert report.example.mine != report.example.expected


@pytest.mark.parametrize("calls_before_the_end", [0, 5])
def test_a_search_ends_when_the_process_of_the_function_is_gone(calls_before_the_end: int) -> None:
    search = search_for(lambda scores: 2 * scores.softmax(-1), "softmax")
    local = search.failed.runner
    calls = []

    def runner(arguments, gradients, trail=False):
        calls.append(arguments)
        return local(arguments, gradients) if len(calls) <= calls_before_the_end else Outcome(stopped="It is gone.")

    object.__setattr__(search.failed, "runner", watched(runner))
    assert search.run()[1].stage is search.problem.stage
    assert len(calls) == calls_before_the_end + 1


def test_a_function_that_fails_on_the_known_input_only_gets_this_input() -> None:
    known = probes(EXERCISES["softmax"])[0].arguments["scores"]
    search = search_for(lambda scores: scores.softmax(-1) + torch.equal(scores, known), "softmax")
    assert search.run()[0].probe.arguments["scores"] is known
    assert search.calls <= MAX_CALLS + 1


def test_a_recipe_that_allows_no_small_sizes_gives_the_known_input() -> None:
    search = search_for(lambda scores: 2 * scores.softmax(-1), "softmax")

    def recipe(draw):
        raise ValueError("too small")

    case = replace(search.failed.probe.case, recipe=recipe)
    search.failed = replace(search.failed, probe=replace(search.failed.probe, case=case))
    assert search.run()[0] is search.failed


def test_an_input_with_many_numbers_is_not_searched_for_with_hypothesis(monkeypatch) -> None:
    exercise = EXERCISES["training_steps"]
    monkeypatch.setattr(Search, "_search_whole_numbers", None)
    search = search_for(lambda *given: [2 * loss for loss in exercise.reference(*given)], "training_steps")
    call, problem = search.run()
    assert problem.stage is Stage.VALUES
    assert call is not search.failed
