"""A walk in a notebook: the page of the step-through in a frame, or the list of its steps as text."""

import re
from collections.abc import Iterator
from html import escape as escape_html

from minibert.display import escape, first_and_last
from minibert.printable import printable
from minibert.study.page.page import step_through_page
from minibert.study.stepthrough.ranking import Prediction, predictions
from minibert.study.stepthrough.representation import shape_text
from minibert.study.stepthrough.step import Step, Walk

HEIGHT = 760
"""Height of the frame, in pixels. A reader can pull its lower edge."""
MAX_STEPS, MAX_PREDICTIONS, TOP = 80, 10, 5
"""Maximum numbers of lines for steps and for predictions, and the number of entries of each prediction."""
EXAMPLE = "layers.0.attention.scores"


def walk_html(walk: Walk) -> str:
    """Return a sentence and a frame with the page of the step-through.

    The frame has the whole page as its `srcdoc` and a sandbox: its scripts run, but they reach neither the notebook nor the
    network. A notebook that is not trusted shows the sentence only.
    """
    page = step_through_page(walk)
    return (
        f"<p>{escape(walk.summary)}. One step: <code>walk[&quot;{escape(_example(walk))}&quot;]</code></p>\n"
        f'<iframe title="{escape(walk.summary)}" sandbox="allow-scripts" width="100%" height="{HEIGHT}"'
        f' style="border:1px solid #8888;resize:vertical" srcdoc="{escape_html(page)}"></iframe>'
    )


def walk_text(walk: Walk) -> str:
    """Return the steps, one a line, and the predictions. The steps that several layers have are one line."""
    lines = [*_step_lines(walk)]
    first, omitted, last = first_and_last(lines, MAX_STEPS)
    lines = [*first, *([f"… {omitted} more"] if omitted else []), *last]
    found = predictions(walk, TOP)
    lines += [_prediction_line(prediction) for prediction in found[:MAX_PREDICTIONS]]
    lines += [f"… {len(found) - MAX_PREDICTIONS} more predictions"] if len(found) > MAX_PREDICTIONS else []
    lines += [] if walk.failure is None else str(walk.failure).splitlines()
    return "\n".join([walk.summary, *(f"  {printable(line)}" for line in lines), f'One step: walk["{_example(walk)}"]'])


def _step_lines(walk: Walk) -> Iterator[str]:
    """Yield path and axes of each step. "layers.0-11" stands for the same step of all these layers."""
    groups: dict[str, list[Step]] = {}
    for step in walk.steps:
        groups.setdefault(_layers(step.path, "N"), []).append(step)
    paths = {_layers(steps[0].path, _range(steps)): steps[0] for steps in groups.values()}
    width = max(map(len, paths), default=0)
    return (f"{path:{width}}  {shape_text(step)}" for path, step in paths.items())


def _layers(path: str, numbers: str) -> str:
    return re.sub(r"(?<=layers\.)\d+", numbers, path)


def _range(steps: list[Step]) -> str:
    numbers = [step.layer for step in steps if step.layer is not None]
    first, last = min(numbers, default=0), max(numbers, default=0)
    return str(first) if first == last else f"{first}-{last}"


def _prediction_line(prediction: Prediction) -> str:
    title = f" for {prediction.title}" if prediction.title else ""
    form = ".1%" if prediction.is_probability else ".4g"
    return f"{prediction.step.path}{title}: {', '.join(f'{entry.label} {entry.value:{form}}' for entry in prediction.ranked)}"


def _example(walk: Walk) -> str:
    """Return the path of a step to show alone: that of attention scores, if there are some."""
    paths = [*walk]
    return next((path for path in paths if path.endswith(EXAMPLE)), paths[-1] if paths else "")
