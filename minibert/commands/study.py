"""`minibert study`: every number of a forward pass, with its formula and the numbers that it was computed from."""

import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.subject import SubjectOptions, load_model
from minibert.commands.terminal import input_lines, report_lines, say, say_parts, screen_size
from minibert.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenizers import Tokenizer
    from torch import Tensor

    from minibert.model.pretrained import PretrainedModel
    from minibert.study.stepthrough.selection import Selection
    from minibert.study.stepthrough.step import Walk

STANDARD_INPUT = "-"
MAX_SECONDS = 86_400
"""Largest --time-limit: a day."""
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
    against: Annotated[str | None, arg(metavar="FILE.py[:FUNCTION]")] = None
    """Compare your own function with an equation on the numbers of this forward pass, and show the first step that differs. The
    equation is the one with the name or the arguments of your function, or else attention. Your function runs in a subprocess
    with limits. Exit code 1 if it differs."""
    time_limit: float | None = None
    """With --against: seconds after which your code is stopped. Default: 60."""
    diff: Annotated[tuple[str, str] | None, arg(metavar="CHECKPOINT CHECKPOINT|transformers")] = None
    """Compare two checkpoints, such as before and after fine-tuning, or a checkpoint in minibert and in transformers: how far
    each step differs."""
    step: Annotated[str | None, arg(metavar="STEP")] = None
    """The step to show: its name, such as scores, the end of its path or the whole path, or its number in the list."""
    layer: int | None = None
    """The layer of the step, from 0. Default: the first layer that has the step."""
    head: int | None = None
    """The attention head, from 0. Default: 0."""
    cell: Annotated[str | None, arg(metavar="ROW,COLUMN")] = None
    """The number whose arithmetic is shown, by its row and column from 0. Default: the largest number."""
    predict: bool = False
    """With --step: ask for the number of the cell before it is shown, and name the mistake of a wrong one, if it is known."""
    top: Annotated[int, arg(aliases=["-k"], metavar="N")] = 5
    """Number of predictions that are shown for each token."""
    terms: int = 8
    """Number of terms of a sum that are shown, such as the products of a dot product; the largest ones come first."""
    plain: bool = False
    """Plain text for pipes and screen readers: one fact per line, without colors and tables. Default if the output is not a
    terminal."""
    out: Annotated[Path | None, arg(metavar="FILE.html")] = None
    """Write the steps as a page: one self-contained HTML file, which works without a network. It opens at --step."""
    open: bool = False
    """Show the page of --out in the browser."""
    layers: Annotated[tuple[str, ...] | None, arg(metavar="N,N|all")] = None
    """Layers that the page shows in full, such as 0,3, or all. Default: all layers of a small model; of a large model, the
    layer of --step, or else the first one. Of the other layers, the page has the attention weights."""
    live: bool = False
    """The page of --out computes its numbers: of any text, and with changes in the network. Default for a network that is small
    enough. If the page cannot compute the network, the exit code is 1."""
    recorded: bool = False
    """The page of --out shows the numbers of this forward pass only."""
    keys: bool = True
    """On a terminal, wait for keys that lead from step to step."""


def run(options: Study) -> int:
    """Print the list of steps, or show one step."""
    _check_options(options)
    from minibert.commands.study_view import plain_step, plain_steps, step_parts, steps_parts
    from minibert.study.stepthrough.selection import select

    is_plain = options.plain or not sys.stdout.isatty()
    try:
        if options.diff is not None:
            return _show_differences(options, options.diff, is_plain)
        walk, model, tokenizer, text = _walk(options)
        if options.against is not None:
            return _show_against(options, walk, options.against)
        selection = None
        if options.step is not None:
            selection = select(walk, options.step, options.layer, options.head, options.cell)
        if options.out is not None:
            if not _writes_live_page(options, model, tokenizer, text, selection):
                _write_page(options, walk, options.out, start=selection)
        elif selection is None and is_plain:
            say(*map(printable, plain_steps(walk, options.top)))
        elif selection is None:
            say_parts(steps_parts(walk, options.top))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    if selection is None:
        return 0
    if options.predict:
        from minibert.commands.study_comparison import predict

        predict(selection)
    if is_plain:
        say(*map(printable, plain_step(selection, options.terms)))
        return 0
    if not options.predict:
        selection = _with_keys(options, selection)
    say_parts(step_parts(selection, options.terms, screen_size()[0]))
    return 0


def _check_options(options: Study) -> None:
    if not options.backward and (options.truth or options.update is not None):
        raise UsageError("--truth and --update belong to the backward pass: give --backward, too")
    for name, value in (("--top", options.top), ("--terms", options.terms)):
        if not 1 <= value <= MAX_SHOWN:
            raise UsageError(f"{name} must be from 1 to {MAX_SHOWN}, not {value}")
    if options.out is not None and options.out.is_dir():
        raise UsageError(f"--out {options.out}: is a folder, where a file is needed")
    if options.out is None and (options.open or options.layers is not None):
        raise UsageError(f"{'--open' if options.open else '--layers'} is for a page: give --out FILE.html, too")
    _check_page_options(options)
    of_model: dict[str, object] = {"--checkpoint": options.checkpoint, "--preset": options.preset, "--against": options.against}
    chosen = {"--layer": options.layer, "--head": options.head, "--cell": options.cell}
    of_step: dict[str, object] = {
        "--step": options.step,
        **chosen,
        "--predict": options.predict or None,
        "--backward": options.backward or None,
    }
    if options.diff is not None and (given := _given(of_model | of_step)):
        raise UsageError(f"--diff names both checkpoints and shows all steps: leave out {given}")
    if options.against is not None and (given := _given(of_step)):
        raise UsageError(f"--against shows the step that differs: leave out {given}")
    if options.against is None and options.time_limit is not None:
        raise UsageError("--time-limit is for your own code: give --against FILE.py, too")
    if options.time_limit is not None and not 0 < options.time_limit <= MAX_SECONDS:
        raise UsageError(f"--time-limit must be above 0 and at most {MAX_SECONDS} seconds, not {options.time_limit:g}")
    if options.predict and (options.step is None or options.text == STANDARD_INPUT):
        missing = "give --step, too, such as --step scores" if options.step is None else "give the text as an argument"
        raise UsageError(f"--predict asks for a number of one step: {missing}")
    if options.step is None and (given := _given(chosen)):
        raise UsageError(f"{given}: give --step, too, such as --step scores")


