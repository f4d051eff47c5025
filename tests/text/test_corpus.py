"""Files, folders and data sets to documents; errors that name file and line."""

import csv
import gzip
import json
from pathlib import Path

import pytest

from minibert.text import corpus
from minibert.text.corpus import (
    Corpus,
    CorpusError,
    Document,
    find_files,
    numbered_lines,
    read_files,
    read_dataset,
)
from minibert.text.splits import is_validation, split_documents, sufficient_validation_fraction

TEXT = "One sentence a line.\nAnother one.\n\nA second document.\nIts end.\n"
TWO = [("One sentence a line.", "Another one."), ("A second document.", "Its end.")]


def found(paths: list[Path], **settings: str) -> list[tuple[str, ...]]:
    return [document.sentences for document in read_files(find_files(paths), **settings).documents]


def write(path: Path, kind: str) -> Path:
    """The two documents in a file of some kind."""
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
def test_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    assert found([write(tmp_path, kind)]) == TWO


def test_folders_are_searched_in_order_and_sources_name_file_and_place(tmp_path: Path) -> None:
    """Files of other kinds are passed over; the folder's own place is not in the sources, so it can be moved."""
    for name in ("b", "a"):
        (tmp_path / "x" / name).mkdir(parents=True)
        (tmp_path / "x" / name / f"{name}.txt").write_text(TEXT)
    (tmp_path / "x" / "picture.png").write_bytes(b"\xff\xd8")
    here = read_files(find_files([tmp_path / "x"]))
    assert [document.source for document in here.documents] == ["a/a.txt#1", "a/a.txt#2", "b/b.txt#1", "b/b.txt#2"]
    (tmp_path / "x").rename(tmp_path / "y")
    assert read_files(find_files([tmp_path / "y"])).fingerprint == here.fingerprint


def test_the_layout_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Wrapped over\ntwo lines. And more.\n\nAnother paragraph.\n")
    assert found([tmp_path], layout="wrapped") == [("Wrapped over two lines.", "And more.", "Another paragraph.")]
    assert found([tmp_path], layout="lines") == [("Wrapped over", "two lines. And more."), ("Another paragraph.",)]
    assert found([tmp_path], layout="paragraphs") == [("Wrapped over", "two lines.", "And more."), ("Another paragraph.",)]


def test_the_second_time_it_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless what the file holds has changed, by however little; its time and place do not matter."""
    file = tmp_path / "a.txt"
    file.write_text(TEXT)
    first = read_files([file])
    assert list(first.documents) == [Document(f"a.txt#{n}", sentences) for n, sentences in enumerate(TWO, start=1)]
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "_file_documents", lambda *_: pytest.fail("read again"))
        file.touch()
        assert list(read_files([file]).documents) == list(first.documents)
    file.write_text(TEXT.replace("Its end", "The end"))
    changed = read_files([file])
    assert changed.fingerprint != first.fingerprint
    assert list(changed.documents) != list(first.documents)


def test_strange_signs_do_no_harm(tmp_path: Path) -> None:
    """NUL bytes, a byte-order mark, carriage returns, other planes of Unicode, line separators that are none for a file."""
    (tmp_path / "a.txt").write_bytes(
        b"\xef\xbb\xbfA \x00 byte.\r\nThen \xf0\x9f\x98\x80.\r\n\r\n\xe4\xb8\xad\xe6\x96\x87\xe3\x80\x82\xe2\x80\xa8End.\n"
    )
    assert found([tmp_path]) == [("A \x00 byte.", "Then 😀."), ("中文。\u2028End.",)]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.csv").write_text('text\n"a ""quoted"" one,\nover lines."\nA\x00B.\n')
    assert found([tmp_path]) == [('a "quoted" one,', "over lines."), ("A\x00B.",)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            b"fine\nna\xefve\n",
            r"a\.txt, line 2: is not UTF-8 \(byte 0xef in column 3\); convert it, for example: iconv",
        ),
        ("a.txt", b"", r"a\.txt: is empty, there is no text in it"),
        ("a.txt", b"\n \n\n", r"a\.txt: is empty, there is no text in it"),
        ("a.txt.gz", b"not packed", r"a\.txt\.gz: cannot be unpacked after line 0"),
        ("a.txt.gz", gzip.compress(b"one\ntwo\n" * 9999)[:-9], r"a\.txt\.gz: cannot be unpacked after line"),
        ("a.jsonl", b'{"text": "x"}\n{oops}\n', r"a\.jsonl, line 2: is not JSON"),
        ("a.jsonl", b"[1]\n", r"a\.jsonl, line 1: is not a JSON object"),
        (
            "a.jsonl",
            b'{"text": "x"}\n\n{"body": "x", "id": 1}\n',
            r"a\.jsonl, line 3: has no column 'text'; its columns: body, id",
        ),
        ("a.jsonl", b'{"text": 5}\n', r"a\.jsonl, line 1: 'text' is no text but '5'"),
        ("a.csv", b"body,id\nx,1\n", r"a\.csv, line 2: has no column 'text'; its columns: body, id"),
        ("a.csv", b'text\n"open', r"a\.csv|empty"),
        ("a.parquet", b"no parquet", r"a\.parquet: is not Parquet, or damaged"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    if b'"open' in content:  # an open quote at the end of a file is closed by its end
        assert found([tmp_path]) == [("open",)]
        return
    with pytest.raises(CorpusError, match=message):
        found([tmp_path])


def test_a_column_of_parquet_that_is_not_there(tmp_path: Path) -> None:
    file = write(tmp_path, ".parquet")
    with pytest.raises(CorpusError, match=r"corpus\.parquet: has no column 'body'; its columns: text, id"):
        found([file], column="body")


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="there is no such file or folder"):
        find_files([tmp_path / "nowhere"])
    with pytest.raises(CorpusError, match=r"no file in this folder ends in \.txt, "):
        find_files([tmp_path])


def test_many_files_are_read_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several processes, in the same order."""
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(TEXT.replace("One", f"Number {number}"))
    alone = list(read_files(find_files([tmp_path])).documents)
    monkeypatch.setattr(corpus, "PARALLEL_BYTES", 10)
    (tmp_path / "5.txt").write_text("Another one.\nIts end.\n")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert list(read_files(find_files([tmp_path])).documents)[:-1] == alone
    (tmp_path / "3.txt").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(CorpusError, match=r"3\.txt, line 2: is not UTF-8"):
        read_files(find_files([tmp_path]))


