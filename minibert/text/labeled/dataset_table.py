"""Rows of a Hugging Face dataset."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minibert.text.table import Record, Table

if TYPE_CHECKING:
    from datasets import Dataset


class DatasetTable(Table):
    """The rows of one split of a dataset.

    Args:
        name: name for messages.
    """

    unit = "row"

    def __init__(self, rows: "Dataset", name: str) -> None:
        super().__init__(Path())
        self.rows, self.name, self.names = rows, name, rows.column_names

    def records(self, columns: Sequence[str] | None = None) -> Iterator[Record]:
        rows = self.rows if columns is None else self.rows.select_columns([*columns])
        for number, values in enumerate(rows, start=1):
            yield Record(number, values)

    def class_names(self, column: str) -> Sequence[str] | None:
        feature = self.rows.features[column]
        return getattr(getattr(feature, "feature", feature), "names", None)
