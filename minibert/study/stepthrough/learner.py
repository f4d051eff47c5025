"""A learner's function in the subprocess of `against`: it is called with the recorded arguments of an equation."""

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from minibert.observe import record
from minibert.study.checked_attention import CheckedAttention, UserCodeError
from minibert.study.stepthrough.failure import describe_failure
from minibert.study.verify.sandbox import INPUTS, limit_resources, load_function, run_child
from minibert.trace import Leaf, Node, Operation

ATTENTION = "scaled_dot_product_attention"
RESULTS = "results"
"""Name of the tensor with the names and expressions of the other tensors, as JSON in bytes."""
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "matmul": "@", "pow": "**"}


def expression_text(node: Any) -> str:
    """Return an expression as Python code.

    >>> expression_text(Operation("div", (Leaf("input", "query", torch.ones(1)), 8.0), {}, (1,)))
    'query / 8'
    """
    if isinstance(node, Leaf):
        return node.name.rpartition(".")[2] or f"a constant {tuple(node.value.shape)}"
    if isinstance(node, float):
        return f"{node:g}"
    if not isinstance(node, Operation):
        return repr(node)
    arguments = [expression_text(each) for each in node.arguments]
    if node.name in INFIX and len(arguments) == 2:
        left, right = (f"({text})" if " " in text and not text.endswith(")") else text for text in arguments)
        return f"{left} {INFIX[node.name]} {right}"
    options = [
        f"{name}={value!r}" for name, value in node.options.items() if not isinstance(value, Tensor) and value is not None
    ]
    return f"{node.name}({', '.join([*arguments, *options])})"


def _call(function: Any, location: str, equation: str, arguments: Mapping[str, Any]) -> Tensor:
    """Call a learner's function like the equation. Arguments that the function does not have are left out at the end."""
    if equation == ATTENTION:
        bias = {} if arguments["bias"] is None else {"bias": arguments["bias"]}
        checked = CheckedAttention(function, location)
        return checked(*(arguments[name] for name in ("query", "key", "value", "keep", "dropout")), **bias)
    values = [*arguments.values()]
    signature = inspect.signature(function)
    while len(values) > 1 and not _binds(signature, values):
        values.pop()
    result = function(*values)
    if not isinstance(result, Tensor):
        raise UserCodeError(f"{location}: returned an object of type {type(result).__name__}: return a tensor")
    return result


def _binds(signature: inspect.Signature, values: list[Any]) -> bool:
    try:
        signature.bind(*values)
    except TypeError:
        return False
    return True


@torch.no_grad()
def _compute(folder: Path, location: str, equation: str, calls: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Run the function on each call, and return all its tensors. The descriptions of them go to the file `RESULTS`."""
    function = load_function(location)
    inputs = safetensors.torch.load_file(folder / INPUTS)
    tensors: dict[str, Tensor] = {}
    results: list[dict[str, Any]] = []
    for number, others in enumerate(calls):
        given = {name: inputs.get(f"{number}.{name}", value) for name, value in others.items()}
        named = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        found: dict[str, Any] = {"steps": [], "failure": None}
        results.append(found)
        with record(trace=named) as recording:
            try:
                recording.add("result", _call(function, location, equation, given))
            except Exception as error:
                failure, _ = describe_failure(error, recording)
                found["failure"] = asdict(failure)
        steps: list[tuple[str, Tensor, Node]] = [("", tensor, node) for node, tensor in recording.operations()]
        steps += [(path, recording[path], recording.origin(path).expression) for path in recording.paths]
        for path, tensor, node in steps:
            tensors[f"{number}.{len(found['steps'])}"] = tensor
            found["steps"].append({"name": path, "expression": expression_text(node)})
        if found["failure"] is not None:
            break
    return {**tensors, RESULTS: torch.tensor([*json.dumps(results).encode()], dtype=torch.uint8)}


def _main(name: str, time_limit: str, location: str, equation: str, calls: str) -> None:
    folder = Path(name)
    limit_resources()
    run_child(folder, float(time_limit), location, lambda: _compute(folder, location, equation, json.loads(calls)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
