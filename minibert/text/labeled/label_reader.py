"""Reading the labels of a table, so that labels that mean the same are written in the same way."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.label_values import (
    LIST_AS_TEXT,
    Label,
    LabelError,
    label_of,
    may_be_missing,
    number,
    tidy,
    whole_number,
)
from minibert.text.labeled.options import TableColumns
from minibert.text.labeled.text_rows import TextRow
from minibert.text.table import Record

OTHER_SEPARATORS = ",;|"
WEAK_SEPARATORS = " /+&"
"""Characters that separate labels, or are in the name of one."""


class LabelReader:
    """Labels of the records of one table.

    Args:
        columns: the column of the label; or several, with 0 and 1 for each of several independent classes.
        class_names: names of the values 0, 1, … by column, from the schema.
        multi_label: a text can have any number of labels.
    """

    def __init__(
        self,
        columns: Sequence[str],
        class_names: Mapping[str, Sequence[str] | None],
        options: TableColumns,
        multi_label: bool,
        log: FindingLog,
    ) -> None:
        self.columns, self.class_names, self.options = columns, class_names, options
        self.multi_label, self.log = multi_label, log
        self.types: dict[str, int] = {}

    def read(self, record: Record) -> Label:
        """Return the label or labels of a record. Raises: LabelError if it has none."""
        missing = next((column for column in self.columns if column not in record.values), None)
        if missing is not None:
            columns = ", ".join(map(repr, record.values))[:300]
            raise LabelError(f"has no column {missing!r}, which contains the label; its columns: {columns}")
        if len(self.columns) > 1:
            return tuple(column for column in self.columns if _is_one(column, record.values[column]))
        [column] = self.columns
        label = self._read(record.values[column], column, record.line)
        self.types.setdefault(_type_name(record.values[column]), record.line)
        return label

    def _read(self, value: Any, column: str, line: int) -> Label:
        label = label_of(value, self.class_names[column])
        if isinstance(value, str) and LIST_AS_TEXT.fullmatch(value.strip()):
            separator = self.options.label_separator
            advice = f"write its labels with {separator!r} between them and give --multi-label, or save it as a list in JSONL"
            raise LabelError(f"has the label {value[:60]!r}, a list that is written as text; {advice}")
        if self.multi_label and isinstance(value, str):
            return self._split(value, line)
        if isinstance(label, tuple):
            is_binary = not any(isinstance(each, str) for each in value) and {*label} <= {"0", "1", "false", "true"}
            if is_binary and len({*label}) < len(label):
                advice = "write the names of its classes instead"
                raise LabelError(f"has a list with 0 or 1 for each class: {str(value)[:60]}; {advice}")
            return self._unique([self._tidy(each, line) for each in label], line)
        label = self._tidy(label or "", line)
        if not label:
            raise LabelError(f"has no label in the column {column!r}; label the text, or delete the row")
        return (label,) if self.multi_label else label

    def _split(self, cell: str, line: int) -> tuple[str, ...]:
        if not tidy(cell):
            self.log.oddity(line, "has no labels; it is read as a text of none of the classes")
            return ()
        return self._unique([self._tidy(label, line) for label in cell.split(self.options.label_separator)], line)

    def _tidy(self, label: str, line: int) -> str:
        cleaned = tidy(label)
        if cleaned not in (label, ""):
            self.log.repair(line, f"the label {label!r} is read as {cleaned!r}")
        return cleaned

    def _unique(self, labels: Sequence[str], line: int) -> tuple[str, ...]:
        unique = tuple(label for label in dict.fromkeys(labels) if label)
        if len(unique) < len(labels):
            self.log.repair(line, "has an empty label, or one label twice; it was left out")
        return unique

    def finish(self, rows: Sequence[TextRow]) -> list[TextRow]:
        """Return the rows with labels that are written in the same way if they are equal as numbers, and with given names."""
        self._check_types()
        rows = self._rename(rows, self._equal_numbers(rows), "the label {old!r} is read as {new!r}")
        names = self.options.names_by_label
        if names:
            for row in rows:
                for label in labels_of(row):
                    if label not in names and label not in names.values():
                        self.log.error(row.line, f"has the label {label!r}, which has no name in --label-names")
        self._check_separator(rows)
        rows = self._rename(rows, names, "")
        self._check_names(rows)
        return rows

    def _rename(self, rows: Sequence[TextRow], names: Mapping[str, str], message: str) -> list[TextRow]:
        renamed = []
        for row in rows:
            for label in labels_of(row):
                if label in names and message:
                    self.log.repair(row.line or 0, message.format(old=label, new=names[label]))
            renamed.append(rename(row, names))
        return renamed

    def _equal_numbers(self, rows: Sequence[TextRow]) -> dict[str, str]:
        """Return other forms of labels that are whole numbers: 1 for 1.0. If some are fractions, all are left as they are."""
        labels = {label for row in rows for label in labels_of(row)}
        forms = {label: whole_number(label) for label in labels}
        is_fraction = any(number(form) is not None and "." in form for form in forms.values())
        return {} if is_fraction else {label: form for label, form in forms.items() if form != label}

    def _check_types(self) -> None:
        if len(self.types) > 1:
            (first, _), (second, line) = list(self.types.items())[:2]
            if "list" in self.types and not self.multi_label:
                self.log.error(line, f"has a label that is a {second}, where others are a {first}; use lists for all")
            else:
                self.log.repair(line, f"has a label that is a {second}, where others are a {first}; all are text")

    def _check_separator(self, rows: Sequence[TextRow]) -> None:
        """Find labels of several classes that were not separated."""
        if not self.multi_label or any(len(labels_of(row)) > 1 for row in rows):
            return
        known = {label for row in rows for label in labels_of(row)}
        for row in rows:
            for label in labels_of(row):
                several = (mark for mark in WEAK_SEPARATORS if mark in label and known.issuperset(label.split(mark)))
                if found := next((mark for mark in OTHER_SEPARATORS if mark in label), next(several, None)):
                    advice = f"if these are several labels, give --label-separator {found!r}"
                    self.log.error(row.line, f"has the label {label!r}, and no text has several; {advice}")
                    return

    def _check_names(self, rows: Sequence[TextRow]) -> None:
        """Find labels that may stand for a missing one, and labels with quotation marks."""
        counts_from_0 = {"-1", "0"} <= {label for row in rows for label in labels_of(row)}
        for row in rows:
            for label in labels_of(row):
                if may_be_missing(label) or (counts_from_0 and label == "-1"):
                    advice = "if it stands for a missing label, delete the row"
                    self.log.oddity(row.line, f"the label {label!r} is read as it is; {advice}")
                if label[:1] == label[-1:] == '"':
                    self.log.oddity(row.line, f"the label {label!r} contains quotation marks; save a file with quoting as CSV")


def labels_of(row: TextRow) -> tuple[str, ...]:
    """Return the labels of a row as a tuple.

    >>> labels_of(TextRow("", label="a")), labels_of(TextRow("", label=("a", "b"))), labels_of(TextRow(""))
    (('a',), ('a', 'b'), ())
    """
    return (row.label,) if isinstance(row.label, str) else row.label or ()


def rename(row: TextRow, names: Mapping[str, str]) -> TextRow:
    """Return a row with other names for its labels."""
    if isinstance(row.label, str):
        return replace(row, label=names.get(row.label, row.label)) if row.label in names else row
    return row if row.label is None else replace(row, label=tuple(dict.fromkeys(names.get(each, each) for each in row.label)))


def _is_one(column: str, value: object) -> bool:
    label = label_of(value)
    known = {"0": False, "1": True, "false": False, "true": True}
    cell = whole_number(tidy(label)).lower() if isinstance(label, str) else ""
    if cell not in known:
        raise LabelError(f"has {str(value)[:40]!r} in the column {column!r}, which must contain 0 or 1, one of several classes")
    return known[cell]


def _type_name(value: object) -> str:
    names: Iterable[tuple[type | tuple[type, ...], str]] = [(str, "text"), (bool, "Boolean value"), ((list, tuple), "list")]
    return next((name for kind, name in names if isinstance(value, kind)), "number")
