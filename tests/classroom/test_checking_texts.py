"""The texts of a check: errors, warnings and places, of small exercises."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom import checking
from minibert.classroom.candidates import Variant
from minibert.classroom.checking import check, check_function
from minibert.classroom.draws import EqualSizes
from minibert.classroom.exercise import Case, Role
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.probes import Probe, probes
from minibert.classroom.questions import Problem
from minibert.classroom.report import Named, Stage, Verdict
from minibert.classroom.running import LocalRunner, Outcome
from minibert.classroom.trail import Entry
from tests.classroom.small_exercise import case, exercise, scaled
from tests.classroom.test_checking import COUNT, USUAL, Changed, answered, report_of, three_times

X = torch.tensor([[1.0, 2.0]])


def in_parts(x: Float[Tensor, "rows columns"]) -> dict[str, Tensor]:
    return {"sum": x.sum(), "mean": x.mean()}


def test_the_parts_of_a_tuple_stand_for_those_of_a_dictionary_also_in_repeated_calls() -> None:
    of = replace(exercise(), reference=in_parts)
    assert check(lambda x: (x.sum(), x.mean()), of).verdict is Verdict.PASSED


def test_the_parts_of_a_tuple_have_the_order_of_those_of_a_dictionary() -> None:
    of = replace(exercise(), reference=in_parts)
    assert check(lambda x: (x.mean(), x.sum()), of).failed is Stage.VALUES


def test_gradients_are_asked_for_in_the_calls_of_the_check_alone() -> None:
    asked = []

    def runner(arguments, gradients, trail=False):
        asked.append((gradients, trail))
        return LocalRunner(USUAL, scaled)(arguments, gradients, trail)

    check_function(USUAL, runner, find=None)
    assert asked == [(True, False)] * COUNT + [(False, False)] * 3
    asked.clear()
    of = replace(USUAL, name="negative")
    check_function(of, lambda *given, **named: replace(runner(*given, **named), outputs={"output": X}), find=None)
    assert asked == [(True, False)] * COUNT + [(False, True)]


def test_a_recipe_that_needs_other_sizes_gives_no_repeated_calls() -> None:
    def recipe(draw):
        if isinstance(draw, EqualSizes):
            raise ValueError("the sizes must differ")
        return {"x": draw.numbers(2, 3)}

    of = exercise(Case("rows", recipe))
    runner = Changed(of, {})
    assert check_function(of, runner, find=None).verdict is Verdict.PASSED
    assert runner.calls == len(probes(of)) + 1 == 3


def test_a_repeated_call_that_is_stopped_is_no_hidden_one() -> None:
    stopped = {COUNT + 2: {"stopped": "It takes too long."}}
    assert report_of(stopped, hidden_seeds=(7, 8)).reason == "It takes too long."


def test_a_report_has_no_line_if_the_process_is_stopped_while_lines_are_recorded() -> None:
    report = report_of({1: {"outputs": {"output": X}}, COUNT: {"stopped": "It takes too long."}})
    assert (report.verdict, report.failed, report.line) == (Verdict.WRONG, Stage.SHAPE, None)


def test_an_example_is_searched_for_except_for_a_kept_state() -> None:
    found = []

    def find(call, problem):
        found.append(problem.stage)
        return call, problem

    report = check_function(USUAL, Changed(USUAL, {1: {"outputs": {"output": X}}}), find=find)
    assert found == [Stage.SHAPE]
    assert report.example.mine == "[[1. 2.]]"
    assert check_function(USUAL, Changed(USUAL, {COUNT: {"outputs": {"output": X}}}), find=find).example is None
    assert found == [Stage.SHAPE]


def test_an_error_is_explained_by_its_text_and_its_line() -> None:
    failed = {"error": "TypeError: 'Tensor' object is not callable", "outputs": {}, "line_text": "x(2)"}
    report = report_of(dict.fromkeys(range(COUNT), failed))
    assert report.reason.startswith("TypeError: 'Tensor' object is not callable. Parentheses after a tensor call it.")
    assert report.explained
    report = check(lambda x, factor=None: x * factor, exercise(case(), case(factor=2.0)))
    assert report.reason.endswith(
        " This happens only where the default factor = None is used. Use `factor` only `if factor is not None`."
    )
    assert report.explained


UNSAFE = Mistake(
    "cut off", scaled, (("return product", "return product.clamp(max=9)"),), "Cut.", "", "", Kind.UNSAFE, "Cut off."
)


def test_unsafe_numerics_are_warnings() -> None:
    large = Case("large numbers", lambda draw: {"x": 9 + draw.numbers(draw.size(2), 3).abs()}, Role.LIMIT)
    report = check(lambda x: (2 * x).clamp(max=9), exercise(case(), large, mistakes=(UNSAFE,)))
    assert report.verdict is Verdict.WARNING
    assert [warning.partition(":")[0] for warning in report.warnings] == ["large numbers"]
    assert report.mistakes == [Named("cut off", "unsafe numerics", "Cut off.", "", "")]


def test_unsafe_numerics_next_to_a_mistake_are_warnings_too() -> None:
    large = Case("large numbers", lambda draw: {"x": 9 + draw.numbers(draw.size(2), 3).abs()}, Role.LIMIT)
    report = check(lambda x: (3 * x).clamp(max=9), exercise(case(), large, mistakes=(UNSAFE, three_times(Kind.BUG))))
    assert (report.verdict, report.failed) == (Verdict.WRONG, Stage.VALUES)
    assert [warning.partition(":")[0] for warning in report.warnings] == ["large numbers"]


def test_other_axes_are_one_warning_for_all_of_them() -> None:
    of = exercise(case(), case(Role.AXES, "one row"), case(Role.AXES, "more axes"))
    axes = [number for number, probe in enumerate(probes(of)) if probe.case.role is Role.AXES]
    error, wrong = {"error": "ValueError: no", "outputs": {}}, {"outputs": {"output": torch.tensor(7.0)}}
    report = report_of({axes[0]: error, axes[-1]: wrong}, of)
    assert (report.verdict, report.failed, len(report.warnings)) == (Verdict.WARNING, None, 1)
    start = "The function does not work for all axes that the stub allows (one row, more axes). The result has the shape (), "
    assert report.warnings[0].startswith(start)
    assert " The input: more axes. Called with x of shape (" in report.warnings[0]
    assert report.warnings[0].endswith("In the stub, `*` means any number of axes, and `#` means this size or 1.")


def test_what_a_known_mistake_does_for_other_axes_is_no_warning() -> None:
    known = replace(three_times(Kind.BUG), edits=(("return product", "return product if len(x) > 1 else 3 * product"),))
    row = Case("one row", lambda draw: {"x": draw.numbers(1, 3)}, Role.AXES)
    problem = Problem(Stage.VALUES, "Other numbers.")
    of = exercise(case(), row, mistakes=(known,))
    for factor, count in ((6.0, 0), (6.01, 1)):
        call = replace(answered(Role.AXES, x=X), exercise=of, own=Outcome({"output": factor * X}, after={"x": X}))
        assert len(checking._at_other_axes([(call, problem)], Variant(of, (known,)))) == count


@pytest.mark.parametrize(
    ("edits", "are_known"),
    [
        ([("2.0 if", "3.0 if")], False),
        ([("return product", "return 1 * product")], False),
        ([("2.0 if", "3.0 if"), ("return product", "return 1 * product")], True),
        ([("no such code", ""), ("return product", "return 1 * product")], True),
    ],
)
def test_parts_of_a_mistake_that_change_nothing_are_known(edits, are_known) -> None:
    known = replace(three_times(Kind.BUG), edits=tuple(edits))
    exact = Probe(replace(case(), tolerance=0.0), 0, {"x": X})
    call = replace(answered(Role.TYPICAL), probe=exact, other=LocalRunner(USUAL, scaled)({"x": X}, False))
    harmless = checking._harmless(call, [known])
    assert any(torch.equal(entry.value, 2 * X) for entry in harmless) is are_known
    assert bool(harmless) is are_known


@pytest.mark.parametrize(("distance", "is_known"), [(0.25, True), (0.5, True), (0.75, False)])
def test_a_part_of_a_mistake_changes_nothing_up_to_the_tolerance(monkeypatch, distance: float, is_known: bool) -> None:
    trail = [Entry(1, "", "", X)]
    monkeypatch.setattr(checking, "LocalRunner", lambda *_: lambda *_, **__: Outcome({"output": X}, trail=trail))
    monkeypatch.setattr(checking, "value_distance", lambda *_: distance)
    call = replace(answered(Role.TYPICAL), probe=Probe(replace(case(), tolerance=0.5), 0, {"x": X}))
    two_parts = replace(three_times(Kind.BUG), edits=(("2.0 if", "3.0 if"), ("return product", "return 1 * product")))
    assert checking._harmless(call, [two_parts]) == (2 * trail if is_known else [])


def test_unsafe_numerics_are_named_if_the_function_fails_on_another_input() -> None:
    def fails(x, factor=None):
        if factor is not None:
            raise ValueError("no factor")
        return (3 * x).clamp(max=9)

    large = Case("large numbers", lambda draw: {"x": 9 + draw.numbers(draw.size(2), 3).abs()}, Role.EDGE)
    of = exercise(case(), large, case(Role.EDGE, factor=5.0), mistakes=(UNSAFE, three_times(Kind.BUG)))
    report = check(fails, of)
    assert (report.verdict, report.failed) == (Verdict.ERROR, Stage.RUNS)
    assert [each.name for each in report.mistakes] == ["three times"]
    assert report.warnings == ["Cut off."]


def test_the_last_agreement_is_not_described_for_a_wrong_gradient_or_next_to_a_difference() -> None:
    def other_gradient(x):
        product = x.detach() * 2
        return product + 0.3 * (x - x.detach())

    def another_factor(x):
        product = x * 2
        return product * 0.123

    report = check(other_gradient, USUAL)
    assert report.mistakes == []  # an edit that cuts the graph has no gradient, so it is not this function
    assert (report.failed, report.line, report.first_difference, report.agreement) == (Stage.GRADIENTS, None, "", "")
    report = check(another_factor, USUAL)
    assert report.relation == "Your numbers are 0.123 times the expected ones."
    assert report.first_difference.endswith("The result is the first value that differs.")
    assert report.agreement == ""
