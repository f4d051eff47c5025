"""The Python code of a notebook. Nothing of it runs here."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = re.compile(r"^([ \t]*)(?:[\w, ]+=[ \t]*)?(?:[%!?].*|.*\?[ \t]*)$", re.MULTILINE)
"""Lines that are no Python: magics such as %time, commands such as !ls, and questions such as torch?."""


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    number: int
    """Number among the code cells, from 1."""
    text: str
    error: SyntaxError | None = None
    """The error if the cell is no Python."""


def code_cells(content: bytes) -> Iterator[Cell]:
    """Yield the code cells of a notebook. Magics and commands in them are replaced by `pass`.

    Raises: ValueError if it is no notebook.
    """
    try:
        notebook = json.loads(content)
        sheets = notebook.get("worksheets", [notebook])  # before version 4 of the format
        cells = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
        sources = [cell["source"] if "source" in cell else cell["input"] for cell in cells]
        texts = [source if isinstance(source, str) else "".join(source) for source in sources]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError("The notebook is damaged: its JSON has no code cells. Save it again in Jupyter.") from None
    for number, text in enumerate(texts, start=1):
        yield _cell(number, text.replace("\r\n", "\n").replace("\r", "\n"))


def _cell(number: int, text: str) -> Cell:
    first_error = None
    for code in (text, MAGIC.sub(r"\1pass", text)):  # `% b` can be Python in a line of its own
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            first_error = error if isinstance(error, SyntaxError) else SyntaxError(str(error) or type(error).__name__)
        else:
            return Cell(number, code)
    return Cell(number, text, first_error)
