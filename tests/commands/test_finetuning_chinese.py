"""Chinese text, from labeled sentences to a model in transformers: BERT's tokenizer splits it into characters."""

import json
from pathlib import Path

import pytest

from minibert.commands import main
from tests.trained_models import write_checkpoint

SUBJECTS = ["这部电影", "这家餐厅", "这个房间", "这本书", "服务", "音乐", "味道", "故事"]
OPINIONS = {"好评": ["非常好", "真不错", "令人喜爱"], "差评": ["太差了", "很糟糕", "让人失望"]}
ROWS = [(f"{subject}{opinion}。", label) for subject in SUBJECTS for label, words in OPINIONS.items() for opinion in words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small BERT whose pieces are characters, and tables with Chinese column names, labels and file names."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint("start", sorted({character for text, _ in ROWS for character in text}))
    for name, rows in (("训练", ROWS[:36]), ("验证", ROWS[36:])):
        table = "\n".join(["句子\t标签", *(f"{text}\t{label}" for text, label in rows)])
        Path(f"{name}.tsv").write_text(table + "\n", encoding="utf-8-sig")
    return tmp_path


@pytest.mark.slow
def test_chinese_reviews(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model learns the labels, predicts them by name, and predicts the same in transformers."""
    transformers = pytest.importorskip("transformers")
    columns = ["--text-column", "句子", "--label-column", "标签"]
    command = ["finetune", "classify", "--from", "start", "--train", "训练.tsv", "--validation", "验证.tsv", *columns]
    assert main([*command, "--out", "模型", "--epochs", "12", "--batch-size", "8", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "labels: '好评', '差评'" in shown
    assert "accuracy 100.0%" in shown
    texts = ["这家餐厅让人失望。", "故事非常好。"]
    Path("新.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    assert main(["predict", "模型", "新.txt"]) == 0
    predictions = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["label"] for each in predictions] == ["差评", "好评"]
    classify = transformers.pipeline("text-classification", "模型")
    for text, prediction in zip(texts, predictions, strict=True):
        (theirs,) = classify(text)
        assert theirs["label"] == prediction["label"]
        assert theirs["score"] == pytest.approx(prediction["score"], abs=1e-5)
