"""The report of an evaluation, as tables and lines for a terminal."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from minibert.commands.terminal import say, say_table, styled
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.study.evaluation.receipt import Check
    from minibert.study.evaluation.report import ClassReport, Report, ScoreReport
    from minibert.training.metrics.results import Outcome

MAX_CHARACTERS = 200
"""Number of characters of a text that are printed."""
MAX_CLASSES = 40
"""Number of classes that are printed."""
MAX_DIFFERENCES = 10
"""Number of differences that are printed for each check of a receipt."""


def show_report(report: "Report", errors: int) -> None:
    """Print a report, with at most `errors` errors and likely mislabeled rows."""
    say("", f"{printable(report.model)} ({report.task}) on {printable(report.data)}: {report.rows:,} {report.rows_name}")
    _show_scores(report)
    if report.classes:
        _show_classes(report.classes)
    if report.errors[:errors]:
        are_numbers = any(score.metric.name == "mean_squared_error" for score in report.scores)
        order, number = ("Largest", "difference") if are_numbers else ("Most confident", "probability")
        say("", styled(f"{order} errors: gold → predicted ({number})", "bold"))
        for outcome in report.errors[:errors]:
            _show_outcome(outcome, f"{outcome.gold} → {outcome.predicted}")
    if report.mislabeled[:errors]:
        say("", styled("Gold labels that are likely wrong (if the model was not trained on these rows)", "bold"))
        for outcome, likely in report.mislabeled[:errors]:
            _show_outcome(outcome, f"{outcome.gold}, likely {likely}")


def _show_scores(report: "Report") -> None:
    table = Table()
    table.add_column("metric")
    table.add_column("value", justify="right")
    if report.resamples:
        table.add_column("95% interval", justify="right")
    notes = any(score.note for score in report.scores)
    if notes:
        table.add_column("note", overflow="fold")
    for score in report.scores:
        cells = [score.metric.heading, _formatted(score, score.value)]
        cells += [_interval(score)] * (report.resamples > 0) + [printable(_note(score, report))] * notes
        table.add_row(*cells)
    say_table(table)
    if report.resamples:
        say(f"Intervals: percentile bootstrap over {report.rows_name}, {report.resamples:,} resamples, seed {report.seed}.")


def _formatted(score: "ScoreReport", value: float | None) -> str:
    return "-" if value is None else format(value, score.metric.form)


def _interval(score: "ScoreReport") -> str:
    if score.interval is None:
        return "-"
    return f"{_formatted(score, score.interval.low)} to {_formatted(score, score.interval.high)}"


def _note(score: "ScoreReport", report: "Report") -> str:
    undefined = 0 if score.interval is None else report.resamples - score.interval.resamples
    notes = [score.note] * bool(score.note) + [f"undefined on {undefined:,} resamples"] * bool(undefined)
    return "; ".join(notes + ["lower is better"] * (not score.metric.higher_is_better))


def _show_classes(classes: Sequence["ClassReport"]) -> None:
    table = Table()
    table.add_column("class", overflow="fold")
    for heading in ("precision", "recall", "F1", "gold", "predicted"):
        table.add_column(heading, justify="right")
    shown = sorted(classes, key=lambda each: -each.support)[:MAX_CLASSES] if len(classes) > MAX_CLASSES else classes
    for each in shown:
        scores = ("-" if score is None else f"{score:.1%}" for score in (each.precision, each.recall, each.f1))
        table.add_row(printable(each.name), *scores, f"{each.support:,}", f"{each.predicted:,}")
    say_table(table)
    if len(classes) > MAX_CLASSES:
        say(f"The {MAX_CLASSES} most frequent of {len(classes):,} classes; --out writes all of them.")


def _show_outcome(outcome: "Outcome", labels: str) -> None:
    place = "" if outcome.line is None else f"line {outcome.line}, "
    place += printable(f"{outcome.id}: ") if outcome.id else ""
    text = printable(textwrap.shorten(outcome.text, MAX_CHARACTERS, placeholder=" …"))
    say(f"  {place}{printable(labels)} ({outcome.confidence:.3g}): {text}")


def show_check(check: "Check") -> None:
    """Print a check of a receipt, and the rows that differ."""
    if check.skipped:
        say(f"  {check.name}: not checked, {printable(check.skipped)}")
        return
    differing = sum(each.differs for each in check.differences)
    verdict = styled(f"{differing:,} predictions differ", "red") if differing else styled("same predictions", "green")
    numbers = f" ({check.rows:,} rows; largest difference of logits {check.largest:.1e}, tolerance {check.tolerance:.0e})"
    say(styled(f"  {check.name}: ", "") + verdict + numbers)
    for each in check.differences[:MAX_DIFFERENCES]:
        place = f"row {each.row + 1}" if each.line is None else f"line {each.line}"
        text = printable(textwrap.shorten(each.text, MAX_CHARACTERS, placeholder=" …"))
        change = f"{_decision(each.prediction)} instead of {_decision(each.other)}, " if each.differs else ""
        say(f"    {place}: {change}difference {each.size:.1e}: {text}")
    if (more := len(check.differences) - MAX_DIFFERENCES) > 0:
        say(f"    and {more:,} more rows")


def _decision(prediction: Mapping[str, Any]) -> str:
    """Return the label, the labels or the answer of a prediction as text."""
    return printable(textwrap.shorten(", ".join(map(str, prediction.values())), MAX_CHARACTERS, placeholder=" …"))
