"""Descriptions of options in the help, from the docstrings of their fields."""

import dataclasses
import typing
from functools import cache
from typing import Annotated, Any

from docstring_parser import parse_from_object
from tyro.conf import arg


def describe_options(options: Any) -> None:
    """Give every field of an options class, and of the classes in it, a description. Those that have one keep it.

    On its own, tyro keeps the line breaks of docstrings that are indented, and shows None and empty defaults.
    """
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        extras = getattr(hint, "__metadata__", ())
        kind = hint.__origin__ if extras else hint
        if dataclasses.is_dataclass(kind):
            describe_options(kind)
        elif not any(getattr(extra, "help", None) for extra in extras):
            owner = next(each for each in options.__mro__ if name in vars(each).get("__annotations__", {}))
            if text := _docstrings(owner).get(name):
                described = arg(help=_one_line(text, getattr(owner, name, ...)), help_behavior_hint=_default)
                owner.__annotations__[name] = Annotated[hint, described]


@cache
def _docstrings(owner: type) -> dict[str, str | None]:
    """Map the fields that a class itself declares to their docstrings."""
    return {field.arg_name: field.description for field in parse_from_object(owner).params}


def _one_line(text: str, default: Any) -> str:
    line = " ".join(text.split())
    return line.replace("None: ", "Default: ") if default is None else line


def _default(value: str) -> str:
    return f"(default: {value})" if value not in ("", "None") else ""
