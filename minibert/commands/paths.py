"""Paths on the command line. An empty one is refused: Python takes it for the current folder."""

import os
from pathlib import Path
from typing import Any

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from minibert.text.options import InvalidOption

MAX_NAME_BYTES = 255
"""Limit of the file systems of Linux and macOS."""
registry = ConstructorRegistry()
"""The rule for paths. Use it as a context manager around `tyro.cli`."""


@registry.primitive_rule
def _path_rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    if info.type is not Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: _path(words[0]),
        is_instance=lambda value: isinstance(value, Path),
        str_from_instance=lambda path: [str(path)],
    )


def _path(word: str) -> Path:
    if not word:
        raise InvalidOption("a file or folder on the command line has an empty name; is a variable of the shell not set?")
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in Path(word).parts):
        raise InvalidOption(f"{word[:40]}…: this name is too long; names of files have at most {MAX_NAME_BYTES} bytes")
    return Path(word)
