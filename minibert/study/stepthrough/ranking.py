"""The predictions at the end of a forward pass: the most probable pieces, classes, tags or answers."""

from dataclasses import dataclass

from minibert.study.stepthrough.step import Step, Walk

PROBABILITIES, SCORES = "probabilities", "logits"
"""Names of the steps that predictions are read from."""


@dataclass(frozen=True)
class RankedEntry:
    """A piece, a class, or a token, with its probability, or with its score if the head has no probabilities."""

    number: int
    """Place on the last axis of the step, such as the id of the piece."""
    label: str
    value: float


@dataclass(frozen=True)
class Prediction:
    """The highest entries of one prediction."""

    step: Step
    row: int
    """Place of the prediction on the axis before the last one."""
    title: str
    """The token or the other thing that is predicted for, such as "[MASK]" or "start"; empty for a whole text."""
    ranked: tuple[RankedEntry, ...]

    @property
    def is_probability(self) -> bool:
        """False for the scores of a regression."""
        return self.step.name == PROBABILITIES


def predictions(walk: Walk, top: int) -> list[Prediction]:
    """Return the predictions of every head. Without probabilities, as in a regression, they are the scores.

    Args:
        top: number of entries of each prediction.
    """
    steps = [step for step in walk.steps if step.name == PROBABILITIES]
    steps = steps or [step for step in walk.steps if step.name == SCORES]
    return [prediction for step in steps for prediction in _of_step(step, top)]


def _of_step(step: Step, top: int) -> list[Prediction]:
    labels = step.axes[-1].labels
    before = step.axes[-2] if len(step.axes) > 1 else None
    found = []
    for row, values in enumerate(step.output.detach().float().reshape(-1, step.output.shape[-1])):
        highest = values.topk(min(top, len(values)))
        ranked = tuple(
            RankedEntry(number, str(number) if labels is None else labels[number], value)
            for number, value in zip(highest.indices.tolist(), highest.values.tolist(), strict=True)
        )
        found.append(Prediction(step, row, before.labels[row] if before is not None and before.labels else "", ranked))
    return found
