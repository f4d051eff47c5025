"""The line of a learner's code that causes a mistake, and the first intermediate result that differs."""

import inspect
import re

import pytest
import torch

from minibert.classroom.checking import check_function
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.location import Values
from minibert.classroom.report import Report, Stage
from minibert.classroom.running import LocalRunner
from minibert.classroom.trail import MAX_ENTRIES, MAX_EVENTS, Trail
from tests.classroom import learner_functions as learner
from tests.classroom.students.fourth import (
    adamw_step,
    layer_norm,
    lora,
    multi_head_attention_layer,
    scaled_dot_product_attention,
)
from tests.sampling import slow


def report_of(function, exercise: str) -> Report:
    return check_function(EXERCISES[exercise], LocalRunner(EXERCISES[exercise], function), find=None)


WRONG = [
    (learner.no_scale, "scaled_dot_product_attention"),
    slow(learner.shifted_and_stretched, "scaled_dot_product_attention"),
    (learner.zero_instead_of_infinity, "scaled_dot_product_attention"),
    (learner.sample_deviation, "layer_norm"),
    (learner.no_bias, "layer_norm"),
    (learner.in_place, "softmax"),
    (learner.sum_of_all_rows, "softmax"),
    (learner.mask_transposed_with_a_large_number, "scaled_dot_product_attention"),
    (learner.positions_from_zero, "bert_embeddings"),
    (learner.special_tokens_selected, "mask_tokens"),
]
NOT_SURE = [
    (learner.scale_after_the_softmax, "scaled_dot_product_attention"),
    (learner.label_with_its_full_weight, "label_smoothing_loss"),
    (learner.labels_of_all_tokens, "mask_tokens"),
    slow(multi_head_attention_layer.answer_01, "multi_head_attention_layer"),  # an earlier line computes the wrong value
    (layer_norm.answer_02, "layer_norm"),  # a part of the formula moved from one line to another
    (scaled_dot_product_attention.answer_02, "scaled_dot_product_attention"),  # a line is missing, and one too many
    (lora.answer_02, "lora"),  # an argument was replaced
]


@pytest.mark.parametrize(("function", "exercise"), WRONG, ids=lambda value: getattr(value, "__name__", value))
def test_the_line_is_the_one_that_causes_the_mistake(function, exercise: str) -> None:
    report = report_of(function, exercise)
    assert not report.passed
    assert report.line_text.endswith("# the line"), report
    assert report.line_text == inspect.getsource(learner).splitlines()[report.line - 1].strip()


@pytest.mark.parametrize(("function", "exercise"), NOT_SURE, ids=lambda value: getattr(value, "__name__", value))
def test_neither_a_line_nor_a_difference_is_shown_that_is_not_sure(function, exercise: str) -> None:
    report = report_of(function, exercise)
    assert report.mistakes
    assert (report.line, report.first_difference) == (None, "")


def test_no_line_is_shown_for_lines_that_run_several_times() -> None:
    assert report_of(learner.recursive, "softmax").line is None
    assert report_of(learner.wrong_end_of_a_loop, "greedy_decoding").line is None


@pytest.mark.parametrize("function", [learner.loops, learner.arrays])
def test_right_solutions_in_other_forms_pass_without_a_line(function) -> None:
    report = report_of(function, "scaled_dot_product_attention")
    assert report.passed, report
    assert (report.line, report.first_difference) == (None, "")


def test_the_first_difference_has_names_lines_and_numbers() -> None:
    report = report_of(learner.zero_instead_of_infinity, "scaled_dot_product_attention")
    assert "Up to `scores` (your line" in report.first_difference
    assert "The first that differs is" in report.first_difference
    assert "-inf" in report.first_difference
    assert f"(line {report.line})" in report.first_difference


def test_of_an_omission_the_step_that_is_missing_is_named() -> None:
    report = report_of(adamw_step.answer_02, "adamw_step")
    assert report.first_difference.startswith("Up to `second_moment` (your line")
    assert "A step is missing after it: its result is" in report.first_difference


