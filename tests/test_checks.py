"""Tests of the checks of arguments: type, shape and values of a tensor."""

import math
from unittest import mock

import pytest
import torch

from minibert.checks import check_tensor, value_outside
from minibert.equations import cross_entropy


def test_without_a_type_or_a_shape_every_tensor_is_accepted() -> None:
    check_tensor("x", torch.ones(2, 3))
    check_tensor("x", torch.ones(2, 3), torch.float64, torch.float32, shape=torch.Size([2, 3]))


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (3, 2), (2, 3, 1)])
def test_no_shape_is_broadcast(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x has shape \(.*\), expected \(2, 3\)"):
        check_tensor("x", torch.ones(shape), shape=(2, 3))


@pytest.mark.parametrize(("value", "kind"), [([1], "list"), (1, "int"), (None, "NoneType"), ("1", "str")])
def test_something_else_than_a_tensor_is_rejected(value: object, kind: str) -> None:
    with pytest.raises(TypeError, match=rf"x is a {kind}: pass a tensor, such as torch\.tensor\(x\)"):
        check_tensor("x", value)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 9], None),
        ([], None),
        ([-1, 10], -1),
        ([3, 10, 11], 11),
        ([-7], -7),
        ([0.0, math.nan], math.nan),
        ([math.inf], math.inf),
    ],
)
def test_the_most_extreme_value_is_returned(numbers: list[float], expected: float | None) -> None:
    """A NaN is outside of every range."""
    found = value_outside(torch.tensor(numbers), 0, 9)
    assert found == expected or (found != found and expected != expected)


@pytest.mark.usefixtures("without_shape_checks")
def test_losses_of_single_examples_with_vmap() -> None:
    """`torch.func.vmap` computes per-example gradients; the tensors inside it have no values of their own."""
    logits, labels = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 2, 1, 1])
    gradients = torch.func.vmap(torch.func.grad(cross_entropy))(logits, labels)
    torch.testing.assert_close(gradients, logits.softmax(dim=-1) - torch.nn.functional.one_hot(labels, 3))


def test_values_are_not_read_while_compiling_or_on_another_device() -> None:
    wrong = torch.tensor([10])
    assert value_outside(wrong.to("meta"), 0, 9) is None
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        assert value_outside(wrong, 0, 9) is None
