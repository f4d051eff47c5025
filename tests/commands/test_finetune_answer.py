"""`minibert finetune answer` and `minibert evaluate`, from a SQuAD file to a score."""

import json
import shlex
from pathlib import Path

import pytest

from minibert.commands import main
from minibert.model import Bert
from tests.docs.guides import blocks
from tests.trained_models import write_checkpoint

CITIES = {"巴黎": "法国", "柏林": "德国", "罗马": "意大利", "马德里": "西班牙", "paris": "france", "berlin": "germany"}
CHINESE = sorted(
    {character for pair in CITIES.items() for text in pair for character in text if not text.isascii()} | {*"是的首都哪里。"}
)
WORDS = [*CHINESE, "paris", "france", "berlin", "germany", "is", "in", "where", "?", "."]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of an encoder without a head, and its tokenizer, in the folder of the quickstart."""
    monkeypatch.chdir(tmp_path)
    make_start()
    return Path("runs/quickstart")


def make_start(**settings: int) -> None:
    write_checkpoint("runs/quickstart", WORDS, Bert, num_hidden_layers=1, initializer_range=0.1, **settings)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Questions in Chinese and English about capitals. Every third one is about a city that the context does not name."""
    paragraphs = []
    for number, (city, country) in enumerate(CITIES.items()):
        context = f"{city} is in {country}." if city.isascii() else f"{city}是{country}的首都。"
        asked = "where is" if city.isascii() else "哪里"
        question = {"id": f"q{number}", "question": f"{asked} {city}?", "is_impossible": False}
        question["answers"] = [{"text": country, "answer_start": context.index(country) + (number == 1)}]
        other = {"id": f"n{number}", "question": f"{asked} 罗马?", "is_impossible": True, "answers": []}
        paragraphs.append({"context": context, "qas": [question, *([other] if city != "罗马" else [])]})
    path = tmp_path / "train.json"
    text = json.dumps({"version": "v2.0", "data": [{"title": "首都", "paragraphs": paragraphs}]}, ensure_ascii=False, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_commands_of_the_documentation(start: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is repaired and named, the model learns to answer and not to answer, and is evaluated with its threshold."""
    questions = json.loads(data.read_text(encoding="utf-8"))
    del questions["data"][0]["paragraphs"][0]
    Path("dev.json").write_text(json.dumps(questions), encoding="utf-8")
    training = ["--epochs", "40", "--batch-size", "4", "--learning-rate", "5e-3", "--dropout", "0", "--device", "cpu"]
    options = ([], [*training, "--evaluate-every", "1000"], ["--resamples", "0"])
    printed = []
    (block,) = blocks("finetuning", "sh", "Question answering")
    for line, more in zip(block.splitlines(), options, strict=True):
        assert main([*shlex.split(line)[1:], *more]) == 0, capsys.readouterr().err
        printed.append(capsys.readouterr().out)
    assert "answer_start is 4, but '德国' stands at 3: corrected" in printed[0]
    assert "without an answer: 5 of 11 training questions, 4 of 9 validation questions" in printed[1]
    assert "are about contexts that are also in the training data" in printed[1]
    assert isinstance(json.loads(Path("runs/answers/task.json").read_text())["settings"]["threshold"], float)
    assert "F1 unanswerable" in printed[2]
    assert printed[2].count("100.0%") == 4


def test_a_model_without_segments_is_refused(start: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_start(type_vocab_size=1)
    assert main(["finetune", "answer", "--train", str(data), "--out", "runs/answers"]) != 0
    assert "has one segment embedding (type_vocab_size)" in capsys.readouterr().err


def test_check_lists_all_faults_and_writes_a_copy(
    start: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.json"
    command = ["finetune", "answer", "--from", str(start), "--check", "--train"]
    assert main([*command, str(data), "--write-repaired", str(copy)]) == 0
    line = next(number for number, text in enumerate(data.read_text().splitlines(), 1) if '"answer_start": 4' in text)
    assert f"train.json, line {line}: question 'q1': answer_start is 4" in capsys.readouterr().out
    assert main([*command, str(copy)]) == 0
    assert "copy.json, line" not in capsys.readouterr().out
    data.write_text(data.read_text().replace("德国的首都", "西班牙的首都"))
    assert main([*command, str(data)]) == 1
    assert "error: " in capsys.readouterr().out


def test_errors_stop_the_run(start: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.write_text(data.read_text().replace("德国的首都", "西班牙的首都"))
    assert main(["finetune", "answer", "--from", str(start), "--train", str(data), "--out", str(tmp_path / "run")]) == 2
    assert "the answer '德国' is not in the context" in capsys.readouterr().err
    for option, value in (("--overlap", "400"), ("--max-length", "12"), ("--n-best", "0")):
        assert main(["finetune", "answer", "--from", str(start), "--train", str(data), option, value]) == 2
        assert f"{option[2:].replace('-', '_')} {value}: must be" in capsys.readouterr().err


def test_the_head_has_no_dropout(start: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So an option for it would do nothing."""
    command = ["finetune", "answer", "--train", str(data), "--from", str(start), "--out", "out", "--device", "cpu"]
    assert main([*command, "--classifier-dropout", "0.5"]) == 2
    assert "--classifier-dropout: the head of `answer` has no dropout" in capsys.readouterr().err
