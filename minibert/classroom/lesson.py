"""The parts of a lesson that are not text: code of minibert, tables, figures, and exercises of the classroom.

In a notebook they are displayed, in a script they are printed. A figure of a script is not shown.
"""

import base64
import builtins
import inspect
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import dedent
from typing import Any

from minibert.display import Shown, number, table
from minibert.study.drawing import Draw, figure
from minibert.study.equations.registry import without_docstring

FIGURE_SIZE = (5.2, 3.2)
"""Width and height of a chart in inches, so that two of them fit on a page."""
DOTS_PER_INCH = 130


def show_code(*functions: Callable[..., Any] | type, folded: bool = True) -> None:
    """Show the source code of functions and classes of minibert, without their docstrings.

    Args:
        functions: the functions and classes.
        folded: a notebook folds the code of exercises, so that readers can write it themselves first. False for a function
            that is an exercise of the classroom, but not of this lesson.
    """
    from minibert.classroom.exercises import EXERCISES

    exercises = {inspect.unwrap(found.reference): found.name for found in EXERCISES.values()} if folded else {}
    for function in map(inspect.unwrap, functions):
        source = without_docstring(dedent(inspect.getsource(function)))
        show(Code(_title(function), re.sub(r"  # type: ignore.*", "", source).rstrip(), exercises.get(function, "")))


def show_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Show a table. The first cell of a row is its heading; numbers have four significant digits.

    >>> show_table(["width", "largest weight"], [[8, 0.51234], [512, 1.0]])
    width  largest weight
        8          0.5123
      512               1
    """
    show(Table(tuple(header), tuple(tuple(_cell(value) for value in row) for row in rows)))


def show_figure(*charts: Draw, alt: str, size: tuple[float, float] = FIGURE_SIZE) -> None:
    """Show charts next to each other.

    Args:
        charts: one function per chart, which draws on the axes that it receives.
        alt: a description for readers who cannot see the figure.
        size: width and height of each chart, in inches.
    """
    buffer = io.BytesIO()
    figure(*charts, size=size).savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    show(Picture(buffer.getvalue(), alt))


def exercise(name: str) -> None:
    """Show an exercise of the classroom. A notebook has its stub, and a check of what the reader writes, in this place.

    Raises: AssertionError if the solution does not pass.
    """
    from minibert.classroom.checking import check
    from minibert.classroom.exercises import find_exercise
    from minibert.classroom.stubs import purpose

    found = find_exercise(name)
    assert check(found.reference, found).passed, f"the solution of {name} does not pass"
    show(f"Exercise {found.name}: {purpose(found)}")
    show(f"To write it in a file: minibert learn. Its solution: minibert reveal {found.name}")


def show(item: Any) -> None:
    """Display an object in a notebook, or print it in a script."""
    if hasattr(builtins, "__IPYTHON__") and not isinstance(item, str):
        from IPython.display import display

        display(item)  # type: ignore[no-untyped-call]
    else:
        print(item)


@dataclass(frozen=True, repr=False)
class Code(Shown):
    """Source code with a title. If it is that of an exercise, a notebook folds it."""

    title: str
    source: str
    exercise: str = ""

    def _text(self) -> str:
        return f"# {self.title}\n{self.source}"

    def _repr_markdown_(self) -> str:
        code = f"```python\n{self._text()}\n```"
        summary = f"Code of <code>{self.exercise}</code>: an exercise. Write it first, or open it now."
        return f"<details><summary>{summary}</summary>\n\n{code}\n\n</details>" if self.exercise else code


@dataclass(frozen=True, repr=False)
class Table(Shown):
    """A table of texts."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _text(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        lines = ("  ".join(map(str.rjust, row, widths)) for row in (self.header, *self.rows))
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        return table(self.header, self.rows)


@dataclass(frozen=True, repr=False)
class Picture(Shown):
    """A figure as PNG, with a description."""

    content: bytes
    alt: str

    def _text(self) -> str:
        return f"Figure: {self.alt}"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.content).decode()
        return f'<img style="max-width:100%" alt="{escape(self.alt)}" src="data:image/png;base64,{data}">'


def _title(function: Callable[..., Any] | type) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _cell(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)
