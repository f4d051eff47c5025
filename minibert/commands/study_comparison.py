"""The parts of `minibert study` that compare: --against, --diff and --predict."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from rich.table import Table

from minibert.classroom.step_mistakes import judge, mistakes_of, numbers_at
from minibert.commands.errors import UsageError
from minibert.commands.terminal import Renderable, say, styled
from minibert.study.stepthrough.against import TOLERANCE, Against
from minibert.study.stepthrough.arithmetic import cell
from minibert.study.stepthrough.calculation import cell_name, formula_text, number
from minibert.study.stepthrough.differences import ROUNDING, Differences, differences, transformers_outputs
from minibert.study.stepthrough.learner import expression_text
from minibert.study.stepthrough.omissions import magnitude
from minibert.study.stepthrough.selection import Selection
from minibert.study.stepthrough.step import Step, Walk

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.model.pretrained import PretrainedModel

TRANSFORMERS = "transformers"
BAR_WIDTH = 24
"""Length of the longest bar."""


def against_lines(walk: Walk, found: Against) -> Iterator[str]:
    """Yield the first step at which a learner's function differs from the equation, one fact per line."""
    yield f"function: {found.location}, compared with {found.equation}"
    if found.step is None:
        yield f"agrees: in all {found.calls} calls of this forward pass"
        return
    step, mine = found.step, found.mine
    yield f"first step that differs: {step.path}"
    if step.formula:
        yield f"formula: {formula_text(step.formula)}"
    if step.expression is not None:
        yield f"reference: {expression_text(step.expression)}"
    if mine is None or found.difference is None:
        yield f"yours: no result has as many numbers as this step, {step.output.numel()}"
    elif found.difference.relative <= TOLERANCE:
        yield f"yours: {mine.expression}, the same numbers"
    else:
        yield f"yours: {mine.expression}"
        yield from _largest_difference(step, mine.output.reshape(step.output.shape))
        yield f"relative difference: {number(found.difference.relative)}; cosine similarity: {number(found.difference.cosine)}"
        yield from (f"likely mistake: {message}" for message in _known_mistakes(walk, step, mine.output))
    if found.failure is not None:
        yield from str(found.failure).splitlines()
        before = (f"computed before: {each.expression}, shape {tuple(each.output.shape)}" for each in found.results)
        yield from dict.fromkeys(before)


def _largest_difference(step: Step, output: torch.Tensor) -> Iterator[str]:
    change = (output.double() - step.output.double()).abs().nan_to_num(torch.inf)
    index = tuple(int(place) for place in torch.unravel_index(change.argmax(), change.shape))
    places = [
        f"{axis.name} {axis.labels[place] if axis.labels else place}"
        for axis, place in zip(step.axes, index, strict=True)
        if axis.name != "batch"
    ]
    right, yours = (number(float(tensor[index])) for tensor in (step.output, output))
    yield f"largest difference: {cell_name(step, index)} ({', '.join(places)}) is {right}, and {yours} in yours"


def _known_mistakes(walk: Walk, step: Step, output: torch.Tensor) -> Iterator[str]:
    for mistake in mistakes_of(walk, step.path):
        same = torch.allclose(
            mistake.output.double().flatten(), output.double().flatten(), rtol=TOLERANCE, atol=1e-6, equal_nan=True
        )
        if same:
            yield mistake.message


def compared_walks(
    walk: Walk, names: tuple[str, str], model: "PretrainedModel", tokenizer: "Tokenizer", text: str, pair: str | None
) -> Differences:
    """Compare a walk with one of another checkpoint, or with transformers.

    Args:
        names: the two checkpoints; the second one may be "transformers".
        model, tokenizer: of the first one.

    Raises: UsageError without transformers; ValueError and FileNotFoundError for a checkpoint that cannot be used.
    """
    if names[1] == TRANSFORMERS:
        try:
            return differences(walk, transformers_outputs(names[0], model, tokenizer, text, pair))
        except ImportError:
            raise UsageError("transformers is not installed: run pip install 'minibert[verify]'") from None
    from minibert.study import walk as walk_of
    from minibert.study.subject import load_subject

    return differences(walk, walk_of(*load_subject(names[1]), text, pair))


def plain_differences(found: Differences) -> Iterator[str]:
    """Yield the difference of each step, one per line."""
    for each in found.steps:
        yield f"{each.step.path}: relative difference {number(each.relative)}, cosine similarity {number(each.cosine)}"
    yield from _end(found)


def differences_parts(found: Differences) -> Iterator[Renderable]:
    """Yield the differences as a table with bars."""
    largest = max((each.relative for each in found.steps if each.relative < torch.inf), default=0.0)
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("step", overflow="fold")
    for heading in ("relative", "cosine"):
        table.add_column(heading, justify="right")
    table.add_column("difference")
    for each in found.steps:
        part = 0.0 if each.relative == 0 else min(each.relative / largest, 1.0) if largest else 1.0
        bar = "█" * max(round(part * BAR_WIDTH), int(part > 0)) if part == part else "NaN"
        table.add_row(each.step.path, f"{each.relative:.1e}", f"{each.cosine:.6f}", styled(bar, "cyan"))
    yield table
    yield from (styled(line, "bold") for line in _end(found))


def _end(found: Differences) -> Iterator[str]:
    first = found.first
    yield (
        f"No step differs by more than rounding ({ROUNDING:g})."
        if first is None
        else f"first step that differs: {first.step.path}"
    )
    reasons: dict[str, list[str]] = {}
    for path, reason in found.not_compared.items():
        reasons.setdefault(reason, []).append(path)
    for reason, paths in reasons.items():
        yield f"not compared: {paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}: {reason}"


def predict(selection: Selection) -> None:
    """Ask for the number of a cell before it is shown, and say if it is right, or the number of a known mistake.

    Raises: UsageError if no number is typed.
    """
    step, index = selection.step, selection.index
    if selection.is_empty:
        raise UsageError(f"the step {step.path} has no numbers to predict")
    name = cell_name(step, index)
    if step.formula:
        say(f"formula: {formula_text(step.formula)}")
    value = float(step.output[index])
    known = [*numbers_at(selection.walk, step.path, index)]
    size = 0.0 if step.expression is None else magnitude(cell(step.expression, index))
    while True:
        say(f"Predict {name}, and type the number:")
        line = sys.stdin.readline()
        if not line:
            raise UsageError(f"no number was typed for {name}: type one, or leave out --predict")
        found = judge(line, value, known, size)
        say(found.message)
        if found.verdict != "unclear":
            return
