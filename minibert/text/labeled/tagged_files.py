"""Tagged sentences of files: CoNLL columns."""

import gzip
import hashlib
import json
from pathlib import Path

from minibert.files import write_atomically
from minibert.text.file_formats import CorpusError, extension
from minibert.text.labeled.conll import ConllFile
from minibert.text.labeled.duplicates import find_duplicates
from minibert.text.labeled.findings import LabeledData, LabeledDataError
from minibert.text.labeled.options import LabeledSource, WordColumns
from minibert.text.labeled.tagged import TaggedSentence, sentence_key


def read_tagged(
    source: LabeledSource,
    columns: WordColumns | None = None,
    labeled: bool = True,
) -> LabeledData[TaggedSentence]:
    """Read sentences with the tags of named entities, and convert the tags to BIO.

    Args:
        labeled: False for words without tags, or with tags that are not used.

    Raises: CorpusError for a file that cannot be read, or has no such column.
    """
    files = [_open(path, columns or WordColumns(), labeled) for path in source.files]
    rows = [row for file in files for row in file.read.rows]
    content = json.dumps([(row.words, row.tags) for row in rows])
    findings = [finding for file in files for finding in file.log.findings]
    if labeled:
        findings += find_duplicates(rows, sentence_key, lambda row: " ".join(row.tags or ()))
    return LabeledData(
        rows,
        findings,
        ", ".join(str(file.path) for file in files),
        hashlib.sha256(content.encode()).hexdigest(),
        [file.note for file in files],
    )


def write_repaired(source: LabeledSource, target: Path, columns: WordColumns | None = None) -> None:
    """Write a copy of a file in which everything is repaired that can be repaired without ambiguity.

    Everything else is as before, also what cannot be repaired.

    Raises: LabeledDataError for a source that is not one file; CorpusError, as `read_tagged`; OSError if the copy cannot be
        written.
    """
    if len(source.files) != 1:
        raise LabeledDataError("a repaired copy is made of one file: give one training file, and no dataset")
    [path] = source.files
    if target.exists() and target.samefile(path):
        raise LabeledDataError(f"{target}: is the file itself; choose another name for the repaired copy")
    text = _open(path, columns or WordColumns()).repaired()
    write_atomically(target, gzip.compress(text.encode(), mtime=0) if target.suffix == ".gz" else text)


def _open(path: Path, columns: WordColumns, labeled: bool = True) -> ConllFile:
    if path.is_dir():
        raise CorpusError(f"{path}: is a folder; name its files")
    if extension(path) in (".csv", ".json"):
        raise CorpusError(f"{path}: sentences with tags are read from CoNLL files; convert it")
    return ConllFile(path, _number(columns.word_column), _number(columns.tag_column), labeled)


def _number(column: str | None) -> int | None:
    """Return the number of a column of a CoNLL file. Raises: CorpusError for a name."""
    try:
        return None if column is None else int(column)
    except ValueError:
        raise CorpusError(f"column {column!r}: the columns of a CoNLL file have numbers, from 1; -1 is the last one") from None
