"""`minibert evaluate`: the scores of a trained model on labeled data, its errors, and a receipt of the computation."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.evaluation_report import show_check, show_report
from minibert.commands.predict import with_threshold
from minibert.commands.terminal import report as warn
from minibert.commands.terminal import say, styled
from minibert.commands.training import create_folder
from minibert.printable import printable
from minibert.text.labeled.options import LabeledSource, TableColumns, WordColumns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minibert.study.evaluation.receipt import Check, Evaluated
    from minibert.study.evaluation.report import Report
    from minibert.text.labeled.findings import LabeledData
    from minibert.training.metrics.results import Results
    from minibert.training.task_type import TaskType

REPORT_FILE, CONFUSION_FILE = "report.json", "confusion.png"
MAX_NAMES = 8
"""Number of classes that a message lists."""
MAX_FINDINGS = 3
"""Number of findings in the data that are printed."""


@dataclass(frozen=True)
class Evaluate:
    """Score a trained model on labeled data, with intervals, a report by class, and the most confident errors.

    Labels are compared by name. A label that the model does not have counts as an error. Exit code 1 if a check of --receipt
    shows a different prediction.
    """

    checkpoint: Positional[str]
    """A folder of a run, of an adapter, or of a checkpoint with a head; or the id of a model on the Hugging Face hub."""
    data: tuple[Path, ...] = ()
    """Files with labeled data, as for `minibert finetune`. Default: the validation part of the built-in data, if the model
    was trained on them."""
    dataset: str | None = None
    """Dataset to use instead of files: its id on the Hugging Face hub, or a folder."""
    dataset_config: str | None = None
    """Configuration of the dataset, if it has several."""
    split: str = "validation"
    """Split of the dataset."""
    table: TableColumns = field(default_factory=TableColumns)
    words: WordColumns = field(default_factory=WordColumns)
    positive_class: Annotated[str | None, arg(metavar="CLASS")] = None
    """Class whose F1 is computed. Default: the second one, if there are two."""
    null_threshold: Annotated[float | None, arg(metavar="NUMBER")] = None
    """Question answering: a question has no answer if the score of no answer minus that of the best answer is above this.
    Default: the threshold of the model. A model without one answers every question."""
    resamples: int = 1000
    """Number of bootstrap resamples of each interval; 0 for no intervals."""
    seed: int = 0
    """Seed of the resamples."""
    errors: int = 5
    """Number of errors, and of likely mislabeled rows, to print."""
    out: Path | None = None
    """Folder to write to: report.json with all results, and confusion.png."""
    receipt: bool = False
    """Compute all predictions again and compare: in batches of one, in two processes, with the adapter merged, and with
    transformers."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""

    @property
    def source(self) -> LabeledSource | None:
        """The source of the rows; None for built-in data."""
        if self.dataset is not None:
            return LabeledSource((), self.dataset, self.dataset_config, self.split)
        return LabeledSource(self.data) if self.data else None


def run(options: Evaluate) -> int:
    """Evaluate the model and print the report."""
    _check(options)
    from minibert.study.evaluation.receipt import Evaluated
    from minibert.study.evaluation.report import make_report
    from minibert.training.distributed import choose_device
    from minibert.training.trained import load_trained

    if options.out is not None:
        create_folder(options.out)
    try:
        trained = load_trained(options.checkpoint, choose_device(options.device))
        trained = replace(trained, type=with_threshold(trained.type, options.null_threshold))
        data = _read(options, trained.type)
        trained = replace(trained, type=_with_positive_class(trained.type, options.positive_class))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    evaluated = Evaluated.compute(trained, data.rows)
    if cut := sum(example.is_cut for example in evaluated.examples):
        say(f"{cut:,} of {len(data.rows):,} {trained.type.rows_name} are too long for the model and were cut")
    _warn_of_unknown_labels(evaluated.results)
    checks = list(_receipt(evaluated)) if options.receipt else []
    names = (options.checkpoint, trained.type, data.name)
    report = make_report(evaluated.results, *names, options.resamples, options.seed, checks)
    show_report(report, options.errors)
    if options.out is not None:
        _write(report, options.out)
    return 1 if any(check.predictions_differ for check in checks) else 0


def _check(options: Evaluate) -> None:
    if options.data and options.dataset is not None:
        raise UsageError("--data and --dataset exclude each other: give only one")
    for name in ("resamples", "seed", "errors"):
        if getattr(options, name) < 0:
            raise UsageError(f"--{name} must be at least 0, not {getattr(options, name)}")


