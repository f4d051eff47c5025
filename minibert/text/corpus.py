"""Raw text to documents: files and folders of many kinds, and data sets of the hub, as one memory-mapped table.

A document is a list of sentences and the name of where it was found. `datasets` keeps the table in the cache, by a
fingerprint of what the files hold, so text may be larger than memory and is read once.
"""

import csv
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.files import cache_directory
from minibert.text import sentences
from minibert.text.options import Layout
from minibert.text.sentences import LOOKED_AT, documents_in, guess_layout

if TYPE_CHECKING:
    from datasets import Dataset

LARGE = 64 * 2**20
"""Bytes of text from which on several files are read side by side."""
ROWS_FOR_A_PROCESS = 10_000


class CorpusError(ValueError):
    """Text that cannot be read; the message names file and line, and says what to do."""


@dataclass(frozen=True)
class Document:
    """Some text that belongs together, as its sentences in order."""

    source: str
    """Where it was found: the file and its number there, or the module of a docstring. It decides what is held out."""
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """All the documents of one kind of text, and what tells it from any other."""

    name: str
    """For people."""
    fingerprint: str
    """Changes when the text does, or the way it is read: what is kept in the cache is found again by it."""
    documents: Iterable[Document]
    """Can be gone through again and again, and need not be in memory."""


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files of text among `paths`, folders searched through, in an order that does not depend on the machine.

    Raises: CorpusError for a path that is not there, and for a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if _kind(file) in (*TEXT, *READERS) and file.is_file())
            if not inside:
                raise CorpusError(
                    f"{path}: no file in this folder ends in {', '.join((*TEXT, *READERS))}, or in one of these and .gz"
                )
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise CorpusError(f"{path}: there is no such file or folder")
    return found


