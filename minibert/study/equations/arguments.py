"""Arguments of an equation from text: `--query "[[1, 2]]"` on the command line."""

import ast
import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import torch
from jaxtyping import AbstractArray, jaxtyped
from torch import Tensor

from minibert import equations

CONSTANTS = {"inf": math.inf, "nan": math.nan, "true": True, "false": False, "null": None, "none": None}
"""Names that are allowed in a value, next to Python's True, False and None."""
NUMBERS = '1.5 or "[[1, 2], [3, 4]]"'
MAX_SIZE = 32_768
"""Largest whole number for an equation that returns a tensor: it may be a size, and a mask of this size has a gigabyte."""
EXPECTED: dict[type, str] = {int: "a whole number, such as 3", float: "a number, such as 0.5", bool: "true or false"}


def read_arguments(function: Callable[..., Any], given: Mapping[str, str]) -> dict[str, Any]:
    """Convert the texts given for some arguments of an equation to the types of its signature.

    Raises: ValueError that names the argument, its value, and what is expected.
    """
    parameters = inspect.signature(function).parameters
    if unknown := [name for name in given if name not in parameters]:
        known = ", ".join(f"--{name}" for name in parameters)
        raise ValueError(f"--{unknown[0]}: {function.__name__} has no such argument; it has {known}")
    arguments = {}
    for name, text in given.items():
        try:
            arguments[name] = _convert(parameters[name].annotation, text)
            if parameters[name].annotation is int and arguments[name] > MAX_SIZE and _is_tensor(_returned(function)):
                raise ValueError(f"is too large for an example, expected at most {MAX_SIZE}")
        except ValueError as error:
            raise ValueError(f"--{name} {_shortened(text)}: {error}") from None
    return arguments


def check_shapes(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Check the shapes of the arguments against the signature. Raises: ValueError that names those that do not fit."""
    checked: list[str] = []
    with jaxtyped("context"):
        for name, parameter in inspect.signature(function).parameters.items():
            if not isinstance(arguments[name], Tensor):
                continue
            kind = next(each for each in _alternatives(parameter.annotation) if _is_tensor(each))
            described = f"--{name} has shape {tuple(arguments[name].shape)}, which is {kind.dim_str!r}"
            if not isinstance(arguments[name], kind):
                problem = f"--{name} has shape {tuple(arguments[name].shape)}, expected {kind.dim_str!r}"
                raise ValueError("; ".join([problem, *checked, "an argument that is not given is that of the example"]))
            checked.append(described)


def _convert(annotation: Any, text: str) -> Any:
    """Convert a text to the type of a parameter."""
    alternatives = _alternatives(annotation)
    kind = alternatives[0]
    if type(None) in alternatives and text.strip().lower() in ("none", "null"):
        return None
    if get_origin(kind) is Literal:
        return _choice(text, get_args(kind))
    if kind is torch.device:
        return torch.device(_choice(text, ("cpu",)))
    if get_origin(kind) is Callable:
        return getattr(equations, _choice(text, _functions_of_one_tensor()))
    return _typed(kind, _literal(text))


def _typed(kind: Any, value: Any) -> Any:
    if _is_tensor(kind):
        return _tensor(kind, value)
    if get_origin(kind) is tuple:
        items = get_args(kind)
        if not isinstance(value, list | tuple) or len(value) != len(items):
            raise ValueError(f'expected {len(items)} values, such as "(0.9, 0.99)"')
        return tuple(_typed(item, each) for item, each in zip(items, value, strict=True))
    if get_origin(kind) is not None:  # a sequence of tensors
        if not isinstance(value, list | tuple) or not value:
            raise ValueError('expected a list of tensors, such as "[[1], [2, 3]]"')
        return [_typed(get_args(kind)[0], each) for each in value]
    if kind is bool and value in (0, 1):
        return bool(value)
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"expected {EXPECTED[kind]}")
    return kind(value)


def _tensor(kind: Any, value: Any) -> Tensor:
    """Make a tensor of numbers in nested lists. Whole numbers and truth values are checked, not rounded."""
    try:
        numbers = torch.tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"expected a number, or lists of equal lengths, such as {NUMBERS}") from None
    if "float64" in kind.dtypes:
        rounded = numbers.to(torch.get_default_dtype())
        if not rounded.isinf().equal(numbers.isinf()):
            raise ValueError(f"has a number that is too large for {rounded.dtype}")
        return rounded
    is_bool = "bool" in kind.dtypes
    exact = numbers.bool() if is_bool else numbers.long()
    if not exact.eq(numbers).all():
        raise ValueError("expected truth values: true and false, or 1 and 0" if is_bool else "expected whole numbers")
    return exact


def _literal(text: str) -> Any:
    """Read a number, a truth value, or nested lists of them."""
    try:
        tree = _NamedConstants().visit(ast.parse(text.strip(), mode="eval"))
        return ast.literal_eval(tree)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"is not a number or a list of numbers, such as {NUMBERS}") from None


class _NamedConstants(ast.NodeTransformer):
    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = node.id.lower()
        return ast.Constant(CONSTANTS[name]) if name in CONSTANTS else node


def _choice(text: str, choices: Sequence[str]) -> str:
    if text not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}")
    return text


def _functions_of_one_tensor() -> list[str]:
    """Return the equations that can be a sublayer or an activation function: they keep the shape of one tensor."""
    names = []
    for name in equations.__all__:
        annotations = list(getattr(getattr(equations, name), "__annotations__", {}).values())
        if len(annotations) == 2 and len({getattr(kind, "dim_str", kind) for kind in annotations}) == 1:
            names.append(name)
    return names


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _returned(function: Callable[..., Any]) -> Any:
    return inspect.signature(function).return_annotation


def _is_tensor(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, AbstractArray)


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
