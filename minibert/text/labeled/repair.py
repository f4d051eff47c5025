"""Writing a repaired copy of a file with labeled texts."""

import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minibert.files import write_atomically
from minibert.text.file_formats import extension
from minibert.text.labeled.findings import LabeledDataError
from minibert.text.labeled.label_values import LabelError, label_of
from minibert.text.labeled.options import LabeledSource, TableColumns
from minibert.text.labeled.table_reader import TableReader
from minibert.text.labeled.tables import open_tables
from minibert.text.labeled.text_rows import TextRow
from minibert.text.parquet_files import open_parquet
from minibert.text.table import Record, TextTable


def write_repaired(source: LabeledSource, target: Path, columns: TableColumns | None = None, multi_label: bool = False) -> None:
    """Write the rows of a file as they are read: in the same format and order, with all columns, without the faults.

    Rows that cannot be repaired without ambiguity are written as they are.

    Raises: LabeledDataError or CorpusError for a source that is not one file, for a file that cannot be read to its end, and
        for a target with another format. OSError if the target cannot be written.
    """
    single_file(source.files, target)
    options = columns or TableColumns()
    reader = TableReader(open_tables(source, options)[0], options, multi_label, is_labeled=True)
    repair = Repair(reader)
    content = repair.text().encode() if isinstance(reader.table, TextTable) else repair.parquet()
    write_atomically(target, gzip.compress(content, mtime=0) if target.suffix == ".gz" else content)


def single_file(files: Sequence[Path], target: Path) -> Path:
    """Return the file of which a repaired copy is made.

    Raises: LabeledDataError if there is not one file, and for a target that is the file itself or has another format.
    """
    if len(files) != 1:
        raise LabeledDataError("only one file can be repaired: give one training file, and no dataset")
    [path] = files
    if extension(target) != extension(path):
        raise LabeledDataError(f"{target}: a repaired copy has the format of {path.name}; choose a name with {extension(path)}")
    if target.exists() and path.exists() and target.samefile(path):
        raise LabeledDataError(f"{target}: is the file itself; choose another name for the repaired copy")
    return path


class Repair:
    """The rows of a table, and how their records in the file differ from them."""

    def __init__(self, reader: TableReader) -> None:
        self.reader, self.table = reader, reader.table
        self.rows = {row.line: row for row in reader.read()}
        self.is_mixed = len(reader.labels.types) > 1
        """True if the labels have different types in JSON. Then all become text, or lists of text."""

    def records(self) -> Iterator[tuple[Record, Mapping[str, str | list[str]]]]:
        """Yield the records that are kept, each with its changes."""
        for record in self.table.records(self.reader.roles.used):
            if record.line not in self.reader.left_out:
                row = self.rows.get(record.line)
                yield record, {} if row is None else self.changes(record, row)

    def changes(self, record: Record, row: TextRow) -> dict[str, str | list[str]]:
        """Return the values of a row that are not those of its record."""
        roles = self.reader.roles
        texts = zip(roles.texts, (row.text, row.pair or ""), strict=False)
        changes: dict[str, str | list[str]] = {name: text for name, text in texts if (record.values[name] or "") != text}
        if len(roles.labels) == 1:
            [column] = roles.labels
            written = self._written(record.values[column], row)
            if written is not None:
                changes[column] = written
        return changes

    def _written(self, value: Any, row: TextRow) -> str | list[str] | None:
        """Return the label of a row in the form of its record; None if the record has it."""
        label = [*row.label] if isinstance(row.label, tuple) else row.label
        if self.is_mixed:
            return label if value != label else None
        if isinstance(label, list) and isinstance(value, str):
            label = self.reader.options.label_separator.join(label)
            return label if value != label else None
        read = label_of(value, self.reader.labels.class_names[self.reader.roles.labels[0]])
        return label if read != row.label else None

    def text(self) -> str:
        """Return the repaired text of a file that is text."""
        table = self.table
        assert isinstance(table, TextTable)
        parts = [table.rewrite(record, changes) if changes else record.source for record, changes in self.records()]
        return "".join([table.header(), *(part if part.endswith("\n") else f"{part}\n" for part in parts)])

    def parquet(self) -> bytes:
        """Return the repaired contents of a Parquet file. A column with changes becomes text, or lists of text."""
        import pyarrow
        from pyarrow import parquet

        with open_parquet(self.table.path) as file:
            table = file.read()
        records = [*self.records()]
        table = table.take(pyarrow.array([record.line - 1 for record, _ in records], pyarrow.int64()))
        changed = {column for _, changes in records for column in changes}
        for column in changed:
            values = [changes.get(column, self._as_text(record.values[column], column)) for record, changes in records]
            table = table.set_column(table.schema.get_field_index(column), column, pyarrow.array(values))
        if changed & {*self.reader.roles.labels}:
            table = table.replace_schema_metadata(None)  # the names of the labels are now in the column
        content = io.BytesIO()
        parquet.write_table(table, content)
        return content.getvalue()

    def _as_text(self, value: Any, column: str) -> str | list[str] | None:
        """Return a text, a label or labels as text; None for a value that is none of them."""
        try:
            label = label_of(value, self.reader.labels.class_names.get(column))
        except LabelError:
            return None
        return [*label] if isinstance(label, tuple) else label
