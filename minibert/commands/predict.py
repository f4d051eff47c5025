"""`minibert predict`: the predictions of a trained model, as JSON lines."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.terminal import report, say_json
from minibert.text.labeled.options import TableColumns

if TYPE_CHECKING:
    from io import BufferedIOBase

    from minibert.training.prediction import Input
    from minibert.training.task_type import TaskType
    from minibert.training.trained import TrainedModel

STANDARD_INPUT = Path("-")
DEFAULT_N_BEST = 3
"""Number of answers to a question that are printed."""


@dataclass(frozen=True)
class Predict:
    """Print the prediction of a trained model for each row of a file or of the standard input, as one JSON object per line.

    The results have the order of the input and the number of its line. Each block of rows is printed as soon as it is
    predicted; memory use does not depend on the size of the input. A line that cannot be used gives an object with an error,
    and exit code 1.

    A line of text is a row, with tabs between its inputs: text, or text and second text (classify); question and context
    (answer); words, with spaces between them (tag). JSON objects and tables have these as `text` and `pair`, `question` and
    `context`, or `words`.
    """

    checkpoint: Positional[str]
    """A folder of a run, of an adapter, or of a checkpoint with a head; or the id of a model on the Hugging Face hub."""
    file: Annotated[Positional[Path], arg(metavar="FILE|-")] = STANDARD_INPUT
    """Rows to predict: text, .jsonl, .csv, .tsv, .parquet, or labeled data; .gz is possible. "-": the standard input."""
    format: Literal["auto", "text", "jsonl", "table", "labeled"] = "auto"
    """Format of the input. auto: as the extension says, text for the standard input. labeled: as for `minibert finetune`,
    such as CoNLL columns or SQuAD JSON."""
    columns: Annotated[str | None, arg(metavar="NAME,NAME")] = None
    """Names of the columns of a table without a header, with commas: text,_,pair. A column named _ is not used."""
    text_column: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Column of the text, or of the first text of a pair, in a table. Default: a known name."""
    pair_column: Annotated[str | None, arg(metavar="COLUMN")] = None
    """Column of the second text, in a table."""
    n_best: int | None = None
    """Question answering: number of answers in the list `n_best`, which has the best answer, too; 0 for no list. Default: 3.
    Their probabilities are those among the answers that the model compares (`minibert finetune answer --n-best`)."""
    null_threshold: Annotated[float | None, arg(metavar="NUMBER")] = None
    """Question answering: a question has no answer if its `null_difference`, the score of no answer minus that of the best
    answer, is above this. Default: the threshold of the model. A model without one answers every question."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""


def run(options: Predict) -> int:
    """Print the predictions, block by block."""
    from minibert.training.distributed import choose_device
    from minibert.training.prediction import predict_stream
    from minibert.training.trained import load_trained

    if options.n_best is not None and options.n_best < 0:
        raise UsageError(f"--n-best must be at least 0, not {options.n_best}")
    try:
        trained = load_trained(options.checkpoint, choose_device(options.device))
        task_type = with_threshold(trained.type, options.null_threshold)
        trained = replace(trained, type=_with_answers(task_type, options.n_best))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    count = errors = 0
    try:
        for block in predict_stream(trained, _blocks(options, trained)):
            for result in block:
                say_json(_shortened(result, options.n_best), indent=None)
                if "error" in result:
                    report(f"line {result['line']}: {result['error']}")
                    errors += 1
            count += len(block)
    except (ValueError, FileNotFoundError) as error:
        if not count:
            raise UsageError(error) from error
        raise WorkFailed(f"{error}. The {count:,} rows before it are predicted") from error
    if not count:
        raise UsageError(f"{_name(options)}: has no rows")
    if errors:
        raise WorkFailed(f"{errors:,} of {count:,} rows could not be predicted")
    return 0


def with_threshold(task_type: "TaskType[Any]", threshold: float | None) -> "TaskType[Any]":
    """Return the task with the threshold of --null-threshold, if it is given. Raises: ValueError for another task."""
    if threshold is not None and math.isnan(threshold):
        raise ValueError("--null-threshold nan: must be a number")
    try:
        return task_type.with_settings(threshold=threshold)
    except ValueError as error:
        raise ValueError(f"--null-threshold: {error}") from error


def _with_answers(task_type: "TaskType[Any]", n_best: int | None) -> "TaskType[Any]":
    """Return the task, which predicts at least so many answers. Raises: ValueError for another task."""
    if n_best is None:
        return task_type
    try:
        return task_type.with_settings(n_best=max(n_best, getattr(task_type, "n_best", 0)))
    except ValueError as error:
        raise ValueError(f"--n-best: {error}") from error


def _shortened(result: dict[str, Any], n_best: int | None) -> dict[str, Any]:
    """Return a result with the best answers only."""
    if "n_best" not in result:
        return result
    shown = result["n_best"][: DEFAULT_N_BEST if n_best is None else n_best]
    return {**result, "n_best": shown} if shown else {name: value for name, value in result.items() if name != "n_best"}


def _blocks(options: Predict, trained: "TrainedModel[Any]") -> Iterator[list["Input[Any]"]]:
    from minibert.text.file_formats import extension
    from minibert.text.line_stream import line_blocks
    from minibert.training.prediction import LABELED_EXTENSIONS, infer_format, input_blocks, stream_blocks

    if options.file != STANDARD_INPUT:
        columns = TableColumns(options.columns, options.text_column, options.pair_column)
        is_named_so = extension(options.file) in LABELED_EXTENSIONS
        if options.format == "auto" and not is_named_so and infer_format(trained.type, options.file) == "labeled":
            report(f"note: {options.file} is read as labeled data; --format text reads each line as one row")
        return input_blocks(trained.type, options.file, columns, options.format)
    if options.format in ("table", "labeled"):
        raise UsageError(f"--format {options.format}: needs a file; the standard input is text or jsonl")
    stream = cast("BufferedIOBase", sys.stdin.buffer)
    return stream_blocks(trained.type, line_blocks(stream, _name(options)), options.format)


def _name(options: Predict) -> str:
    return "the standard input" if options.file == STANDARD_INPUT else str(options.file)
