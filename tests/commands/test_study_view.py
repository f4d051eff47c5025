"""The display of a step-through: hostile texts, narrow terminals, and the numbers of the matrix."""

import io
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from rich.cells import cell_len

from minibert import Bert, BertConfig, BertForMaskedLM
from minibert.commands.study_view import PLAIN_ROWS, matrix_number, plain_step, plain_steps, step_parts, steps_parts, window
from minibert.commands.terminal import PlainConsole, Renderable
from minibert.observe import record
from minibert.printable import UNSAFE
from minibert.study import walk
from minibert.study.stepthrough.selection import Selection, select
from minibert.study.stepthrough.step import Axis, Step, TextStep, Walk
from minibert.study.subject import random_network, tokenizer_of
from tests.hostile_text import HOSTILE_TEXTS, SIZES

TINY = BertConfig(hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, max_position_embeddings=80)
TOKENIZER = tokenizer_of(HOSTILE_TEXTS)
MODEL = random_network(BertForMaskedLM, TINY, TOKENIZER)


def shown(parts: Iterable[Renderable], width: int) -> list[str]:
    """Return the lines of a terminal of some width, without colors."""
    stream = io.StringIO()
    console = PlainConsole(file=stream, width=width, highlight=False, force_terminal=False)
    for part in parts:
        console.print(part)
    return stream.getvalue().splitlines()


def labeled(labels: tuple[str, ...]) -> Walk:
    """Return a walk of one step whose rows and columns have these labels."""
    values = torch.arange(len(labels) ** 2, dtype=torch.float32).reshape(len(labels), len(labels))
    axes = tuple(Axis(name, len(labels), labels) for name in ("queries", "keys"))
    with record() as recording:
        pass
    text = TextStep("text.pieces", torch.arange(len(labels)), (axes[0],), entries=labels, sources=((0, 0),) * len(labels))
    step = Step("layers.0.probabilities", values, axes, explanation="\x1b[2J", formula="")
    return Walk(labels[0], (text, step), recording)


def check_safe(lines: Iterable[str]) -> None:
    for line in lines:
        assert UNSAFE.search(line) is None, repr(line)


@pytest.mark.parametrize("width", [30, 100])
def test_hostile_labels_are_data(width: int) -> None:
    """Every text as the label of a row, of a column, of a prediction and of a piece, in plain text and in tables."""
    for start in range(0, len(HOSTILE_TEXTS), PLAIN_ROWS):
        steps = labeled(HOSTILE_TEXTS[start : start + PLAIN_ROWS])
        selection = select(steps, "probabilities")
        lines = shown((*steps_parts(steps, 16), *step_parts(selection, 8, width)), width)
        check_safe(lines)
        assert max(map(cell_len, lines)) <= width
        if width == 100:
            check_safe(shown((*plain_step(selection, 8), *plain_steps(steps, 16)), 10_000))


@pytest.mark.slow
def test_hostile_texts_are_walked() -> None:
    for text in (*HOSTILE_TEXTS[::8], *SIZES):
        steps = walk(MODEL, TOKENIZER, text)
        assert "".join(steps.steps[0].entries) == text
        check_safe(shown(plain_step(Selection(steps, 0).at_largest(), 3), 10_000))


def test_every_displayed_number_is_the_recorded_one() -> None:
    """At each place that is shown, in plain text and in the table, for every step."""
    steps = walk(MODEL, TOKENIZER, "a 猫 [MASK]")
    for number, step in enumerate(steps.steps):
        selection = Selection(steps, number)
        is_integer = not step.output.is_floating_point()
        values = [matrix_number(value, is_integer) for value in selection.matrix[:16, :16].flat]
        plain = [line.rpartition(": ")[2] for line in plain_step(selection, 1)]
        assert all(value in plain for value in values), step.path
        for value, (row, column) in zip(values, np.ndindex(*selection.matrix[:16, :16].shape), strict=True):
            recorded = float(step.output[selection.index_of(row, column)])
            assert float(value) == pytest.approx(recorded, rel=5e-3, abs=5.1e-5), step.path


def test_the_sign_is_in_the_text() -> None:
    assert [matrix_number(value) for value in (0.5, -0.5, 0.0, 1234.5, -1e-9, float("inf"), float("nan"))] == [
        "+0.5000", "-0.5000", "+0.0000", "+1.23e+03", "-1.00e-09", "+inf", "+nan",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_window_fits_into_the_terminal(width: int) -> None:
    steps = walk(random_network(Bert, TINY, TOKENIZER), TOKENIZER, "a " * 60)
    selection = select(steps, "weights", cell="50,55")
    lines = shown(step_parts(selection, 4, width), width)
    assert max(map(cell_len, lines)) <= width
    assert any(line.startswith("50 a") for line in lines)
    assert any("▸" in line for line in lines)


def test_a_window_is_around_the_selected_place() -> None:
    assert [*window(10, 0, 3)] == [0, 1, 2]
    assert [*window(10, 5, 3)] == [4, 5, 6]
    assert [*window(10, 9, 3)] == [7, 8, 9]
    assert [*window(2, 1, 3)] == [0, 1]
