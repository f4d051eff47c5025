"""Documents from files, folders and datasets; error messages with file and line."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from minibert.text import corpus
from minibert.text.corpus import Corpus, Document, read_corpus, read_dataset
from minibert.text.file_formats import CorpusError, numbered_lines
from minibert.text.splits import is_validation, split_documents, sufficient_validation_fraction

TEXT = "One sentence a line.\nAnother one.\n\nA second document.\nIts end.\n"
TWO = [("One sentence a line.", "Another one."), ("A second document.", "Its end.")]


def sentences_in(paths: list[Path], **settings: str) -> list[tuple[str, ...]]:
    return [document.sentences for document in read_corpus(paths, **settings).documents]


def write(path: Path, kind: str) -> Path:
    """Write the two documents to a file of the given kind."""
    rows = [{"text": "\n".join(document), "id": number} for number, document in enumerate(TWO)]
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
            r"a\.txt, line 2: is not UTF-8 \(byte 0xef in column 3\); convert it, for example: iconv",
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
        ("a.csv", b"body,id\nx,1\n", r"a\.csv, line 2: has no column 'text'; its columns: body, id"),
        ("a.csv", b'text\n"open', r"a\.csv|empty"),
        ("a.parquet", b"no parquet", r"a\.parquet: is not Parquet, or damaged"),
    ],
)
def test_errors_contain_file_and_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    if b'"open' in content:  # the end of the file closes an open quote
        assert sentences_in([tmp_path]) == [("open",)]
        return
    with pytest.raises(CorpusError, match=message):
        sentences_in([tmp_path])


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


def test_dataset_of_the_hub(tmp_path: Path) -> None:
    """A dataset can be a local folder. Rows are documents, and empty rows are skipped."""
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


def test_split_keeps_sources_together() -> None:
    """The fraction is approximately right, and the split depends only on the names."""
    documents = [Document(f"source{number % 500}", ("x",)) for number in range(1000)]
    train, validation = split_documents(documents, 0.15)
    assert {d.source for d in train}.isdisjoint({d.source for d in validation})
    assert 0.10 < len(validation) / len(documents) < 0.20
    assert split_documents(validation, 0.15) == ([], validation)
    assert all(is_validation(d.source, 0.15) for d in validation)
    assert not any(is_validation(d.source, 0.0) for d in documents)


def test_documents_can_be_iterated_repeatedly(tmp_path: Path) -> None:
    read: Corpus = read_corpus(write(tmp_path, ".txt"))
    assert list(read.documents) == list(read.documents) != []


def test_ten_documents_give_at_least_two_validation_documents() -> None:
    """The fraction is only increased if it is too small. Fewer than ten documents give no validation documents."""
    for count in (10, 17, 40):
        documents = [Document(f"{count}-{n}", ("a", "b")) for n in range(count)]
        fraction = sufficient_validation_fraction(documents, 0.05)
        assert fraction >= 0.05
        validation = [document for document in documents if is_validation(document.source, fraction)]
        assert len(validation) == 2 or fraction == 0.05
        assert sufficient_validation_fraction(documents, 0.0) == 0.0
    many = [Document(f"{n}", ("a",)) for n in range(1000)]
    assert sufficient_validation_fraction(many, 0.05) == 0.05
    assert sufficient_validation_fraction(many[:9], 0.05) == 0.0
    assert sufficient_validation_fraction([], 0.05) == 0.0


def test_utf_16_is_detected(tmp_path: Path) -> None:
    """The conversion command in the message names the right encoding."""
    (tmp_path / "a.txt").write_bytes("Ein Satz.\n".encode("utf-16"))
    with pytest.raises(CorpusError, match=r"iconv -f utf-16 -t utf-8 a\.txt"):
        list(numbered_lines(tmp_path / "a.txt"))
