"""Copies of batches to a device."""

from typing import Any

import torch
from torch import Tensor


def to_device(value: Any, device: torch.device) -> Any:
    """Copy a tensor to a device, or something with tensors by its own method `to`.

    A GPU copies while the CPU goes on, which takes pinned memory: memory that the system does not move.
    """
    if isinstance(value, Tensor) and torch.device(device).type == "cuda" and not value.is_cuda:
        return value.pin_memory().to(device, non_blocking=True)
    return value.to(device)
