"""Tables of the report of a class as HTML. Every text in them is escaped."""

from collections.abc import Iterable, Sequence

from minibert.display import escape

LEVELS = 5
"""Number of the color of full points. That of zero points is 0."""


def table(caption: str, header: Sequence[str], rows: Iterable[str], kind: str = "") -> str:
    """Return a table in a box that scrolls. `header` and `rows` are HTML."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">\n'
        f'<table class="{kind}">\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def heading(text: str, anchor: str = "") -> str:
    """Return the first cell of a row."""
    name = f' id="{escape(anchor)}"' if anchor else ""
    return f'<th scope="row"{name}>{isolated(text)}</th>'


def data(content: str, kind: str = "") -> str:
    """Return a cell with HTML."""
    return f'<td class="{kind}">{content}</td>' if kind else f"<td>{content}</td>"


def number(text: str) -> str:
    """Return a cell with a number."""
    return data(escape(text), "number")


def isolated(text: str) -> str:
    """Return text whose direction does not change that of the text next to it."""
    return f"<bdi>{escape(text)}</bdi>"


def bar(share: float) -> str:
    """Return a cell with a bar. The number must be in the cell next to it."""
    rectangle = f'<rect width="{100 * min(1.0, max(0.0, share)):.1f}" height="10"/>'
    return data(f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{rectangle}</svg>', "bar")


def level(points: float, most: float) -> int:
    """Return the color of a number of points: 0 for none, `LEVELS` for all.

    >>> [level(points, 10) for points in (0, 0.1, 5, 9.9, 10)]
    [0, 1, 3, 4, 5]
    """
    if points >= most:
        return LEVELS
    return 0 if points <= 0 else 1 + min(LEVELS - 2, int((LEVELS - 1) * points / most))
