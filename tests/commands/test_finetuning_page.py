"""The commands and the script of docs/finetuning.md run as they are printed, with a small checkpoint and a small data set."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from minibert.commands import main
from tests.docs.guides import blocks
from tests.docs.reader import run_line
from tests.trained_models import write_checkpoint

GOOD, BAD, OTHER = ("fine", "moving", "honest"), ("dull", "long", "loud"), ("a", "film", "scene", "with", "music", "and")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a reader works: a BERT, here a small one with random weights, and the files of the page."""
    monkeypatch.chdir(tmp_path)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    write_checkpoint("runs/quickstart", [*GOOD, *BAD, *OTHER], max_position_embeddings=64, **no_dropout)
    generator = np.random.default_rng(0)
    for name, count in (("train", 640), ("validation", 40)):
        lines = ["sentence\tlabel"]
        for number in range(count):
            label, opinions = ("good", GOOD) if number % 2 else ("bad", BAD)
            lines.append(
                f"{' '.join(generator.permutation([*generator.choice(OTHER, 5), *generator.choice(opinions, 2)]))}\t{label}"
            )
        Path(f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("new.txt").write_text("a moving film\na scene with loud music\n", encoding="utf-8")
    return tmp_path


def test_five_commands_lead_from_a_tsv_to_a_model_in_transformers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command ends without an error, and the model has learned the task. The last one is a line of Python."""
    pytest.importorskip("transformers")
    (block,) = blocks("finetuning", "sh", "From a TSV to a model in five commands")
    commands = [shlex.split(line, comments=True) for line in block.splitlines()]
    assert len(commands) == 5
    shown = []
    for program, *words in commands:
        if program == "minibert":
            assert main(words) == 0, capsys.readouterr().err
        else:
            assert (program, words[0]) == ("python", "-c")
            exec(words[1], {})
        shown.append(capsys.readouterr().out)
    assert "findings: 0 (" in shown[0]
    assert "minibert predict runs/reviews FILE\n" in shown[1]
    assert all("accuracy 100.0%" in text or "100.0" in text for text in shown[1:3])
    assert [json.loads(line)["label"] for line in shown[3].splitlines()] == ["good", "bad"]
    assert "'label': 'good'" in shown[4]


def test_several_tasks_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands run as they are printed, with two steps of training."""
    (block,) = blocks("finetuning", "sh", "Several tasks at once")
    for line in block.splitlines():
        words = shlex.split(line)[1:]
        steps = ["--steps", "2"] if words[0] == "finetune" else []
        assert main([*words, *steps]) == 0, capsys.readouterr().err


def test_script_has_at_most_25_lines() -> None:
    (script,) = blocks("finetuning", "python", "Fine-tuning from a Python script")
    assert len(script.splitlines()) <= 25


@pytest.mark.slow
def test_script_trains_scores_and_exports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The loss and the scores are printed, the commands can use the model, and `minibert finetune` trains the same model."""
    (script,) = blocks("finetuning", "python", "Fine-tuning from a Python script")
    with Path("train.tsv").open("a", encoding="utf-8") as train:
        train.write(f"{'a fine film ' * 30}\tgood\n")
    exec(script, {})
    *steps, scores = capsys.readouterr().out.splitlines()
    assert all(re.fullmatch(r"step \d+: loss \d\.\d{3}", line) for line in steps)
    assert len(steps) == 63
    assert "'accuracy': " in scores
    assert main(["evaluate", "runs/script", "--data", "validation.tsv"]) == 0
    assert main(["finetune", "classify", "--train", "train.tsv", "--validation", "validation.tsv", "--out", "runs/again"]) == 0
    ours, theirs = (load_file(f"runs/{name}/model.safetensors") for name in ("script", "again"))
    torch.testing.assert_close(ours, theirs)
    assert Path("runs/script/task.json").read_text() == Path("runs/again/task.json").read_text()


@pytest.mark.slow
def test_adapters(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run is a whole model, the adapter in it gives the same predictions, and the Python lines print what is trained."""
    (block,) = blocks("finetuning", "sh", "Adapters")
    shown = []
    for program, *words in (shlex.split(line) for line in block.splitlines()):
        assert program == "minibert"
        assert main(words) == 0, capsys.readouterr().err
        shown.append(capsys.readouterr().out)
    assert re.search(r"3,\d{3} of 2\d,\d{3} parameters are trained", shown[0])
    assert "accuracy 100.0%" in shown[0]
    assert "100.0" in shown[1]
    assert [json.loads(line)["label"] for line in shown[2].splitlines()] == ["good", "bad"]
    (lines,) = blocks("finetuning", "python", "Adapters")
    exec(lines, {})
    assert "12 tensors are trained: bert.layers.0.attention.query.lora_a, …" in capsys.readouterr().out


@pytest.mark.slow
def test_seeds_and_learning_curve(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minibert.study.learning_curve.MIN_STEPS", 3)
    (block,) = blocks("finetuning", "sh", "Several seeds, and learning curves")
    for program, *words in (shlex.split(line) for line in block.splitlines()):
        assert program == "minibert"
        assert main([*words, "--epochs", "0.2"]) == 0, capsys.readouterr().err
    assert len(json.loads(Path("runs/seeds/seeds.json").read_text())["runs"]) == 3
    assert Path("runs/seeds/seed-0/model.safetensors").is_file()
    curve = json.loads(Path("runs/curve/learning-curve.json").read_text())
    assert {(run["rows"], run["start"]) for run in curve["runs"]} == {
        (rows, start) for rows in (32, 128, 640) for start in ("pretrained", "from scratch")
    }
    assert Path("runs/curve/learning-curve.png").is_file()


PERSONS = ("anna", "ben")
TAGS = {"anna": "B-PER", "ben": "B-PER", "new": "B-LOC", "york": "I-LOC", "paris": "B-LOC"}


@pytest.fixture
def entities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a reader with tagged sentences. The tags are in IOB1."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint("runs/quickstart", [*TAGS, "lives", "in", "and", "works", "."])
    generator = np.random.default_rng(0)
    for name, count in (("train", 480), ("validation", 40)):
        sentences = []
        for _ in range(count):
            verb, place = generator.choice(["lives", "works"]), generator.choice(["new york", "paris"])
            sentence = f"{generator.choice(PERSONS)} {verb} in {place} ."
            sentences.append("".join(f"{word} {TAGS.get(word, 'O').replace('B-', 'I-')}\n" for word in sentence.split()))
        Path(f"{name}.conll").write_text("\n".join(sentences), encoding="utf-8")
    Path("sentences.txt").write_text("Ben works in New York .\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_named_entities(entities: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("finetuning", "sh", "Named entities")
    shown = []
    for program, *words in (shlex.split(line) for line in block.splitlines()):
        assert program == "minibert"
        assert main(words) == 0, capsys.readouterr().err
        shown.append(capsys.readouterr().out)
    assert "Tag scheme IOB1 or IOE1, with the same entities: 0 of" in shown[0]
    assert "entity F1 (conlleval) 100.0%" in shown[1]
    prediction = json.loads(shown[3])
    assert [(each["type"], each["text"]) for each in prediction["entities"]] == [("PER", "Ben"), ("LOC", "New York")]


@pytest.mark.slow
def test_ways_to_transfer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands of the section, with little data, and its lines of Python."""
    lines = Path("train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("train.tsv").write_text("".join(lines[:65]), encoding="utf-8")
    (block,) = blocks("finetuning", "sh", "Ways to transfer")
    for program, *words in (shlex.split(line) for line in block.splitlines()):
        assert program == "minibert"
        assert main(words) == 0, capsys.readouterr().err
        shown = capsys.readouterr().out
        assert "In evaluation mode, without dropout: " in shown
        assert "Moved: " in shown
    (lines,) = blocks("finetuning", "python", "Ways to transfer")
    names: dict[str, Any] = {}
    with pytest.warns(UserWarning, match="newly initialized"):
        exec(lines, names)
    names["transfer"].start_epoch(1)
    trained = {name.split(".")[1] for name, each in names["model"].named_parameters() if each.requires_grad}
    assert trained == {"layers", "pooler", "weight", "bias"}


def test_faults_are_listed_and_repaired(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("finetuning", "sh", "Faults in the data")
    content = Path("train.tsv").read_bytes()
    Path("train.tsv").write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
    assert main(shlex.split(block)[1:]) == 0
    assert "train.tsv, line 1: begins with a byte-order mark" in capsys.readouterr().out
    assert Path("repaired.tsv").read_bytes() == content


@pytest.mark.slow
def test_scores_and_a_receipt(folder: Path, forked_processes: None) -> None:
    """The receipt has no difference, and the predictions are in the file."""
    pytest.importorskip("transformers")
    data = ["--train", "train.tsv", "--validation", "validation.tsv", "--epochs", "0.2"]
    assert main(["finetune", "classify", *data, "--out", "runs/reviews"]) == 0
    (block,) = blocks("finetuning", "sh", "Scores, errors, and a receipt")
    for line in block.splitlines():
        run_line(line)
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert [check.get("predictions_differ", False) for check in report["receipt"]] == [False] * 4
    assert len(Path("predictions.jsonl").read_text(encoding="utf-8").splitlines()) == 2