def _check_page_options(options: Study) -> None:
    kinds = [name for name, is_given in (("--live", options.live), ("--recorded", options.recorded)) if is_given]
    if kinds and options.out is None:
        raise UsageError(f"{kinds[0]} is for a page: give --out FILE.html, too")
    if len(kinds) > 1:
        raise UsageError("--live and --recorded are two kinds of page: give one of them")
    if options.live and (given := _given(_recorded_only(options))):
        raise UsageError(f"--live computes the forward pass of one network, in full: leave out {given}")


def _recorded_only(options: Study) -> dict[str, object]:
    """Return the options that need a page with recorded numbers."""
    return {
        "--backward": options.backward or None,
        "--against": options.against,
        "--diff": options.diff,
        "--layers": options.layers,
    }


def _given(options: "Mapping[str, object]") -> str:
    """Return the names of the options that were given."""
    return ", ".join(name for name, value in options.items() if value is not None)


def _walk(options: Study) -> "tuple[Walk, PretrainedModel, Tokenizer, str]":
    """Load the model and run its forward pass; return the walk, the model, its tokenizer and the text.

    Raises: UsageError and ValueError for what cannot be used.
    """
    text = "\n".join(input_lines()) if options.text == STANDARD_INPUT else options.text
    model, tokenizer = load_model(replace(options, text=text), options.truth)
    from minibert.study import backward_walk, walk

    found: Walk = (
        backward_walk(model, tokenizer, text, options.pair, truth=options.truth, update=options.update)
        if options.backward
        else walk(model, tokenizer, text, options.pair)
    )
    return found, model, tokenizer, text


def _show_against(options: Study, walk: "Walk", location: str) -> int:
    from minibert.commands.study_comparison import against_lines
    from minibert.study.checked_attention import UserCodeError
    from minibert.study.stepthrough.against import against
    from minibert.study.stepthrough.selection import select
    from minibert.study.user_code import TIME_LIMIT

    try:
        found = against(walk, location, report_lines, options.time_limit or TIME_LIMIT)
    except UserCodeError as error:
        raise UsageError(error) from error
    say(*map(printable, against_lines(walk, found)))
    if options.out is not None:
        start = None if found.step is None else select(walk, found.step.path)
        _write_page(options, walk, options.out, found.others(), start=start)
    return int(found.step is not None)


def _show_differences(options: Study, names: tuple[str, str], is_plain: bool) -> int:
    walk, model, tokenizer, text = _walk(replace(options, checkpoint=names[0]))
    from minibert.commands.study_comparison import compared_walks, differences_parts, plain_differences
    from minibert.study.stepthrough.selection import select

    found = compared_walks(walk, names, model, tokenizer, text, options.pair)
    if is_plain:
        say(*map(printable, plain_differences(found)))
    else:
        say_parts(differences_parts(found))
    if options.out is not None:
        start = None if found.first is None else select(walk, found.first.step.path)
        _write_page(options, walk, options.out, found.others(names[1]), " and ".join(names), start)
    return 0


def _writes_live_page(
    options: Study, model: "PretrainedModel", tokenizer: "Tokenizer", text: str, start: "Selection | None"
) -> bool:
    """Write a live page. Without --live, return False if that is not possible, and print the reason."""
    if options.recorded or _given(_recorded_only(options)) or options.out is None:
        return False
    from minibert.commands.study_page import MAX_LIVE, write_live_page

    limit = math.inf if options.live else MAX_LIVE
    try:
        write_live_page(model, tokenizer, text, options.pair, options.out, _model_name(options), options.open, start, limit)
    except ValueError as error:
        if options.live:
            raise WorkFailed(f"--live: {error}") from error
        say(f"the page shows recorded numbers: {printable(str(error))}")
        return False
    say(f"page: {printable(options.out)}", "live: you can change the text and the parts of the model in the page")
    return True


def _write_page(
    options: Study,
    walk: "Walk",
    out: Path,
    others: "Mapping[str, tuple[str, Tensor]] | None" = None,
    model: str | None = None,
    start: "Selection | None" = None,
) -> None:
    from minibert.commands.study_page import write_page

    write_page(walk, out, model or _model_name(options), options.layers, options.open, others, start)
    say(f"page: {printable(out)}")


def _model_name(options: Study) -> str:
    return options.checkpoint or f"{options.preset}, with random weights"


def _with_keys(options: Study, selection: "Selection") -> "Selection":
    """Let the reader choose with keys, on a terminal that has them."""
    from minibert.commands import keys
    from minibert.commands.study_keys import step_through

    if not (options.keys and keys.are_available()):
        return selection
    return step_through(selection, options.terms)
