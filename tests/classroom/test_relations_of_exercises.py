"""Relations of the numbers of real exercises: one is reported if it holds for every input."""

import math

import pytest
import torch

from minibert import equations
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.naming import explain
from minibert.classroom.probes import call_all, probes
from minibert.classroom.relations import find_relation
from minibert.classroom.running import LocalRunner
from tests.sampling import slow


def relation(name: str, function) -> str:
    exercise = EXERCISES[name]
    return find_relation(exercise, call_all(probes(exercise), LocalRunner(exercise, function)))


def changed_attention(change):
    return lambda query, key, value, keep=None: change(
        equations.scaled_dot_product_attention(query, key, value, keep), query, value
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, query, value: 2 * x, "Your numbers are 2 times the expected ones."),
        (lambda x, query, value: x / math.sqrt(2), "Your numbers are 1/√2 times the expected ones."),
        (lambda x, query, value: -x, "Your numbers have the opposite sign."),
        (lambda x, query, value: 0.37 * x, "Your numbers are 0.37 times the expected ones."),
        (lambda x, query, value: x * query.shape[-1] ** 0.5, "Your numbers are √width times the expected ones."),
        (lambda x, query, value: x / value.shape[-2], "Your numbers are 1/keys times the expected ones."),
        (lambda x, query, value: x + 1, "Your numbers are the expected ones plus 1."),
        (lambda x, query, value: 1 - x, "Your numbers are 1 minus the expected ones."),
        (lambda x, query, value: 1 / x, "Your numbers are 1 divided by the expected ones."),
        (lambda x, query, value: x.exp(), "Your numbers are the exponentials of the expected ones."),
        (
            lambda x, query, value: x.mT,
            'Your result is transposed: the axis "queries" and the axis "value_width" are exchanged.',
        ),
        (lambda x, query, value: x.permute(2, 0, 1, 3), "The axes of your result are in another order"),
        (lambda x, query, value: x.flip(-2), 'The order along the axis "queries" is reversed.'),
        (lambda x, query, value: x.roll(1, -1), 'Your numbers are one place too late along the axis "value_width".'),
        (lambda x, query, value: x.roll(-1, -2), 'Your numbers are one place too early along the axis "queries".'),
        (
            lambda x, query, value: x.softmax(-1),
            'Your numbers are the softmax of the expected ones along the axis "value_width".',
        ),
        (
            lambda x, query, value: x.cumsum(-2),
            'Your numbers are the cumulative sums of the expected ones along the axis "queries".',
        ),
        (lambda x, query, value: x.sort(-1).values, 'Your numbers are the expected ones, sorted along the axis "value_width".'),
        (
            lambda x, query, value: x[..., :1, :].expand_as(x),
            "Your result has the expected numbers of the first place everywhere",
        ),
        (lambda x, query, value: x.sum(-2), 'Your result is the sum of the expected one along the axis "queries".'),
        (lambda x, query, value: x.flatten(-2), "Your numbers are right and in the right order, but the shape is another one."),
        (lambda x, query, value: x.half().float(), "Your numbers have only the precision of float16."),
        (lambda x, query, value: x.bfloat16(), "Your numbers have only the precision of bfloat16."),
    ],
)
def test_relations_are_described(change, sentence) -> None:
    assert relation("scaled_dot_product_attention", changed_attention(change)).startswith(sentence)


def test_a_factor_of_numbers_of_which_many_are_zero() -> None:
    assert relation("relu", lambda x: 3 * x.clamp(min=0)) == "Your numbers are 3 times the expected ones."


def test_a_constant_in_the_logarithm_of_a_loss() -> None:
    def loss(logits, labels):
        right = equations.cross_entropy(logits, labels)
        return torch.where(labels == equations.IGNORE_INDEX, right, -torch.log(torch.exp(-right) + 0.01))

    assert relation("cross_entropy", loss).startswith("Your numbers are -log(p + 0.01) of the right probabilities p.")


def test_the_order_of_rows() -> None:
    def permuted(hidden, gain, bias):
        right = equations.layer_norm(hidden, gain, bias)
        return right[:, torch.tensor([1, 0, *range(2, right.shape[1])])]

    assert "the right parts in another order along axis 1" in relation("layer_norm", permuted)


def test_an_argument_that_is_not_used() -> None:
    ones = relation("layer_norm", lambda hidden, gain, bias: equations.layer_norm(hidden, torch.ones_like(gain), bias))
    assert ones == "Your numbers are the expected ones for gain = 1: gain is not used."


def test_a_number_that_is_not_used() -> None:
    ignored = relation(
        "label_smoothing_loss", lambda logits, labels, ε=0.1: equations.label_smoothing_loss(logits, labels, 0.1)
    )
    assert ignored == "Your numbers are the expected ones for label_smoothing = 0.1: label_smoothing is not used."


def test_another_default_value() -> None:
    other = relation("length_penalty", lambda length, alpha=1.0: equations.length_penalty(length, alpha))
    assert other == "Your numbers are wrong only where the default of the stub is used: alpha = 0.6."


def test_a_power() -> None:
    assert relation("perplexity", lambda loss: 3.0**loss) == "Your numbers are the expected ones to the power 1.09861."


@pytest.mark.parametrize("name", [name for name in EXERCISES if name != "training_steps"])
def test_every_default_value_is_used_by_a_case(name) -> None:
    """Only then is another one found. One more case of training would take too long."""
    exercise = EXERCISES[name]
    given = [probe.arguments for probe in probes(exercise)]
    numbers = [key for key, value in exercise.defaults.items() if isinstance(value, float | tuple)]
    assert [key for key in numbers if all(key in arguments for arguments in given)] == []


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_has_no_relation_to_itself(name) -> None:
    assert relation(name, EXERCISES[name].reference) == ""


@pytest.mark.parametrize(
    "function",
    [
        lambda query, key, value, keep=None: torch.zeros(*query.shape[:-1], value.shape[-1]),
        slow(lambda query, key, value, keep=None: query.sum(-1, keepdim=True) * value[..., :1, :]),
        lambda query, key, value, keep=None: (
            equations.scaled_dot_product_attention(query, key, value, keep) * (1.0 if keep is None else 2.0)
        ),
    ],
)
def test_what_does_not_hold_for_all_inputs_is_no_relation(function) -> None:
    exercise = EXERCISES["scaled_dot_product_attention"]
    explanation = explain(exercise, call_all(probes(exercise), LocalRunner(exercise, function)))
    assert (explanation.mistakes, explanation.relation) == ((), "")
