"""The tests on the meta device notice what they are for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.meta import META, OnMeta, read_as_ones

CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "a number that is read": lambda x: x.sum().item(),
    "a condition": lambda x: bool((x > 0).all()),
    "a copy on the CPU": lambda x: x.cpu(),
    "a list": lambda x: x.tolist(),
    "a Boolean index": lambda x: x[x > 0],
    "positions": lambda x: x.nonzero(),
    "a comparison with a tensor on the CPU": lambda x: x == torch.zeros(3),
    "an index on the CPU": lambda x: x[torch.tensor([0])],
    "a number of repetitions": lambda x: x.repeat_interleave(x.long()),
    "a number on the CPU": lambda x: x * torch.tensor(2.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_makes_the_host_wait_for_the_device_raises(name: str) -> None:
    """Numbers of Python, and shapes that do not depend on values, do not."""
    x = torch.rand(3, device=META)
    with OnMeta(), pytest.raises((AssertionError, NotImplementedError, RuntimeError)):
        CHANGES[name](x)
    with OnMeta():
        assert (2 * x[1:] + torch.arange(2, device=x.device)).shape == (2,)


def test_tensors_that_are_read_are_listed() -> None:
    with read_as_ones() as read:
        assert torch.rand(1, 2, device=META).tolist() == [[1, 1]]
    assert [tensor.shape for tensor in read] == [(1, 2)]
