"""Reduced functions: the code of each rule, before and after."""

import textwrap
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from minibert.classroom.reduction import Reduction
from tests.classroom.functions_to_reduce import (
    WEIGHTS,
    Layer,
    activated,
    assigned_known,
    attributes,
    branches,
    calls_twice,
    calls_with_star,
    chained,
    checked,
    computed,
    decorated,
    imported,
    is_none,
    kept_call,
    loops,
    names_observed,
    none_arguments,
    raises_or_returns,
    same_in_both_branches,
    same_name,
    shifted,
    stored_twice,
    tail_of_a_branch,
    unchanged,
    weighted,
    with_comments,
)


def reduced(function: Callable[..., Any], reduction: Reduction | None = None, **known: Any) -> str:
    """Return the code of a reduced function and of those that it calls."""
    reduction = reduction or Reduction()
    reduction.add(function, known)
    return "\n".join(reduction.functions.values())


def body(function: Callable[..., Any], **known: Any) -> str:
    """Return the lines of a reduced function."""
    reduction = Reduction()
    name = reduction.add(function, known)
    return textwrap.dedent(reduction.functions[name].partition(":\n")[2])


CODE = [
    (with_comments, {"causal": False}, """
        # the first line is kept as it is written
        y = x + 1_000
        return y"""),
    (with_comments, {"causal": True}, """
        # the first line is kept as it is written
        y = x + 1_000

        # and this comment

        y = y.tril()
        return y"""),
    (is_none, {"mask": None}, """
        scores = x
        scores = scores + 1
        scores = scores * 2
        return scores"""),
    (tail_of_a_branch, {"scale": None}, """
        if scale is None:
            scale = x.shape[-1] ** -0.5
            x = x * scale
        return x"""),
    (same_in_both_branches, {"n": 1}, "\nreturn 0.5 * 1"),
    (same_in_both_branches, {"n": 2}, "\nreturn half(1 if flag else 2) * (2 if flag else 1)"),
    (branches, {"n": 2, "flag": True}, """
        x = x * 2
        if x.ndim < 2:
            x.add_(2)
            half(x)
        return x[..., 2] + Tensor(2) + x * 2"""),
    (names_observed, {}, """
        y = x + 1
        return y"""),
    (checked, {}, """
        x.add_(y)
        return x"""),
    (raises_or_returns, {"n": 2}, """
        if x.ndim < 2:
            raise ValueError("two")
        elif x.ndim > 2:  # noqa: RET506
            x = x[0]
        return x"""),
    (loops, {"hook": None}, """
        for row in x:
            row += 1
        return x"""),
    (assigned_known, {"pair": (2, 0.5), "eps": 0.0}, """
        total: float
        total = x.sum()
        return total * 2 + 0.5 - 0.0"""),
    (stored_twice, {"n": 2}, """
        m = 2
        m += 1
        for k in range(2):
            m = m + k
        return m * x"""),
    (same_name, {"flag": False}, """
        y = x
        return x + y"""),
    (none_arguments, {"dtype": None, "dim": -1}, "\nreturn x.sum(-1, keepdim=None, out=out)"),
    (activated, {"activation": unchanged}, "\nreturn x + 1"),
    (computed, {"n": 3}, "\nreturn x * 1.5"),
    (calls_with_star, {"n": 2}, "\nreturn shifted(*x, 2)"),
    (chained, {"n": 2, "m": 3}, """
        x = x + 1
        if 2 < x.ndim:
            x = x + 2
        if not 1 < 2:
            x = x + 3
        return x"""),
    (chained, {"n": 5, "m": 3}, """
        if 5 < x.ndim:
            x = x + 2
        if not 1 < 2:
            x = x + 3
        return x"""),
]  # fmt: skip


@pytest.mark.parametrize(("function", "known", "code"), CODE)
def test_known_values_take_the_place_of_parameters(function: Callable, known: dict[str, Any], code: str) -> None:
    assert body(function, **known) == textwrap.dedent(code).removeprefix("\n")


def test_a_function_has_the_decorators_of_torch_the_other_parameters_and_a_body() -> None:
    assert reduced(decorated) == (
        "@torch.no_grad()\ndef decorated(x: Tensor, n: int = 2) -> Tensor:\n    if n != 2:\n        x *= n"
    )
    assert reduced(decorated, n=2) == "@torch.no_grad()\ndef decorated(x: Tensor) -> Tensor:\n    pass"


def test_functions_of_the_module_are_reduced_once_for_each_value_that_is_known() -> None:
    reduction = Reduction()
    assert reduction.add(calls_twice, {"n": 2}, "twice") == "twice"
    assert reduction.functions == {
        "shifted": "def shifted(x, scale = 1.0, reverse = False):\n    return x * scale - 2 if reverse else x * scale + 2",
        "shifted_2": shifted_code.replace("shifted(", "shifted_2("),
        "twice": (
            "def twice(x):\n"
            "    return shifted(x) + shifted_2(x, 1, scale=2.0, reverse=False) + shifted(x, reverse=True) + shifted(x)"
        ),
    }
    assert reduction.add(calls_twice, {"n": 2}) == "twice"
    assert reduction.add(shifted, {"by": 2}) == "shifted"


shifted_code = "def shifted(x, by, scale = 1.0, reverse = False):\n    return x * scale - by if reverse else x * scale + by"


def test_functions_that_are_kept_are_called_with_fewer_arguments() -> None:
    """An argument at the end that is the default is left out."""
    reduction = Reduction(frozenset({shifted}))
    assert (
        reduced(kept_call, reduction, n=2, one=1.0, off=False)
        == "def kept_call(x):\n    return shifted(x, 2) + shifted(x, 2, 2)"
    )


def test_values_without_a_notation_have_their_names() -> None:
    reduction = Reduction()
    code = reduced(imported, reduction, activation=nn.functional.relu, numbers=(1, 2))
    assert (code, reduction.imported) == ("def imported(x):\n    return relu(x) + sum((1, 2))", {nn.functional.relu})
    assert reduced(weighted, reduction, weights=WEIGHTS).endswith("\n    return x * WEIGHTS")
    assert reduction.imported == {nn.functional.relu}
    assert body(attributes, dtype=torch.int64) == "return x"


def test_a_function_that_returns_its_argument_is_left_out() -> None:
    def same(x):
        return x

    def nothing(x):
        return None

    assert body(activated, activation=same) == "return x + 1"
    assert body(activated, activation=nothing) == "return nothing(x) + 1"


def test_methods_become_functions_and_settings_constants() -> None:
    reduction = Reduction(module=Layer(), settings={"dropout": None})
    assert reduction.add(Layer.forward, {"flag": False}, "layer") == "layer"
    assert reduction.functions == {
        "scaled": "def scaled(self, x):\n    return self.linear(x)",
        "layer": "def layer(self, x):\n    x = self.linear(x)\n    return scaled(self, x) + self.eps",
    }
