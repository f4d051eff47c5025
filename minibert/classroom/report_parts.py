"""A report as text: the same parts, in the same order, for terminals, pipes, Markdown and notebooks."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len

from minibert.classroom.mistakes.mistake import Kind
from minibert.classroom.report import Comparison, Report, Verdict
from minibert.display import escape
from minibert.printable import printable

SYMBOLS = {
    Verdict.PASSED: "✓",
    Verdict.WARNING: "✓",
    Verdict.CONVENTION: "≈",
    Verdict.EMPTY: "○",
    Verdict.UNKNOWN: "○",
    Verdict.STOPPED: "■",
}
"""Symbols of verdicts; all others have a cross. The words say the same."""
COLORS = {"✓": "green", "≈": "yellow", "○": "yellow"}
"""Color of each symbol, for terminals; all others are red."""
COLUMNS = ("mine", "expected", "difference")
CALLS = ("mine, first call", "mine, second call")
"""Titles of the columns for a property."""
GAP = "   "
MAX_BEFORE, MAX_AFTER = 60, 120
"""Number of characters of a line of code that are shown before the marks, and from them on."""
CONVENTION = "Correct in other code, but not what this exercise asks for."
KINDS = {Kind.CONVENTION: "Other convention", Kind.UNSAFE: "Unsafe numerics"}
"""Titles of mistakes by their kind; all others are "Mistake"."""


@dataclass(frozen=True)
class Part:
    """A part of a report: a heading and what is below it. The texts may contain anything: escape them."""

    title: str
    lines: tuple[str, ...] = ()
    kind: Literal["text", "code", "columns"] = "text"
    """Text to wrap; code with its marks in the next line; or one text for each column."""
    columns: tuple[str, ...] = ()
    """Titles of the columns."""


def symbol(report: Report) -> str:
    """Return the symbol of the verdict."""
    return SYMBOLS.get(report.verdict, "✗")


def message(report: Report) -> str:
    """Return the verdict and the reason in one or two sentences."""
    texts = [f"{report.exercise}: {report.verdict}", report.reason, *(mistake.message for mistake in report.mistakes)]
    return " ".join(f"{printable(text).rstrip('.')}." for text in [*texts, *_warnings(report)] if text)


def _warnings(report: Report) -> list[str]:
    """Return the warnings, without those that a named mistake repeats."""
    return [text for text in report.warnings if not any(mistake.message in text for mistake in report.mistakes)]


def parts(report: Report) -> Iterator[Part]:
    """Yield the verdict, the smallest failing input, the mistake, the line of code, the hint, and what the code printed."""
    part = f" ({report.failed})" if report.failed and report.verdict is Verdict.WRONG else ""
    yield Part(f"{symbol(report)} {report.exercise}: {report.verdict}{part}", tuple(filter(None, [report.reason])))
    if report.example:
        yield from _example_parts(report.example)
    yield from _mistake_parts(report)
    if report.line:
        place = f"code cell {report.cell} of your notebook" if report.cell else "your code"
        yield Part(f"Line {report.line} of {place}", _marked(report.line_text, report.column), "code")
    if report.hint:
        yield Part("Hint", (report.hint,))
    if _warnings(report):
        yield Part("Warning", tuple(_warnings(report)))
    if report.notes:
        yield Part("Note", tuple(report.notes))
    if report.printed:
        yield Part("Your code printed", tuple(report.printed.rstrip("\n").split("\n")), "code")


def _marked(line: str, column: int | None) -> tuple[str, ...]:
    """Return a line of code, and marks below all of it or below a column. A long line is cut off on both sides."""
    if not line.strip():
        return ()
    start = len(line) - len(line.lstrip()) if column is None else max(column - 1, 0)
    before, after = (printable(text.expandtabs(4)) for text in (line[:start], line[start:].rstrip()))
    before = before if len(before) <= MAX_BEFORE else f"…{before[-MAX_BEFORE:]}"
    after = after if len(after) <= MAX_AFTER else f"{after[:MAX_AFTER]}…"
    return before + after, " " * cell_len(before) + "^" * (cell_len(after) if column is None else 1)


def _example_parts(example: Comparison) -> Iterator[Part]:
    yield Part("The smallest failing input that was found", variable_lines(example.arguments), "code")
    if example.again:
        yield Part("The second call", tuple(filter(None, [example.relation])))
        yield Part("", variable_lines(example.changed), "code")
        yield Part("", (example.mine, example.again), "columns", CALLS)
    else:
        texts = (example.mine, example.expected, example.difference)
        columns = COLUMNS if example.difference else COLUMNS[:2]
        yield Part("", texts[: len(columns)], "columns", columns)


def variable_lines(values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of `name = value` for each value. A value may have several lines."""
    return tuple(line for name, value in values.items() for line in _assignment(name, value))


