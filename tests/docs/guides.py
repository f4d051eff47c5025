"""The commands and the Python code of the guides."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from minibert.docs.layout import REPOSITORY

FENCE = re.compile(r" *(`{3,}|~{3,}|:{3,}) *\{?([\w-]*)")
CONSOLE, PYTHON = ("sh", "bash"), ("python",)
SHOWN = ("", "json", "markdown", "text", "toctree", "toml")
"""Languages of blocks that are not run, but for commands in them after `$`."""
PAGES = ("README", "CONTRIBUTING", *sorted(path.stem for path in (REPOSITORY / "docs").glob("*.md")))


@dataclass(frozen=True)
class Block:
    """A block of code, with the last heading before it."""

    heading: str
    language: str
    code: str

    def steps(self) -> list[str]:
        """Return what a reader can run: the lines of a console one by one, those of Python together."""
        lines = self.code.replace("\\\n", " ").splitlines()
        if self.language in PYTHON:
            return [self.code]
        if self.language in CONSOLE:
            return [line for line in lines if line.strip()]
        return [line.removeprefix("$ ") for line in lines if line.startswith(("$ ", "minibert "))]


def text_of(page: str) -> str:
    """Return the text of a page."""
    file = REPOSITORY / f"{page}.md"
    return (file if file.is_file() else REPOSITORY / "docs" / file.name).read_text(encoding="utf-8")


def blocks_in(text: str) -> Iterator[Block]:
    """Yield the blocks of a page in Markdown."""
    heading, end, language, code = "", "", "", ""
    for line in text.splitlines(keepends=True):
        fence = FENCE.match(line)
        if end and line.strip() == end:
            yield Block(heading, language, code)
            end = ""
        elif end:
            code += line
        elif fence:
            (end, language), code = fence.groups(), ""
        elif line.startswith("#"):
            heading = line.strip("# \n")


def blocks(page: str, language: str, heading: str) -> list[str]:
    """Return the blocks of a language in a section of a page."""
    found = blocks_in(text_of(page))
    return [block.code for block in found if (block.language, block.heading) == (language, heading)]


def overview() -> list[Block]:
    """Return the commands in the table of the README. In tables of other pages, they have no arguments."""
    return [Block("", "sh", command) for command in re.findall(r"\| `(minibert [^`]+)` \|", text_of("README"))]


def programs(line: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the programs and files of a line of a console, each with the operator before it. The first follows `&&`.

    >>> list(programs("minibert translate runs/sort < letters.txt  # in alphabetical order"))
    [('&&', ['minibert', 'translate', 'runs/sort']), ('<', ['letters.txt'])]
    """
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    operator = "&&"
    for is_operator, words in groupby(reader, key=lambda word: word in ("&&", "|", "<", ">")):
        if is_operator:
            (operator,) = words
        else:
            yield operator, list(words)
