"""Prediction of a stream of rows. A block of them is predicted before the next one is read, so memory use is constant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from minibert.text.columns import TABLES
from minibert.text.file_formats import extension
from minibert.text.labeled.findings import refuse_errors
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.tables import open_table
from minibert.text.line_stream import file_blocks, parse_json, split_fields
from minibert.text.table import Record, Table
from minibert.text.tokenizer import PAD, token_id
from minibert.training.logits import compute_logits
from minibert.training.task_type import TaskType
from minibert.training.trained import TrainedModel

RowT = TypeVar("RowT")
ItemT = TypeVar("ItemT")
ROWS_PER_BLOCK = 64
"""Number of rows of a file that are predicted at a time."""
LABELED_EXTENSIONS = (".json", ".conll", ".bio", ".iob", ".iob2")
"""Extensions of files in a format of labeled data that is no table."""

InputFormat = Literal["auto", "text", "jsonl", "table", "labeled"]


@dataclass(frozen=True)
class Input(Generic[RowT]):
    """A row to predict, or the reason why it cannot be predicted."""

    line: int | None
    """Line of the input, starting at 1; or row, in a file without lines."""
    row: RowT | None
    error: str = ""


def predict_stream(trained: TrainedModel[RowT], blocks: Iterable[Sequence[Input[RowT]]]) -> Iterator[list[dict[str, Any]]]:
    """Predict blocks of rows. The result of each input, in the same order, has its line and its prediction, or its error.

    The prediction for a row that was cut, because it is too long for the model, says so (`cut`).
    """
    for block in (_checked(trained.type, block) for block in blocks):
        predictions = iter(_predict(trained, [each.row for each in block if each.row is not None]))
        yield [{"line": each.line, **({"error": each.error} if each.row is None else next(predictions))} for each in block]


def _checked(task_type: TaskType[RowT], block: Sequence[Input[RowT]]) -> list[Input[RowT]]:
    """Return a block in which the rows that are no inputs for the model have an error."""
    faults = ["" if each.row is None else task_type.input_fault(each.row) for each in block]
    return [replace(each, row=None, error=fault) if fault else each for each, fault in zip(block, faults, strict=True)]


def _predict(trained: TrainedModel[RowT], rows: Sequence[RowT]) -> list[dict[str, Any]]:
    task_type, examples = trained.type, trained.type.encode(rows, trained.tokenizer)
    logits = compute_logits(trained.network, task_type, examples, token_id(trained.tokenizer, PAD))
    cut = {example.row for example in examples if example.is_cut}
    predictions = task_type.predict(rows, examples, logits)
    return [{**each, "cut": True} if number in cut else each for number, each in enumerate(predictions)]


def input_blocks(
    task_type: TaskType[RowT], file: Path, columns: TableColumns, file_format: InputFormat = "auto"
) -> Iterator[list[Input[RowT]]]:
    """Read a file in blocks of rows.

    Args:
        columns: columns of the texts, in a table.
        file_format: text: a row per line, with tabs between its inputs. jsonl and table: columns with the names of the inputs.
            labeled: the format of training data, such as CoNLL. auto: as the extension says.

    Raises: ValueError if the file cannot be read to its end.
    """
    if file_format == "auto":
        file_format = infer_format(task_type, file)
    if file_format == "labeled":
        data = task_type.read_inputs(LabeledSource((file,)), task_type.reading_options)
        refuse_errors(data.findings, "repair or delete these rows")
        yield from _blocks(Input(getattr(row, "line", None), row) for row in data.rows)
    elif file_format == "table":
        yield from _blocks(_table_inputs(task_type, open_table(file, columns.header), columns))
    else:
        yield from stream_blocks(task_type, file_blocks(file), file_format)


def infer_format(task_type: TaskType[Any], file: Path) -> InputFormat:
    """Choose the format of a file by its extension, and by its first lines if that leaves it open."""
    kind = extension(file)
    if kind in LABELED_EXTENSIONS or (kind not in (".jsonl", ".parquet") and task_type.is_labeled_file(file)):
        return "labeled"
    return "table" if kind in TABLES else "text"


def stream_blocks(
    task_type: TaskType[RowT], blocks: Iterable[list[Record]], file_format: InputFormat
) -> Iterator[list[Input[RowT]]]:
    """Convert blocks of lines of text or JSONL."""
    for block in blocks:
        if file_format == "jsonl":
            records = [parse_json(record) for record in block if record.fault or record.values["line"].strip()]
        else:
            records = [split_fields(record, task_type.input_fields) for record in block]
        yield [_input(task_type, record, record.values) for record in records]


def _table_inputs(task_type: TaskType[RowT], table: Table, columns: TableColumns) -> Iterator[Input[RowT]]:
    """Convert the records of a table. Blank lines are left out."""
    fields = task_type.input_columns(table.names, columns, table.location())
    for record in table.records():
        if record.fault or record.values:
            named = {field: record.values[column] for field, column in fields.items() if column in record.values}
            yield _input(task_type, record, {**record.values, **named})


def _input(task_type: TaskType[RowT], record: Record, values: Mapping[str, Any]) -> Input[RowT]:
    try:
        return Input(record.line, None, record.fault) if record.fault else Input(record.line, task_type.input_row(values))
    except ValueError as error:
        return Input(record.line, None, str(error))


def _blocks(items: Iterator[ItemT]) -> Iterator[list[ItemT]]:
    """Split items into blocks of `ROWS_PER_BLOCK`."""
    while block := list(islice(items, ROWS_PER_BLOCK)):
        yield block
