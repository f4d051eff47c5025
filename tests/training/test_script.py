"""The pretraining script of docs/pretraining.md runs as it is printed, on a smaller text with fewer steps."""

import re
from pathlib import Path

import numpy as np
import pytest

from minibert import BertForPreTraining, Checkpoints, load_tokenizer
from tests.docs.guides import blocks


def pretraining_script() -> str:
    """Extract the Python block from the page."""
    (script,) = blocks("pretraining", "python", "Pretraining from a Python script")
    return script


def test_script_has_at_most_40_lines() -> None:
    assert len(pretraining_script().splitlines()) <= 40


def test_script_trains_saves_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss is printed, the checkpoint and the model are written, and a second call resumes."""
    generator = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
    documents = [[" ".join(generator.choice(words, 6)) + "." for _ in range(4)] for _ in range(60)]
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text("\n\n".join("\n".join(sentences) for sentences in documents))
    script = pretraining_script()
    for large, small in (("STEPS, FOLDER = 1000", "STEPS, FOLDER = 4"), ("vocab_size=8000", "vocab_size=90"), ("% 100", "% 2")):
        assert large in script
        script = script.replace(large, small)
    exec(script, {})
    line = r"step [24]: training loss \d\.\d{3}, validation loss \d\.\d{3}\n"
    assert re.fullmatch(f"({line}){{2}}", capsys.readouterr().out)
    assert BertForPreTraining.from_pretrained("runs/script").config.vocab_size == load_tokenizer("runs/script").get_vocab_size()
    assert Checkpoints("runs/script/checkpoints").newest() == Path("runs/script/checkpoints/step-000004")
    resumed = script.replace(
        "for step in training.run():", "training.resume(checkpoints.newest())\nfor step in training.run():"
    )
    exec(resumed, {})
    assert capsys.readouterr().out == ""
