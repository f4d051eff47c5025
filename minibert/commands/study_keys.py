"""The interactive step-through: keys lead from step to step, and from cell to cell."""

from collections.abc import Callable
from contextlib import closing

from minibert.commands.keys import keys
from minibert.commands.study_view import step_parts
from minibert.commands.terminal import Renderable, full_screen, screen_size, styled
from minibert.study.stepthrough.selection import Selection

Move = Callable[[Selection], Selection]

MOVES: dict[tuple[str, ...], tuple[str, Move]] = {
    ("n", "right"): ("next step", lambda now: now.at_step(min(now.number + 1, len(now.walk) - 1))),
    ("p", "left"): ("previous step", lambda now: now.at_step(max(now.number - 1, 0))),
    ("down",): ("same step of the next layer", lambda now: now.at_layer(1)),
    ("up",): ("same step of the previous layer", lambda now: now.at_layer(-1)),
    ("]",): ("next head", lambda now: now.at_head(1)),
    ("[",): ("previous head", lambda now: now.at_head(-1)),
    ("h",): ("cell to the left", lambda now: now.moved(0, -1)),
    ("l",): ("cell to the right", lambda now: now.moved(0, 1)),
    ("k",): ("cell above", lambda now: now.moved(-1, 0)),
    ("j",): ("cell below", lambda now: now.moved(1, 0)),
    ("m",): ("largest number of the matrix", lambda now: now.at_largest()),
    ("home",): ("first step", lambda now: now.at_step(0)),
    ("end",): ("last step", lambda now: now.at_step(len(now.walk) - 1)),
}
"""Description and effect of each key."""
QUIT, HELP, BACK = ("q", "\x1b"), "?", "b"
HINT = "n p step   ↑ ↓ layer   [ ] head   h j k l cell   1-9 input   ? keys   q quit"


def step_through(selection: Selection, terms: int) -> Selection:
    """Show a step, and the steps and cells that the reader chooses with keys, until q is pressed. Return the last selection.

    Raises: Stopped after Ctrl-C or SIGTERM. The terminal then shows again what it showed before.
    """
    history: list[Selection] = []
    is_help = False
    shown: object = None
    with full_screen() as show, closing(keys()) as pressed:
        for key in pressed:
            if key in QUIT:
                break
            if key == BACK and history:
                selection = history.pop()
            elif key == HELP or is_help:
                is_help = key == HELP and not is_help if key else is_help
            elif (moved := _moved(selection, key)) != selection:
                if moved.number != selection.number:
                    history.append(selection)
                selection = moved
            if shown != (shown := (selection, is_help, screen_size())):
                show(_help_parts() if is_help else _parts(selection, terms, *screen_size()))
    return selection


def _moved(selection: Selection, key: str) -> Selection:
    inputs = [leaf.name for leaf in selection.step.inputs]
    if key in "123456789" and key and int(key) <= len(inputs) and inputs[int(key) - 1] in selection.walk:
        return selection.at_step(selection.walk.steps.index(selection.walk[inputs[int(key) - 1]]))
    return next((move(selection) for names, (_, move) in MOVES.items() if key in names), selection)


def _parts(selection: Selection, terms: int, width: int, height: int) -> list[Renderable]:
    """Return a view that fits into the terminal: half of the lines are for the matrix."""
    return [styled(HINT, "dim"), *step_parts(selection, terms, width, max(3, height // 2 - 6))]


def _help_parts() -> list[Renderable]:
    rows = [(" ".join(names), description) for names, (description, _) in MOVES.items()]
    rows += [("1-9", "step of an input"), (BACK, "back to the step before"), (HELP, "this list"), ("q Esc", "quit")]
    return [styled("Keys", "bold"), *(styled(f"{names:12}{description}") for names, description in rows)]
