"""Signatures as code for Python and PyTorch, and types as text."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from minibert.classroom.exercise import Exercise
from minibert.classroom.signatures import WIDTH, annotation_code, annotation_text, definition
from minibert.equations import gelu

FLOAT = Float[Tensor, "*batch width"]
NONE = inspect.Parameter.empty


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        (FLOAT, "Tensor", "float tensor (*batch, width)"),
        (Shaped[Tensor, "tokens"], "Tensor", "shaped tensor (tokens)"),
        (Float[Tensor, ""], "Tensor", "float tensor without axes, one number"),
        (Bool[Tensor, "*keys"] | None, "Tensor | None", "bool tensor (*keys), or None"),
        (list[FLOAT], "list[Tensor]", "list of float tensor (*batch, width)"),
        (list[int], "list[int]", "list[int]"),
        (tuple[Tensor, ...], "tuple[Tensor, ...]", "tuple[Tensor, ...]"),
        (tuple[FLOAT, Bool[Tensor, "*keys"]], "tuple[Tensor, Tensor]", "tuple of float tensor (*batch, width)"),
        (int | float, "int | float", "int, or float"),
        (Literal["mean", 1], "Literal['mean', 1]", "Literal['mean', 1]"),
        (Callable[[Tensor, int], Tensor], "Callable[[Tensor, int], Tensor]", "Callable[[Tensor, int], Tensor]"),
        (Callable[[Exercise], Tensor], "Callable", "Callable"),
        (Callable[..., Tensor], "Callable", "Callable"),
        (Sequence[Exercise], "", ""),
        (list[Exercise], "", ""),
        (None, "None", ""),
        (type(None), "None", "None"),
        (Tensor, "Tensor", "Tensor"),
        (torch.dtype, "torch.dtype", "dtype"),
        (nn.Module, "nn.Module", "Module"),
        (torch.optim.Optimizer, "torch.optim.Optimizer", "Optimizer"),
        (bool, "bool", "bool"),
        (Exercise, "", "Exercise"),
        (NONE, "", ""),
        ("text", "", ""),
        (Any, "", "Any"),
    ],
)
def test_a_type_as_code_and_as_text(kind: Any, code: str, text: str) -> None:
    """A class that is neither of Python nor of PyTorch has no code."""
    assert (annotation_code(kind), annotation_text(kind)) == (code, text)


def definition_of(function: Callable[..., Any], name: str = "f", without: str = "") -> str:
    signature = inspect.signature(function)
    parameters = {key: value for key, value in signature.parameters.items() if key != without}
    return definition(name, parameters, signature.return_annotation)


def test_a_definition_has_types_and_defaults() -> None:
    def function(
        x: FLOAT, exercise: Exercise, n: int = 2, mode: str = "mean", keep: Bool[Tensor, "*keys"] | None = None
    ) -> Tensor:
        return x

    assert definition_of(function) == (
        "def f(x: Tensor, exercise, n: int = 2, mode: str = 'mean', keep: Tensor | None = None) -> Tensor:"
    )
    assert definition_of(lambda x, pair=(1, 2): x) == "def f(x, pair = (1, 2)):"


def test_a_default_of_minibert_is_the_function_of_pytorch() -> None:
    """Without one of the same name it is required. Later parameters without a default are then given by name."""

    def other(x):
        return x

    assert definition_of(lambda x, activation=gelu: x) == "def f(x, activation = torch.nn.functional.gelu):"
    assert definition_of(lambda x, n=1, first=other, second=other, m=2: x) == "def f(x, n = 1, *, first, second, m = 2):"
    assert definition_of(lambda x, first=other, n=1: x) == "def f(x, first, n = 1):"


def test_a_long_definition_has_a_line_for_each_parameter() -> None:
    def function(x: Tensor, width: int = 2) -> Tensor:
        return x

    name = "f" * (WIDTH - len("def (x: Tensor, width: int = 2) -> Tensor:"))
    assert definition_of(function, name) == f"def {name}(x: Tensor, width: int = 2) -> Tensor:"
    assert definition_of(function, f"{name}f") == f"def {name}f(\n    x: Tensor,\n    width: int = 2,\n) -> Tensor:"
