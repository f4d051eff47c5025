"""A learner's function next to the correct one, on the recorded inputs of a walk: the first step that differs."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minibert import equations
from minibert.study.checked_attention import UserCodeError
from minibert.study.stepthrough.differences import MASKED, StepDifference, difference
from minibert.study.stepthrough.learner import ATTENTION, RESULT, compute
from minibert.study.stepthrough.step import Failure, Step, Walk
from minibert.study.user_code import TIME_LIMIT, UserCode, limits_of
from minibert.trace import Call, Node, Operation

TOLERANCE = 1e-4
"""Largest relative difference that is rounding."""

SAME_DIRECTION = 0.999
"""Least cosine similarity of a tensor and a multiple of it, up to rounding."""


@dataclass(frozen=True, eq=False)
class LearnerResult:
    """A tensor that a learner's function computed."""

    name: str
    """The name that the function gave it with `observe`; empty for the result of an operation without one."""
    expression: str
    """The operations, such as "query @ transpose(key, -2, -1)"."""
    output: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class Against:
    """The result of comparing a learner's function with an equation."""

    location: str
    """File and function, such as "my_attention.py:attention"."""
    equation: str
    """The equation that it was compared with."""
    calls: int
    """Number of calls of the equation in the walk that were compared."""
    step: Step | None = None
    """The first step that differs; None if none does."""
    mine: LearnerResult | None = None
    """The learner's result at this step: the one that the function named, or the most similar one."""
    difference: StepDifference | None = None
    """The difference to the step; None if no result has its shape."""
    failure: Failure | None = None
    """The exception, or the invalid result, that ended the function."""
    results: tuple[LearnerResult, ...] = ()
    """All that the function computed in this call."""

    def others(self) -> dict[str, tuple[str, Tensor]]:
        """Return the learner's result as the argument `others` of `step_through_page`."""
        if self.step is None or self.mine is None:
            return {}
        return {self.step.path: (f"yours: {self.mine.expression}", self.mine.output.reshape(self.step.output.shape))}


@dataclass(frozen=True, eq=False)
class _Call:
    equation: str
    arguments: Mapping[str, Any]
    steps: list[Step]


def against(walk: Walk, location: str, show: Callable[[str], None] = lambda _: None, time_limit: float = TIME_LIMIT) -> Against:
    """Call a learner's function with the recorded arguments of an equation, and find the first step that differs.

    The function runs in a subprocess with limits. It is compared with the equation of its name, or of its arguments; any
    other function is an attention function. Steps that it names with `observe` are compared by name, others by their values.

    Args:
        location: file and function, such as "my_attention.py:attention"; the function can be left out if there is only one.
        show: a function that receives what the learner's code prints.
        time_limit: seconds after which the code is stopped.

    Raises: UserCodeError if there is no such function, if the file has an error, or if a limit is exceeded; ValueError if
        the walk has no such equation.
    """
    calls = _calls(walk)
    names = {call.equation: [*call.arguments] for call in calls}
    location, equation = choose_function(location, names)
    chosen = [call for call in calls if call.equation == equation]
    with UserCode(location, compute, show, limits_of(time_limit)) as code:
        found, tensors = code(location, equation, [dict(call.arguments) for call in chosen])
    for number, (call, entry) in enumerate(zip(chosen, found, strict=False)):
        results = tuple(
            LearnerResult(each["name"], each["expression"], tensors[f"{number}.{place}"])
            for place, each in enumerate(entry["steps"])
        )
        failure = _failure(entry["failure"], location.rpartition(":")[0], call.steps[-1], results)
        step = first_difference(call.steps, results, failure)
        if step is not None:
            mine = _nearest(step, call.steps[: call.steps.index(step)], results)
            changed = None if mine is None else difference(step, mine.output.reshape(step.output.shape))
            return Against(location, equation, number + 1, step, mine, changed, failure, results)
    return Against(location, equation, len(chosen))


def _failure(found: dict[str, Any] | None, file: str, last: Step, results: Sequence[LearnerResult]) -> Failure | None:
    """Return the failure of a call, also for a result of a wrong shape.

    Args:
        file: the learner's file. The sandbox has a copy of it.
    """
    module = last.path.rpartition(".")[0]
    if found is not None:
        copy, _, line = found["code"].rpartition(":")
        code = f"{file}:{line}" if Path(copy).name == Path(file).name else found["code"]
        return Failure(**{**found, "path": module, "code": code, "arguments": tuple(found["arguments"])})
    shape = next((tuple(each.output.shape) for each in results if each.name == RESULT), ())
    right = tuple(last.output.shape)
    return None if shape == right else Failure(module, f"returned a tensor of shape {shape}: it must be {right}", "", "")


def _calls(walk: Walk) -> list[_Call]:
    """Return the calls of equations in a walk, with the steps that they observed or returned."""
    calls: dict[Any, _Call] = {}
    for step in walk.steps:
        if step.expression is None:
            continue
        own = walk.recording.origin(step.path).call
        inner = {each.equation: each for each in _inner_calls(step.expression) if own is None or each.equation != own.equation}
        returned = [each for each in inner.values() if _returns(each, step)]
        for call in ([] if own is None else [own]) + returned:
            key = (call.equation, *(id(value) for value in call.arguments.values()))
            calls.setdefault(key, _Call(call.equation, call.arguments, [])).steps.append(step)
    return [*calls.values()]


