"""The check accepts every reference, and describes a stub and a missing `return`."""

import functools
import inspect

import pytest
import torch

from minibert import equations
from minibert.classroom.checking import check, check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Stage, Verdict
from minibert.classroom.running import LocalRunner


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
def test_the_reference_passes(exercise) -> None:
    assert check(exercise.reference, exercise).verdict is Verdict.PASSED


def test_a_stub_is_not_started() -> None:
    def softmax(scores):
        raise NotImplementedError

    assert check(softmax, EXERCISES["softmax"]).verdict is Verdict.EMPTY


def test_a_missing_return_is_described() -> None:
    def softmax(scores):
        scores.exp()

    report = check(softmax, EXERCISES["softmax"])
    assert (report.verdict, report.failed) == (Verdict.ERROR, Stage.RUNS)
    assert "does it end with `return`" in report.reason


OPTIONAL = [
    (exercise.name, name) for exercise in EXERCISES.values() for name, value in exercise.defaults.items() if value is None
]


@pytest.mark.parametrize(("exercise", "name"), OPTIONAL)
def test_an_error_where_an_optional_argument_is_not_given_names_the_argument(exercise: str, name: str) -> None:
    reference = inspect.unwrap(EXERCISES[exercise].reference)

    @functools.wraps(reference)
    def needs_it(*values, **named):
        given = inspect.signature(reference).bind(*values, **named).arguments
        if given.get(name) is None:
            raise AttributeError("'NoneType' object has no attribute 'unsqueeze'")
        return reference(*values, **named)

    report = check_function(EXERCISES[exercise], LocalRunner(EXERCISES[exercise], needs_it), find=None)
    assert report.verdict is Verdict.ERROR
    assert f"only where the default {name} = None is used. Use `{name}` only `if {name} is not None`." in report.reason
    assert (report.mistakes, report.relation) == ([], "")


def test_a_right_default_is_never_called_another_one() -> None:
    def feed_forward(hidden, weight_1, bias_1, weight_2, bias_2, activation=equations.relu):
        hidden = hidden @ weight_1 + bias_1
        return (hidden.sigmoid() if activation is equations.relu else activation(hidden)) @ weight_2 + bias_2

    report = check(feed_forward, EXERCISES["feed_forward"])
    assert report.relation == "Your numbers are wrong only where the default of the stub is used: activation = relu."


def test_an_error_is_explained_and_the_smallest_input_raises_the_same() -> None:
    def feed_forward(hidden, weight_1, bias_1, weight_2, bias_2, activation=equations.relu):
        return max(0, hidden @ weight_1 + bias_1) @ weight_2 + bias_2

    report = check(feed_forward, EXERCISES["feed_forward"])
    assert "Python's `max` compares whole tensors" in report.reason
    assert report.example.mine in report.reason


@pytest.mark.slow
def test_the_smallest_input_of_an_error_raises_it_in_the_same_line() -> None:
    def multi_head_attention(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
        query, key, value = (
            equations.split_heads(each, heads) for each in (queries_from @ w_q, keys_from @ w_k, keys_from @ w_v)
        )
        scores = query @ key.mT / query.shape[-1] ** 0.5
        scores = scores if keep is None else scores.masked_fill(~keep, -torch.inf)
        return equations.merge_heads(scores.softmax(-1) @ value) @ w_o

    report = check(multi_head_attention, EXERCISES["multi_head_attention"])
    assert "The size of tensor a" in report.reason
    assert "The size of tensor a" in report.example.mine
