"""Equations and kernels on the meta device; see `tests.meta`. Their arguments are those of the examples in the docstrings."""

import inspect
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from minibert import equations, kernels
from minibert.study.equations.registry import registry
from tests.meta import META, OnMeta, meta

REGISTRY = registry()
ON_HOST = {
    "bigram_entropy": "its counts need the ids; it is computed once, from the text of a run",
    "unigram_entropy": "its counts need the ids; it is computed once, from the text of a run",
    **dict.fromkeys(
        ("length_penalty", "lora_scale", "noam_schedule", "warmup_linear_schedule"), "it computes a number from numbers"
    ),
}
"""Equations that do not compute with tensors of the device, and the reason."""
ATTENTIONS = dict.fromkeys(("fused_attention", "unfused_attention"), "scaled_dot_product_attention")
KERNELS = {name: name for name in kernels.__all__ if name in REGISTRY} | ATTENTIONS
"""For each kernel, its equation."""


def example_calls(name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Return the arguments of each call of an equation in its example."""
    function, calls = getattr(equations, name), []

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append((args, kwargs))
        return function(*args, **kwargs)

    module = sys.modules[inspect.unwrap(function).__module__]
    exec(REGISTRY[name].example, {**vars(module), name: call, "torch": torch})
    return calls


def run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Compute a function and its gradients on the meta device."""
    args, kwargs = meta((args, kwargs))
    inputs = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor) and each.is_floating_point()]
    for tensor in inputs:
        tensor.requires_grad_()
    with OnMeta():
        results = [each for each in tree_leaves(function(*args, **kwargs)) if isinstance(each, Tensor)]
        differentiable = [each for each in results if each.requires_grad]
        if differentiable:
            torch.stack([each.sum() for each in differentiable]).sum().backward()
    assert results
    assert all(each.device == META for each in results)
    assert bool(differentiable) == (bool(inputs) and any(each.is_floating_point() for each in results))


@pytest.mark.parametrize("name", sorted(REGISTRY.keys() - ON_HOST.keys()))
def test_equations(name: str) -> None:
    for args, kwargs in example_calls(name):
        if name == "causal_mask":  # without a tensor among its arguments, it cannot know the device
            kwargs = {**kwargs, "device": META}
        run(getattr(equations, name), args, kwargs)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels(kernel: str) -> None:
    for args, kwargs in example_calls(KERNELS[kernel]):
        run(getattr(kernels, kernel), args, kwargs)


def test_linear_cross_entropy() -> None:
    """It is a linear map and an equation."""
    hidden, weight, bias, labels = torch.zeros(3, 4), torch.zeros(5, 4), torch.zeros(5), torch.tensor([0, 4, 2])
    for kernel in (kernels.linear_cross_entropy, kernels.linear_label_smoothing_loss):
        run(kernel, (hidden, weight, bias, labels), {})
    run(kernels.linear, (hidden, weight, bias), {})


def ragged(
    attend: Callable[..., Tensor], padded: Tensor, sequences: kernels.Sequences, output_at: Tensor
) -> tuple[Tensor, ...]:
    """Compute attention without padding, of all tokens and of some."""
    real = kernels.unpad(padded, sequences)
    some, selected = kernels.select_outputs(real, sequences, output_at)
    whole = kernels.ragged_attention(attend, *([real[:, None]] * 3), sequences)
    return kernels.pad(whole[:, 0], sequences), kernels.ragged_attention(
        attend, some[:, None], real[:, None], real[:, None], selected
    )


@pytest.mark.parametrize("attend", [equations.scaled_dot_product_attention, kernels.fused_attention])
def test_ragged_batches(attend: Callable[..., Tensor]) -> None:
    """The lengths are read when a batch is made."""
    mask = torch.tensor([[True, True, False], [True, False, False]])
    sequences = kernels.worthwhile_sequences(mask).to(META)
    run(partial(ragged, attend, sequences=sequences), (torch.zeros(2, 3, 4),), {"output_at": torch.tensor([[0], [3]])})


def test_every_kernel_has_an_equation() -> None:
    functions = {name for name in kernels.__all__ if inspect.isfunction(getattr(kernels, name))}
    without_meta = {"flash_attention", "ragged_flash_attention"}  # Triton's kernels need the numbers of the tensors
    linear = {"activated_linear", "dropout", "linear", "linear_cross_entropy", "linear_label_smoothing_loss"}
    ragged = {"pad", "ragged_attention", "select_outputs", "unpad", "worthwhile_sequences"}
    assert functions - KERNELS.keys() - without_meta - linear - ragged == {"check_attention", "choose_attention"}
