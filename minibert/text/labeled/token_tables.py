"""Tables of tagged sentences: a list of words and a list of tags in each row of a JSONL or Parquet file, or of a dataset."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from minibert.text.labeled.column_roles import listed
from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.findings import LabeledDataError
from minibert.text.labeled.line_ends import check_line_ends
from minibert.text.labeled.options import WordColumns
from minibert.text.labeled.tagged import RawSentence, name_of, read_tags
from minibert.text.parquet_files import open_parquet
from minibert.text.table import SURROGATE, Table, TextTable

WORDS = ("tokens", "words", "token", "word")
TAGS = ("ner_tags", "ner", "tags", "ner_labels", "labels", "entities")
"""Names of columns, in lower case, from the most specific one."""


class TokenTable:
    """A table of tagged sentences with its findings.

    Args:
        columns: names of the columns. By default they are found by their names.
        labeled: False for words without tags, or with tags that are not used.

    Raises: LabeledDataError if it is not clear which columns to use.
    """

    def __init__(self, table: Table, columns: WordColumns, labeled: bool) -> None:
        self.table, self.name = table, table.name
        self.log = FindingLog(table.name, table.unit)
        if not table.names:
            faulty = next((record for record in table.records() if record.fault), None)
            raise LabeledDataError(f"{table.location(faulty)}: {faulty.fault if faulty else 'has no rows'}")
        self.word_column = self._find(columns.word_column, WORDS, "--word-column")
        self.tag_column = self._find(columns.tag_column, TAGS, "--tag-column") if labeled else None
        stored = table.class_names(self.tag_column) if self.tag_column else None
        self.tag_names: Sequence[str] = stored or columns.names_of_tags
        self.sentences = self._sentences()
        if isinstance(table, TextTable):
            check_line_ends(table.path, self.log)
        self.read = read_tags(self.sentences, self.log, labeled)

    @property
    def note(self) -> str:
        """Description of the table: its size, its columns, and the scheme of its tags."""
        rows = self.read.rows
        size = f"{self.name}: {len(rows):,} sentences, {sum(len(row.words) for row in rows):,} words"
        words = f"{size}; words in the column {self.word_column!r}"
        return words if self.tag_column is None else f"{words}, tags in {self.tag_column!r}. {self.read.note}"

    def _find(self, given: str | None, names: Sequence[str], option: str) -> str:
        """Choose a column. Raises: LabeledDataError if there is none."""
        if given is not None and given not in self.table.names:
            raise LabeledDataError(f"{self.name}: has no column {given!r}; its columns: {listed(self.table.names)}")
        found = (column for name in names for column in self.table.names if column.lower() == name)
        column = given or next(found, None)
        if column is None:
            raise LabeledDataError(f"{self.name}: has the columns {listed(self.table.names)}; choose one with {option}")
        return column

    def _sentences(self) -> list[RawSentence]:
        used = [column for column in (self.word_column, self.tag_column) if column is not None]
        sentences = []
        for record in self.table.records(used):
            if record.values or record.fault:
                sentence, fault = self._sentence(record.values, record.line)
                if fault := record.fault or fault:
                    self.log.error(record.line, fault)
                sentences.append(sentence)
        if not sentences:
            self.log.error(None, "has no rows")
        return sentences

    def _sentence(self, values: Mapping[str, Any], line: int) -> tuple[RawSentence, str]:
        """Return the sentence of a row, and its fault. With a fault, the sentence is not usable."""
        unusable = RawSentence(is_usable=False)
        words = values.get(self.word_column)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return unusable, f"the column {self.word_column!r} is not a list of words but {str(words)[:40]!r}"
        if half := SURROGATE.search("".join(words)):
            return unusable, f"contains \\u{ord(half[0]):x}, half a surrogate pair, which is no character; remove it"
        if self.tag_column is None:
            return RawSentence(words, ["O"] * len(words), [line] * len(words), line=line), ""
        tags = values.get(self.tag_column)
        if not isinstance(tags, list) or not all(type(tag) in (str, int) for tag in tags):
            return unusable, f"the column {self.tag_column!r} is not a list of tags but {str(tags)[:40]!r}"
        if len(words) != len(tags):
            return unusable, f"has {len(words)} words, but {len(tags)} tags"
        if not words:
            self.log.oddity(line, "has no words")
        return RawSentence(words, self._named(tags), [line] * len(words), line=line), ""

    def _named(self, tags: Sequence[str | int]) -> list[str]:
        return [name_of(str(tag), self.tag_names) for tag in tags]

    def repaired(self) -> bytes:
        """Return the contents of the file without the faults that could be repaired."""
        records = [*self.table.records()]
        pairs = iter(zip(self.sentences, self.read.repaired, strict=True))
        changes: list[list[str] | None] = []
        for record in records:
            sentence, tags = next(pairs) if record.values or record.fault else (RawSentence(), [])
            changes.append(tags if sentence.tags != tags else None)
        if not isinstance(self.table, TextTable):
            return self._parquet(changes)
        assert self.tag_column is not None
        lines = [
            record.source.removesuffix("\n") + "\n" if tags is None else self.table.rewrite(record, {self.tag_column: tags})
            for record, tags in zip(records, changes, strict=True)
        ]
        return "".join(lines).encode()

    def _parquet(self, changes: Sequence[list[str] | None]) -> bytes:
        import pyarrow
        from pyarrow import parquet

        with open_parquet(self.table.path) as file:
            table = file.read()
        if any(changes):
            tags = [sentence.tags if new is None else new for sentence, new in zip(self.sentences, changes, strict=True)]
            column = table.schema.get_field_index(self.tag_column)
            table = table.set_column(column, self.tag_column, pyarrow.array(tags))
            table = table.replace_schema_metadata(None)  # the names of the tags are now in the column
        content = io.BytesIO()
        parquet.write_table(table, content)
        return content.getvalue()
