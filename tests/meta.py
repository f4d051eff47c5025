"""The meta device, where tensors have a shape but no values.

What runs there makes no tensor on the CPU, reads no number on the host, and has no shape that depends on values. On a GPU, each
of these would make the host wait for the device, or fail.
"""

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

META = torch.device("meta")


class OnMeta(TorchDispatchMode):
    """Inside this block, an operation whose result is on another device raises."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device != META:
                raise AssertionError(f"{operation} makes a tensor of shape {tuple(tensor.shape)} on {tensor.device}")
        return result


def meta(value: Any) -> Any:
    """Move all tensors in a value to the meta device."""
    return tree_map_only(Tensor, lambda tensor: tensor.to(META), value)


@contextmanager
def read_as_ones() -> Iterator[list[Tensor]]:
    """Replace `Tensor.tolist` on the meta device: all numbers are 1. Return the list of the tensors that are read here.

    It is the only function with which a training step and a search read numbers. A batch is made on the CPU.
    """
    read: list[Tensor] = []
    tolist = Tensor.tolist

    def ones(tensor: Tensor) -> Any:
        if tensor.device.type == "cpu":
            return tolist(tensor)
        read.append(tensor)
        return np.ones(tensor.shape, dtype=np.int64).tolist()

    with mock.patch.object(Tensor, "tolist", ones):
        yield read


def classes(package: str, kind: type = object) -> set[type]:
    """Return the classes in the modules of a package that derive from a class."""
    modules = [import_module(each.name) for each in pkgutil.walk_packages(import_module(package).__path__, f"{package}.")]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    return {each for each in found if issubclass(each, kind) and each.__module__.startswith(f"{package}.")} - {kind}
