"""The page that `minibert study --out` writes."""

import re
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from minibert.classroom.step_mistakes import mistakes_of
from minibert.commands.errors import UsageError
from minibert.files import write_atomically
from minibert.study.page.page import step_through_page
from minibert.study.stepthrough.selection import Selection
from minibert.study.stepthrough.step import Walk

ALL = "all"


def page_layers(walk: Walk, words: Sequence[str]) -> list[int]:
    """Return the layers of --layers: "all", or numbers with spaces or commas. Raises: UsageError for a missing layer."""
    layers = sorted({step.layer for step in walk.steps if step.layer is not None})
    numbers = [part for word in words for part in word.split(",") if part]
    if numbers == [ALL]:
        return layers
    for number in numbers:
        if not re.fullmatch(r"[0-9]{1,9}", number) or int(number) not in layers:
            existing = f"the model has the layers {layers[0]} to {layers[-1]}" if layers else "the model has no layers"
            raise UsageError(f"--layers {number}: {existing}; give numbers such as 0,1, or {ALL}")
    return sorted({int(number) for number in numbers})


def write_page(
    walk: Walk,
    out: Path,
    model: str,
    layers: Sequence[str] | None,
    is_opened: bool,
    others: Mapping[str, tuple[str, Tensor]] | None = None,
    start: Selection | None = None,
) -> None:
    """Write the page of a step-through, and show it in the browser if asked.

    Args:
        start: the step and the cell that the page opens at.
        others: by the path of a step, the name and the numbers that the page compares it with.
    """
    shown = None if layers is None else page_layers(walk, layers)
    mistakes = {path: mistakes_of(walk, path) for path in walk}
    page = step_through_page(walk, {"Model": model}, layers=shown, mistakes=mistakes, others=others, start=start)
    write_atomically(out, page)
    if is_opened:
        webbrowser.open(out.resolve().as_uri())
