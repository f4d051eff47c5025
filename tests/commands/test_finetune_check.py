"""`minibert finetune classify --check`: findings, what was inferred, and repaired copies."""

from pathlib import Path

import pytest

from minibert.commands import main
from minibert.model import BertForMaskedLM
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from tests.training.test_multitask import CONFIG, WORDS


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    BertForMaskedLM(CONFIG).save_pretrained(folder)
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), folder)
    return folder


def run(start: Path, *words: str | Path) -> int:
    return main(["finetune", "classify", "--from", str(start), *map(str, words)])


def test_findings_and_what_was_inferred_are_printed(start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, validation = tmp_path / "train.tsv", tmp_path / "validation.tsv"
    train.write_text("\ufefftext\tlabel\na\tx\nb\ty \nc\nd\tx\ntext\tlabel\ne\ty\n")
    validation.write_text("text\tlabel\na\tx\nf\tz\n")
    assert run(start, "--train", train, "--validation", validation, "--check") == 1
    shown = capsys.readouterr().out
    for line in (
        f"{train}, line 1: begins with a byte-order mark; it was removed",
        f"{train}, line 3: the label 'y ' is read as 'y'",
        f"error: {train}, line 4: has 1 column instead of 2",
        f"{train}, line 6: is a header and not a row; it was left out",
        f"{validation}: 1 of 2 rows are also in the training data: lines 2 ({train}, line 2); --drop-shared",
        f"{validation}, line 3: the label 'z' is not in the training data",
        f"{train}: label: column 'label' (known name), text: column 'text' (known name)",
        "one class for each text (2 different labels: 'x', 'y')",
        "labels: 'x', 'y'",
        "findings: 6 (repaired in a run: 3, errors: 1)",
    ):
        assert line in shown, line


def test_a_run_with_errors_is_refused_and_lists_them(start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = tmp_path / "train.tsv"
    train.write_text("text\tlabel\n" + "a\n" * 2 + "".join("a" + "\tb" * number + "\n" for number in range(2, 7)))
    assert run(start, "--train", train, "--out", tmp_path / "out", "--device", "cpu") == 2
    shown = capsys.readouterr().err
    assert "the labeled data has 7 errors" in shown
    assert f"{train}, line 2: has 1 column instead of 2" in shown
    assert "(also in line 3)" in shown
    assert "and 1 more; `minibert finetune … --check` lists all of them" in shown
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_a_repaired_copy_is_written(start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, copy = tmp_path / "train.tsv", tmp_path / "copy.tsv"
    train.write_bytes(b"1.0\t7\ta\r\n0\t8\tb\r\n1\t9\tc\r\n0\t8\td")
    options = ["--columns", "label,_,text", "--validation-fraction", "0", "--check"]
    assert run(start, "--train", train, *options, "--write-repaired", copy) == 0
    assert copy.read_text() == "1\t7\ta\n0\t8\tb\n1\t9\tc\n0\t8\td\n"
    capsys.readouterr()
    assert run(start, "--train", copy, *options) == 0
    assert "findings: 0 (repaired in a run: 0, errors: 0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--write-repaired", "copy.tsv"], "--write-repaired: give it with --check"),
        (["--check", "--write-repaired", "copy.csv"], "copy.csv: a repaired copy has the format of train.tsv"),
        (["--check", "--columns", "text"], "has no column with a known name of a label"),
        (["--check", "--text-column", "txt"], "has no column 'txt' for the text; its columns: 'text', 'label'"),
        (["--check", "--label-names", "x"], "label_names 'x': must be a label, = and its name"),
    ],
)
def test_wrong_options(start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\nb\ty\n")
    assert run(start, "--train", tmp_path / "train.tsv", *words) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_dataset_is_checked(start: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").write_text("".join(f'{{"text": "{letter}", "label": {len(letter)}}}\n' for letter in "abcd"))
    (tmp_path / "test.jsonl").write_text('{"text": "e", "label": 1}\n')
    assert run(start, "--dataset", tmp_path, "--validation-split", "test", "--check") == 1
    shown = capsys.readouterr().out
    assert f"error: {tmp_path} (train): all training rows have the label '1'" in shown
    assert run(start, "--dataset", tmp_path, "--validation-split", "dev", "--check") == 2
    assert f"dataset '{tmp_path}', split 'dev'" in capsys.readouterr().err
