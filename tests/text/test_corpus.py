"""Documents from files, folders and datasets; error messages with file and line."""

import csv
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minibert.text import corpus, file_formats
from minibert.text.corpus import Corpus, Document, read_corpus, read_dataset
from minibert.text.file_formats import CorpusError, numbered_lines, text_lines
from minibert.text.splits import is_validation, split_documents, split_key, sufficient_validation_fraction
from tests.sampling import slow

TEXT = "One sentence a line.\nAnother one.\n\nA second document.\nIts end.\n"
TWO = [("One sentence a line.", "Another one."), ("A second document.", "Its end.")]


def sentences_in(paths: list[Path], **settings: str) -> list[tuple[str, ...]]:
    return [document.sentences for document in read_corpus(paths, **settings).documents]


def write(path: Path, kind: str) -> Path:
    """Write the two documents to a file of the given kind."""
    line_end = " " if kind == ".tsv" else "\n"  # a row of a TSV is one line
    rows = [{"text": line_end.join(document), "id": number} for number, document in enumerate(TWO)]
    if kind.endswith(".gz"):
        plain = write(path, kind.removesuffix(".gz"))
        packed = plain.with_name(plain.name + ".gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        return packed
    file = path / f"corpus{kind}"
    if kind == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n")
    elif kind in (".csv", ".tsv"):
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["id", "text"], delimiter="\t" if kind == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    elif kind == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    else:
        file.write_text(TEXT)
    return file


KINDS = (".txt", ".anything", ".jsonl", ".csv", ".tsv", ".parquet")


@pytest.mark.parametrize("kind", [*KINDS, ".txt.gz", ".jsonl.gz", ".csv.gz", ".parquet.gz"])
def test_every_file_format(tmp_path: Path, kind: str) -> None:
    assert sentences_in([write(tmp_path, kind)]) == TWO


def test_folders_are_searched_in_order_and_sources_contain_file_and_number(tmp_path: Path) -> None:
    """Other files are ignored. Sources are relative to the folder, so moving the folder does not change them."""
    for name in ("b", "a"):
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / f"{name}.txt").write_text(TEXT)
    (tmp_path / "x" / "picture.png").write_bytes(b"\xff\xd8")
    original = read_corpus(tmp_path / "x")
    assert [document.source for document in original.documents] == ["a/a.txt#1", "a/a.txt#2", "b/b.txt#1", "b/b.txt#2"]
    (tmp_path / "x").rename(tmp_path / "y")
    assert read_corpus(str(tmp_path / "y")).fingerprint == original.fingerprint