def _read(options: Evaluate, task_type: "TaskType[Any]") -> "LabeledData[Any]":
    """Read the labeled data, and print what was inferred and found. Raises: ValueError for data that cannot be used."""
    from minibert.text.labeled.findings import LabeledDataError, refuse_errors

    if options.source is None:
        return _built_in(task_type)
    try:
        data = _read_labels(options, task_type, options.table)
    except LabeledDataError as error:
        if options.table.label_names and _is_readable(options, task_type, replace(options.table, label_names=None)):
            names = f"--label-names {options.table.label_names}"
            raise UsageError(
                f"{names}: leave it out; the model has the labels as they are in the data, not these names"
            ) from error
        raise
    refuse_errors(data.findings, "repair or delete these rows")
    if not data.rows:
        raise UsageError(f"{data.name}: has no rows")
    for note in data.notes:
        say(printable(note))
    for finding in data.findings[:MAX_FINDINGS]:
        warn(f"note: {finding}")
    if (more := len(data.findings) - MAX_FINDINGS) > 0:
        warn(f"note: more findings in the data: {more:,}")
    return data


def _read_labels(options: Evaluate, task_type: "TaskType[Any]", table: TableColumns) -> "LabeledData[Any]":
    """Read the labeled data, with the labels of the model."""
    from minibert.text.labeled.findings import refuse_errors

    assert options.source is not None
    reading, given = task_type.reading_options, {"table": table, "words": options.words}
    used = {name: columns for name, columns in given.items() if hasattr(reading, name)}
    data = task_type.read(options.source, replace(reading, **used))
    refuse_errors(data.findings, "repair or delete these rows")
    return task_type.to_score(data)


def _is_readable(options: Evaluate, task_type: "TaskType[Any]", table: TableColumns) -> bool:
    """Return True if the labels are those of the model when the columns are read in this way."""
    try:
        return not _read_labels(options, task_type, table).errors
    except ValueError:
        return False


def _built_in(task_type: "TaskType[Any]") -> "LabeledData[Any]":
    """Return the built-in validation data. Raises: UsageError if the model was not trained on the training part of it."""
    try:
        return task_type.to_score(task_type.built_in()[1])
    except ValueError:
        raise UsageError("the model was not trained on built-in data: give --data FILE, or --dataset DATASET") from None


def _with_positive_class(task_type: "TaskType[Any]", name: str | None) -> "TaskType[Any]":
    if name is None:
        return task_type
    if "positive_class" not in {each.name for each in fields(task_type)}:
        raise UsageError(f"--positive-class {name}: this model is not a classifier of texts")
    return replace(task_type, positive_class=name)  # type: ignore[call-arg]


def _warn_of_unknown_labels(results: "Results") -> None:
    if results.unknown:
        rows, names = sum(results.unknown.values()), ", ".join([*results.unknown][:MAX_NAMES])
        warn(f"warning: {len(results.unknown):,} of the labels ({names}) are not in the model; {rows:,} rows count as errors")


def _receipt(evaluated: "Evaluated") -> "Iterator[Check]":
    """Make the checks, and print each of them when it is done. Raises: WorkFailed if one cannot be made."""
    from minibert.study.evaluation.receipt import receipt

    say("", styled("Receipt", "bold"))
    try:
        for check in receipt(evaluated):
            show_check(check)
            yield check
    except (RuntimeError, ValueError) as error:
        raise WorkFailed(f"a check of the receipt cannot be made: {error}") from error


def _write(report: "Report", folder: Path) -> None:
    """Write the report and the confusion matrix."""
    from minibert.files import write_atomically
    from minibert.study.drawing import CJK_FONTS, missing_characters, readable, save
    from minibert.study.evaluation.confusion import confusion_figure

    write_atomically(folder / REPORT_FILE, report.to_json())
    written = [REPORT_FILE]
    if report.confusion is not None:
        save(confusion_figure(report.confusion), folder / CONFUSION_FILE)
        written.append(CONFUSION_FILE)
        if missing := missing_characters(report.confusion.classes):
            codes = f"{CONFUSION_FILE} shows codes such as {readable(missing[0])}"
            warn(f"note: {codes}: no installed font has these characters; for Chinese, install {CJK_FONTS[0]}")
    say("", f"Written to {printable(folder)}: {', '.join(written)}")
