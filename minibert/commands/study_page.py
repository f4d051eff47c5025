"""The page that `minibert study --out` writes, and the one that a training writes of its model."""

import math
import re
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor

from minibert.classroom.step_mistakes import mistakes_of
from minibert.commands.errors import UsageError
from minibert.files import write_atomically
from minibert.model.bert import PretrainedBert
from minibert.model.gpt2 import GPT2LMHeadModel
from minibert.model.pretrained import PretrainedModel
from minibert.printable import printable, with_article
from minibert.study.page.live import STUDY_FILE, live_page
from minibert.study.page.page import step_through_page
from minibert.study.stepthrough.ranking import predictions
from minibert.study.stepthrough.selection import Selection, select
from minibert.study.stepthrough.step import Walk
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import load_subject

ALL = "all"
MAX_LIVE = 5_000_000
"""Largest size of a live page that is written without being asked for, in bytes."""
BYTES_PER_WEIGHT = 2 * 4 / 3
"""A weight in half precision has two bytes, and base64 takes four characters for three bytes."""


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


def write_live_page(
    model: PretrainedModel,
    tokenizer: Tokenizer,
    text: str,
    pair: str | None,
    out: Path,
    name: str,
    is_opened: bool,
    start: Selection | None = None,
    max_size: float = math.inf,
) -> None:
    """Write a live page, and show it in the browser if asked.

    Args:
        start: the step and the cell that the page opens at.
        max_size: largest size of the page, in bytes.

    Raises: ValueError for a network or a tokenizer that the page cannot compute, and for a page that is too large.
    """
    if not isinstance(model, PretrainedBert | GPT2LMHeadModel):
        raise ValueError(
            f"a live page needs BERT, a relative of it or GPT-2, and this model is {with_article(type(model).__name__)}"
        )
    size = BYTES_PER_WEIGHT * sum(tensor.numel() for tensor in model.state_dict().values())
    page = ""
    if size <= max_size:
        page = live_page(model, tokenizer, text, pair, {"Model": name, "Weights": "float16"}, start=start)
        size = len(page.encode())
    if size > max_size:
        raise ValueError(
            f"a page that computes would have {size / 1e6:.1f} MB, and the limit is {max_size / 1e6:g} MB; --live writes it "
            "all the same"
        )
    _write(out, page, is_opened)


def page_of_trained_model(folder: Path, text: str, pair: str | None = None) -> str:
    """Write the page of a model that was just trained next to it: a live page, or else one with recorded numbers.

    Args:
        folder: the folder of the checkpoint.
        text: the text that the page opens with. It opens at the prediction.

    Returns: a line for the reader. The model is not lost if there can be no page.
    """
    file = folder / STUDY_FILE
    try:
        model, tokenizer = load_subject(folder)
        steps = walk(model, tokenizer, text, pair)
        found = predictions(steps, top=1)
        start = select(steps, found[0].step.path if found else steps.steps[-1].path)
        try:
            write_live_page(model, tokenizer, text, pair, file, str(folder), is_opened=False, start=start, max_size=MAX_LIVE)
        except ValueError:
            write_page(steps, file, str(folder), layers=None, is_opened=False, start=start)
            return f"To look inside, open {printable(file)} in a browser."
    except (ValueError, OSError) as error:
        return f"There is no page to look inside: {printable(str(error))}"
    return f"To look inside and change the text and parts of the model, open {printable(file)} in a browser."


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
    _write(out, page, is_opened)


def _write(out: Path, page: str, is_opened: bool) -> None:
    write_atomically(out, page)
    if is_opened:
        webbrowser.open(out.resolve().as_uri())
