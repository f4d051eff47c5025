"""CoNLL files: one word per line with its columns, and a blank line after each sentence.

Source: Tjong Kim Sang and De Meulder 2003, section 2.1.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from minibert.text.file_formats import CorpusError, numbered_lines
from minibert.text.labeled.finding_log import FindingLog
from minibert.text.labeled.tagged import RawSentence, name_of, read_tags
from minibert.text.table import MARKS

BOUNDARY = re.compile(r"[ \t]*(\d+[ \t]+)?\"?-*doc(start|end)-*\"?([ \t]|$)", re.IGNORECASE)
"""A line between two documents. The words of a sentence may be numbered."""
MARK = re.compile(f"( *{MARKS.pattern})+")
"""Byte-order marks at the start of a line, as joined files have them."""
COMMENT = re.compile(r"[ \t]*#([ \t]|$|begin document|end document)")
TAG = re.compile(r"O|[BIESMLUW]-.+")
"""O, or a tag with a prefix: a tag in every file."""
NUMBER = re.compile(r"\d+([-.]\d+)?")
"""Number of a word in its sentence. CoNLL-U has ranges, too."""
BLANKS = " \t"
"""Characters between columns. Other spaces, such as U+00A0 and U+3000, are parts of words."""
WORD_NAMES = frozenset(("word", "words", "token", "tokens", "text", "form"))
TAG_NAMES = frozenset(("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "iob", "bio", "entity", "entities"))
"""Names of columns in a header, in lower case."""
LINES_TO_RECOGNIZE = 100
"""Number of lines from which a file is recognized as one with columns."""
LINE_ENDS = {"\r\n": "CR LF, as on Windows", "\r": "CR, as on old Macs", "\r\r\n": "CR CR LF, converted twice"}


@dataclass
class Line:
    """A line of a CoNLL file."""

    number: int
    text: str
    """The line without its end and without a byte-order mark."""
    columns: list[str] = field(default_factory=list)
    """The columns of a word. Empty between sentences, and for comments."""
    is_usable: bool = True
    """False for a line with an error."""
    is_kept: bool = True
    """False for a line that is not written again, such as a header."""

    @cached_property
    def splits(self) -> list[list[str]]:
        """The ways to split the line into columns, the most likely one first: at tabs, at runs of tabs, at runs of blanks."""
        blanks = [column for column in self.text.replace("\t", " ").split(" ") if column]
        if "\t" not in self.text:
            return [blanks]
        tabs = self.text.split("\t")
        filled = [column.strip(BLANKS) for column in tabs if column.strip(BLANKS)]
        return [[column.strip(BLANKS) or column for column in tabs], filled, blanks]

    def split(self, count: int) -> list[str]:
        """Split the line into `count` columns; if that is not possible, into another number of them."""
        found = [columns for columns in self.splits if len(columns) == count]
        tagged = (columns for columns in found if all(columns) and TAG.fullmatch(columns[-1]))  # has blanks at its end
        return next(tagged, found[0] if found else self.splits[-1])


class ConllFile:
    """A CoNLL file with its findings.

    Args:
        path: the file, which may be compressed as .gz.
        word_column: number of the column of the words, from 1; -1 is the last one. None: the first one that has words.
        tag_column: number of the column of the tags. None: the last one, or the one that a header calls so.
        tag_names: names of tags that are numbers, from 0.
        labeled: False for a file whose words have no tags, or whose tags are not used.

    Raises: CorpusError for a file that cannot be read, or has no such column.
    """

    def __init__(
        self,
        path: Path,
        word_column: int | None = None,
        tag_column: int | None = None,
        tag_names: Sequence[str] = (),
        labeled: bool = True,
    ) -> None:
        self.path, self.name, self.log = path, str(path), FindingLog(str(path))
        self.tag_names, self.labeled = tag_names, labeled
        self.lines = self._read_lines()
        self.words = [line for line in self.lines if self._is_word(line)]
        self.count = self._count_columns()
        self.word_column = self.tag_column = 0
        if self.count:
            self._choose_columns(self._split_columns(), word_column, tag_column)
        self.sentences = [self._sentence(lines) for lines in self._groups()]
        self.read = read_tags(self.sentences, self.log, labeled)
        if not self.sentences and not self.log.errors:
            self.log.error(None, "has no sentences: a CoNLL file has a word and its tag on each line")

    @property
    def note(self) -> str:
        """Description of the file: its size, its columns, and the scheme of its tags."""
        rows = self.read.rows
        size = f"{self.path}: {len(rows):,} sentences, {sum(len(row.words) for row in rows):,} words"
        if not rows:
            return size
        words = f"{size}; words in column {self.word_column + 1} of {self.count}"
        return f"{words}, tags in column {self.tag_column + 1}. {self.read.note}" if self.labeled else words

    def repaired(self) -> bytes:
        """Return the contents of the file without the faults that could be repaired. Everything else is unchanged."""
        for sentence, tags in zip(self.sentences, self.read.repaired, strict=True):
            for number, old, new in zip(sentence.lines, sentence.tags, tags, strict=True):
                line = self.lines[number - 1]
                if old != new:
                    line.columns[self.tag_column] = new
                    line.text = ("\t" if "\t" in line.text else " ").join(line.columns)
        return "".join(f"{line.text}\n" for line in self.lines if line.is_kept).encode()

    def _read_lines(self) -> list[Line]:
        """Read the lines, and find faults of their ends and byte-order marks."""
        lines: list[Line] = []
        before = ""
        first_ends: dict[str, int] = {}
        for _, raw in numbered_lines(self.path, raw=True):
            text = raw.rstrip("\r\n") if raw.endswith("\n") else raw.removesuffix("\r")
            end = raw[len(text) :]
            if before == "\r" and raw == "\r\n":  # the rest of the end of the line before: \r\r\n
                before = "\r\r\n"
            else:
                mark = MARK.match(text)
                lines.append(Line(len(lines) + 1, text[mark.end() :] if mark else text))
                if mark:
                    self.log.repair(len(lines), "begins with a byte-order mark, which is left out")
                before = end
            first_ends.setdefault(before, len(lines))
        for end, description in LINE_ENDS.items():
            if end in first_ends and not (end == "\r" and "\r\r\n" in first_ends):
                self.log.repair(first_ends[end], f"ends with {description}; read as the end of a line")
        if before == "" and lines:
            self.log.repair(len(lines), "is the last line and has no end; its sentence is read all the same")
        return lines

    def _is_word(self, line: Line) -> bool:
        """Return True for a line that is not blank and no boundary between documents."""
        if not line.text.strip():
            if line.text:
                kind = "blanks" if not line.text.strip(BLANKS) else "white space other than blanks"
                self.log.repair(line.number, f"contains only {kind}; read as a blank line")
                line.text = ""
            return False
        return not BOUNDARY.match(line.text)

    def _count_columns(self) -> int:
        """Return the number of columns that most lines can have; 0 if it is not enough."""
        certain = [line for line in self.words if not COMMENT.match(line.text)]
        possible = Counter(count for line in certain for count in {len(columns) for columns in line.splits})
        likely = Counter(len(line.splits[0]) for line in certain)
        count = max(possible, key=lambda each: (possible[each], likely[each], each), default=0)
        if count == 1 and self.labeled:
            mark = next((mark for mark in ",;|:\xa0\u3000/" if all(mark in line.text for line in certain)), None)
            hint = f". They seem to be separated by {mark!r}; use a tab or a space" if mark else ""
            self.log.error(certain[0].number, f"most lines have one column, but a word and its tag are needed{hint}")
            return 0
        return count

    def _split_columns(self) -> list[str]:
        """Split the lines of words into columns, and find comments and headers. Return the names in the header, if any."""
        columns = [(line, line.split(self.count)) for line in self.words]
        tags = {found[-1] for line, found in columns if len(found) == self.count and not COMMENT.match(line.text)}
        header: list[str] = []
        for line, found in columns:
            lower = [name.lower() for name in found]
            is_word = len(found) == self.count and (found[-1] in tags or TAG.fullmatch(found[-1]))
            if COMMENT.match(line.text) and not is_word:
                self.log.oddity(line.number, "is read as a comment")
            elif lower == header or (not header and line is columns[0][0] and self._is_header(lower)):
                if not header and (lower[0] not in WORD_NAMES or lower[-1] not in TAG_NAMES):
                    self.log.oddity(line.number, "is a header with the names of the columns")
                else:
                    self.log.repair(line.number, "is a header with the names of the columns; left out")
                    line.is_kept = False
                header = lower
            else:
                line.columns = found
                self._check_columns(line)
        return header

    def _is_header(self, names: list[str]) -> bool:
        """Return True for the names of columns, in lower case. In a repaired copy it is kept if it says where the tags are."""
        is_complete = len(names) == self.count
        return is_complete and bool(WORD_NAMES.intersection(names)) and bool(TAG_NAMES.intersection(names))

    def _check_columns(self, line: Line) -> None:
        if len(line.columns) != self.count:
            other = len(line.text.split()) == self.count
            hint = "; some are separated by another character than a tab or a space" if other else ""
            columns = "1 column" if len(line.columns) == 1 else f"{len(line.columns)} columns"
            self.log.error(line.number, f"has {columns} instead of {self.count}, as most lines have{hint}")
            line.is_usable = False

    def _choose_columns(self, names: list[str], word_column: int | None, tag_column: int | None) -> None:
        """Choose the columns of words and tags: those given, those named in a header, or the first and the last one."""
        named_words = [index for index, name in enumerate(names) if name in WORD_NAMES]
        named_tags = [index for index, name in enumerate(names) if name in TAG_NAMES]
        default_word = named_words[0] if named_words else 0
        if word_column is None and not named_words and self._counts_words():
            default_word = 1
            self.log.oddity(
                None, "the first column has the numbers of the words in their sentences; words are read from the second"
            )
        if word_column is None and not named_words and default_word == 0 and self._repeats_words():
            advice = "give --word-column if the words are in another one"
            self.log.oddity(None, f"the first column has mostly the same values in successive lines; {advice}")
        default_tag = named_tags[-1] if named_tags else self.count - 1
        self.word_column = self._index(word_column, default_word)
        self.tag_column = self._index(tag_column, default_tag)
        if self.labeled and tag_column is None and not named_tags and not self.tag_names:
            self._check_tag_column()
        if self.labeled and self.word_column == self.tag_column:
            raise CorpusError(f"{self.path}: words and tags cannot both be in column {self.word_column + 1}")

    def _check_tag_column(self) -> None:
        """Report an error if the last column has no tags, but another one has nothing else."""
        words = [line for line in self.words if len(line.columns) == self.count]
        kinds = [{bool(TAG.fullmatch(line.columns[index].upper())) for line in words} for index in range(self.count)]
        if kinds[self.tag_column] == {False} and {True} in kinds:
            column = kinds.index({True})
            advice = f"give --tag-column {column + 1}" + (" --word-column 2" if column == self.word_column else "")
            found = words[0].columns[self.tag_column]
            self.log.error(words[0].number, f"has no tag in the last column but {found!r}, and a tag in another: {advice}")
            for line in self.words:
                line.is_usable = False

    def _index(self, column: int | None, default: int) -> int:
        if column is None:
            return default
        if column == 0 or not -self.count <= column <= self.count:
            raise CorpusError(f"{self.path}: has no column {column}; its lines have {self.count} columns")
        return column - 1 if column > 0 else self.count + column

    def _counts_words(self) -> bool:
        """Return True if the first column counts the words of each sentence, and some sentence has more than one."""
        counts = [[line.columns[0] for line in lines] for lines in self._groups()]
        return (
            self.count > 2
            and any(count[1:] for count in counts)
            and all(re.match(r"[01]\b", count[0]) and all(map(NUMBER.fullmatch, count)) for count in counts)
        )

    def _repeats_words(self) -> bool:
        """Return True if most lines have the same first column as the line before, such as the number of their sentence."""
        first = [line.columns[0] for line in self.words if line.columns]
        return self.count > 2 and 2 * sum(map(str.__eq__, first, first[1:])) > len(first)

    def _groups(self) -> Iterator[list[Line]]:
        """Yield the lines of the words of each sentence."""
        words = {line.number for line in self.words}
        group: list[Line] = []
        for line in self.lines:
            if line.columns:
                group.append(line)
            elif line.number not in words and group:
                yield group
                group = []
        if group:
            yield group

    def _sentence(self, lines: list[Line]) -> RawSentence:
        """Take the words and tags from the columns."""
        for line in lines:
            if line.is_usable and not line.columns[self.word_column]:
                self.log.error(line.number, "has an empty word")
                line.is_usable = False  # with its tag repaired, the line could look like a comment
        usable = [line for line in lines if line.is_usable]
        words = [line.columns[self.word_column] for line in usable]
        for line, word in zip(usable, words, strict=True):
            if " " in word.strip(BLANKS):
                self.log.oddity(line.number, "has a word with a space in it")
        tags = [name_of(line.columns[self.tag_column], self.tag_names) for line in usable]
        return RawSentence(words, tags, [line.number for line in usable], is_usable=len(usable) == len(lines))


def has_conll_columns(path: Path) -> bool:
    """Return True if the first lines of a file have the columns of a CoNLL file: the same number of them, the last one a tag.

    Raises: CorpusError if the file cannot be read.
    """
    lines = [Line(number, text.rstrip("\n")) for number, text in islice(numbered_lines(path), LINES_TO_RECOGNIZE)]
    words = [line.splits[0] for line in lines if line.text.strip() and not BOUNDARY.match(line.text)]
    counts, tags = {len(columns) for columns in words}, {columns[-1] for columns in words}
    return len(counts) == 1 and counts != {1} and all(map(TAG.fullmatch, tags))