def test_layout_option(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Wrapped over\ntwo lines. And more.\n\nAnother paragraph.\n")
    assert sentences_in([tmp_path], layout="wrapped") == [("Wrapped over two lines.", "And more.", "Another paragraph.")]
    assert sentences_in([tmp_path], layout="lines") == [("Wrapped over", "two lines. And more."), ("Another paragraph.",)]
    assert sentences_in([tmp_path], layout="paragraphs") == [
        ("Wrapped over", "two lines.", "And more."),
        ("Another paragraph.",),
    ]


def test_second_call_uses_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of the contents makes the cache invalid; a change of the modification time does not."""
    file = tmp_path / "a.txt"
    file.write_text(TEXT)
    first = read_corpus(file)
    assert list(first.documents) == [Document(f"a.txt#{n}", sentences) for n, sentences in enumerate(TWO, start=1)]
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "_file_documents", lambda *_: pytest.fail("read again"))
        file.touch()
        assert list(read_corpus(file).documents) == list(first.documents)
    file.write_text(TEXT.replace("Its end", "The end"))
    changed = read_corpus(file)
    assert changed.fingerprint != first.fingerprint
    assert list(changed.documents) != list(first.documents)


def test_unusual_characters(tmp_path: Path) -> None:
    """NUL bytes, a byte-order mark, carriage returns, supplementary planes, and line separators that do not end a line."""
    (tmp_path / "a.txt").write_bytes(
        b"\xef\xbb\xbfA \x00 byte.\r\nThen \xf0\x9f\x98\x80.\r\n\r\n\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82\xe2\x80\xa8End.\n"
    )
    assert sentences_in([tmp_path]) == [("A \x00 byte.", "Then 😀."), ("中文。\u2028End.",)]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.csv").write_text('text\n"a ""quoted"" one,\nover lines."\nA\x00B.\n')
    assert sentences_in([tmp_path]) == [('a "quoted" one,', "over lines."), ("A\x00B.",)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            b"fine\nna\xefve\n",
            r"a\.txt, line 2: is not UTF-8 \(byte 0xef in column 3\)\. It reads 'naïve' as cp1252, or 'naďve' as cp1250; ",
        ),
        ("a.txt", b"", r"a\.txt: contains no text"),
        ("a.txt", b"\n \n\n", r"a\.txt: contains no text"),
        ("a.txt.gz", b"not packed", r"a\.txt\.gz: cannot be decompressed after line 0"),
        ("a.txt.gz", gzip.compress(b"one\ntwo\n" * 9999, mtime=0)[:-9], r"a\.txt\.gz: cannot be decompressed after line"),
        ("a.jsonl", b'{"text": "x"}\n{oops}\n', r"a\.jsonl, line 2: is not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1: is not a JSON object"),
        (
            "a.jsonl",
            b'{"text": "x"}\n\n{"body": "x", "id": 1}\n',
            r"a\.jsonl, line 3: has no column 'text'; its columns: body, id",
        ),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl, line 1: column 'text' does not contain text but '5'"),
        ("a.csv", b"body,id\nx,1\n", r"a\.csv, line 1: has no column 'text'; its columns: body, id"),
        ("a.csv", b'text\nfine\n"open\nmore\n', r"a\.csv, line 3: the row that begins here is not CSV"),
        ("a.csv", b'text,id\n"lone, 1\nmiddle,2\n5" pipe,3\n', r"a\.csv, line 2: the row that begins here is not CSV"),
        ("a.csv", b"text\nHello, world\n", r"a\.csv, line 2: has 2 columns instead of 1; put fields that contain commas"),
        ("a.csv", b"text,id\nHello\n", r"a\.csv, line 2: has 1 column instead of 2"),
        ("a.csv", b"text;id\nHello;1\n", r"its columns: text;id \(they seem to be separated by ';'\)"),
        ("a.csv", b"text,text\na,b\n", r"a\.csv, line 1: has 2 columns 'text'; rename them"),
        ("a.csv", b"text\n", r"a\.csv: contains no text"),
        ("a.csv", b"", r"a\.csv: contains no text"),
        ("a.tsv", b"id\ttext\n1\tone\ttwo\n", r"a\.tsv, line 2: has 3 columns instead of 2; a TSV has one row per line"),
        ("a.tsv", b"id\ttext\n1\n", r"a\.tsv, line 2: has 1 column instead of 2"),
        ("a.tsv", b"id,text\n1,one\n", r"its columns: id,text \(they seem to be separated by ','\)"),
        ("a.jsonl", b'{"text": "half \\ud83d"}\n', r"a\.jsonl, line 1: contains \\ud83d, half a surrogate pair"),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\n", r"a\.txt: is not plain text but a pointer of Git LFS"),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00\x00", r"a\.png: is not plain text but a PNG image$"),
        ("a.txt", b"PK\x03\x04\x14\x00", r"a\.txt: is not plain text but a zip archive"),
        ("a.txt", b"BZh91AY&SY", r"compressed with bzip2; decompress it first: bunzip2 -k a\.txt"),
        ("a.txt", b"\xfd7zXZ\x00\x00", r"compressed with xz; decompress it first: unxz -k a\.txt"),
        ("a.txt", gzip.compress(b"text", mtime=0), r"compressed with gzip; its name must end in \.gz"),
        ("a.txt", bytes(range(256)) * 40, r"a\.txt: is not plain text but a binary file$"),
        ("a.txt", b"some text\n" + bytes(5000), r"a\.txt: is not plain text but a binary file$"),
        ("a.txt.gz", gzip.compress(bytes(range(256)) * 40, mtime=0), r"a\.txt\.gz: is not plain text but a binary file$"),
        ("a.parquet", b"no parquet", r"a\.parquet: is not Parquet, or damaged"),
    ],
)
def test_errors_contain_file_and_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        sentences_in([tmp_path / name])


def test_missing_column_of_parquet(tmp_path: Path) -> None:
    file = write(tmp_path, ".parquet")
    with pytest.raises(CorpusError, match=r"corpus\.parquet: has no column 'body'; its columns: text, id"):
        sentences_in([file], column="body")


def test_missing_paths(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no such file or folder"):
        read_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"no file in this folder ends in \.txt, "):
        read_corpus(tmp_path)


def test_many_files_are_read_in_parallel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes give the same documents in the same order."""
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(TEXT.replace("One", f"Number {number}"))
    sequential = list(read_corpus(tmp_path).documents)
    monkeypatch.setattr(corpus, "PARALLEL_BYTES", 10)
    (tmp_path / "5.txt").write_text("Another one.\nIts end.\n")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert list(read_corpus(tmp_path).documents)[:-1] == sequential
    (tmp_path / "3.txt").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(CorpusError, match=r"3\.txt, line 2: is not UTF-8"):
        read_corpus(tmp_path)


class Rows:
    """A split of a dataset in memory, without the library `datasets`."""

    _fingerprint = "contents"

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns = columns
        self.column_names = [*columns]
        self.processes: int | None = None

    def __len__(self) -> int:
        return len(self.columns[self.column_names[0]])

    def map(self, parse: Callable[..., dict[str, list[Any]]], input_columns: str, **settings: Any) -> "Rows":
        assert settings["batched"] is settings["with_indices"] is True
        assert settings["remove_columns"] == self.column_names
        self.processes = settings["num_proc"]
        return Rows(parse(self.columns[input_columns], [*range(len(self))]))

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        yield {name: values[:batch_size] for name, values in self.columns.items()}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """The rows of every dataset."""
    rows = Rows({"body": ["One. Two\nlines.", " ", "Three."], "id": [7, 8, 9]})
    monkeypatch.setattr(corpus, "load_split", lambda *_: rows)
    monkeypatch.setattr(corpus, "_table_features", lambda: None)
    return rows


def test_a_row_of_a_dataset_is_a_document(rows: Rows) -> None:
    """With its number as the source. Rows without text are left out."""
    read = read_dataset("name", column="body")
    assert (read.name, read.layout) == ("name (train)", ("one document per row, in the column 'body'",))
    assert [*read.documents] == [Document("name#0", ("One.", "Two", "lines.")), Document("name#2", ("Three.",))]
    (document, _) = read_dataset("name", layout="wrapped", column="body").documents
    assert document.sentences == ("One.", "Two lines.")


def test_errors_name_the_row_and_the_columns_of_a_dataset(rows: Rows) -> None:
    with pytest.raises(CorpusError, match=r"^dataset 'name': has no column 'text'; its columns: body, id$"):
        read_dataset("name")
    rows.columns["body"][2] = 5
    with pytest.raises(CorpusError, match=r"^name, row 2: column 'body' does not contain text but '5'"):
        read_dataset("name", column="body")


def test_the_fingerprint_of_a_dataset_depends_on_everything_that_changes_its_documents(rows: Rows) -> None:
    rows.columns["text"] = rows.columns["body"]
    rows.column_names.append("text")
    first = {"name": "name", "config": None, "split": "train", "layout": None, "column": "text"}
    others = {"name": "other", "config": "small", "split": "test", "layout": "lines", "column": "body"}
    found = [read_dataset(**first | {name: value}).fingerprint for name, value in [*first.items(), *others.items()]]
    rows._fingerprint = "other contents"
    assert len({*found, read_dataset(**first).fingerprint}) == 7
    assert all(isinstance(each, str) for each in found)


@pytest.mark.parametrize(("cores", "share", "processes"), [(None, 1, 1), (2, 1, 2), (8, 1, 3), (8, 4, None)])
def test_a_dataset_is_parsed_by_as_many_processes_as_there_are_cores_and_shares_of_rows(
    rows: Rows, monkeypatch: pytest.MonkeyPatch, cores: int | None, share: int, processes: int | None
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(corpus, "ROWS_PER_PROCESS", share)
    read_dataset("name", column="body")
    assert rows.processes == processes


def test_a_split_is_loaded_from_a_saved_dataset_or_otherwise_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: Any = {"train": "saved rows", "test": "others"}
    library = SimpleNamespace(
        disable_progress_bars=lambda: None,
        load_dataset=lambda name, config, split: (name, config, split),
        load_from_disk=lambda name: saved,
    )
    monkeypatch.setitem(sys.modules, "datasets", library)
    assert corpus.load_split(str(tmp_path), "small", "test") == (str(tmp_path), "small", "test")
    (tmp_path / "dataset_dict.json").touch()
    assert corpus.load_split(str(tmp_path), None, "train") == "saved rows"
    with pytest.raises(CorpusError, match=r"split 'x': there is no such split; its splits: train, test$"):
        corpus.load_split(str(tmp_path), None, "x")
    saved = SimpleNamespace(split=None)
    assert corpus.load_split(str(tmp_path), None, "x") is saved


def test_dataset_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset can be a local folder. Rows are documents, and empty rows are skipped. The number of cores does not matter."""
    monkeypatch.setattr("os.cpu_count", lambda: None)
    (tmp_path / "train.jsonl").write_text('{"body": "First. Second."}\n{"body": ""}\n{"body": "Third."}\n')
    name = str(tmp_path)
    read = read_dataset(name, column="body")
    assert list(read.documents) == [Document(f"{name}#0", ("First.", "Second.")), Document(f"{name}#2", ("Third.",))]
    assert read.name == f"{name} (train)"
    with pytest.raises(CorpusError, match=r"has no column 'text'; its columns: body"):
        read_dataset(name)
    (tmp_path / "train.jsonl").write_text('{"body": 5}\n')
    with pytest.raises(Exception, match="column 'body' does not contain text but '5'"):
        read_dataset(name, column="body")
    with pytest.raises(CorpusError, match="split 'test'"):
        read_dataset(name, split="test", column="body")
    with pytest.raises(CorpusError, match="dataset 'nobody/nothing-of-the-kind'"):
        read_dataset("nobody/nothing-of-the-kind")


def test_split_keeps_copies_and_groups_together() -> None:
    """The fraction is approximately right. The split depends only on the group, or on the text, apart from white space."""
    documents = [Document(f"{number}", (f"text {number % 500}", "x"), f"{number % 3}") for number in range(1000)]
    train, validation = split_documents(documents, 0.7)
    assert train
    assert validation
    assert {d.group for d in train}.isdisjoint({d.group for d in validation})
    copies = [Document(f"{n}", (f"text {n % 500}  x",) if n < 500 else (f"text {n % 500}", "x")) for n in range(1000)]
    train, validation = split_documents(copies, 0.15)
    assert {split_key(d) for d in train}.isdisjoint({split_key(d) for d in validation})
    assert all(is_validation(split_key(d), 0.15) for d in validation)
    assert not any(is_validation(split_key(d), 0.0) for d in copies)
    assert 0.10 < len(validation) / len(copies) < 0.20
    assert split_documents(validation, 0.15) == ([], validation)


def test_documents_can_be_iterated_repeatedly(tmp_path: Path) -> None:
    read: Corpus = read_corpus(write(tmp_path, ".txt"))
    assert list(read.documents) == list(read.documents) != []


def test_ten_documents_give_at_least_two_validation_documents() -> None:
    """The fraction is only increased if it is too small. Fewer than ten documents give no validation documents."""
    for count in (*range(10, 20), 40):
        documents = [Document(f"{n}", (f"{count} {n}", "b")) for n in range(count)]
        fraction = sufficient_validation_fraction(documents, 0.05)
        assert fraction >= 0.05
        validation = [document for document in documents if is_validation(split_key(document), fraction)]
        assert len(validation) == 2 or fraction == 0.05
        assert sufficient_validation_fraction(documents, 0.0) == 0.0
    many = [Document("name", (f"{n}",)) for n in range(1000)]
    assert sufficient_validation_fraction(many, 0.05) == 0.05
    assert sufficient_validation_fraction(many[:9], 0.05) == 0.0
    assert sufficient_validation_fraction([], 0.05) == 0.0
    assert sufficient_validation_fraction(many[:9] * 100, 0.05) == 0.0


def test_quotation_marks_of_a_tsv_have_no_meaning(tmp_path: Path) -> None:
    """A byte-order mark, carriage returns, blank lines and lone quotation marks change no row."""
    (tmp_path / "a.tsv").write_bytes(b'\xef\xbb\xbfid\ttext \r\n1\t"One begins\r\n2\tTwo "" ends"\r\n\r\n3\t"Three"\r\n')
    assert sentences_in([tmp_path]) == [('"One begins',), ('Two "" ends"',), ('"Three"',)]


def test_quoted_line_breaks_and_delimiters_of_a_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbf"text","a, b"\r\n"One, two.\r\nThree ""four"".",1\r\n\r\n5" pipe,2\r\n')
    assert sentences_in([tmp_path]) == [("One, two.", 'Three "four".'), ('5" pipe',)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_line_ends(tmp_path: Path, line_end: str, suffix: str) -> None:
    """Lines of Unix, Windows and old Macs have the same numbers and contents. Other separators do not end a line."""
    data = line_end.join(["one", "", "two\x0b\x85\u2028three", "four"]).encode()
    (file := tmp_path / f"a{suffix}").write_bytes(gzip.compress(data) if suffix.endswith(".gz") else data)
    assert [*numbered_lines(file)] == [(1, "one\n"), (2, "\n"), (3, "two\x0b\x85\u2028three\n"), (4, "four")]
    assert "".join(text_lines(file)) == "".join(line for _, line in numbered_lines(file))


def test_long_lines_of_text_are_yielded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts end with a space. A long row of JSONL is refused instead."""
    monkeypatch.setattr(file_formats, "LINE_PART_CHARACTERS", 20)
    monkeypatch.setattr(file_formats, "MAX_LINE_CHARACTERS", 50)
    text = "twelve words " * 12 + "\nshort\n" + "x" * 70
    (tmp_path / "a.txt").write_text(text)
    parts = [*text_lines(tmp_path / "a.txt")]
    assert "".join(parts) == text
    assert max(map(len, parts)) <= 40
    assert {word for part in parts for word in part.split()} == {"twelve", "words", "short", "x" * 20, "x" * 10}
    assert all(parts)
    (tmp_path / "a.txt").write_text("one two three four x")
    assert [*text_lines(tmp_path / "a.txt")] == ["one two three four ", "x"]
    (tmp_path / "a.jsonl").write_text('{"text": "' + "x" * 50 + '"}\n')
    with pytest.raises(CorpusError, match=r"a\.jsonl, line 1: is longer than 50 characters"):
        sentences_in([tmp_path / "a.jsonl"])


@pytest.mark.parametrize("content", [b"x" * 40_000_000, slow(b"A line of text.\n" * 3_000_000)])
def test_compressed_files_that_expand_too_much_are_refused(tmp_path: Path, content: bytes) -> None:
    (file := tmp_path / "a.txt.gz").write_bytes(gzip.compress(content))
    with pytest.raises(CorpusError, match=r"a\.txt\.gz: expands to more than 100 times its size.* gunzip -k a\.txt\.gz"):
        for _ in text_lines(file):
            pass


def test_folders_and_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.txt").write_text(TEXT)
    scandir, open_path = os.scandir, Path.open

    def refuse_folder(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def refuse_file(path: Path, *arguments: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse_folder)
        for folder in (tmp_path, tmp_path / "closed"):
            with pytest.raises(CorpusError, match=r"closed: cannot be read \(permission denied: change"):
                read_corpus(folder)
    (tmp_path / "closed").rmdir()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse_file)
        with pytest.raises(CorpusError, match=r"a\.txt: cannot be read \(permission denied: change"):
            read_corpus(tmp_path)
    assert open_path is Path.open
    (tmp_path / "broken.txt").symlink_to("nowhere")
    with pytest.raises(CorpusError, match=r"broken\.txt: cannot be read \(No such file"):
        read_corpus(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="is neither a file nor a folder"):
        read_corpus(tmp_path / "pipe")
    with pytest.raises(CorpusError, match="there is no such file or folder"):
        read_corpus(tmp_path / "a.txt" / "b")


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    """Jupyter keeps copies in a hidden folder, and macOS writes a hidden file for each file of an archive."""
    for name in ("a.txt", "._a.txt", ".ipynb_checkpoints/a-checkpoint.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(TEXT)
    assert sentences_in([tmp_path]) == TWO
    (tmp_path / "a.txt").unlink()
    with pytest.raises(CorpusError, match="no file in this folder ends in"):
        read_corpus(tmp_path)


def test_json_is_not_plain_text(tmp_path: Path) -> None:
    (tmp_path / "a b.json").write_text('[{"text": "One."}, {"text": "Two."}]')
    with pytest.raises(CorpusError, match=r"is JSON, not plain text; .* jq -c '\.\[\]' 'a b\.json' > 'a b\.jsonl'"):
        read_corpus(tmp_path / "a b.json")


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    """Also under another name: a link, or a path with "..". The first name counts."""
    (tmp_path / "a.txt").write_text(TEXT)
    assert sentences_in([tmp_path, tmp_path / "a.txt"]) == TWO
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert sentences_in([tmp_path]) == TWO
    assert sentences_in([tmp_path / "a.txt", tmp_path / ".." / tmp_path.name / "a.txt"]) == TWO


@pytest.mark.parametrize(("count", "name"), [(1, "0.txt"), (3, "0.txt, 1.txt, 2.txt"), (4, "0.txt, 1.txt, 2.txt and 1 more")])
def test_a_corpus_has_the_names_of_its_first_files(tmp_path: Path, count: int, name: str) -> None:
    for number in range(count):
        (tmp_path / f"{number}.txt").write_text(TEXT)
    assert read_corpus(tmp_path).name == name


@pytest.mark.parametrize(("cores", "processes"), [(None, 1), (1, 1), (2, 2), (9, 3)])
def test_large_files_are_read_by_as_many_processes_as_there_are_cores_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int
) -> None:
    """If reading in processes fails, this process reads. Here it always fails."""
    import datasets

    asked: list[int | None] = []
    read = datasets.Dataset.from_generator

    def from_generator(*arguments: object, num_proc: int | None = None, **settings: object) -> datasets.Dataset:
        asked.append(num_proc)
        if num_proc is not None:
            raise RuntimeError("a process has ended")
        return read(*arguments, **settings)

    monkeypatch.setattr(datasets.Dataset, "from_generator", from_generator)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr(corpus, "PARALLEL_BYTES", 10)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(f"{cores}.\n\n{number}.\n")
    assert sentences_in([tmp_path]) == [(f"{cores if part == 0 else number}.",) for number in range(3) for part in range(2)]
    assert asked[:2] == [processes, None]


def test_an_error_of_the_system_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a full disk, while the documents are written."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(corpus, "_file_documents", fail)
    (tmp_path / "a.txt").write_text("Any text.\n")
    with pytest.raises(OSError, match="no space left on this disk"):
        read_corpus(tmp_path)


def test_file_names_that_are_not_utf_8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text(TEXT)
    (document, _) = read_corpus(tmp_path).documents
    assert document.source == r"\xff.txt#1"


def test_layouts_are_described(tmp_path: Path) -> None:
    """The first files with their reasons, the others as numbers."""
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "b.jsonl").write_text('{"text": "One."}\n')
    assert read_corpus(tmp_path).layout == (
        "a.txt: lines (1.0 sentences per line)",
        "b.jsonl: one document per row, in the column 'text'",
    )
    assert read_corpus(tmp_path / "a.txt", layout="wrapped").layout == ("a.txt: wrapped (as given)",)
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("One. Two. Three.\n" * number or TEXT)
    assert read_corpus(tmp_path).layout[-1] == "6 more files: paragraphs 4, lines 1, rows 1"


def test_layout_of_one_document_per_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One. Two.\nThree.\n\nFour. Five.\n")
    assert sentences_in([tmp_path], layout="documents") == [("One.", "Two."), ("Three.",), ("Four.", "Five.")]


def test_utterances_without_punctuation_are_not_wrapped_text(tmp_path: Path) -> None:
    """Forty dialogs in each of four files are 160 documents, with one utterance per sentence."""
    generator = np.random.default_rng(0)
    words = ["well", "you", "know", "we", "have", "to", "go", "there", "again", "old", "friends", "before", "starts", "rain"]
    for number in range(4):
        dialogs = ["\n".join(" ".join(generator.choice(words, generator.integers(6, 13))) for _ in range(5)) for _ in range(40)]
        (tmp_path / f"{number}.txt").write_text("\n\n".join(dialogs) + "\n")
    read = read_corpus(tmp_path)
    assert [len(document.sentences) for document in read.documents] == [5] * 160
    assert all(": lines (1.0 sentences per line)" in description for description in read.layout)