def _inner_calls(node: Node) -> Iterator[Call]:
    """Yield the calls of equations in an expression, such as that of the softmax in attention weights."""
    if isinstance(node, Operation):
        if node.call is not None:
            yield node.call
        for argument in node.arguments:
            if isinstance(argument, Operation):
                yield from _inner_calls(argument)


def _returns(call: Call, step: Step) -> bool:
    """Return True if the result of a call is the output of a step, up to a mask that changes nothing."""
    result = getattr(equations, call.equation)(**call.arguments)
    return isinstance(result, Tensor) and result.shape == step.output.shape and torch.equal(result, step.output)


def choose_function(location: str, known: Mapping[str, list[str]]) -> tuple[str, str]:
    """Return the location with the name of the function, and the equation to compare it with. No code is run.

    Args:
        known: names of the arguments of each equation of the walk.

    Raises: UserCodeError without a file, for a syntax error, and if the function is missing or one must be chosen;
        ValueError if there is no such equation.
    """
    shown, name = (location, "") if location.endswith(".py") else (location.rpartition(":")[0], location.rpartition(":")[2])
    file = Path(shown)
    if not shown.endswith(".py") or not file.is_file():
        raise UserCodeError(f"Python file {shown or location} not found: give FILE.py or FILE.py:FUNCTION")
    try:
        parsed = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserCodeError(f"{shown}, line {getattr(error, 'lineno', 1)}: {error}") from error
    functions = {node.name: node.args for node in parsed.body if isinstance(node, ast.FunctionDef)}
    if not name:
        likely = [each for each in functions if each in known or "attention" in each]
        candidates = likely if len(likely) == 1 else [*functions]
        if len(candidates) != 1:
            raise UserCodeError(f"{shown} has {', '.join(functions) or 'no functions'}: choose one with {shown}:FUNCTION")
        name = candidates[0]
    equation = name if name in known else _equation_of(functions.get(name), known)
    if equation not in known:
        raise ValueError(f"the forward pass does not use {equation}, so there is nothing to compare {name} with")
    return f"{shown}:{name}", equation


def _equation_of(arguments: ast.arguments | None, known: Mapping[str, list[str]]) -> str:
    """Return the equation whose arguments have the names of a function's, or else attention."""
    if arguments is not None:
        required = [each.arg for each in arguments.args[: len(arguments.args) - len(arguments.defaults)]]
        for equation, names in known.items():
            if required and required == names[: len(required)]:
                return equation
    return ATTENTION


def first_difference(steps: list[Step], results: tuple[LearnerResult, ...], failure: Failure | None = None) -> Step | None:
    """Return the first step behind the last one that the learner's function has computed correctly.

    A step that the function leaves out, such as dot products that are not yet scaled, does not differ if a later one is right,
    or if it has no results that could be this step, because it computes without PyTorch.
    """
    right = [number for number, step in enumerate(steps) if any(_is_equal(step, result) for result in _for(step, results))]
    wrong = [
        number
        for number, step in enumerate(steps)
        if number not in right and any(result.name == step.name for result in results)
    ]
    missing = (right[-1] if right else -1) + 1
    if failure is None and not wrong and missing == len(steps):
        return None
    if any(result.name == RESULT for result in results):  # otherwise the function ended before the later steps
        missing = next((number for number in range(missing, len(steps)) if any(_for(steps[number], results))), missing)
    return steps[min([*wrong, missing, len(steps) - 1])]


def _for(step: Step, results: tuple[LearnerResult, ...]) -> Iterator[LearnerResult]:
    """Yield the results that can be a step: those of its name, or else all with as many numbers."""
    named = [result for result in results if result.name == step.name]
    yield from (result for result in named or results if result.output.numel() == step.output.numel())


def _is_equal(step: Step, result: LearnerResult) -> bool:
    return difference(step, result.output.reshape(step.output.shape)).relative <= TOLERANCE


def _is_same(one: LearnerResult, other: LearnerResult) -> bool:
    numbers, others = (result.output.double().flatten() for result in (one, other))
    return torch.allclose(numbers, others, rtol=TOLERANCE, atol=0.0, equal_nan=True)


def _nearest(step: Step, earlier: Sequence[Step], results: tuple[LearnerResult, ...]) -> LearnerResult | None:
    """Return the result in the direction of a step; of several, the last one.

    A result that is an earlier step is this one only if it has the same direction: the learner left out a factor, or a mask.
    If there are only earlier steps, it is the last of them: the learner left out the whole step.
    """
    found, best = None, -2.0
    candidates = [*_for(step, results)]
    for result in candidates:
        one = step.output.double().flatten()
        other = result.output.double().flatten()
        kept = (one > MASKED) & (other > MASKED)
        cosine = torch.cosine_similarity(one[kept], other[kept], dim=0).nan_to_num(-1.0).item()
        if cosine < SAME_DIRECTION and any(result in _for(each, results) and _is_equal(each, result) for each in earlier):
            continue
        if cosine >= best - 1e-6 and (found is None or not _is_same(found, result)):
            found, best = result, max(best, cosine)
    return candidates[-1] if found is None and candidates else found
