"""`minibert study`: every number of a forward pass, with its formula and the numbers that it was computed from."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.subject import SubjectOptions, load_model
from minibert.commands.terminal import input_lines, say, say_parts, screen_size
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.study.stepthrough.selection import Selection
    from minibert.study.stepthrough.step import Walk

STANDARD_INPUT = "-"
MAX_SHOWN = 100_000
"""Largest --top and --terms."""


@dataclass(frozen=True, kw_only=True)
class Study(SubjectOptions):
    """Step through a forward pass: every number that a model computes for a text, with its formula and its inputs.

    Without --step, the steps are listed, and the predictions at the end. With --step, one step is shown: its formula,
    its matrix, and the arithmetic of one number. On a terminal, keys then lead to other steps, heads and cells; ? lists
    the keys.
    """

    text: Positional[str] = field()
    """The text, or - to read it from the standard input. Predictions are shown at each [MASK], or else at all tokens."""
    backward: bool = False
    """Also show the backward pass: the loss, the gradient of every step and parameter, and an update of one with AdamW. The
    gradient of scores is --step gradient.scores."""
    truth: Annotated[tuple[str, ...], arg(metavar="TRUTH [TRUTH ...]")] = ()
    """With --backward: the true word of each [MASK], the true class, the true number or the true answer. Default: the model's
    own prediction. GPT-2 and the 2017 Transformer need none."""
    update: Annotated[str | None, arg(metavar="PARAMETER")] = None
    """With --backward: the parameter that AdamW changes. Default: the query weights of the last layer."""
    step: Annotated[str | None, arg(metavar="STEP")] = None
    """The step to show: its name, such as scores, the end of its path or the whole path, or its number in the list."""
    layer: int | None = None
    """The layer of the step, from 0. Default: the first layer that has the step."""
    head: int | None = None
    """The attention head, from 0. Default: 0."""
    cell: Annotated[str | None, arg(metavar="ROW,COLUMN")] = None
    """The number whose arithmetic is shown, by its row and column from 0. Default: the largest number."""
    top: Annotated[int, arg(aliases=["-k"], metavar="N")] = 5
    """Number of predictions that are shown for each token."""
    terms: int = 8
    """Number of terms of a sum that are shown, such as the products of a dot product; the largest ones come first."""
    plain: bool = False
    """Plain text for pipes and screen readers: one fact per line, without colors and tables. Default if the output is not a
    terminal."""
    out: Annotated[Path | None, arg(metavar="FILE.html")] = None
    """Write the steps as a page: one self-contained HTML file, which works without a network."""
    open: bool = False
    """Show the page of --out in the browser."""
    layers: Annotated[tuple[str, ...] | None, arg(metavar="N,N|all")] = None
    """Layers that the page shows in full, such as 0,3, or all. Default: all layers of a small model, the first one of a large
    model. Of the other layers, the page has the attention weights."""
    keys: bool = True
    """On a terminal, wait for keys that lead from step to step."""


def run(options: Study) -> int:
    """Print the list of steps, or show one step."""
    _check_options(options)
    from minibert.commands.study_view import plain_step, plain_steps, step_parts, steps_parts
    from minibert.study.stepthrough.selection import select

    is_plain = options.plain or not sys.stdout.isatty()
    try:
        walk = _walk(options)
        if options.out is not None:
            _write_page(options, walk, options.out)
            if options.step is None:
                return 0
        if options.step is None:
            if is_plain:
                say(*plain_steps(walk, options.top))
            else:
                say_parts(steps_parts(walk, options.top))
            return 0
        selection = select(walk, options.step, options.layer, options.head, options.cell)
    except ValueError as error:
        raise UsageError(error) from error
    if is_plain:
        say(*plain_step(selection, options.terms))
        return 0
    selection = _with_keys(options, selection)
    say_parts(step_parts(selection, options.terms, screen_size()[0]))
    return 0


def _check_options(options: Study) -> None:
    if not options.backward and (options.truth or options.update is not None):
        raise UsageError("--truth and --update belong to the backward pass: give --backward, too")
    for name, value in (("--top", options.top), ("--terms", options.terms)):
        if not 1 <= value <= MAX_SHOWN:
            raise UsageError(f"{name} must be from 1 to {MAX_SHOWN}, not {value}")
    if options.out is None and (options.open or options.layers is not None):
        raise UsageError(f"{'--open' if options.open else '--layers'} is for a page: give --out FILE.html, too")
    chosen = {"--layer": options.layer, "--head": options.head, "--cell": options.cell}
    if options.step is None and (given := [name for name, value in chosen.items() if value is not None]):
        raise UsageError(f"{', '.join(given)}: give --step, too, such as --step scores")


def _walk(options: Study) -> "Walk":
    """Load the model and run its forward pass. Raises: UsageError and ValueError for what cannot be used."""
    text = "\n".join(input_lines()) if options.text == STANDARD_INPUT else options.text
    model, tokenizer = load_model(replace(options, text=text), options.truth)
    from minibert.study import backward_walk, walk

    found: Walk = (
        backward_walk(model, tokenizer, text, options.pair, truth=options.truth, update=options.update)
        if options.backward
        else walk(model, tokenizer, text, options.pair)
    )
    return found


def _write_page(options: Study, walk: "Walk", out: Path) -> None:
    from minibert.commands.study_page import write_page

    model = options.checkpoint or f"{options.preset}, with random weights"
    write_page(walk, out, model, options.layers, options.open)
    say(f"page: {printable(out)}")


def _with_keys(options: Study, selection: "Selection") -> "Selection":
    """Let the reader choose with keys, on a terminal that has them."""
    from minibert.commands import keys
    from minibert.commands.study_keys import step_through

    if not (options.keys and keys.are_available()):
        return selection
    return step_through(selection, options.terms)
