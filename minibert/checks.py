"""Checks of the tensors and numbers that a user passes to a model or a loss.

Types and shapes are always checked. Values are checked on the CPU only: on a GPU a check would wait for the GPU in every
step. There, the kernels of embeddings and losses stop the program at a value outside their tables.
"""

from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

ADVICE = {torch.bool: "bool", torch.int32: "int", torch.int64: "long", torch.float32: "float"}
"""Methods of a tensor that convert it."""


def check_tensor(name: str, value: object, *dtypes: torch.dtype, shape: Sequence[int] | None = None) -> None:
    """Check that an argument is a tensor of one of the `dtypes` (none: any) and of the shape (None: any). Nothing is broadcast.

    Raises: TypeError for something else than a tensor and for another dtype, ValueError for another shape.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}: pass a tensor, such as torch.tensor({name})")
    if dtypes and value.dtype not in dtypes:
        expected = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(
            f"{name} has the type {str(value.dtype).removeprefix('torch.')}, expected {expected}: "
            f"convert it with {name}.{ADVICE[dtypes[-1]]}()"
        )
    if shape is not None and value.shape != tuple(shape):
        raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {tuple(shape)}")


def check_number(name: str, value: object) -> None:
    """Raise TypeError for an argument that is no number, such as the string of a command line."""
    if isinstance(value, bool) or not isinstance(value, Real | Tensor):
        raise TypeError(f"{name} is {value!r}: pass a number")


def can_check_values(tensor: Tensor) -> bool:
    """Return False on a GPU, on the meta device, while a model is compiled, and inside of `torch.func`."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and not is_transformed(tensor)


def is_transformed(*tensors: Tensor) -> bool:
    """Return True for tensors inside of a function of `torch.func`, such as `grad` and `vmap`; while compiling, False."""
    return not torch.compiler.is_compiling() and any(map(torch._C._functorch.is_functorch_wrapped_tensor, tensors))


def value_outside(tensor: Tensor, least: float, most: float) -> float | None:
    """Return the smallest value if it is below `least`, else the largest one if it is above `most`, else None.

    Without values that can be checked, return None; see `can_check_values`.
    """
    if not can_check_values(tensor) or not tensor.numel():
        return None
    smallest, largest = (value.item() for value in tensor.aminmax())
    return smallest if not smallest >= least else largest if not largest <= most else None
