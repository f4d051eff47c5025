"""Figures of training runs: the losses of one run, and the comparison of several runs."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from minibert.study import figures
from minibert.study.drawing import figure
from minibert.training.records import RunRecord
from minibert.training.reference_runs import reference_for

UNIT = "nats per target"


def loss_figure(record: RunRecord, baselines: Mapping[str, float]) -> Figure:
    """Draw the training and validation loss of a run with its baselines, and the band of the reference runs if it has one.

    If the task declares another curve, such as BLEU, it is drawn next to the losses, with its baseline.
    """
    metrics = record.task_metrics
    training = record.curve(metrics.training_loss)
    reference = reference_for(record.settings)
    drawings = [
        figures.loss_curves(
            [step for step, _ in training],
            [loss for _, loss in training],
            record.curve(metrics.validation_loss),
            baselines,
            "validation data",
            reference.loss_band if reference else (),
            title=f"Loss: {record.settings['task']}",
            unit=UNIT if any(f"{metrics.term}_accuracy" in entry for entry in record.metrics) else "squared error",
        )
    ]
    if metrics.curve is not None and (points := record.curve(metrics.curve.metric)):
        curves = {record.name: points}
        if metrics.curve_baseline is not None:
            curves[f"baseline: {metrics.curve_baseline.heading}"] = record.curve(metrics.curve_baseline.metric)
        drawings.append(figures.line_chart(curves, "step", metrics.curve.heading, "on validation data"))
    return figure(*drawings)


def comparison_figure(records: Sequence[RunRecord]) -> Figure:
    """Draw the validation loss of several runs over steps and over training tokens."""
    by_step: dict[str, list[tuple[float, float]]] = {}
    by_tokens: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        validation_loss, tokens = record.task_metrics.validation_loss, 0
        by_step[record.name], by_tokens[record.name] = [], []
        for entry in record.metrics:
            tokens += entry.get("tokens", 0)
            if validation_loss in entry:
                loss = math.nan if entry[validation_loss] is None else entry[validation_loss]
                by_step[record.name].append((entry["step"], loss))
                by_tokens[record.name].append((tokens / 1e6, loss))
    return figure(
        figures.line_chart(by_step, "step", "Validation loss", UNIT),
        figures.line_chart(by_tokens, "training tokens, in millions", "Validation loss", UNIT),
    )
