"""Names and sizes of axes, from the annotations of a function."""

import functools
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from minibert.classroom.sizes import name_of_axis, names_of_axes, sizes_of


@pytest.mark.parametrize(
    ("annotation", "axes", "names"),
    [
        (Float[Tensor, "tokens width"], 2, ["tokens", "width"]),
        (Float[Tensor, "tokens width"] | None, 2, ["tokens", "width"]),
        (Float[Tensor, "tokens width"], 3, ["", "", ""]),
        (Float[Tensor, "*batch tokens width"], 2, ["tokens", "width"]),
        (Float[Tensor, "*batch tokens width"], 3, ["", "tokens", "width"]),
        (Float[Tensor, "*batch tokens width"], 4, ["", "", "tokens", "width"]),
        (Float[Tensor, "*batch tokens width"], 1, [""]),
        (Float[Tensor, "rows *#more columns"], 4, ["rows", "", "", "columns"]),
        (Float[Tensor, "... tokens"], 2, ["", "tokens"]),
        (Float[Tensor, "#tokens {width}"], 2, ["tokens", "width"]),
        (Float[Tensor, "3 width tokens+1"], 3, ["", "width", ""]),
        (Float[Tensor, ""], 0, []),
        (Tensor, 2, ["", ""]),
        (Tensor | None, 1, [""]),
    ],
)
def test_the_axes_of_an_annotation_have_names(annotation: Any, axes: int, names: list[str]) -> None:
    assert names_of_axes(annotation, axes) == names


def function(
    x: Float[Tensor, "*batch tokens width"], y: Float[Tensor, "width 3"], heads: int, causal: bool, rate: float = 0.5
) -> Float[Tensor, "*batch tokens"]:
    return x


@functools.wraps(function)
def wrapped(*arguments: Any) -> Any:
    return function(*arguments)


@pytest.mark.parametrize("made", [function, wrapped])
def test_sizes_are_those_of_named_axes_and_whole_numbers(made: Any) -> None:
    arguments = {"x": torch.zeros(7, 2, 4), "y": torch.zeros(4, 3), "heads": 2, "causal": True}
    assert sizes_of(made, arguments) == {"tokens": 2, "width": 4, "heads": 2}
    assert sizes_of(made, {"heads": 3}) == {"heads": 3}
    assert [name_of_axis(made, axis, 2) for axis in (0, 1)] == ["axis 0", 'the axis "tokens"']
