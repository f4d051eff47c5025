"""Tagged sentences of CoNLL, JSONL and Parquet files, and of datasets."""

import gzip
import hashlib
import json
from pathlib import Path

from minibert.files import write_atomically
from minibert.text.columns import JsonlTable, ParquetTable
from minibert.text.corpus import load_split
from minibert.text.file_formats import CorpusError, extension
from minibert.text.labeled.conll import ConllFile
from minibert.text.labeled.dataset_table import DatasetTable
from minibert.text.labeled.duplicates import find_duplicates
from minibert.text.labeled.findings import LabeledData, LabeledDataError, check_file
from minibert.text.labeled.options import LabeledSource, WordColumns
from minibert.text.labeled.tagged import TaggedSentence, describe_entities, sentence_key
from minibert.text.labeled.token_tables import TokenTable
from minibert.text.table import Table

TABLES: dict[str, type[Table]] = {".jsonl": JsonlTable, ".parquet": ParquetTable}
"""Files with one sentence per row, by extension. A file with any other extension has CoNLL columns."""


def read_tagged(source: LabeledSource, columns: WordColumns | None = None, labeled: bool = True) -> LabeledData[TaggedSentence]:
    """Read sentences with the tags of named entities, and convert the tags to BIO.

    Args:
        source: CoNLL files, or JSONL or Parquet files with a list of words and a list of tags in each row, each optionally
            compressed as .gz; or a split of a dataset.
        labeled: False for words without tags, or with tags that are not used.

    Raises: CorpusError or LabeledDataError for a file that cannot be read, or has no such column.
    """
    options = columns or WordColumns()
    if source.dataset is None:
        files = [_open(path, options, labeled) for path in source.files]
    else:
        rows = load_split(source.dataset, source.dataset_config, source.split)
        files = [TokenTable(DatasetTable(rows, f"{source.dataset} ({source.split})"), options, labeled)]
    sentences = [row for file in files for row in file.read.rows]
    findings = [finding for file in files for finding in file.log.findings]
    if labeled:
        findings += find_duplicates(sentences, sentence_key, lambda row: describe_entities(row.words, row.tags or ()))
    content = json.dumps([(row.words, row.tags) for row in sentences])
    return LabeledData(
        sentences,
        findings,
        ", ".join(file.name for file in files),
        hashlib.sha256(content.encode()).hexdigest(),
        [file.note for file in files],
    )


def write_repaired(source: LabeledSource, target: Path, columns: WordColumns | None = None) -> None:
    """Write a copy of a file in which everything is repaired that can be repaired without ambiguity.

    Everything else is as before, also what cannot be repaired.

    Raises: LabeledDataError for a source that is not one file, and for a target with another format; CorpusError, as
        `read_tagged`; OSError if the copy cannot be written.
    """
    if len(source.files) != 1:
        raise LabeledDataError("only one file can be repaired: give one training file, and no dataset")
    [path] = source.files
    if TABLES.get(extension(target)) != TABLES.get(extension(path)):
        raise LabeledDataError(f"{target}: a repaired copy has the format of {path.name}; choose a name with {extension(path)}")
    if target.exists() and target.samefile(path):
        raise LabeledDataError(f"{target}: is the file itself; choose another name for the repaired copy")
    content = _open(path, columns or WordColumns()).repaired()
    write_atomically(target, gzip.compress(content, mtime=0) if target.suffix == ".gz" else content)


def _open(path: Path, columns: WordColumns, labeled: bool = True) -> ConllFile | TokenTable:
    check_file(path)
    if (kind := TABLES.get(extension(path))) is not None:
        return TokenTable(kind(path), columns, labeled)
    if extension(path) in (".csv", ".json"):
        raise LabeledDataError(
            f"{path}: tagged sentences are read from CoNLL, JSONL and Parquet files; save it as one of these"
        )
    return ConllFile(path, _number(columns.word_column), _number(columns.tag_column), columns.names_of_tags, labeled)


def _number(column: str | None) -> int | None:
    """Return the number of a column of a CoNLL file. Raises: CorpusError for a name."""
    try:
        return None if column is None else int(column)
    except ValueError:
        raise CorpusError(f"column {column!r}: the columns of a CoNLL file have numbers, from 1; -1 is the last one") from None