def _assignment(name: str, value: str) -> list[str]:
    first, *others = value.split("\n")
    return [f"{name} = {first}", *(f"{' ' * (len(name) + 3)}{line}" for line in others)]


def _mistake_parts(report: Report) -> Iterator[Part]:
    for number, mistake in enumerate(report.mistakes, start=1):
        count = f" {number} of {len(report.mistakes)}" if len(report.mistakes) > 1 else ""
        note = (CONVENTION,) if mistake.kind == Kind.CONVENTION else ()
        facts = (("Why it matters", mistake.consequence), ("Seen in", mistake.seen_in))
        lines = (mistake.message, *note, *(f"{title}: {text}" for title, text in facts if text))
        yield Part(f"{KINDS.get(Kind(mistake.kind), 'Mistake')}{count}: {mistake.name}", lines)
    difference = f"First difference: {report.first_difference}" if report.first_difference else report.agreement
    found = tuple(filter(None, [report.relation, difference]))
    if report.relation:
        yield Part("How it differs", found)
    elif not report.mistakes and report.failed and report.verdict is Verdict.WRONG and not report.explained:
        yield Part("Not a known mistake", found)
    elif found:
        yield Part("Where it differs", found)


def side_by_side(part: Part, width: int) -> list[str]:
    """Return columns as lines: side by side if they fit, else one below the other."""
    blocks = [[title, *text.split("\n")] for title, text in zip(part.columns, part.lines, strict=True)]
    widths = [max(map(len, block)) for block in blocks]
    if sum(widths) + len(GAP) * (len(blocks) - 1) > width:
        return [f"{'' if line is block[0] else '  '}{line}" for block in blocks for line in block]
    height = max(map(len, blocks))
    rows = zip(*([*block, *[""] * (height - len(block))] for block in blocks), strict=True)
    return [GAP.join(f"{cell:{size}}" for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]


def plain_text(report: Report, width: int = 80) -> str:
    """Return a report as text, wrapped to a width."""
    blocks = []
    for part in parts(report):
        lines = _wrapped(part.title, width) if part.title else []
        if part.kind == "text":
            lines += [f"  {line}" for text in part.lines for line in _wrapped(text, width - 2)]
        else:
            body = side_by_side(part, width - 2) if part.kind == "columns" else part.lines
            lines += [f"  {printable(line)}" for line in body]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), max(width, 10), break_on_hyphens=False)


def markdown(report: Report) -> str:
    """Return a report as Markdown. Code and numbers are in fenced blocks, all other text is escaped."""
    return markdown_of(parts(report), 3)


def markdown_of(parts: Iterable[Part], level: int) -> str:
    """Return parts of a report as Markdown.

    Args:
        level: level of the first heading; all others are one level lower.
    """
    blocks = []
    for number, part in enumerate(parts):
        title = [f"{'#' * (level + bool(number))} {escaped_markdown(part.title)}"] if part.title else []
        if part.kind == "text":
            blocks += [*title, *map(escaped_markdown, part.lines)]
        else:
            body = side_by_side(part, 100) if part.kind == "columns" else part.lines
            blocks += [*title, _fenced(body)] if body else title
    return "\n\n".join(blocks) + "\n"


def _fenced(lines: tuple[str, ...] | list[str]) -> str:
    text = "\n".join(map(printable, lines))
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