def test_a_data_set_of_the_hub(tmp_path: Path) -> None:
    """By its name, which may be a folder: rows are documents, empty rows are left out."""
    (tmp_path / "train.jsonl").write_text('{"body": "First. Second."}\n{"body": ""}\n{"body": "Third."}\n')
    name = str(tmp_path)
    read = read_dataset(name, column="body")
    assert list(read.documents) == [Document(f"{name}#0", ("First.", "Second.")), Document(f"{name}#2", ("Third.",))]
    assert read.name == f"{name} (train)"
    with pytest.raises(CorpusError, match=r"has no column 'text'; its columns: body"):
        read_dataset(name)
    (tmp_path / "train.jsonl").write_text('{"body": 5}\n')
    with pytest.raises(Exception, match="'body' is no text but '5'"):
        read_dataset(name, column="body")
    with pytest.raises(CorpusError, match="split 'test'"):
        read_dataset(name, split="test", column="body")
    with pytest.raises(CorpusError, match="data set 'nobody/nothing-of-the-kind'"):
        read_dataset("nobody/nothing-of-the-kind")


def test_documents_of_one_source_are_validation_together() -> None:
    """The share is about right, and the names alone decide."""
    documents = [Document(f"source{number % 500}", ("x",)) for number in range(1000)]
    train, validation = split_documents(documents, 0.15)
    assert {d.source for d in train}.isdisjoint({d.source for d in validation})
    assert 0.10 < len(validation) / len(documents) < 0.20
    assert split_documents(validation, 0.15) == ([], validation)
    assert all(is_validation(d.source, 0.15) for d in validation)
    assert not any(is_validation(d.source, 0.0) for d in documents)


def test_a_corpus_can_be_gone_through_again(tmp_path: Path) -> None:
    read: Corpus = read_files([write(tmp_path, ".txt")])
    assert list(read.documents) == list(read.documents) != []


def test_at_least_two_documents_are_validation_where_there_are_ten() -> None:
    """The share that is asked for, if it is enough; else as much more as it takes, and of fewer than ten none."""
    for count in (10, 17, 40):
        documents = [Document(f"{count}-{n}", ("a", "b")) for n in range(count)]
        share = sufficient_validation_fraction(documents, 0.05)
        assert share >= 0.05
        validation = [document for document in documents if is_validation(document.source, share)]
        assert len(validation) == 2 or share == 0.05
        assert sufficient_validation_fraction(documents, 0.0) == 0.0
    many = [Document(f"{n}", ("a",)) for n in range(1000)]
    assert sufficient_validation_fraction(many, 0.05) == 0.05
    assert sufficient_validation_fraction(many[:9], 0.05) == 0.0
    assert sufficient_validation_fraction([], 0.05) == 0.0


def test_utf_16_is_recognised(tmp_path: Path) -> None:
    """The command that is advised would make garbage of it otherwise."""
    (tmp_path / "a.txt").write_bytes("Ein Satz.\n".encode("utf-16"))
    with pytest.raises(CorpusError, match=r"iconv -f utf-16 -t utf-8 a\.txt"):
        list(numbered_lines(tmp_path / "a.txt"))
