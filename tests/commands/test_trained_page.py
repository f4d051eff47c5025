"""The page next to a fine-tuned model: it opens with an example of the data, at the prediction."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from minibert.commands import main
from minibert.commands.study_page import page_of_trained_model
from tests.trained_models import WORDS, trained_model, write_checkpoint

pytestmark = pytest.mark.slow

SQUAD = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": "a very good film . not a poor movie",
                    "qas": [{"id": "1", "question": "good film ?", "answers": [{"text": "good film", "answer_start": 7}]}],
                }
            ]
        }
    ]
}
FILES = {
    "classes.tsv": "text\tlabel\nvery good film\tgood\n" + "bad " * 26 + "\tbad\ngood movie\tgood\nawful\tbad\n",
    "pairs.tsv": "text_a\ttext_b\tlabel\ngood film\tfine movie\tsame\ngood film\tpoor movie\tother\n",
    "numbers.tsv": "text\tscore\nbad film\t1.25\nvery good film\t4.5\nmovie\t3.5\n",
    "tags.txt": "good O\nfilm B-X\n\nmovie B-X\nbad O\n",
    "answers.json": json.dumps(SQUAD),
}
LIVE_LINE = "To look inside and change the text and parts of the model, open {} in a browser.\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_checkpoint("start", [*WORDS, "a", "?", "."])
    for name, content in FILES.items():
        Path(name).write_text(content, encoding="utf-8")
    return tmp_path


def content_of(file: str) -> dict[str, Any]:
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', Path(file).read_text(encoding="utf-8"))
    content: dict[str, Any] = json.loads(data)
    return content


def finetune(task: str, file: str, *more: str) -> int:
    return main(
        ["finetune", task, "--from", "start", "--out", "out", "--steps", "1", "--train", file, "--device", "cpu", *more]
    )


@pytest.mark.parametrize(
    ("task", "file", "text", "pair", "step"),
    [
        ("classify", "classes.tsv", "very good film", None, "classifier.probabilities"),
        ("classify", "pairs.tsv", "good film", "fine movie", "classifier.probabilities"),
        ("classify", "numbers.tsv", "very good film", None, "classifier.logits"),
        ("tag", "tags.txt", "good film", None, "classifier.probabilities"),
        ("answer", "answers.json", r"good film\?", r"a very good film\. not a poor movie", "span.probabilities"),
    ],
)
def test_each_task(capsys: pytest.CaptureFixture[str], task: str, file: str, text: str, pair: str | None, step: str) -> None:
    """The text is that of an example of about 16 tokens, for a pair both texts."""
    assert finetune(task, file, "--validation-fraction", "0") == 0
    assert capsys.readouterr().out.endswith(LIVE_LINE.format("out/study.html"))
    content = content_of("out/study.html")
    assert re.fullmatch(text, content["text"])
    assert content["pair"] is None if pair is None else re.fullmatch(pair, content["pair"])
    assert content["start"].startswith(f"#step={step}&")
    assert content["network"]["layers"] == [0, 1]
    assert ["Model", "out"] in content["facts"]


@pytest.mark.slow
def test_an_adapter_that_the_page_cannot_compute(capsys: pytest.CaptureFixture[str]) -> None:
    """The page has recorded numbers. An adapter that is merged into the weights is no obstacle."""
    assert finetune("classify", "classes.tsv", "--adapter", "bottleneck") == 0
    assert capsys.readouterr().out.endswith("\nTo look inside, open out/study.html in a browser.\n")
    content = content_of("out/study.html")
    assert "network" not in content
    assert content["start"].startswith("#step=classifier.probabilities&")


def test_an_adapter_that_is_merged(capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune("classify", "classes.tsv", "--adapter", "lora") == 0
    assert "network" in content_of("out/study.html")


def test_network_with_an_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    assert finetune("classify", "classes.tsv", "--adapter", "bottleneck") == 0
    assert main(["study", "good", "--checkpoint", "out", "--out", "page.html", "--live"]) == 1
    assert re.search(r"does not compute bert\.layers\.0\.\S+, which was added to the network", capsys.readouterr().err)


def test_a_model_is_not_lost_if_there_can_be_no_page(tmp_path: Path) -> None:
    trained_model(tmp_path / "model")
    (tmp_path / "model/study.html").mkdir()
    assert page_of_trained_model(tmp_path / "model", "good").startswith("There is no page to look inside: ")
    assert page_of_trained_model(tmp_path / "none", "good").startswith("There is no page to look inside: ")


def test_the_text_must_fit(tmp_path: Path) -> None:
    trained_model(tmp_path / "model")
    line = page_of_trained_model(tmp_path / "model", "good " * 70)
    assert re.match(r"There is no page to look inside: .*72 tokens.*64", line)