MARKUP = re.compile(
    r"""
    \\(?=[!-/:-@\[-`{-~]|$)                      # a backslash before a sign
    | [`$]                                        # code, formulas
    | (?<=\S)[*~]+ | [*~]+(?=\S) | ^[*~]           # emphasis, deletion, and lists
    | (?<![^\W_])_+ | _+(?![^\W_])                # emphasis: underscores that are not inside of a word
    | \](?=[(\[:])                                # the end of a text of a link
    | <(?=[A-Za-z/!?]) | &(?=[\w#]) | @(?=\w)      # HTML, entities, and addresses
    | :(?=//|[\w+-]+:) | (?<=www)\.               # addresses and emoji
    | ^> | ^\#+(?=\s|$) | (?<=\s)\#+$             # quotes and headings
    | ^-(?=[\s-]|$) | ^\+(?=\s|$) | ^\d+[.)](?=\s|$)   # lists
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Signs that Markdown may not show as they are."""
PAIRED = frozenset("*~_`$")
"""Signs that are shown if there is only one of them."""


def escaped_markdown(text: str) -> str:
    """Escape the signs of a line of Markdown that would not be shown: it has no links, no lists, no headings and no HTML."""
    line = printable(text).strip()

    def escaped(found: re.Match[str]) -> str:
        if found[0] in PAIRED and found.start() and line.count(found[0]) == 1:
            return found[0]
        return re.sub(r"[^0-9]", r"\\\g<0>", found[0])

    return MARKUP.sub(escaped, line)


def html(report: Report) -> str:
    """Return a report as HTML for a notebook: without scripts, links and style sheets, for light and dark backgrounds."""
    blocks = []
    for number, part in enumerate(parts(report)):
        if part.title:
            size = "1.1em" if number == 0 else "1em"
            blocks.append(f'<p style="font-size:{size};margin:.6em 0 .2em"><b>{escape(part.title)}</b></p>')
        if part.kind == "text":
            blocks += [f'<p style="margin:.2em 0"><bdi>{escape(line)}</bdi></p>' for line in part.lines]
        elif part.kind == "columns":
            blocks.append(_columns_html(part))
        elif part.lines:
            blocks.append(f'<pre style="margin:.2em 0;overflow-x:auto">{_code_html(part)}</pre>')
    color = {"green": "#1a7f37", "yellow": "#9a6700"}.get(COLORS.get(symbol(report), ""), "#cf222e")
    label = escape(f"{report.exercise}: {report.verdict}")
    return (
        f'<div role="group" aria-label="{label}" style="border-left:4px solid {color};padding:2px 12px">\n'
        + "\n".join(blocks)
        + "\n</div>"
    )


def is_marked(part: Part) -> bool:
    """Return True for a line of code with its marks below it, which can be shown as underlined."""
    return part.kind == "code" and len(part.lines) == 2 and bool(part.lines[1].strip()) and not part.lines[1].strip(" ^")


def marked_text(part: Part) -> tuple[str, str, str]:
    """Return the text of a line before its marks, above them, and after them. A mark after the end stands below a space."""
    line, marks = part.lines
    start = next(place for place in range(len(marks)) if cell_len(line[:place]) >= marks.index("^"))
    end = next((place for place in range(start, len(line)) if cell_len(line[:place]) >= len(marks)), len(line))
    return line[:start], line[start:end] or " ", line[end:]


def _code_html(part: Part) -> str:
    if not is_marked(part):
        return _lines_html("\n".join(part.lines))
    before, marked, after = map(escape, marked_text(part))
    return f"{before}<u>{marked}</u>{after}"


def _columns_html(part: Part) -> str:
    style = "text-align:left;vertical-align:top;padding:1px 12px 1px 0;background:none;font-size:inherit"
    head = "".join(f'<th scope="col" style="{style}">{title}</th>' for title in part.columns)
    cells = (f'<td style="{style}"><pre style="margin:0;background:none">{_lines_html(text)}</pre></td>' for text in part.lines)
    return f'<table style="border-collapse:collapse">\n<tr>{head}</tr>\n<tr>{"".join(cells)}</tr>\n</table>'


def _lines_html(text: str) -> str:
    return "\n".join(map(escape, text.split("\n")))
