r"""An extension of Sphinx: docstrings of minibert as reStructuredText.

They are plain text with `code`, $$formulas$$, examples, lists with hyphens, and fields: `Eq:` becomes a formula, `Args:` and
`Steps:` become lists, `Tests:` and `Lesson:` links, and the others stay fields.
"""

import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from sphinx.application import Sphinx

from minibert.docs.names import by_ending
from minibert.study.equations.registry import FIELDS

BLOCKS = ("Args", "Attributes", "Steps")
"""Fields with one entry for each name, on lines of their own."""
LINKS = ("Tests", "Lesson")
"""Fields with files of the repository, separated by commas."""
NAMED = re.compile(rf"^({'|'.join((*FIELDS, 'Attributes', 'Default', 'Yields'))}):(?: |$)", re.MULTILINE)
INLINE = re.compile(r"``.+?``|`([^`]+)`|\$\$(.+?)\$\$", re.DOTALL)


def restructured(docstring: str) -> str:
    """Return a docstring as reStructuredText."""
    parts = [_part(part) for part in _parts(docstring)]
    return re.sub(r"(?m)^(:[A-Z]\w+:.*(?:\n   .*)*)\n\n(?=:[A-Z]\w+:)", r"\1\n", "\n\n".join(parts)) + "\n"


def _parts(docstring: str) -> Iterator[str]:
    """Split a docstring into fields and paragraphs. A field ends where a line is not indented."""
    lines: list[str] = []
    for line in docstring.expandtabs().split("\n"):
        is_new = NAMED.match(line) or (lines and NAMED.match(lines[0]) and line[:1].strip())
        if lines and (is_new or (not line.strip() and not NAMED.match(lines[0]))):
            yield "\n".join(lines).rstrip()
            lines = []
        if line.strip() or lines:
            lines.append(line)
    if lines:
        yield "\n".join(lines).rstrip()


def _part(text: str) -> str:
    """Convert a field, an example, a list, a table of names, or a paragraph."""
    if found := NAMED.match(text):
        return _field(found[1], text[found.end() :])
    if text.startswith(">>>"):
        return text
    if text.startswith(" "):
        return "::\n\n" + text
    if text.startswith("- "):
        items = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
        return "\n".join(f"- {inline(' '.join(item.split()))}" for item in items)
    return inline(text)


def _field(name: str, content: str) -> str:
    """Convert a field with its content."""
    if name == "Eq":
        return f".. math::\n\n   {' '.join(content.split()).strip('$')}"
    if name in BLOCKS:
        return f":{name}:\n" + "\n".join(f"   - {_entry(entry)}" for entry in _entries(content))
    words = " ".join(content.split())
    if name in LINKS:
        return f":{name}: " + ", ".join(f":repository:`{file}`" for file in words.split(", "))
    return f":{name}: {inline(words)}"


def _entries(content: str) -> Iterator[str]:
    """Yield the entries of a field, each on one line."""
    for entry in re.split(r"\n(?=\S)", dedent(content.strip("\n"))):
        yield " ".join(entry.split())


def _entry(entry: str) -> str:
    """Convert an entry: one or more names, for a step also the axes, and a description."""
    names, _, description = entry.partition(": ")
    name, _, axes = names.partition(" (")
    return f"**{_escaped(name)}**{_escaped(f' ({axes}') if axes else ''} – {inline(description)}"


def inline(text: str) -> str:
    """Convert code and formulas inside a sentence, and escape the other characters that have a meaning."""
    converted, place = "", 0
    for found in INLINE.finditer(text):
        before, place = text[place : found.start()], found.end()
        converted += _escaped(before) + ("\\ " if before[-1:].isalnum() else "") + _code_or_formula(found)
        converted += "\\ " if text[place : place + 1].isalnum() else ""
    return converted + _escaped(text[place:])


def _code_or_formula(found: re.Match[str]) -> str:
    code, formula = found.groups()
    if formula is not None:
        return f":math:`{' '.join(formula.split())}`"
    if code is None:
        return found[0]
    code = " ".join(code.split())
    if full := by_ending().get(code):
        return f":py:obj:`{code} <{full}>`"
    return f"``{code}``"


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`|_])", r"\\\1", text)


def process(app: Sphinx, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """Convert a docstring that autodoc has found."""
    lines[:] = restructured("\n".join(lines)).split("\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
