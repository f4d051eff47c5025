"""The words and numbers of a comparison."""

import math

import pytest

from minibert.study.verify.checkpoints import CheckpointDifferences, ParameterDifference
from minibert.study.verify.comparison import Comparison, StageComparison
from minibert.study.verify.diagnosis import DEFAULT_NAMES
from minibert.study.verify.report import parameter_lines, stage_lines, tokenizer_lines, verdict_lines
from minibert.study.verify.tokenization import TokenizerComparison


def test_the_table_of_stages_and_the_verdict() -> None:
    """As wide as the longest name; the smallest number of columns is that of the heading."""
    stages = [StageComparison("pooler", 0.0, 0.0, 1.0, True), StageComparison("a.long.name", 0.25, 0.125, 0.5, False)]
    lines = [*stage_lines(Comparison(stages, 1e-5, ["x.y"], "the weights"))]
    assert lines[:3] == [
        "stage        largest difference   relative  1 - cosine",
        "pooler                 0.00e+00    0.0e+00     0.0e+00",
        "a.long.name            2.50e-01    1.2e-01     5.0e-01  differs",
    ]
    assert lines[3] == "\nNot compared, because only one side has them: 1 stages, such as x.y"
    assert [*verdict_lines(Comparison(stages, 1e-5, [], "the weights"))] == [
        "\nThe first stage that differs from transformers is a.long.name.",
        "Largest difference: 2.50e-01, relative 1.2e-01.",
        "Likely cause: the weights.",
    ]
    assert [*verdict_lines(Comparison(stages[:1], 1e-5, [], None))] == [
        "\nAll 1 stages agree with transformers, to 0.0e+00 (pooler)."
    ]
    assert [*verdict_lines(Comparison(stages[:1], 1e-5, ["x.y"], None))] == [
        "\nThe compared stages agree, but others are missing."
    ]
    assert [*stage_lines(Comparison([], 1e-5, [], None))] == ["stage  largest difference   relative  1 - cosine"]


@pytest.mark.parametrize(("count", "end"), [(10, []), (11, ["  and 1 more"]), (13, ["  and 3 more"])])
def test_ten_parameters_are_listed_and_the_others_counted(count: int, end: list[str]) -> None:
    differences = [ParameterDifference(f"w{number}", 0.5, 0.25) for number in range(count)]
    lines = [*parameter_lines(CheckpointDifferences({}, differences, 20), DEFAULT_NAMES)]
    assert lines == [
        f"Parameters that differ: {count} of 20",
        *(f"  w{number}: largest difference 5.00e-01" for number in range(10)),
        *end,
    ]


def test_a_parameter_without_a_difference_has_a_description() -> None:
    settings = {"hidden_act": ("gelu", "relu")}
    one = ParameterDifference("w", math.nan, math.nan, ("only in minibert",))
    other = ParameterDifference("b", 0.5, 0.5, ("equal to c of transformers",))
    assert [*parameter_lines(CheckpointDifferences(settings, [one, other], 3), DEFAULT_NAMES)] == [
        "Settings that differ: hidden_act (gelu in transformers, relu in minibert)",
        "Parameters that differ: 2 of 3",
        "  w: only in minibert",
        "  b: largest difference 5.00e-01, equal to c of transformers",
    ]
    assert [*parameter_lines(CheckpointDifferences({}, [], 3), DEFAULT_NAMES)] == ["All 3 parameters agree."]


@pytest.mark.parametrize(
    ("reference", "ours", "shown"),
    [
        ([1, 2, 3, 4], [1, 2, 9, 4], ["a: 4 ids, from number 2 on: 2 3 4", "b: 4 ids, from number 2 on: 2 9 4"]),
        ([7, 2], [8, 2], ["a: 2 ids, from number 1 on: 7 2", "b: 2 ids, from number 1 on: 8 2"]),
        ([1, 2], [1, 2, 3], ["a: 2 ids, from number 2 on: 2", "b: 3 ids, from number 2 on: 2 3"]),
        (
            [0, *range(20)],
            [5, *range(20)],
            ["a: 21 ids, from number 1 on: 0 0 1 2 3 4 5 6 7 8 9 10", "b: 21 ids, from number 1 on: 5 0 1 2 3 4 5 6 7 8 9 10"],
        ),
    ],
)
def test_token_ids_are_shown_from_one_before_the_first_difference(
    reference: list[int], ours: list[int], shown: list[str]
) -> None:
    comparison = TokenizerComparison(3, "text", reference, ours)
    lines = [*tokenizer_lines(comparison, "a", "b")]
    assert lines[0] == "The tokenizers differ. The first text with different ids is 'text':"
    assert [line.strip() for line in lines[1:3]] == shown