@pytest.mark.slow
def test_of_an_unknown_mistake_the_first_value_that_the_reference_does_not_have_is_shown() -> None:
    report = report_of(learner.shifted_and_stretched, "scaled_dot_product_attention")
    assert not report.mistakes
    assert report.first_difference.startswith("Up to `scores` (your line ")
    assert f"Line {report.line} computes the first value that the reference does not have: " in report.first_difference


@pytest.mark.slow
def test_values_of_loops_are_no_evidence() -> None:
    """A loop of the learner or of the reference has many values; what is equal before it is certain."""
    report = report_of(learner.heads_in_a_loop, "multi_head_attention")
    assert (report.mistakes, report.line, report.first_difference) == ([], None, "")
    report = report_of(learner.loop_after_the_scores, "scaled_dot_product_attention")
    assert report.line is None
    assert report.first_difference == ""
    assert report.agreement.endswith(" computes `scores` as the reference does.")
    report = report_of(learner.shifted_and_stretched, "online_softmax_attention")
    assert "_max" not in report.first_difference


def test_of_a_result_of_another_shape_and_an_unknown_mistake_no_line_is_blamed() -> None:
    """Its values may be right in another shape."""
    report = report_of(lambda scores: torch.stack([scores.softmax(-1) * 1.1, scores]), "softmax")
    assert report.failed is Stage.SHAPE
    assert (report.line, report.first_difference, report.agreement) == (None, "", "")


def test_a_trail_does_not_change_the_result_and_is_bounded() -> None:
    def many(x):
        values = [x * number for number in range(3 * MAX_ENTRIES)]
        exec("\n".join(f"v{number} = values[{number}] + 1" for number in range(100)))
        return sum(values)

    exercise = EXERCISES["gelu"]
    plain, recorded = (LocalRunner(exercise, many)({"x": torch.arange(3.0)}, False, trail) for trail in (False, True))
    assert torch.equal(plain.outputs["output"], recorded.outputs["output"])
    assert not plain.trail
    assert 0 < len(recorded.trail) <= MAX_ENTRIES


@pytest.mark.slow
def test_long_lists_are_not_converted_again_and_again() -> None:
    """A list that grows is recorded while it is short, and not copied after every line."""

    def growing(x):
        rows = []
        for number in range(5_000):
            rows += [(number, 0.5)]
        return x * len(rows)

    trail = Trail(growing)
    with trail:
        growing(torch.ones(2))
    assert len([entry for entry in trail.entries if entry.label == "rows"]) == 1
    assert trail.events > MAX_EVENTS


def test_values_are_equal_up_to_the_order_of_axes() -> None:
    value = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    values = Values.of([value])
    assert values.has(value.permute(2, 0, 1)[None])
    assert not values.has(value.reshape(4, 3, 2))
    assert values.has(value.reshape(6, 4), reshaped=True)
    assert not values.has(value.flip(0).clone(), reshaped=True)


def test_heads_that_are_split_without_a_transposition_are_no_right_value() -> None:
    tokens = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    right = Values.of([tokens, tokens.reshape(5, 2, 3).transpose(0, 1)])
    assert not right.has(tokens.reshape(2, 5, 3), reshaped=True)


def test_the_numbers_of_the_first_difference_are_not_equal() -> None:
    """The angles at position 0 are right, whatever the formula."""

    report = report_of(angles_multiplied, "sinusoidal_positions")
    found = re.search(r"from \[1, \d+\] on: ([^,]+), .* Your value \(line \d+\): ([^,]+),", report.first_difference)
    assert found, report.first_difference
    assert found[1] != found[2]


def angles_multiplied(positions, width):
    exponents = torch.arange(0, width, 2) / width
    angles = positions[:, None] * 10000**exponents
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def test_a_value_is_named_only_if_the_learner_knows_the_name() -> None:
    def softmax(scores):
        exponentials = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
        return exponentials / exponentials.sum(dim=-2, keepdim=True)

    assert "`exponentials`" not in report_of(softmax, "softmax").first_difference
