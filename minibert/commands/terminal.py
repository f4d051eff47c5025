"""Output of the commands. Everything that a command prints goes through this module, which escapes unsafe characters.

Styles use the palette of the terminal, without white and black, so that text is visible on a light and on a dark background.
"""

import codecs
import errno
import io
import json
import math
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.table import Table
from rich.text import Text

from minibert.printable import UNSAFE, printable

Renderable: TypeAlias = RenderableType
"""A string, a text or a table that rich can display."""
MAX_TABLE_WIDTH = 1000
ASCII = {"✓": "+", "✗": "x", "○": "o", "■": "#", "≈": "~", "…": "...", "×": "x", "−": "-", "–": "-", "′": "'", "·": "*"}
"""Replacements of signs for a terminal without them. All others are escaped."""
CODE_STYLES: dict[tuple[str, ...], Style] = {
    (): Style(),
    ("Keyword",): Style(color="blue"),
    ("Operator", "Word"): Style(color="blue"),
    ("Name", "Function"): Style(bold=True),
    ("Literal", "String"): Style(color="green"),
    ("Comment",): Style(dim=True),
}
"""Styles of code by the token types of Pygments."""


class PlainConsole(Console):
    """A console that prints text as it is: without rich's markup and emoji codes, and with unsafe characters escaped."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Convert a string to rich's text. Tables and `print` call this method for every string."""
        styles = {name: options[name] for name in ("style", "justify", "overflow") if options.get(name) is not None}
        return Text(printable(text, lines=True), **styles)

    def on_broken_pipe(self) -> None:
        """Leave a closed pipe to `main`, where rich would end the process."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


console = PlainConsole(highlight=False)
"""The console of progress bars and of the lines above them."""


def styled(text: object, style: str | Style = "") -> Text:
    """Return text with a style, such as "bold", for a line or for a cell of a table."""
    return Text(printable(text, lines=True), style=style)


def say(*texts: str | Text) -> None:
    """Print texts, one below the other. Lines are not wrapped, so that they can be copied."""
    with output():
        for text in texts:
            console.print(text, soft_wrap=True)


def say_part(text: str) -> None:
    """Print a part of a text at once, without a line end."""
    with output():
        console.print(styled(text), end="", soft_wrap=True)


def say_table(table: Table, whole: bool = False) -> None:
    """Print a table. Cells are folded to the width of the terminal, or the table is printed whole."""
    current = PlainConsole(highlight=False)
    needed = Measurement.get(current, current.options.update(max_width=MAX_TABLE_WIDTH), table).maximum if whole else 0
    with output():
        PlainConsole(highlight=False, width=max(current.width, needed)).print(table)


def say_parts(parts: Iterable[Renderable]) -> None:
    """Print texts and tables, one below the other, folded to the width of the terminal."""
    with output():
        current = PlainConsole(highlight=False)
        for part in parts:
            current.print(part)


def screen_size() -> tuple[int, int]:
    """Return the columns and the lines of the terminal."""
    size = PlainConsole(highlight=False).size
    return size.width, size.height


@contextmanager
def full_screen() -> Iterator[Callable[[Sequence[Renderable]], None]]:
    """Show texts and tables in place of the text of the terminal, which comes back at the end of the block.

    Yields: a function that replaces what is shown. Lines that do not fit are left out.
    """
    current = PlainConsole(highlight=False)
    with output(), current.screen() as screen:
        yield lambda parts: screen.update(Group(*parts))


def say_code(code: str, language: str = "python") -> None:
    """Print code with the colors of the terminal's palette."""
    say(
        Syntax(code, language, theme=ANSISyntaxTheme(CODE_STYLES), background_color="default").highlight(
            printable(code, lines=True)
        )
    )


def say_json(value: object, indent: int | None = 2) -> None:
    """Print JSON. Infinities and NaN, which JSON lacks, become strings. Characters that cannot be shown are escaped.

    Args:
        indent: number of spaces of each level; None prints one line, as in JSONL.
    """
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    say(json.dumps(_finite(value), indent=indent, ensure_ascii=not is_utf8, allow_nan=False))


def shell_command(*words: object) -> str:
    """Return a command to copy into a shell. A word with unsafe characters is quoted as `$'…'`, which bash and zsh read."""
    return " ".join(_escaped(str(word)) if UNSAFE.search(str(word)) else shlex.quote(str(word)) for word in words)


def _escaped(word: str) -> str:
    plain = {char for char in map(chr, range(32, 127)) if char not in "\\'"}
    return "$'" + "".join(chr(byte) if chr(byte) in plain else f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"


@contextmanager
def output() -> Iterator[None]:
    """Write to the standard output, name it in errors, and write no more to it after an error."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing the rest at the exit cannot fail
        raise OSError(error.errno, error.strerror, "standard output") from error  # a BrokenPipeError stays one


def input_lines() -> list[str]:
    """Read all lines of the standard input, without line ends. Raises: ValueError if it is not UTF-8."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the standard input is not UTF-8 (byte {error.start + 1}): convert it, for example with iconv"
        ) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]  # the last line ends with a newline, and no line begins after it


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def report(message: object) -> None:
    """Print an error or a warning to the standard error, as one line. A list in it, of indented lines, stays a list."""
    report_lines("\n  ".join(map(printable, f"minibert: {message}".split("\n  "))))


def report_lines(text: str) -> None:
    """Print several lines to the standard error."""
    if text:
        print(printable(text, lines=True).rstrip("\n"), file=sys.stderr, flush=True)


def show_warning(message: Warning | str, *where: object, **options: object) -> None:
    """Print a warning without the line of code that issued it. It replaces `warnings.showwarning`."""
    report(f"warning: {message}")


def open_streams() -> None:
    """Open the standard streams that are closed, and replace or escape the characters that their encoding does not have."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
    codecs.register_error("ascii_signs", _with_ascii_signs)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ascii_signs")


def _with_ascii_signs(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace the first character that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    return ASCII[sign] if sign in ASCII else sign.encode("ascii", "backslashreplace").decode(), error.start + 1
