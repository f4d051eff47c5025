"""Reading a table of labeled texts: each record becomes a row, and everything unusual in it a finding."""

from collections.abc import Iterator

from minibert.text.delimited_tables import CsvTable, TsvTable
from minibert.text.labeled.column_roles import find_roles, header_kind
from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.findings import LabeledDataError
from minibert.text.labeled.label_reader import LabelReader
from minibert.text.labeled.label_values import LabelError
from minibert.text.labeled.line_ends import check_line_ends
from minibert.text.labeled.options import TableColumns
from minibert.text.labeled.text_faults import oddities
from minibert.text.labeled.text_rows import TextRow
from minibert.text.table import BYTE_ORDER_MARK, Record, Table, TextTable, text_fault


class TableReader:
    """A table of labeled texts.

    Args:
        multi_label: a text can have any number of labels.
        is_labeled: False for texts without labels.

    Raises: CorpusError or LabeledDataError if the table is empty, or it is not clear which columns to use.
    """

    def __init__(self, table: Table, options: TableColumns, multi_label: bool, is_labeled: bool) -> None:
        if not table.names:
            faulty = next((record for record in table.records() if record.fault), None)
            raise LabeledDataError(f"{table.location(faulty)}: {faulty.fault if faulty else 'has no rows'}")
        self.table, self.options = table, options
        self.log = FindingLog(table.name, table.unit)
        self.left_out: set[int] = set()
        """Lines of headers between the rows, and blank lines."""
        self.roles = find_roles(table.names, options, is_labeled, table.location())
        class_names = {column: table.class_names(column) for column in self.roles.labels}
        self.labels = LabelReader(self.roles.labels, class_names, options, multi_label, self.log)

    def read(self) -> list[TextRow]:
        """Return the rows that can be used. The findings are in `log`."""
        rows = [self._row(record) for record in self.records()]
        if not rows:
            self.log.error(None, "has no rows")
        if isinstance(self.table, TextTable):
            check_line_ends(self.table.path, self.log)
        return self.labels.finish([row for row in rows if row is not None])

    def records(self) -> Iterator[Record]:
        """Yield the records that are neither blank nor headers. After a header in another order there are none."""
        is_first = self.options.header is not None
        blank: list[int] = []
        for record in self.table.records(self.roles.used):
            if _is_blank(record):
                blank.append(record.line)
                self.left_out.add(record.line)
                continue
            for line in blank:  # none for the blank lines at the end
                self.log.repair(line, "is blank; it was left out")
            blank.clear()
            kind = "row" if record.fault else header_kind(record.values, self.roles, is_first)
            is_first = False
            if kind == "row":
                yield record
            elif kind == "header":
                self.log.repair(record.line, "is a header and not a row; it was left out")
                self.left_out.add(record.line)
            else:
                advice = "save the rows after it, which were not read, in a file of their own"
                self.log.error(record.line, f"is a header with the columns in another order; {advice}")
                return

    def _row(self, record: Record) -> TextRow | None:
        """Convert a record. Returns: None, with a finding, if it cannot be used."""
        texts, label = self.roles.texts, None
        fault = record.fault or next(filter(None, (text_fault(record.values, column) for column in texts)), "")
        if not fault and self.roles.labels:
            try:
                label = self.labels.read(record)
            except LabelError as error:
                fault = str(error)
        if fault:
            self.log.error(record.line, fault)
            return None
        text, pair = self._text(record, self.roles.text), self.roles.pair and self._text(record, self.roles.pair)
        return TextRow(text, pair, label, record.line, self.table.name, self.table.unit)

    def _text(self, record: Record, column: str) -> str:
        value = record.values[column] or ""
        text: str = value.lstrip(BYTE_ORDER_MARK)
        if text != value:
            self.log.repair(record.line, f"the {column!r} begins with a byte-order mark; it was removed")
        for message in oddities(text, isinstance(self.table, TsvTable)):
            self.log.oddity(record.line, message)
        if isinstance(self.table, CsvTable) and len(record.values) > 1 and self.table.contains_rows(text):
            advice = "if they are rows, a quotation mark is missing, or must be written twice"
            self.log.oddity(record.line, f"the text has several lines that look like rows; {advice}")
        return text


def _is_blank(record: Record) -> bool:
    """Return True for a blank line, and for a row of several cells that are all empty."""
    return not record.fault and len(record.values) != 1 and all(value == "" for value in record.values.values())
