"""Corpora: documents from files, folders and Hugging Face datasets.

A document is a list of sentences with the name of its source. `datasets` caches the documents as a memory-mapped table, under
a fingerprint of the files' contents. So a corpus may be larger than memory, and its files are parsed only once.
"""

import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minibert.files import cache_directory, cached, reason_of
from minibert.text import columns, delimited_tables, file_formats, sentences
from minibert.text import table as table_interface
from minibert.text.columns import TABLES, read_column
from minibert.text.file_formats import TEXT_EXTENSIONS, CorpusError, check_plain_text, extension, text_lines
from minibert.text.options import Layout
from minibert.text.sentences import detect_layout, parse_documents
from minibert.text.table import text_in_column

if TYPE_CHECKING:
    from datasets import Dataset

PARALLEL_BYTES = 64 * 2**20
"""Total size from which several files are read in parallel processes."""
ROWS_PER_PROCESS = 10_000
MAX_FILES_DESCRIBED = 5
"""Number of files whose layout is described one by one."""


@dataclass(frozen=True)
class Document:
    """A document: its sentences in order."""

    source: str
    """Origin of the document, such as a file name and a number, or the module of a docstring."""
    sentences: tuple[str, ...]
    group: str = ""
    """Documents of one group are all used for training, or all for validation. Without a group, all documents with the same
    text are."""


@dataclass(frozen=True)
class Corpus:
    """A collection of documents."""

    name: str
    """Name for display."""
    fingerprint: str
    """Identifier of the contents and of the code that parses them. Results in the cache are stored under it."""
    documents: Iterable[Document]
    """The documents. They can be iterated repeatedly, and are not necessarily in memory."""
    layout: tuple[str, ...] = ()
    """Descriptions of the files and their layouts, for display."""


def read_corpus(paths: str | Path | Sequence[str | Path], layout: Layout | None = None, column: str = "text") -> Corpus:
    """Read the documents of files and folders.

    Args:
        paths: one or several files or folders. Folders are searched for plain text (.txt, .text, .md), .jsonl, .csv, .tsv and
            .parquet files. A file with any other extension is read as plain text. Each may be compressed as .gz.
        layout: arrangement of the plain text; None to detect it for each file.
        column: name of the column that contains the text, in files with columns. Each row is a document, each line of its text
            a paragraph.

    Raises: CorpusError, with file and line, if a file is missing, empty, damaged, binary, not UTF-8, or has no such column.
    """
    files = find_files([Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)])
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(_file_digest, files))
        layouts = list(pool.map(partial(_file_layout, layout=layout, column=column), files))
    folder = Path(os.path.commonpath([file.resolve().parent for file in files]))
    names = [_display_name(file.resolve().relative_to(folder)) for file in files]
    fingerprint = _fingerprint([names, digests, layout, column])
    rows = {"files": [*map(str, files)], "names": names, "layouts": [found for found, _ in layouts], "column": column}
    is_large = sum(file.stat().st_size for file in files) > PARALLEL_BYTES
    processes = min(len(files), os.cpu_count() or 1) if is_large else None
    table_of = partial(_table_in, rows=rows, fingerprint=fingerprint, processes=processes)
    table = cached(cache_directory() / "text" / fingerprint, table_of, table_of)
    name = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    return Corpus(name, fingerprint, _TableDocuments(table), _describe_layouts(names, layouts))


