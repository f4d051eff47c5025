"""The check of a learner's function: one question after the other, until one has the answer no."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.classroom.distance import largest_difference, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.mistakes import Kind
from minibert.classroom.naming import explain
from minibert.classroom.probes import Probe, expected, fingerprint, probes, probes_of
from minibert.classroom.report import Named, Report, Stage, Verdict
from minibert.classroom.running import LocalRunner, Outcome, Runner

KINDS_OF_NUMBERS = ((torch.bool,), (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8))
"""Data types that are interchangeable; all others are those of real numbers."""
Problem = tuple[Stage, str]
"""A failed part of the check, and what is wrong, in a sentence."""


def check_function(exercise: Exercise, runner: Runner, hidden_seeds: Iterable[int] = ()) -> Report:
    """Check a function.

    Args:
        runner: calls the function.
        hidden_seeds: seeds of more inputs, which the learner does not know.
    """
    outcomes = fingerprint(probes(exercise), runner)
    if all(outcome.error and outcome.error.startswith("NotImplementedError") for outcome in outcomes):
        return Report(exercise.name, Verdict.EMPTY, Stage.RUNS, "The function is still the empty stub.")
    hidden = probes_of(exercise, hidden_seeds)
    all_probes = [*probes(exercise), *hidden]
    mine = [*outcomes, *fingerprint(hidden, runner)]
    right = [*expected(exercise), *fingerprint(hidden, LocalRunner(exercise, exercise.reference))]
    problems = list(_problems(exercise, all_probes, mine, right, runner))
    serious = [(probe, problem) for probe, problem in problems if probe.case.role is not Role.LIMIT]
    report = Report(exercise.name, Verdict.PASSED, credit=_credit(serious))
    if not problems:
        return report
    explanation = explain(exercise, outcomes)
    report.mistakes = [Named.of(mistake) for mistake in explanation.mistakes]
    report.relation = explanation.relation
    report.warnings = list(explanation.warnings)
    if not serious:
        report.verdict = Verdict.WARNING
        report.warnings = report.warnings or [f"{problem[1]} ({probe.case.name})" for probe, problem in problems]
        return report
    order = list(Stage)
    report.failed, report.reason = min((problem for _, problem in serious), key=lambda problem: order.index(problem[0]))
    is_convention = bool(report.mistakes) and all(mistake.kind == Kind.CONVENTION for mistake in report.mistakes)
    report.verdict = Verdict.CONVENTION if is_convention else Verdict.WRONG
    if report.failed is Stage.RUNS:
        report.verdict = Verdict.ERROR
        report.line = next((outcome.line for outcome in mine if outcome.error), None)
    return report


def _credit(problems: Sequence[tuple[Probe, Problem]]) -> dict[str, bool]:
    """Return which parts are correct, for partial credit."""
    stages = {stage for probe, (stage, _) in problems if probe.case.role is Role.TYPICAL}
    edges = any(probe.case.role is Role.EDGE for probe, _ in problems)
    shape = not stages & {Stage.RUNS, Stage.SHAPE}
    forward = shape and not stages & {Stage.DTYPE, Stage.FINITE, Stage.INPUTS, Stage.VALUES}
    return {
        "shape": shape,
        "forward": forward,
        "gradient": forward and Stage.GRADIENTS not in stages,
        "edge cases": shape and not edges,
    }


def _problems(
    exercise: Exercise, probes: Sequence[Probe], mine: Sequence[Outcome], right: Sequence[Outcome], runner: Runner
) -> Iterator[tuple[Probe, Problem]]:
    """Yield the first problem of each call."""
    for probe, own, other in zip(probes, mine, right, strict=True):
        for question in (_runs, _shapes, _kinds, _finite, _inputs, _invariants, _values, _gradients):
            if problem := question(exercise, probe, own, other, runner):
                yield probe, problem
                break


Question = Callable[[Exercise, Probe, Outcome, Outcome, Runner], Problem | None]


def _runs(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    return (Stage.RUNS, own.error) if own.error else None


def _shapes(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    if own.outputs.keys() != other.outputs.keys():
        return Stage.SHAPE, f"The function returned {len(own.outputs)} results, expected {len(other.outputs)}."
    for name, output in own.outputs.items():
        if output.shape != other.outputs[name].shape:
            shapes = tuple(output.shape), tuple(other.outputs[name].shape)
            return Stage.SHAPE, f"The {name} has shape {shapes[0]}, expected {shapes[1]}."
    return None


def _kinds(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    for name, output in own.outputs.items():
        wanted = other.outputs[name].dtype
        if _kind(output.dtype) != _kind(wanted):
            return Stage.DTYPE, f"The {name} has the data type {output.dtype}, expected {wanted}."
    return None


def _kind(dtype: torch.dtype) -> int:
    return next((number for number, kind in enumerate(KINDS_OF_NUMBERS) if dtype in kind), len(KINDS_OF_NUMBERS))


def _finite(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    for name, output in own.outputs.items():
        for wrong, word in ((output.isnan(), "NaN"), (output.isinf(), "infinite")):
            if (wrong & other.outputs[name].isfinite()).any():
                return Stage.FINITE, f"The {name} has numbers that are {word}."
    return None


def _inputs(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    for name, tensor in own.after.items():
        if name.partition(".")[0] in exercise.changes:  # these are outputs
            continue
        before = other.after.get(name)
        if before is None or tensor.shape != before.shape or not torch.equal(tensor.nan_to_num(), before.nan_to_num()):
            return Stage.INPUTS, f"The function modified its argument {name}."
    return None


def _invariants(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    if probe.case.role is Role.LIMIT:  # rounding may be large there
        return None
    for invariant in exercise.invariants:
        changed = invariant.changed(dict(probe.arguments))
        if changed is None:
            continue
        again = runner(changed, gradients=False)
        outputs = _only(own.outputs), _only(again.outputs)
        if again.error or not invariant.holds(*outputs, probe.arguments):
            return Stage.INVARIANTS, f"This property does not hold: {invariant.name}."
    return None


def _only(outputs: dict[str, Tensor]) -> Tensor:
    return next(iter(outputs.values()), torch.tensor(torch.nan))


def _values(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    far = value_distance(own, other, probe.case, exercise.changes)
    return (Stage.VALUES, "The numbers differ.") if far > probe.case.tolerance else None


def _gradients(exercise: Exercise, probe: Probe, own: Outcome, other: Outcome, runner: Runner) -> Problem | None:
    if not own.gradients or not other.gradients:
        return None
    scale = max((gradient.abs().max().item() for gradient in other.gradients.values() if gradient.numel()), default=0.0)
    far = largest_difference(own.gradients, other.gradients, scale or 1.0)
    return (Stage.GRADIENTS, "The result is right, but its gradient is not.") if far > probe.case.tolerance else None


def check(function: Callable[..., Any], exercise: Exercise) -> Report:
    """Check a function in this process."""
    return check_function(exercise, LocalRunner(exercise, function))
