"""`minibert finetune --seeds` and `--learning-curve`."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from minibert.commands import main
from minibert.model import BertForMaskedLM, BertForSequenceClassification
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from tests.training.test_multitask import CONFIG, WORDS


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a command that fine-tunes a small BERT, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    BertForMaskedLM(CONFIG).save_pretrained("start")
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), "start")
    for name, last in (("train", WORDS), ("validation", WORDS[:4])):
        rows = [f"{letter} {one} {other}\t{letter}" for letter in "ab" for one in WORDS for other in last]
        Path(f"{name}.tsv").write_text("\n".join(["text\tlabel", *rows]) + "\n")
    options = ["--train", "train.tsv", "--validation", "validation.tsv", "--from", "start", "--device", "cpu"]
    return ["finetune", "classify", *options, "--batch-size", "32"]


def test_seeds(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each seed is a run with a model in its folder; mean, deviation and every folder are printed and stored."""
    assert main([*command, "--seeds", "2", "--seed", "4", "--out", "out"]) == 0, capsys.readouterr().err
    results = json.loads(Path("out/seeds.json").read_text())
    assert [run["folder"] for run in results["runs"]] == ["seed-4", "seed-5"]
    accuracies = [run["scores"]["accuracy"] for run in results["runs"]]
    (summary,) = results["summary"]
    assert summary["metrics"]["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 2)
    shown = capsys.readouterr().out
    assert " ".join(shown.split()).count("batch size 32, peak learning rate 0.001 (warm-up 0.1 of the steps") == 1
    assert f"{sum(accuracies) / 2:.1%} ± " in shown
    for folder in ("out/seed-4", "out/seed-5"):
        assert folder in shown
        assert BertForSequenceClassification.from_pretrained(folder)
        assert json.loads(Path(folder, "run.json").read_text())["training"]["seed"] == int(folder[-1])
    assert main([*command, "--seeds", "2", "--seed", "4", "--out", "out"]) == 2
    assert "out/seed-4 holds a finished run: add --resume" in capsys.readouterr().err
    before = Path("out/seed-4/model.safetensors").stat().st_mtime_ns
    assert main(["finetune", "classify", "--out", "out", "--resume", "--seeds", "3"]) == 0, capsys.readouterr().err
    assert len(json.loads(Path("out/seeds.json").read_text())["runs"]) == 3
    assert Path("out/seed-4/model.safetensors").stat().st_mtime_ns == before


@pytest.mark.slow
def test_learning_curve_is_resumed_with_the_same_results(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal stops the curve in the middle of a run, with exit code 130; --resume completes it."""
    monkeypatch.setattr("minibert.study.learning_curve.MIN_STEPS", 6)
    options = ["--learning-curve", "8,all", "--epochs", "1", "--evaluate-every", "50"]
    assert main([*command, *options, "--out", "whole"]) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "from scratch" in shown
    assert "128 rows" in shown
    assert Path("whole/learning-curve.png").read_bytes().startswith(b"\x89PNG")
    results = Path("whole/learning-curve.json").read_text()
    assert [(run["rows"], run["start"]) for run in json.loads(results)["runs"]] == [
        *((8, "pretrained"), (8, "from scratch")),
        *((128, "pretrained"), (128, "from scratch")),
    ]
    clip, steps = torch.nn.utils.clip_grad_norm_, []

    def interrupting(*args: object, **kwargs: object) -> torch.Tensor:
        steps.append(1)
        if len(steps) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return clip(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", interrupting)
        assert main([*command, *options, "--out", "stopped"]) == 130
    assert "To continue:" in capsys.readouterr().err
    assert main([*command, *options, "--out", "stopped", "--resume"]) == 0
    assert Path("stopped/learning-curve.json").read_text() == results


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--learning-curve", "8,1000"], "--learning-curve 8,1000: '1000' is not \"all\", nor a number from 2 to 128"),
        (["--seeds", "0"], "seeds 0: must be at least 1"),
        (["--seeds", "2", "--out", "single"], "single holds a single run: choose another --out"),
    ],
)
def test_wrong_options_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    Path("single").mkdir()
    Path("single/run.json").write_text("{}")
    assert main([*command, *options]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs", "finetune", "seeds.json").exists()


def test_scores_need_validation_data(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in command if word not in ("--validation", "validation.tsv")]
    assert main([*words, "--validation-fraction", "0", "--seeds", "2"]) == 2
    assert "--seeds and --learning-curve compare scores on validation data" in capsys.readouterr().err
