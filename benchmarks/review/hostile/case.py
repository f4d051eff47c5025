"""One hostile input: the files that it needs, a command, and what the command has to do."""

import json
import os
import shutil
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOCK = "../stock"
"""Folder with undamaged models, runs and courses, from the folder of a case."""
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u2028"
"""A window title, a cleared screen, a C1 control, a direction override and a line separator."""
MARKUP = "<script>canary()</script><img src=x onerror=canary()>\"'><svg onload=canary()>"
"""HTML that would run in a page that does not escape it."""
Damage = Callable[[Path], object]
"""A function that damages the files of a folder."""


@dataclass(frozen=True)
class Case:
    """One input and its expected result."""

    area: str
    kind: str
    command: str | list[str]
    """The words after `minibert`. Paths are relative to the folder of the case."""
    files: Callable[[Path], object] = lambda here: None
    """A function that writes the files of the case in an empty folder."""
    reason: str | None = None
    """A pattern that the message of a refusal has to have: the file or option, and what is wrong. None: the input is valid."""
    code: int | None = 2
    """Exit code of a refusal; None: 1 or 2."""
    may_pass: bool = False
    """Also accept that the command does its work."""
    seconds: float = 60.0
    """Time limit."""

    @property
    def words(self) -> list[str]:
        """The words of the command."""
        return self.command.split() if isinstance(self.command, str) else self.command


def take(here: Path, name: str) -> Path:
    """Copy a folder of the stock into the folder of a case."""
    return Path(shutil.copytree(here / STOCK / name, here / name))


def damaged(name: str, damage: Damage) -> Damage:
    """Return a function that copies a folder of the stock into the folder of a case and damages the copy."""
    return lambda here: damage(take(here, name))


def instead(name: str, make: Callable[[Path], object]) -> Damage:
    """Return a function that replaces a file by something else, such as a folder or a pipe."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return damage


def write(file: Path, content: str | bytes) -> None:
    """Write bytes, or text in UTF-8."""
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def written(name: str, content: str | bytes | Callable[[Path], object]) -> Damage:
    """Return a function that writes a file into a folder. A function as content makes the file itself, such as a pipe."""
    return lambda folder: content(folder / name) if callable(content) else write(folder / name, content)


def make_socket(file: Path) -> None:
    """Make a socket with the name of a file."""
    here = Path.cwd()
    os.chdir(file.parent)  # the name of a socket has at most 108 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(file.name)
    os.chdir(here)


def change_json(file: Path, **fields: Any) -> None:
    """Replace fields of a file with a JSON object."""
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def write_safetensors(file: Path, header: object, data: bytes = b"") -> None:
    """Write a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)
