"""Every number of axes that a stub allows is tried. Wrong numbers and errors are a warning."""

import math

import pytest
import torch
from torch import Tensor

from minibert import equations
from minibert.classroom.checking import check, check_function
from minibert.classroom.exercise import Role
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.other_axes import Axes, axes_of_annotation
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner

ARGUMENTS = [
    (exercise.name, name)
    for exercise in EXERCISES.values()
    for name, parameter in exercise.parameters.items()
    if axes_of_annotation(parameter.annotation)
]


def report_of(function, name: str) -> Report:
    return check_function(EXERCISES[name], LocalRunner(EXERCISES[name], function), find=None)


def tensors_of(exercise: str, name: str) -> list[Tensor]:
    values = [probe.arguments.get(name) for probe in probes(EXERCISES[exercise])]
    return [value for value in values if isinstance(value, Tensor)]


def has_single_numbers(exercise: str) -> bool:
    """Return True if an argument without a batch would be a single number, such as a label."""
    found = [axes_of_annotation(parameter.annotation) for parameter in EXERCISES[exercise].parameters.values()]
    return any(axes and axes.front and not axes.names for axes in found)


@pytest.mark.parametrize(("exercise", "name"), ARGUMENTS)
def test_every_argument_has_the_axes_that_its_annotation_allows(exercise: str, name: str) -> None:
    """`*` is several numbers of axes, with none among them (or one), and `#` is the size 1 and another one."""
    axes = axes_of_annotation(EXERCISES[exercise].parameters[name].annotation)
    tensors = tensors_of(exercise, name)
    numbers = {axes.in_front(tensor) for tensor in tensors}
    if axes.front:
        assert len(numbers) > 1
        assert min(numbers) <= 1 if not axes.names else min(numbers) == 0 or has_single_numbers(exercise)
    for place, axis in enumerate(axes.names):
        sizes = {tensor.shape[axes.in_front(tensor) + place] for tensor in tensors}
        assert "#" not in axis or (1 in sizes and len(sizes) > 1)
    if "#" in axes.front and max(numbers) > 0 and exercise != "rotary_positions":
        assert {tensor.shape[0] == 1 for tensor in tensors if axes.in_front(tensor)} == {True, False}


@pytest.mark.parametrize("name", EXERCISES)
def test_the_reference_has_finite_results_for_all_axes(name: str) -> None:
    pairs = zip(probes(EXERCISES[name]), expected(EXERCISES[name]), strict=True)
    outcomes = [outcome for probe, outcome in pairs if probe.case.role is Role.AXES]
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    assert not any(output.isnan().any() for outcome in outcomes for output in outcome.outputs.values())


def with_mask_at_axis(axis: int):
    def multi_head_attention(queries_from, keys_from, w_q, w_k, w_v, w_o, heads, keep=None):
        split = [equations.split_heads(each, heads) for each in (queries_from @ w_q, keys_from @ w_k, keys_from @ w_v)]
        scores = split[0] @ split[1].mT / math.sqrt(split[0].shape[-1])
        scores = scores if keep is None else scores.masked_fill(~keep.unsqueeze(axis), -torch.inf)
        return equations.merge_heads(scores.softmax(-1).nan_to_num() @ split[2]) @ w_o

    return multi_head_attention


def test_a_mask_at_a_wrong_axis_of_inputs_without_a_batch_is_a_warning() -> None:
    report = check(with_mask_at_axis(1), EXERCISES["multi_head_attention"])
    assert report.verdict is Verdict.WARNING
    assert "The input: without a batch." in report.warnings[0]
    assert "differ" in report.warnings[0]
    assert report.mistakes == []
    assert report_of(with_mask_at_axis(-3), "multi_head_attention").verdict is Verdict.PASSED


def rotary(vectors, positions):
    angles = positions[:, None] / 10000 ** (torch.arange(0, vectors.shape[-1], 2) / vectors.shape[-1])
    even, odd = vectors[..., 0::2], vectors[..., 1::2]
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)


def top_k(logits, k):
    return logits.masked_fill(logits < logits.topk(k, 1).values[:, -1:], -torch.inf)


WRONG = {
    "positions of one text": (rotary, "rotary_positions"),
    "the third axis": (lambda scores: scores.softmax(dim=2), "softmax"),
    "the second axis": (top_k, "top_k_filter"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_for_other_axes_are_a_warning(name: str) -> None:
    function, exercise = WRONG[name]
    report = report_of(function, exercise)
    assert report.verdict is Verdict.WARNING
    warning = next(each for each in report.warnings if "`*` means any number of axes" in each)
    assert "differ" in warning


def split_heads(hidden, heads):
    batch, tokens, width = hidden.shape
    return hidden.reshape(batch, tokens, heads, width // heads).transpose(1, 2)


def alibi(query_positions, key_positions, heads):
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    return -slopes[:, None, None] * (query_positions[:, None] - key_positions[None]).abs()


def alibi_without_heads(query_positions, key_positions, heads):
    slopes = 2.0 ** (-8 * torch.arange(1, heads + 1) / heads)
    return -slopes[:, None, None] * (query_positions[..., None] - key_positions[..., None, :]).abs()


@pytest.mark.parametrize(
    ("function", "name"),
    [(split_heads, "split_heads"), (alibi, "alibi_bias"), (alibi_without_heads, "alibi_bias")],
)
def test_an_error_for_other_axes_is_one_warning(function, name: str) -> None:
    report = report_of(function, name)
    assert report.verdict is Verdict.WARNING
    assert len(report.warnings) == 1
    assert "does not work for all axes that the stub allows" in report.warnings[0]
    assert "batch" in report.warnings[0]
    assert all(report.credit.values())


def test_a_mistake_keeps_its_name_in_a_function_for_one_number_of_axes() -> None:
    def attention(query, key, value, keep=None):
        assert query.dim() == 4
        scores = query @ key.transpose(2, 3)
        scores = scores if keep is None else scores.masked_fill(~keep, -torch.inf)
        return scores.softmax(-1).nan_to_num() @ value

    report = report_of(attention, "scaled_dot_product_attention")
    assert [mistake.name for mistake in report.mistakes] == ["no scale"]
    assert "batch" not in report.reason


def test_axes_are_read_from_annotations() -> None:
    parameters = EXERCISES["multi_head_attention"].parameters
    assert axes_of_annotation(parameters["keep"].annotation) == Axes("*#batch", ("#queries", "keys"))
    assert axes_of_annotation(parameters["w_q"].annotation) == Axes("", ("query_width", "all_heads"))
    assert axes_of_annotation(parameters["heads"].annotation) is None


def test_the_last_row_of_a_batch_is_not_called_the_lowest_threshold() -> None:
    def last_row(logits, k):
        return logits.masked_fill(logits < logits.topk(k).values[-1], -torch.inf)

    def lowest(logits, k):
        return logits.masked_fill(logits < logits.topk(k).values[..., -1].min(), -torch.inf)

    assert report_of(last_row, "top_k_filter").mistakes == []
    assert [mistake.name for mistake in report_of(lowest, "top_k_filter").mistakes] == ["lowest threshold of the batch"]
