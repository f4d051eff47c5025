"""`minibert embed`: files in and out, search, and messages."""

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pyarrow import parquet
from tokenizers import Encoding

from minibert import Bert, TextEmbedder
from minibert.commands import main
from tests.trained_models import write_checkpoint

WORDS = ["red", "blue", "cat", "猫", "[", "]"]
TEXTS = ["red cat", "", "blue", "猫 cat", "red " * 40]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 16}
    folder = write_checkpoint(tmp_path_factory.mktemp("bert"), WORDS, Bert, initializer_range=0.5, **sizes)
    return str(folder)


@pytest.fixture
def expected(checkpoint: str) -> np.ndarray:
    return TextEmbedder.from_pretrained(checkpoint).embed(TEXTS)


def test_row_n_of_the_matrix_is_line_n(
    checkpoint: str, expected: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for empty lines, Windows line ends and a byte-order mark. The number of texts that are cut is printed."""
    (tmp_path / "texts.txt").write_text("\r\n".join(TEXTS), encoding="utf-8-sig", newline="")
    assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--out", str(tmp_path / "v.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    streams = capsys.readouterr()
    assert "5 texts, 16 dimensions, mean pooling" in streams.out
    assert "1 of 5 texts have more than 16 tokens" in streams.err
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "v.npy"}


@pytest.mark.parametrize("name", ["texts.tsv", "texts.csv", "texts.jsonl", "texts.jsonl.gz", "texts.parquet"])
def test_columns_of_tables(checkpoint: str, expected: np.ndarray, tmp_path: Path, name: str) -> None:
    """The Parquet that the command writes has the texts and their vectors, and is one of the tables that it reads."""
    file, out = tmp_path / name, tmp_path / "vectors.parquet"
    lines = "".join(json.dumps({"id": 1, "text": text}) + "\n" for text in TEXTS)
    match file.suffixes:
        case [".jsonl"]:
            file.write_text(lines)
        case [".jsonl", ".gz"]:
            file.write_bytes(gzip.compress(lines.encode()))
        case [".parquet"]:
            (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
            assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--out", str(file)]) == 0
        case [suffix]:
            file.write_text(
                "".join(
                    {".tsv": "\t", ".csv": ","}[suffix].join(row) + "\n"
                    for row in [("id", "text"), *(("1", text) for text in TEXTS)]
                )
            )
    assert main(["embed", checkpoint, str(file), "--column", "text", "--out", str(out)]) == 0
    table = parquet.read_table(out)
    assert table["text"].to_pylist() == TEXTS
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), dtype=np.float32), expected)


def test_standard_input(checkpoint: str, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO("\n".join(TEXTS).encode())))
    assert main(["embed", checkpoint, "-", "--out", str(tmp_path / "v.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)


def test_search(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The most similar texts are printed in order, with their line numbers; a text is most similar to itself."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--nearest", "猫 cat", "--top", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0] == {"number": 4, "similarity": pytest.approx(1, abs=1e-5), "text": "猫 cat"}
    assert [match["similarity"] for match in found] == sorted((match["similarity"] for match in found), reverse=True)
    assert len(found) == 3
    assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--nearest", "猫 cat", "-k", "1"]) == 0
    shown = capsys.readouterr().out
    assert "1.000" in shown
    assert "猫 cat" in shown
    assert "blue" not in shown


def test_pooling_and_normalization(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    options = ["--pooling", "cls", "--normalize", "--max-length", "5", "--out", str(tmp_path / "v.npy")]
    assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), *options]) == 0
    wanted = TextEmbedder.from_pretrained(checkpoint, "cls", True, 5).embed(TEXTS)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), wanted)


def test_progress_of_long_work(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("minibert.study.embedding.TEXTS_PER_BLOCK", 2)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--out", str(tmp_path / "v.npy")]) == 0
    assert "Embedding 3/3" in capsys.readouterr().out
    assert len(np.load(tmp_path / "v.npy")) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["texts.txt"], "give --out FILE for the vectors, or --nearest QUERY"),
        (["texts.txt", "--out", "v.txt"], "--out v.txt: must end in .npy (vectors) or .parquet"),
        (["texts.txt", "--out", "folder.npy"], "folder.npy: is a folder"),
        (["texts.txt", "--out", "v.npy", "--column", "text"], "--column text: texts.txt has no columns"),
        (["table.tsv", "--out", "v.npy"], "table.tsv, line 1: has no column 'text'; its columns: a, b"),
        (["missing.txt", "--out", "v.npy"], "missing.txt: cannot be read"),
        (["empty.txt", "--out", "v.npy"], "empty.txt: has no texts"),
        (["latin.txt", "--out", "v.npy"], "latin.txt, line 2: is not UTF-8"),
        (["texts.txt", "--nearest", "a", "--top", "0"], "--top must be at least 1"),
        (["texts.txt", "--out", "v.npy", "--json"], "--json is for the results of --nearest"),
        (["texts.txt", "--out", "v.npy", "--max-length", "17"], "from 3 to 16 tokens, not 17"),
    ],
)
def test_wrong_options_are_refused(
    checkpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.npy").mkdir()
    for name, content in (
        ("texts.txt", b"red\n"),
        ("table.tsv", b"a\tb\n"),
        ("empty.txt", b""),
        ("latin.txt", b"red\ncaf\xe9\n"),
    ):
        Path(name).write_bytes(content)
    assert main(["embed", checkpoint, *options]) == 2
    assert message in capsys.readouterr().err
    assert not Path("v.npy").exists()


def test_an_old_file_survives_an_error(checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced when all vectors are written, not before."""
    monkeypatch.setattr("minibert.study.embedding.TEXTS_PER_BLOCK", 2)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    vectors, calls = TextEmbedder._vectors, []

    def failing(self: TextEmbedder, encodings: Sequence[Encoding]) -> np.ndarray:
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("broken")
        return vectors(self, encodings)

    monkeypatch.setattr(TextEmbedder, "_vectors", failing)
    for name in ("v.npy", "v.parquet"):
        (tmp_path / name).write_text("old")
        calls.clear()
        assert main(["embed", checkpoint, str(tmp_path / "texts.txt"), "--out", str(tmp_path / name)]) == 2
        assert (tmp_path / name).read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"texts.txt", "v.npy", "v.parquet"}
