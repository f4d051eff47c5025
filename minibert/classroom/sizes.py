"""The names and sizes of the axes of arguments and results, read from the annotations of a function."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from torch import Tensor


def names_of_axes(annotation: Any, axes: int) -> list[str]:
    """Return the names of the axes of a tensor from its annotation, such as `Float[Tensor, "*batch tokens width"]`.

    An axis without a name has the empty name.
    """
    names: list[str] = getattr(annotation, "dim_str", "").split()
    for option in get_args(annotation):
        names = names or getattr(option, "dim_str", "").split()
    names = [name.strip("#{}") for name in names]
    variadic = next((number for number, name in enumerate(names) if name.startswith(("*", "..."))), None)
    if variadic is not None:
        missing = axes - len(names) + 1
        names = [*names[:variadic], *[""] * missing, *names[variadic + 1 :]]
    return [name if name.isidentifier() else "" for name in names] if len(names) == axes else [""] * axes


def sizes_of(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, int]:
    """Return the sizes of the named axes of the arguments, and the arguments that are whole numbers, by name."""
    sizes: dict[str, int] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        value = arguments.get(name)
        if isinstance(value, Tensor):
            names = names_of_axes(parameter.annotation, value.dim())
            sizes |= {axis: size for axis, size in zip(names, value.shape, strict=True) if axis}
        elif isinstance(value, int) and not isinstance(value, bool):
            sizes[name] = value
    return sizes


def name_of_axis(function: Callable[..., Any], axis: int, axes: int) -> str:
    """Return an axis of the result in words, such as `the axis "tokens"` or "axis 0"."""
    name = names_of_axes(inspect.signature(function).return_annotation, axes)[axis]
    return f'the axis "{name}"' if name else f"axis {axis}"