def _table_in(folder: Path, rows: dict[str, Any], fingerprint: str, processes: int | None) -> "Dataset":
    """Load the table of documents in a folder, or write it.

    Args:
        rows: arguments of `_generate_rows`.
        processes: number of processes that read the files; None for this one.
    """
    import datasets

    datasets.disable_progress_bars()
    generate = partial(
        datasets.Dataset.from_generator,
        _generate_rows,
        _table_features(),
        str(folder),
        fingerprint=fingerprint,
        gen_kwargs=rows,
    )
    try:
        try:
            return generate(num_proc=processes)
        except Exception:
            if processes is None:
                raise
            return generate()  # an error in another process does not contain its cause, so read again in this one
    except datasets.exceptions.DatasetGenerationError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, CorpusError | OSError):
            cause = cause.__cause__
        raise cause or error from None


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files in `paths` and the text files in its folders, in an order that does not depend on the machine.

    Raises: CorpusError for a path that does not exist, and for a folder without text files.
    """
    files: list[Path] = []
    for path in paths:
        try:
            mode = path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise CorpusError(f"{path}: there is no such file or folder") from None
        except OSError as error:
            raise _cannot_be_read(error) from None
        if stat.S_ISDIR(mode):
            files += _files_in_folder(path)
        elif stat.S_ISREG(mode):
            files.append(path)
        else:
            raise CorpusError(f"{path}: is neither a file nor a folder; save the text in a file")
    return list({file.resolve(): file for file in files}.values())


def _files_in_folder(folder: Path) -> list[Path]:
    """Return the text files in a folder and its subfolders. Raises: CorpusError if a folder cannot be read, or has none."""

    def refuse(error: OSError) -> None:
        raise _cannot_be_read(error)

    extensions = (*TEXT_EXTENSIONS, *TABLES)
    found = (Path(root, name) for root, names in _visible(os.walk(folder, onerror=refuse)) for name in names)
    files = sorted(file for file in found if extension(file) in extensions and (file.is_file() or not file.exists()))
    if not files:
        raise CorpusError(f"{folder}: no file in this folder ends in {', '.join(extensions)}, optionally followed by .gz")
    return files


def _visible(walked: Iterable[tuple[str, list[str], list[str]]]) -> Iterator[tuple[str, list[str]]]:
    """Leave out hidden files and folders, such as the copies of Jupyter and the resource forks of macOS."""
    for root, folders, names in walked:
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield root, [name for name in names if not name.startswith(".")]


def _cannot_be_read(error: OSError) -> CorpusError:
    return CorpusError(f"{error.filename}: cannot be read ({reason_of(error)})")


def read_dataset(
    name: str, config: str | None = None, split: str = "train", layout: Layout | None = None, column: str = "text"
) -> Corpus:
    """Read the documents of a Hugging Face dataset, given by its id on the hub or as a local folder.

    Args:
        config: configuration of the dataset, if it has several.
        layout: arrangement of the text in each row; None for paragraphs.
        column: name of the column that contains the text. Each row is a document.

    Raises: CorpusError if there is no such dataset, configuration, split or column.
    """
    rows = load_split(name, config, split)
    fingerprint = _fingerprint([name, config, split, rows._fingerprint, layout, column])
    if column not in rows.column_names:
        raise CorpusError(f"dataset {name!r}: has no column {column!r}; its columns: {', '.join(rows.column_names)}")

    def parse_rows(texts: list[Any], numbers: list[int]) -> dict[str, list[Any]]:
        documents = []
        for number, text in zip(numbers, texts, strict=True):
            text = text_in_column({column: text}, column, f"{name}, row {number}")
            documents.append((f"{name}#{number}", _row_sentences(text, layout)))
        documents = [(source, found) for source, found in documents if found]
        return {"source": [source for source, _ in documents], "sentences": [found for _, found in documents]}

    table = rows.map(
        parse_rows,
        with_indices=True,
        input_columns=column,
        batched=True,
        remove_columns=rows.column_names,
        features=_table_features(),
        num_proc=min(os.cpu_count() or 1, len(rows) // ROWS_PER_PROCESS) or None,
        new_fingerprint=fingerprint,
    )
    return Corpus(f"{name} ({split})", fingerprint, _TableDocuments(table), (_describe_rows(column),))


def load_split(name: str, config: str | None, split: str) -> "Dataset":
    """Load one split of a dataset, given by its id on the hub, or as a local folder of files or of `save_to_disk`.

    Raises: CorpusError if there is no such dataset, configuration or split.
    """
    import datasets

    datasets.disable_progress_bars()
    saved = [Path(name) / file for file in ("dataset_dict.json", "state.json")]
    try:
        if not any(file.is_file() for file in saved):
            return datasets.load_dataset(name, config, split=split)
        found = datasets.load_from_disk(name)
        splits = found if isinstance(found, dict) else {str(found.split or split): found}
        if split not in splits:
            raise ValueError(f"there is no such split; its splits: {', '.join(splits)}")
        return splits[split]
    except Exception as error:  # the class of the error depends on the server, the files and the builder
        raise CorpusError(f"dataset {name!r}, split {split!r}: {' '.join(str(error).split())[:300]}") from error


@dataclass(frozen=True)
class _TableDocuments:
    """The documents of a memory-mapped table, loaded in small batches."""

    table: "Dataset"

    def __iter__(self) -> Iterator[Document]:
        for rows in self.table.iter(batch_size=1000):
            for source, found in zip(rows["source"], rows["sentences"], strict=True):
                yield Document(source, tuple(found))


def _table_features() -> Any:
    from datasets import Features, List, Value

    return Features({"source": Value("string"), "sentences": List(Value("large_string"))})


def _generate_rows(
    files: Sequence[str], names: Sequence[str], layouts: Sequence[Layout | None], column: str
) -> Iterator[dict[str, Any]]:
    """Yield one row of the table per document."""
    for file, name, layout in zip(files, names, layouts, strict=True):
        path, number = Path(file), 0
        for number, found in enumerate(_file_documents(path, layout, column), start=1):
            yield {"source": f"{name}#{number}", "sentences": found}
        if not number:
            raise CorpusError(f"{path}: contains no text")


def _file_documents(path: Path, layout: Layout | None, column: str) -> Iterator[list[str]]:
    """Return the sentences of each document in a file."""
    if extension(path) in TABLES:
        return (found for text in read_column(path, column) if (found := _row_sentences(text, layout)))
    return parse_documents(text_lines(path), layout or "paragraphs")


def _file_layout(path: Path, layout: Layout | None, column: str) -> tuple[Layout | None, str]:
    """Return the layout of a file and its description. A file with columns has the given layout in its rows."""
    if extension(path) in TABLES:
        return layout, _describe_rows(column)
    check_plain_text(path)
    found, reason = (layout, "as given") if layout else detect_layout(text_lines(path))
    return found, f"{found} ({reason})"


def _describe_rows(column: str) -> str:
    return f"one document per row, in the column {column!r}"


def _describe_layouts(names: Sequence[str], layouts: Sequence[tuple[Layout | None, str]]) -> tuple[str, ...]:
    """Describe the layout of each of the first files, and count the layouts of the others."""
    described = [f"{name}: {text}" for name, (_, text) in zip(names[:MAX_FILES_DESCRIBED], layouts, strict=False)]
    others = Counter(layout or "rows" for layout, _ in layouts[MAX_FILES_DESCRIBED:])
    if others:
        counts = ", ".join(f"{layout} {count:,}" for layout, count in others.items())
        described.append(f"{others.total():,} more files: {counts}")
    return tuple(described)


def _display_name(path: Path) -> str:
    """Return a path as text. Bytes of a name that are not UTF-8 are written as in Python: \\xff."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _row_sentences(text: str, layout: Layout | None) -> list[str]:
    """Return the sentences of the text of a row. A row is one document, even if its text contains blank lines."""
    return [sentence for part in parse_documents(text.splitlines(), layout or "paragraphs") for sentence in part]


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _cannot_be_read(error) from None


def _fingerprint(inputs: list[Any]) -> str:
    """Return a hash of the inputs and of the code that turns text into documents."""
    formats = (columns.__file__, delimited_tables.__file__, file_formats.__file__, table_interface.__file__)
    code = [Path(module).read_text(encoding="utf-8") for module in (__file__, sentences.__file__, *formats)]
    return hashlib.sha256(json.dumps([*inputs, code]).encode()).hexdigest()[:16]
