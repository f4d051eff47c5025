"""Copies of batches to a device."""

import pytest
import torch
from torch import Tensor

from minibert.device import to_device
from minibert.kernels import Sequences

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that would copy tensors, for a machine without a GPU."""
    calls: list[str] = []

    def pin_memory(tensor: Tensor) -> Tensor:
        calls.append("pinned")
        return tensor

    def to(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        calls.append(f"{device.type}, {'does not wait' if non_blocking else 'waits'}")
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin_memory)
    monkeypatch.setattr(Tensor, "to", to)
    return calls


def test_a_copy_to_a_gpu_is_from_pinned_memory_and_does_not_wait(calls: list[str]) -> None:
    to_device(torch.zeros(2), CUDA)
    assert calls == ["pinned", "cuda, does not wait"]


def test_sequences_are_copied_tensor_by_tensor(calls: list[str]) -> None:
    sequences = Sequences(torch.ones(1, 2, dtype=torch.bool), torch.arange(2), torch.tensor([0, 2]))
    assert to_device(sequences, CUDA).shape == (1, 2)
    assert calls == ["pinned", "cuda, does not wait"] * 3


def test_memory_is_pinned_for_a_gpu_only(calls: list[str]) -> None:
    to_device(torch.zeros(2), CPU)
    assert calls == ["cpu, waits"]


@pytest.mark.cuda
def test_a_copy_has_the_same_numbers_on_cuda() -> None:
    x = torch.arange(6.0)
    copied = to_device(x, CUDA)
    assert copied.is_cuda
    assert torch.equal(copied.cpu(), x)
    assert to_device(copied, CUDA) is copied
