"""`minibert predict`: the predictions of a trained model, as JSON lines."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError, WorkFailed
from minibert.commands.terminal import report, say_json
from minibert.text.labeled.options import TableColumns

if TYPE_CHECKING:
    from io import BufferedIOBase

    from minibert.training.prediction import Input
    from minibert.training.trained import TrainedModel

STANDARD_INPUT = Path("-")


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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if it is available, else the CPU."""


def run(options: Predict) -> int:
    """Print the predictions, block by block."""
    from minibert.training.distributed import choose_device
    from minibert.training.prediction import predict_stream
    from minibert.training.trained import load_trained

    try:
        trained = load_trained(options.checkpoint, choose_device(options.device))
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    count = errors = 0
    try:
        for block in predict_stream(trained, _blocks(options, trained)):
            for result in block:
                say_json(result, indent=None)
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
