"""Questions with contexts and answers, in SQuAD's format: JSON of version 1.1 or 2.0, or one question per row.

Source: Rajpurkar et al. 2016 (version 1.1) and 2018 (version 2.0, with questions that cannot be answered).
"""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minibert.files import write_atomically
from minibert.text.columns import ParquetTable
from minibert.text.file_formats import CorpusError, extension, read_text
from minibert.text.labeled.duplicates import finding_at, place, text_key
from minibert.text.labeled.findings import Finding, LabeledData, check_file, refuse_errors
from minibert.text.labeled.located_json import JSONSyntaxError, Lines, LocatedObject, json_values
from minibert.text.labeled.repair import single_file
from minibert.text.labeled.squad_checks import Question, SquadChecks


class NotJSON(str):
    """A part of a file that is not JSON. It is written into a repaired copy as it is."""


def read_squad(paths: str | Path | Sequence[str | Path], labeled: bool = True) -> LabeledData[Question]:
    """Read and check the questions of SQuAD files: JSON (`data` → `paragraphs` → `qas`), JSONL or Parquet.

    Args:
        paths: a file, or several.
        labeled: a question without answers is an error. If False, answers are not read.

    Raises: CorpusError for a file that cannot be read, such as one that is not UTF-8.
    """
    checks, digest = SquadChecks(labeled), hashlib.sha256()
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    for path in files:
        _check_file(path, checks)
        digest.update(path.read_bytes())
    findings = [*checks.findings, *find_repeated(checks.questions)]
    return LabeledData(checks.questions, findings, ", ".join(path.name for path in files), digest.hexdigest())


def read_squad_rows(rows: Iterable[Mapping[str, Any]], name: str, digest: str, labeled: bool = True) -> LabeledData[Question]:
    """Check the questions of a dataset, one per row, with the columns `id`, `context`, `question` and `answers`."""
    checks = SquadChecks(labeled)
    checks.file = name
    for number, row in enumerate(rows, start=1):
        checks.check_document(dict(row), number)
    return LabeledData(checks.questions, [*checks.findings, *find_repeated(checks.questions)], name, digest)


def find_repeated(questions: Sequence[Question]) -> list[Finding]:
    """Return findings about questions that are asked twice about the same context, under two ids."""
    first: dict[tuple[str, str], Question] = {}
    repeated: dict[str, list[tuple[Question, Question]]] = {}
    for row in questions:
        earlier = first.setdefault((text_key(row.context), text_key(row.question)), row)
        if earlier is not row:
            answers = "the same answers" if earlier.answers == row.answers else "other answers"
            repeated.setdefault(answers, []).append((row, earlier))
    findings = []
    for answers, pairs in repeated.items():
        row, earlier = pairs[0]
        more = f" ({len(pairs):,} such questions)" if pairs[1:] else ""
        message = (
            f"question {row.id} is that of {earlier.id}, in {place(earlier, row)}, about the same context, with {answers}{more}"
        )
        findings.append(finding_at(row, message))
    return findings


def write_repaired(sources: Sequence[Path], target: Path) -> None:
    """Write a copy of a SQuAD file in which everything is repaired that can be repaired without ambiguity.

    The copy has the structure of the file and all its other fields. What cannot be repaired is as before.

    Raises: CorpusError as `read_squad`; LabeledDataError if there is not one source, if it has no questions that can be read or
        an object with a name twice, or if `target` is the source or has another extension.
    """
    source, kind = single_file(sources, target), extension(target)
    checks = SquadChecks(labeled=True)
    documents = _check_file(source, checks)
    refuse_errors(checks.repeated_names if checks.questions else checks.findings)
    if kind == ".parquet":
        _write_parquet(documents, target)
        return
    if len(documents) > 1 and len(_files(documents)) == len(documents):
        documents = [documents[0] | {"data": [article for document in documents for article in document["data"]]}]
    indent = 2 if len(documents) == 1 and kind != ".jsonl" else None
    texts = [each if isinstance(each, NotJSON) else json.dumps(each, ensure_ascii=False, indent=indent) for each in documents]
    content = "".join(f"{text}\n" for text in texts).encode(errors="backslashreplace")  # half a surrogate pair becomes \\ud800
    write_atomically(target, gzip.compress(content, mtime=0) if target.suffix == ".gz" else content)


def _write_parquet(rows: list[dict[str, Any]], path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    content = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows), content)
    write_atomically(path, content.getvalue().to_pybytes())


def _check_file(path: Path, checks: SquadChecks) -> list[Any]:
    """Check all questions of a file. Return its rows or JSON values, repaired."""
    check_file(path)
    if extension(path) in (".csv", ".tsv"):
        raise CorpusError(
            f"{path}: questions are read from JSON in SQuAD's format, JSONL or Parquet, not from {extension(path)}"
        )
    checks.file, checks.lines = str(path), None
    before = len(checks.questions), checks.error_count
    documents: list[Any] = []
    if extension(path) == ".parquet":
        for row in ParquetTable(path).records():
            documents += checks.check_document(dict(row.values), row.line)
    else:
        text = read_text(path)
        lines = checks.lines = Lines(text)
        for part, base in _parts(text, extension(path) == ".jsonl"):
            try:
                for position, value in json_values(part, base):
                    documents += checks.check_document(value, lines.number(position))
            except JSONSyntaxError as error:
                checks.report(lines.number(error.position), f"is not JSON: {error}")
                documents.append(NotJSON(part[error.start - base :].rstrip("\n")))
        if len(files := _files(documents)) > 1:
            message = f"{len(files)} JSON files in one: the questions of all were read"
            checks.report(lines.number(files[1].position), message, is_repaired=True)
    if before == (len(checks.questions), checks.error_count):
        checks.report(None, "contains no questions")
    return documents


def _files(documents: list[Any]) -> list[LocatedObject]:
    """Return the JSON values that are whole SQuAD files."""
    return [each for each in documents if isinstance(each, LocatedObject) and isinstance(each.get("data"), list)]


def _parts(text: str, is_jsonl: bool) -> Iterator[tuple[str, int]]:
    """Yield the parts of a text that are JSON by themselves, with their positions: the lines of JSONL, or the whole text."""
    first, *more = text.lstrip().split("\n", 1)
    lines = text.split("\n") if is_jsonl or (more and more[0].strip() and _is_json(first)) else [text]
    position = 0
    for line in lines:
        yield line, position
        position += len(line) + 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
