"""Labeled texts and pairs of texts in TSV, CSV, JSONL and Parquet files, and in Hugging Face datasets."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from minibert.text.columns import TABLES
from minibert.text.corpus import load_split
from minibert.text.delimited_tables import CsvTable, TsvTable
from minibert.text.file_formats import extension
from minibert.text.labeled.dataset_table import DatasetTable
from minibert.text.labeled.duplicates import find_duplicates, text_key
from minibert.text.labeled.findings import LabeledData, LabeledDataError, check_file
from minibert.text.labeled.label_names import find_similar
from minibert.text.labeled.label_values import comparable
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.table_reader import TableReader
from minibert.text.labeled.text_rows import TextRow
from minibert.text.table import Table

NAMED_COLUMNS = "its columns have names; choose some with --text-column, and leave out --columns"


def read_table(
    source: LabeledSource | str | Path,
    columns: TableColumns | None = None,
    multi_label: bool = False,
    is_labeled: bool = True,
) -> LabeledData[TextRow]:
    """Read texts or pairs of texts with their labels.

    Args:
        source: TSV, CSV, JSONL or Parquet files, each optionally compressed as .gz; or a split of a dataset. A path
            is one file.
        columns: columns of the texts and labels. By default they are found by their names.
        multi_label: a text can have any number of labels: a list, or text with a separator.
        is_labeled: False for texts without labels. Columns with labels are then ignored.

    Returns: the rows that can be used, and findings about the others. A label is text without blanks at its ends; a whole
        number has no decimal point.

    Raises: CorpusError or LabeledDataError, with file and line, if a file cannot be read to its end, or if it is not clear
        which columns to use.
    """
    options = columns or TableColumns()
    source = source if isinstance(source, LabeledSource) else LabeledSource((Path(source),))
    readers = [TableReader(table, options, multi_label, is_labeled) for table in open_tables(source, options)]
    rows = [row for reader in readers for row in reader.read()]
    findings = [finding for reader in readers for finding in reader.log.findings]
    if is_labeled:
        findings += [*find_similar(rows), *find_duplicates(rows, row_key, lambda row: comparable(row.label))]
    content = json.dumps([(row.text, row.pair, row.label) for row in rows])
    return LabeledData(
        rows,
        findings,
        name=", ".join(reader.table.name for reader in readers),
        digest=hashlib.sha256(content.encode()).hexdigest(),
        notes=[f"{reader.table.name}: {', '.join(reader.roles.reasons)}" for reader in readers],
    )


def row_key(row: TextRow) -> str:
    """Return a key of a row, equal for rows with the same text or the same pair."""
    return f"{text_key(row.text)}\t{text_key(row.pair or '')}"


def open_tables(source: LabeledSource, columns: TableColumns) -> list[Table]:
    """Open the tables of a source. Raises: CorpusError or LabeledDataError if there is no such file or dataset."""
    if source.dataset is None:
        return [open_table(path, columns.header) for path in source.files]
    if columns.header is not None:
        raise LabeledDataError(f"{source.dataset}: {NAMED_COLUMNS}")
    rows = load_split(source.dataset, source.dataset_config, source.split)
    return [DatasetTable(rows, f"{source.dataset} ({source.split})")]


def open_table(path: Path, header: Sequence[str] | None = None) -> Table:
    """Open a file with columns.

    Args:
        header: names of the columns, for a file without a header.

    Raises: CorpusError or LabeledDataError if the file cannot be opened, or is of another kind.
    """
    check_file(path)
    kind = TABLES.get(extension(path))
    if kind is None:
        raise LabeledDataError(
            f"{path}: its name must end in {', '.join(TABLES)}, optionally followed by .gz; rename or convert it"
        )
    if header is None:
        return kind(path)
    if not issubclass(kind, TsvTable | CsvTable):
        raise LabeledDataError(f"{path}: {NAMED_COLUMNS}")
    return kind(path, header)
