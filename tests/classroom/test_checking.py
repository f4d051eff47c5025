"""The report of a check, from the outcomes of single calls: small exercises, and functions that do one thing wrong."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from minibert.classroom import checking
from minibert.classroom.checking import LIST, ONLY_HIDDEN, OUTSIDE, STATE, check, check_function
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.probes import Probe, probes
from minibert.classroom.questions import Answered, Problem
from minibert.classroom.report import Report, Stage, Verdict
from minibert.classroom.running import LocalRunner, Outcome
from minibert.equations import IGNORE_INDEX
from tests.classroom.small_exercise import case, exercise, scaled

USUAL = exercise()


class Changed:
    """Calls the reference, and changes the outcomes of some calls, counted from 0."""

    def __init__(self, of: Exercise, changes) -> None:
        self.runner, self.changes, self.calls = LocalRunner(of, scaled), changes, 0

    def __call__(self, arguments, gradients, trail=False) -> Outcome:
        outcome = replace(self.runner(arguments, gradients, trail), **self.changes.get(self.calls, {}))
        self.calls += 1
        return outcome


def report_of(changes, of: Exercise = USUAL, **options):
    return check_function(of, Changed(of, changes), find=None, **options)


COUNT = len(probes(USUAL))
HIDDEN = COUNT
"""Number of the first hidden call."""


def test_a_check_calls_the_function_for_every_probe_and_for_three_repetitions() -> None:
    runner = Changed(USUAL, {})
    assert check_function(USUAL, runner, hidden_seeds=(7,), find=None).verdict is Verdict.PASSED
    assert (COUNT, runner.calls) == (3, 3 + 1 + 3)


def test_random_results_are_not_repeated() -> None:
    of = exercise(replace(case(), summary=lambda tensor: tensor.mean()))
    runner = Changed(of, {})
    assert check_function(of, runner, find=None).passed
    assert runner.calls == len(probes(of)) == 2


def test_a_process_that_was_stopped_is_reported_with_its_line() -> None:
    report = report_of({1: {"stopped": "It takes too long.", "line": 3, "printed": "a"}})
    assert (report.verdict, report.failed, report.reason) == (Verdict.STOPPED, Stage.RUNS, "It takes too long.")
    assert (report.line, report.printed, report.only_hidden) == (3, "a", False)


def test_of_a_hidden_call_that_was_stopped_nothing_is_shown() -> None:
    report = report_of({HIDDEN: {"stopped": "It takes too long.", "printed": "a"}}, hidden_seeds=(7,))
    assert (report.verdict, report.reason, report.printed, report.only_hidden) == (Verdict.STOPPED, ONLY_HIDDEN, "", True)


def test_a_process_that_is_stopped_in_a_repeated_call_is_reported() -> None:
    report = report_of({COUNT: {"stopped": "It takes too long."}})
    assert (report.verdict, report.reason) == (Verdict.STOPPED, "It takes too long.")


def test_a_stub_raises_the_same_error_in_every_call() -> None:
    stub = {"error": "NotImplementedError: "}
    assert report_of(dict.fromkeys(range(COUNT), stub)).verdict is Verdict.EMPTY
    assert report_of(dict.fromkeys(range(COUNT - 1), stub)).verdict is Verdict.ERROR


@pytest.mark.parametrize("call", [COUNT, COUNT + 1, COUNT + 2])
def test_other_numbers_in_a_repeated_call_are_a_kept_state(call) -> None:
    changed = {call: {"outputs": {"output": torch.zeros(4, 4)}}}
    report = report_of(changed | ({COUNT + 2: changed[call]} if call == COUNT + 1 else {}))
    assert (report.verdict, report.failed, report.reason) == (Verdict.WRONG, Stage.VALUES, STATE.text)
    assert report.explained
    assert report.credit["shape"]
    assert not report.credit["forward"]


def test_a_result_that_is_kept_for_a_shape_is_found_by_two_calls_of_the_same_shape() -> None:
    kept: dict[torch.Size, Tensor] = {}
    report = check(lambda x: kept.setdefault(x.shape, 2 * x), exercise(replace(case(), gradients=False)))
    assert report.reason == STATE.text


def test_what_the_first_visible_call_printed_is_shown() -> None:
    printed = {1: {"printed": "one"}, 2: {"printed": "two"}, HIDDEN: {"printed": "hidden"}}
    assert report_of(printed, hidden_seeds=(7,)).printed == "one"
    assert report_of({HIDDEN: {"printed": "hidden"}}, hidden_seeds=(7,)).printed == ""


def test_gradients_that_are_not_checked_are_noted() -> None:
    assert report_of({1: {"leaves_torch": True}}).notes == [OUTSIDE]
    assert report_of({1: {"leaves_torch": True}}, exercise(replace(case(), gradients=False))).notes == []


def test_a_list_in_place_of_a_tensor_is_a_warning() -> None:
    report = report_of({1: {"is_list": True}})
    assert (report.verdict, report.warnings) == (Verdict.WARNING, [LIST])
    wrong = report_of({0: {"outputs": {"output": torch.zeros(2)}}, 1: {"is_list": True}})
    assert (wrong.verdict, wrong.warnings) == (Verdict.WRONG, [])


def test_the_first_part_of_a_check_that_any_call_fails_is_reported() -> None:
    other_shape, nan = {"outputs": {"output": torch.zeros(2)}}, {"outputs": {"output": torch.full((4, 4), math.nan)}}
    report = report_of({1: other_shape, 2: nan})
    assert (report.failed, report.verdict, report.explained) == (Stage.SHAPE, Verdict.WRONG, True)
    report = report_of({2: nan})
    assert (report.failed, report.explained) == (Stage.FINITE, False)
    assert report.reason == "The result: 16 of 16 numbers are NaN, the first at [0, 0], expected " + report.reason.split()[-1]


def test_a_visible_problem_is_reported_before_a_hidden_one() -> None:
    error, other_shape = {"error": "ValueError: no", "outputs": {}}, {"outputs": {"output": torch.zeros(2)}}
    report = report_of({1: other_shape, HIDDEN: error}, hidden_seeds=(7,))
    assert (report.failed, report.only_hidden) == (Stage.SHAPE, False)
    report = report_of({HIDDEN: error}, hidden_seeds=(7,))
    assert (report.verdict, report.failed, report.reason) == (Verdict.WRONG, Stage.RUNS, ONLY_HIDDEN)
    assert (report.only_hidden, report.warnings) == (True, [])


def test_an_error_is_reported_with_its_line() -> None:
    failed = {"error": "ValueError: no.", "outputs": {}, "line": 4, "line_text": "raise"}
    report = report_of(dict.fromkeys(range(COUNT), failed))
    assert (report.verdict, report.reason) == (Verdict.ERROR, "ValueError: no.")
    assert (report.line, report.line_text, report.explained) == (4, "raise", False)
    report = report_of({2: failed})
    assert report.reason == "ValueError: no. The input: usual numbers. Called with x of shape (4, 4)."


def test_problems_at_limits_are_warnings_with_the_name_of_the_case() -> None:
    of = exercise(case(), case(Role.LIMIT, "large numbers"))
    wrong = {"outputs": {"output": torch.zeros(2)}}
    report = report_of({2: wrong}, of)
    assert (report.verdict, report.failed) == (Verdict.WARNING, None)
    assert [text.partition(" has the shape")[0] for text in report.warnings] == ["large numbers: The result"]
    assert report.credit == {"shape": True, "forward": True, "gradient": True, "edge cases": True}
    report = report_of({len(probes(of)) + 1: wrong}, of, hidden_seeds=(7,))
    assert report.warnings == ["large numbers: the result differs."]
    report = report_of({2: wrong, 3: wrong, 0: {"is_list": True}}, exercise(case(), case(Role.LIMIT)))
    assert [text.partition(":")[0] for text in report.warnings[:-1]] == ["usual numbers", "usual numbers"]
    assert report.warnings[-1] == LIST


def three_times(kind: Kind) -> Mistake:
    edits = (("2.0 if", "3.0 if"),)
    return Mistake("three times", scaled, edits, "The factor is 3.", "Too large.", "", kind, "You took 3.")


@pytest.mark.parametrize(("kind", "verdict"), [(Kind.BUG, Verdict.WRONG), (Kind.CONVENTION, Verdict.CONVENTION)])
def test_a_convention_is_no_mistake(kind, verdict) -> None:
    report = check(lambda x: 3 * x, exercise(mistakes=(three_times(kind),)))
    assert report.verdict is verdict
    assert [(each.name, each.kind) for each in report.mistakes] == [("three times", kind)]
    assert report.mistakes[0].message == "You took 3."
    assert report.example.mine != report.example.expected


def test_the_first_line_with_other_values_is_the_place() -> None:
    def wrong(x):
        product = x * 3.0 + 1
        return product.sin()

    report = check(wrong, USUAL)
    assert (report.first_difference, report.agreement) == ("", "")
    assert (report.line_text, report.line) == ("product = x * 3.0 + 1", wrong.__code__.co_firstlineno + 1)
    assert check_function(USUAL, LocalRunner(USUAL, wrong), find=None).example is None


def test_the_line_that_changes_an_argument_is_the_place() -> None:
    def in_place(x):
        x *= 2
        return x.clone()

    report = check(in_place, USUAL)
    assert (report.failed, report.line_text, report.first_difference) == (Stage.INPUTS, "x *= 2", "")


def other_factor(x):
    product = x * 2
    return product * 3


@pytest.mark.parametrize(
    ("failed", "relation", "line", "is_described"),
    [
        (Stage.VALUES, "", "return product * 3", True),
        (Stage.VALUES, "Three times.", "return product * 3", True),
        (Stage.GRADIENTS, "", "", False),
        (Stage.SHAPE, "", "", False),
        (Stage.RUNS, "", "", False),
    ],
)
def test_a_place_is_searched_where_values_can_be_compared(failed, relation, line, is_described) -> None:
    """Not for a wrong gradient, and not for a result of another shape without a known mistake."""
    report = Report("scaled", Verdict.WRONG, failed, relation=relation)
    x = torch.tensor([[1.0, 2.0]])
    call = replace(answered(Role.TYPICAL, x=x), runner=LocalRunner(USUAL, other_factor))
    checking._locate(report, call, ())
    assert (report.line_text, bool(report.first_difference), report.agreement) == (line, is_described, "")


def answered(role: Role, number: int = 0, error: str = "", **arguments) -> Answered:
    probe = Probe(case(role), 0, arguments)
    return Answered(USUAL, probe, Outcome(error=error or None), Outcome(), lambda *given: Outcome())


ALL = {"shape": True, "forward": True, "gradient": True, "edge cases": True}


@pytest.mark.parametrize(
    ("role", "stage", "wrong"),
    [
        (Role.TYPICAL, Stage.RUNS, ALL),
        (Role.TYPICAL, Stage.SHAPE, ALL),
        (Role.TYPICAL, Stage.DTYPE, ["forward", "gradient"]),
        (Role.TYPICAL, Stage.FINITE, ["forward", "gradient"]),
        (Role.TYPICAL, Stage.INPUTS, ["forward", "gradient"]),
        (Role.TYPICAL, Stage.INVARIANTS, ["forward", "gradient"]),
        (Role.TYPICAL, Stage.VALUES, ["forward", "gradient"]),
        (Role.TYPICAL, Stage.GRADIENTS, ["gradient"]),
        (Role.EDGE, Stage.RUNS, ["edge cases"]),
        (Role.EDGE, Stage.VALUES, ["edge cases"]),
    ],
)
def test_credit_is_given_for_what_is_right(role, stage, wrong) -> None:
    calls = [answered(Role.TYPICAL), answered(Role.EDGE)]
    problems = [(answered(role), Problem(stage, "wrong"))]
    assert checking._credit(calls, problems) == {name: name not in wrong for name in ALL}
    if role is Role.TYPICAL:  # without an edge case, they are right if the values are
        assert checking._credit(calls[:1], problems)["edge cases"] == ("forward" not in wrong)


@pytest.mark.parametrize(
    ("failing", "passing", "names"),
    [
        ([{}], [{"factor": 1.0}], ["factor"]),
        ([{"factor": None}], [{"factor": 1.0}], ["factor"]),
        ([{}], [{"factor": 1.0, "shift": 1.0}], ["factor", "shift"]),
        ([{"factor": 1.0}], [{}], []),
        ([{}, {"factor": 1.0}], [{"factor": 2.0}], []),
        ([{}], [{}], []),
    ],
)
def test_an_argument_that_is_missing_where_and_only_where_it_fails_is_named(failing, passing, names) -> None:
    of = exercise(case(factor=1.0, shift=1.0))
    calls = [replace(answered(Role.TYPICAL, error="ValueError", **each), exercise=of) for each in failing]
    calls += [replace(answered(Role.TYPICAL, **each), exercise=of) for each in passing]
    calls.append(replace(answered(Role.LIMIT, factor=1.0, shift=1.0, error="ValueError"), exercise=of))
    assert checking._missing_where_it_fails(calls) == names


def test_the_advice_about_a_default_names_the_one_that_is_none() -> None:
    of = exercise(case(factor=1.0, shift=1.0))
    assert checking._not_given(of, ["shift"]) == "This happens only where the default shift = 0.0 is used."
    assert checking._not_given(of, ["shift", "factor"]) == (
        "This happens only where the default shift = 0.0 and factor = None is used. Use `factor` only `if factor is not None`."
    )


def softmax_by_logarithm(scores: Tensor) -> Tensor:
    return torch.exp(scores - scores.logsumexp(-1, keepdim=True))


def loss_by_softplus(logits: Tensor, labels: Tensor, reduction: str = "mean") -> Tensor:
    right = torch.where(labels == 1, logits[..., 1] - logits[..., 0], logits[..., 0] - logits[..., 1])
    losses = torch.nn.functional.softplus(-right).masked_fill(labels == IGNORE_INDEX, 0.0)
    count = (labels != IGNORE_INDEX).sum().clamp(min=1)
    return losses if reduction == "none" else losses.sum() / (1 if reduction == "sum" else count)


@pytest.mark.parametrize(
    ("name", "function", "seeds"),
    [("softmax", softmax_by_logarithm, range(120, 140)), ("next_sentence_loss", loss_by_softplus, range(60, 80))],
)
def test_the_rounding_of_large_scores_is_no_warning(name, function, seeds) -> None:
    """Right functions that round otherwise. With the tolerance of usual numbers, one of these seeds would be a warning."""
    exercise = EXERCISES[name]
    report = check_function(exercise, LocalRunner(exercise, function), seeds, find=None)
    assert (report.verdict, report.warnings) == (Verdict.PASSED, [])
