"""The diagnosis of an attention function from its outputs for the probes of `minibert verify`."""

import math

import pytest
import torch

from minibert.classroom import diagnosis
from minibert.classroom.diagnosis import Diagnosis, diagnose_attention
from minibert.classroom.mistakes import MISTAKES, Kind, variant, variant_of
from minibert.equations import online_softmax_attention, scaled_dot_product_attention, softmax
from minibert.study.verify.user_attention import probes


def outputs_of(function, dtype=torch.float32) -> dict[str, torch.Tensor]:
    return {name: function(*inputs) for name, inputs in probes(dtype).items()}


RIGHT = outputs_of(scaled_dot_product_attention)


def names_of(outputs) -> list[str]:
    found = diagnose_attention(outputs)
    assert not found.agrees
    return [mistake.name for mistake in found.mistakes]


def test_the_result_in_words() -> None:
    assert Diagnosis(agrees=True).description == (
        "on random inputs the function equals the equation, so look for large scores or for fixed shapes"
    )
    assert Diagnosis(agrees=False).description == (
        "no mistake of docs/mistakes.md, and no pair of them, computes the same as the function"
    )
    one, other = MISTAKES["no scale"], MISTAKES["sum over all rows"]
    assert Diagnosis(False, (one, other)).description == (
        'the function computes the same as with "no scale" and "sum over all rows" (docs/mistakes.md). '
        f"{one.description} {one.consequence} {other.description} {other.consequence.removesuffix('.')}"
    )


def test_the_equation_itself_agrees() -> None:
    assert diagnose_attention(RIGHT) == Diagnosis(agrees=True)
    assert diagnose_attention({}) is None


@pytest.mark.parametrize(("difference", "agrees"), [(0.9e-4, True), (1e-3, False)])
def test_rounding_is_no_mistake(difference, agrees) -> None:
    outputs = {name: output + difference for name, output in RIGHT.items()}
    largest = diagnosis._difference(scaled_dot_product_attention, outputs)
    assert (largest == pytest.approx(difference, rel=1e-2)) if agrees else largest == math.inf


def test_outputs_of_another_shape_or_of_no_function_are_infinitely_far() -> None:
    one = {name: output[..., :1] for name, output in RIGHT.items()}
    assert diagnosis._difference(scaled_dot_product_attention, one) == math.inf

    def fails(*inputs):
        raise IndexError

    assert diagnosis._difference(fails, RIGHT) == math.inf
    assert diagnosis._difference(lambda *inputs: None, RIGHT) == math.inf
    zeros = {name: torch.zeros_like(output) for name, output in RIGHT.items()}
    assert diagnosis._difference(lambda query, key, value, *keep: torch.zeros_like(query), zeros) == math.inf


@pytest.mark.parametrize("name", ["no scale", "mask inverted", "sum over all rows"])
def test_a_mistake_of_attention_or_of_its_softmax_is_named(name) -> None:
    assert names_of(outputs_of(variant_of(scaled_dot_product_attention, MISTAKES[name]))) == [name]


def test_a_mistake_of_attention_in_blocks_is_named() -> None:
    of_blocks = [each for each in MISTAKES.values() if each.function is online_softmax_attention and each.kind is Kind.BUG]
    found = [names_of(outputs_of(lambda *inputs: variant(each)(*inputs, block_size=2))) for each in of_blocks[:2]]  # noqa: B023
    assert found == [[each.name] for each in of_blocks[:2]]


def test_variants_are_the_entries_for_attention_its_softmax_and_blocks() -> None:
    names = [mistakes[0].name for mistakes, _ in diagnosis._single_mistakes()]
    in_blocks = online_softmax_attention
    functions = (scaled_dot_product_attention, softmax, in_blocks)
    asked = [each for each in MISTAKES.values() if each.function in functions and each.kind is not Kind.EQUIVALENT]
    assert {name: names.count(name) for name in names} == {each.name: 5 if each.function is in_blocks else 1 for each in asked}


def test_two_mistakes_are_named_together() -> None:
    both = MISTAKES["no scale"], MISTAKES["sum over all rows"]
    outputs = outputs_of(variant_of(scaled_dot_product_attention, *both))
    assert {*names_of(outputs)} == {each.name for each in both}


def test_the_first_mask_is_enough_for_a_mistake_and_not_for_the_equation(monkeypatch) -> None:
    monkeypatch.setattr(diagnosis, "_pairs_of_mistakes", lambda: iter(()))
    first, *others = RIGHT
    wrong = outputs_of(variant_of(scaled_dot_product_attention, MISTAKES["no scale"]))
    assert names_of({first: wrong[first], **{name: wrong[name] + 1 for name in others}}) == ["no scale"]
    assert diagnose_attention({first: RIGHT[first], **{name: RIGHT[name] + 1 for name in others}}) == Diagnosis(agrees=False)


def test_an_unknown_function_has_no_diagnosis(monkeypatch) -> None:
    few = [MISTAKES[name] for name in ("no scale", "mask inverted", "sum over all rows")]
    monkeypatch.setattr(diagnosis, "_attention_mistakes", lambda: few)
    assert diagnose_attention(outputs_of(lambda query, key, value, *keep: query + 1)) == Diagnosis(agrees=False)
    assert len([*diagnosis._pairs_of_mistakes()]) == 3
    monkeypatch.setattr(diagnosis, "_attention_mistakes", lambda: [*few, few[0]])
    assert len([*diagnosis._pairs_of_mistakes()]) == 5  # "no scale" cannot be combined with itself


def test_all_masks_are_compared_before_the_first_one_alone(monkeypatch) -> None:
    """Two mistakes may compute the same with the first mask."""
    first = probes(torch.float32)[next(iter(RIGHT))]
    no_scale = variant_of(scaled_dot_product_attention, MISTAKES["no scale"])

    def only_with_others(*inputs):
        return no_scale(*inputs) + (not all(map(torch.equal, inputs, first)))

    one, other = MISTAKES["no scale"], MISTAKES["sum over all rows"]
    monkeypatch.setattr(diagnosis, "_single_mistakes", lambda: iter([((one,), no_scale), ((other,), only_with_others)]))
    assert names_of(outputs_of(only_with_others)) == [other.name]


def test_queries_that_attend_to_no_key_are_not_compared() -> None:
    """Each row of zeros is one, in one head alone, too."""

    def with_an_empty_row(*inputs):
        result = scaled_dot_product_attention(*inputs).clone()
        result.view(-1, result.shape[-1])[0] = 0
        return result

    outputs = outputs_of(with_an_empty_row)
    for output in outputs.values():
        output.view(-1, output.shape[-1])[0] = math.nan
    assert diagnosis._difference(with_an_empty_row, outputs) == 0.0