def read_files(files: Sequence[Path], layout: Layout | None = None, column: str = "text") -> Corpus:
    """The documents of some files.

    Args:
        files: plain text (any ending that is not one of the following), .jsonl, .csv, .tsv, .parquet; each may end in .gz.
        layout: how the text stands in the files; None to guess it for each file.
        column: where the text is, in files that have columns. A row is a document, its lines are paragraphs.

    Raises: CorpusError that names file and line, for what is not UTF-8, empty, damaged or without such a column.
    """
    import datasets

    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_digest, files))
    folder = Path(os.path.commonpath([file.resolve().parent for file in files]))
    names = [file.resolve().relative_to(folder).as_posix() for file in files]
    fingerprint = _hash([names, digests, layout, column, _code()])
    generate = partial(
        datasets.Dataset.from_generator, _generate, _features(), str(cache_directory() / "text"), fingerprint=fingerprint
    )
    what = {"files": [*map(str, files)], "names": names, "layout": layout, "column": column}
    datasets.disable_progress_bars()
    processes = min(len(files), os.cpu_count() or 1) if sum(file.stat().st_size for file in files) > LARGE else None
    try:
        try:
            table = generate(gen_kwargs=what, num_proc=processes)
        except Exception:
            if processes is None:
                raise
            table = generate(gen_kwargs=what)  # by itself, since an error of another process does not say why
    except datasets.exceptions.DatasetGenerationError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CorpusError | OSError):
            cause = cause.__cause__
        raise cause or error from None
    return Corpus(", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else ""), fingerprint, _Rows(table))


def read_hub(
    name: str, config: str | None = None, split: str = "train", layout: Layout | None = None, column: str = "text"
) -> Corpus:
    """The documents of a data set, by its id on the hub or as a folder with one, as `read_files` gives them.

    Raises: CorpusError if there is no such data set, split or column.
    """
    import datasets

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(name, config, split=split)
    except Exception as error:  # of many classes, by which server, file or builder it was
        raise CorpusError(f"data set {name!r}, split {split!r}: {' '.join(str(error).split())[:300]}") from error
    fingerprint = _hash([name, config, split, rows._fingerprint, layout, column, _code()])
    if column not in rows.column_names:
        raise CorpusError(f"data set {name!r}: has no column {column!r}; its columns: {', '.join(rows.column_names)}")

    def sentences_of(texts: list[Any], numbers: list[int]) -> dict[str, list[Any]]:
        found = []
        for number, text in zip(numbers, texts, strict=True):
            found.append((f"{name}#{number}", _row(_text_in({column: text}, column, f"{name}, row {number}"), layout)))
        return {"source": [source for source, some in found if some], "sentences": [some for _, some in found if some]}

    table = rows.map(
        sentences_of,
        with_indices=True,
        input_columns=column,
        batched=True,
        remove_columns=rows.column_names,
        features=_features(),
        num_proc=min(os.cpu_count() or 1, len(rows) // ROWS_FOR_A_PROCESS) or None,
        new_fingerprint=fingerprint,
    )
    return Corpus(f"{name} ({split})", fingerprint, _Rows(table))


@dataclass(frozen=True)
class _Rows:
    """The documents in a table, few of them in memory at a time."""

    table: "Dataset"

    def __iter__(self) -> Iterator[Document]:
        for rows in self.table.iter(batch_size=1000):
            for source, found in zip(rows["source"], rows["sentences"], strict=True):
                yield Document(source, tuple(found))


def _features() -> Any:
    from datasets import Features, List, Value

    return Features({"source": Value("string"), "sentences": List(Value("large_string"))})


def _generate(files: Sequence[str], names: Sequence[str], layout: Layout | None, column: str) -> Iterator[dict[str, Any]]:
    """Rows of the table."""
    for file, name in zip(files, names, strict=True):
        path, number = Path(file), 0
        for number, found in enumerate(_documents_of(path, layout, column), start=1):
            yield {"source": f"{name}#{number}", "sentences": found}
        if not number:
            raise CorpusError(f"{path}: is empty, there is no text in it")


def _documents_of(path: Path, layout: Layout | None, column: str) -> Iterator[list[str]]:
    """The sentences of each document in a file."""
    if reader := READERS.get(_kind(path)):
        return (found for text in reader(path, column) if (found := _row(text, layout)))
    layout = layout or guess_layout(line for _, line in islice(numbered_lines(path), LOOKED_AT))
    return documents_in((line for _, line in numbered_lines(path)), layout)


def _row(text: str, layout: Layout | None) -> list[str]:
    """The sentences of a text that is one document, whatever blank lines are in it."""
    return [sentence for part in documents_in(text.splitlines(), layout or "paragraphs") for sentence in part]


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers.

    Raises: CorpusError for one that is not there, that is not UTF-8, or a damaged .gz.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        found = "utf-16" if number == 1 and error.object.startswith((b"\xff\xfe", b"\xfe\xff")) else "latin1"
        raise CorpusError(
            f"{path}, line {number}: is not UTF-8 (byte 0x{error.object[error.start]:02x} in column {error.start + 1}); "
            f"convert it, for example: iconv -f {found} -t utf-8 {path.name}"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: cannot be unpacked after line {number} ({error})") from None
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CorpusError(f"{path}: {error.strerror}; a file is wanted here") from None


def _jsonl(path: Path, column: str) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path}, line {number}: is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise CorpusError(f"{path}, line {number}: is not a JSON object")
        yield _text_in(row, column, f"{path}, line {number}")


def _csv(path: Path, column: str) -> Iterator[str]:
    csv.field_size_limit(2**31 - 1)
    delimiter = "\t" if _kind(path) == ".tsv" else ","
    rows = csv.DictReader((line for _, line in numbered_lines(path)), delimiter=delimiter)
    try:
        for row in rows:
            yield _text_in(row, column, f"{path}, line {rows.line_num}")
    except csv.Error as error:
        raise CorpusError(f"{path}, line {rows.line_num}: {error}") from None


def _parquet(path: Path, column: str) -> Iterator[str]:
    import pyarrow
    from pyarrow import parquet

    try:
        with _open(path) as file:
            rows = parquet.ParquetFile(file)
            if column not in rows.schema_arrow.names:
                raise CorpusError(f"{path}: has no column {column!r}; its columns: {', '.join(rows.schema_arrow.names)}")
            for batch in rows.iter_batches(1000, columns=[column]):
                for row in batch.to_pylist():
                    yield _text_in(row, column, str(path))
    except pyarrow.ArrowException as error:
        raise CorpusError(f"{path}: is not Parquet, or damaged ({' '.join(str(error).split())[:200]})") from None


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _text_in(row: dict[str, Any], column: str, where: str) -> str:
    if column not in row:
        raise CorpusError(f"{where}: has no column {column!r}; its columns: {', '.join(map(str, row))}")
    text = row[column]
    if text is not None and not isinstance(text, str):
        raise CorpusError(f"{where}: {column!r} is no text but {str(text)[:40]!r}")
    return text or ""


READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {".jsonl": _jsonl, ".csv": _csv, ".tsv": _csv, ".parquet": _parquet}
"""The files that have columns, by their endings."""
TEXT = (".txt", ".text", ".md")
"""Endings by which plain text is found in a folder."""


def _kind(path: Path) -> str:
    """The ending that says how a file is read: `corpus.jsonl.gz` is a `.jsonl`."""
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _code() -> str:
    """A fingerprint of the code that makes documents."""
    return hashlib.sha256(Path(__file__).read_bytes() + Path(sentences.__file__).read_bytes()).hexdigest()


def _hash(what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
