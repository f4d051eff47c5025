"""Half precision (float16 and bfloat16): the equations compute in single precision, as PyTorch's kernels do."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

ParametersT = ParamSpec("ParametersT")
ResultT = TypeVar("ResultT")


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision to single precision. Other tensors are returned as they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the type of matrix products inside of autocast; None outside of it, and for a device that does not have it."""
    is_on = torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if is_on else None


def in_single_precision(equation: Callable[ParametersT, ResultT]) -> Callable[ParametersT, ResultT]:
    """Make an equation compute in at least single precision, and round its results to the type of its first argument.

    In half precision, a square, a product of two vectors or an exponential can overflow although the result does not:
    float16 ends at 65504. Autocast, which would convert products to half precision, is off.
    """

    first_parameter = next(iter(inspect.signature(equation).parameters))

    @functools.wraps(equation)
    def computed(*args: ParametersT.args, **kwargs: ParametersT.kwargs) -> ResultT:
        first = args[0] if args else kwargs.get(first_parameter)
        if not isinstance(first, Tensor):  # the equation raises the error
            return equation(*args, **kwargs)
        device = first.device.type
        with torch.autocast(device if torch.amp.is_autocast_available(device) else "cpu", enabled=False):
            result = equation(
                *(_convert(value, at_least_float32) for value in args),
                **{name: _convert(value, at_least_float32) for name, value in kwargs.items()},
            )
        rounded: ResultT = _convert(result, lambda tensor: tensor.to(first.dtype))
        return rounded

    return computed


def _convert(value: Any, conversion: Callable[[Tensor], Tensor]) -> Any:
    """Convert a floating-point tensor, or those in a tuple."""
    if isinstance(value, tuple):
        return tuple(_convert(part, conversion) for part in value)
    return conversion(value) if isinstance(value, Tensor) and value.is_floating_point() else value
