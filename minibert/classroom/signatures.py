"""Signatures and types as code that needs Python and PyTorch only, and as text with the names of the axes."""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import torch
from jaxtyping import AbstractArray
from torch import nn

WIDTH = 100
"""Longest line."""
EMPTY = inspect.Parameter.empty


def definition(name: str, parameters: Mapping[str, inspect.Parameter], returned: Any) -> str:
    """Return the line `def …:`, or several lines if it is long."""
    written: list[str] = []
    optional = False
    for parameter in parameters.values():
        annotation, default = annotation_code(parameter.annotation), _default(parameter.default)
        if optional and not default and "*" not in written:
            written.append("*")  # a parameter without a default cannot follow one that has it
        optional |= bool(default)
        written.append(f"{parameter.name}{f': {annotation}' if annotation else ''}{f' = {default}' if default else ''}")
    end = f") -> {annotation_code(returned)}:" if annotation_code(returned) else "):"
    line = f"def {name}({', '.join(written)}{end}"
    if len(line) <= WIDTH:
        return line
    return "\n    ".join([f"def {name}(", *(f"{each}," for each in written)]) + f"\n{end}"


def _default(value: Any) -> str:
    """Return a default as code. A function of minibert is replaced by PyTorch's of the same name, if there is one."""
    if value is None or isinstance(value, bool | int | float | str | tuple):
        return repr(value)
    name = getattr(value, "__name__", "")
    return f"torch.nn.functional.{name}" if value is not EMPTY and hasattr(nn.functional, name) else ""


def annotation_code(kind: Any) -> str:
    """Return an annotation without shapes as code; empty if it needs a class that is not of Python or PyTorch."""
    if kind is None or kind is type(None):
        return "None"
    if get_origin(kind) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(kind)))}]"
    if get_origin(kind) is not None:
        return _generic(kind)
    if not isinstance(kind, type) or kind is EMPTY:
        return ""
    if issubclass(kind, AbstractArray):
        return "Tensor"
    name = kind.__name__
    if kind.__module__ == "builtins":
        return name
    if kind is torch.Tensor:
        return name
    known = ((torch, "torch."), (nn, "nn."), (torch.optim, "torch.optim."))
    return next((f"{prefix}{name}" for module, prefix in known if getattr(module, name, None) is kind), "")


def _generic(kind: Any) -> str:
    """Return an annotation with parts, such as `Tensor | None` and `tuple[Tensor, int]`."""
    origin = get_origin(kind)
    if origin is Callable:
        taken, returned = get_args(kind)
        parts = [annotation_code(part) for part in taken] if isinstance(taken, list) else [""]
        whole = [*parts, result := annotation_code(returned)]
        return f"Callable[[{', '.join(parts)}], {result}]" if all(whole) else "Callable"
    parts = ["..." if part is ... else annotation_code(part) for part in get_args(kind)]
    if not all(parts):
        return ""
    return " | ".join(parts) if origin in (Union, types.UnionType) else f"{getattr(origin, '__name__', '')}[{', '.join(parts)}]"


def annotation_text(kind: Any) -> str:
    """Return type and axes of an annotation as text, such as "float tensor (*batch, width), or None"."""
    if get_origin(kind) in (Union, types.UnionType):
        return ", or ".join(filter(None, map(annotation_text, get_args(kind))))
    if get_origin(kind) is not None:
        inner = [annotation_text(part) for part in get_args(kind) if isinstance(part, type) and issubclass(part, AbstractArray)]
        return f"{getattr(get_origin(kind), '__name__', '').lower()} of {inner[0]}" if inner else annotation_code(kind)
    if not isinstance(kind, type) or kind is EMPTY:
        return ""
    if issubclass(kind, AbstractArray):
        axes = ", ".join(kind.dim_str.split())
        return f"{kind.__name__.partition('[')[0].lower()} tensor {f'({axes})' if axes else 'without axes, one number'}"
    return "None" if kind is type(None) else kind.__name__
