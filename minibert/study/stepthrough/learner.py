"""A learner's function in the sandbox of `against`: it is called with the recorded arguments of an equation."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from minibert.observe import record
from minibert.sandbox.errors import describe
from minibert.sandbox.limits import is_out_of_memory
from minibert.study.checked_attention import ARGUMENTS, CheckedAttention, UserCodeError
from minibert.study.stepthrough.failure import describe_failure
from minibert.trace import Leaf, Node, Operation

ATTENTION = "scaled_dot_product_attention"
RESULT = "result"
"""Name of the tensor that the function returned."""
RETURNED = "the returned tensor"
"""Description of a result that was computed outside of PyTorch."""
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "matmul": "@", "pow": "**"}
MAX_TEXT = 200
"""Largest number of characters of an expression; of a longer one, the beginning is shown."""


def expression_text(node: Any) -> str:
    """Return an expression as Python code.

    >>> expression_text(Operation("div", (Leaf("input", "query", torch.ones(1)), 8.0), {}, (1,)))
    'query / 8'
    """
    text = _text(node)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _text(node: Any) -> str:
    if isinstance(node, Leaf):
        return node.name.rpartition(".")[2] or f"a constant {tuple(node.value.shape)}"
    if isinstance(node, float):
        return f"{node:g}"
    if not isinstance(node, Operation):
        return repr(tuple(node) if isinstance(node, torch.Size) else node)
    arguments = [_text(each) for each in node.arguments]
    if node.name in INFIX and len(arguments) == 2:
        left, right = (f"({text})" if " " in text and not text.endswith(")") else text for text in arguments)
        return f"{left} {INFIX[node.name]} {right}"
    options = [
        f"{name}={value!r}" for name, value in node.options.items() if not isinstance(value, Tensor) and value is not None
    ]
    return f"{node.name}({', '.join([*arguments, *options])})"


def _call(
    function: Callable[..., Any], location: str, equation: str, arguments: Mapping[str, Any], returned: list[Any]
) -> None:
    """Call a learner's function like the equation. What it returns is added to `returned`, also if it is invalid."""
    if equation == ATTENTION:
        bias = {} if arguments["bias"] is None else {"bias": arguments["bias"]}
        values = [arguments[name] for name in ARGUMENTS]
        is_finite = all(value.isfinite().all() for value in values[:3])
        CheckedAttention(_adapted(function, len(values), returned, 3, bias), location, is_finite)(*values, **bias)
        return
    values = [*arguments.values()]
    result = _adapted(function, len(values), returned)(*values)
    if not isinstance(result, Tensor):
        raise UserCodeError(f"{location}: returned an object of type {type(result).__name__}: return a tensor")


def _adapted(
    function: Callable[..., Any], count: int, returned: list[Any], least: int = 1, options: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """Return a function of `count` arguments that leaves out those at the end that the learner's function does not have.

    Args:
        returned: gets what the function returns.
        least: number of arguments that are never left out.
        options: keyword arguments of the calls.
    """
    used = next((number for number in range(count, least - 1, -1) if _binds(function, number, options or {})), count)

    @functools.wraps(function)
    def adapted(*arguments: Any, **options: Any) -> Any:
        returned.append(function(*arguments[:used], **options))
        return returned[-1]

    if used < count:
        del adapted.__wrapped__  # it has more arguments than the learner's function
    return adapted


def _binds(function: Callable[..., Any], count: int, options: Mapping[str, Any]) -> bool:
    """Return True if a function can be called with so many arguments."""
    try:
        inspect.signature(function).bind(*range(count), **options)
    except TypeError:
        return False
    except ValueError:  # a function in C has no signature
        return True
    return True


@torch.no_grad()
def compute(
    function: Callable[..., Any], location: str, equation: str, calls: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Run the function with the arguments of each call. Returns descriptions of its tensors, and the tensors."""
    tensors: dict[str, Tensor] = {}
    results: list[dict[str, Any]] = []
    for number, given in enumerate(calls):
        named = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        found: dict[str, Any] = {"steps": [], "failure": None}
        results.append(found)
        returned: list[Any] = []
        with record(trace=named) as recording:
            try:
                _call(function, location, equation, given, returned)
            except Exception as error:
                if is_out_of_memory(describe(error)):  # the sandbox has a limit
                    raise
                failure, _ = describe_failure(error, recording)
                found["failure"] = asdict(failure)
            if returned and isinstance(returned[0], Tensor):  # also an invalid one, such as one of another type
                recording.add(RESULT, returned[0])
        steps: list[tuple[str, Tensor, Node]] = [("", tensor, node) for node, tensor in recording.operations()]
        steps += [(path, recording[path], recording.origin(path).expression) for path in recording.paths]
        for path, tensor, node in steps:
            tensors[f"{number}.{len(found['steps'])}"] = tensor
            text = RETURNED if isinstance(node, Leaf) and not node.name else expression_text(node)
            found["steps"].append({"name": path, "expression": text})
        if found["failure"] is not None:
            break
    return results, tensors
