"""`minibert evaluate`."""

import json
from pathlib import Path

import pytest

from minibert import BertForSequenceClassification
from minibert.commands import main
from minibert.commands.evaluate import CONFUSION_FILE, REPORT_FILE
from minibert.study.evaluation.receipt import Check, Difference
from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.text_rows import TextRow
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from tests.trained_models import trained_model

TEXTS = ["very good film", "bad", "not good not bad", "great movie", "poor film", "awful very awful", "fine", "good bad good"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return trained_model(tmp_path / "model")


def write(file: Path, labels: list[str], header: str = "text\tlabel") -> Path:
    lines = [header, *(f"{text}\t{label}" for text, label in zip(TEXTS, labels, strict=False))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def predicted(model: Path, tmp_path: Path) -> list[str]:
    """The labels that the model predicts for the texts, read from the errors against a label that it does not have."""
    data = write(tmp_path / "all.tsv", ["bad", *["other"] * 7])
    assert main(["evaluate", str(model), "--data", str(data), "--out", str(tmp_path / "all"), "--resamples", "0"]) == 0
    report = json.loads((tmp_path / "all" / REPORT_FILE).read_text(encoding="utf-8"))
    by_line = {error["line"]: error["predicted"] for error in report["errors"]}
    return [by_line.get(line, "bad") for line in range(2, 10)]


def test_a_report_has_scores_with_intervals_and_classes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels of the data are those that the model predicts, except for the first one, which is wrong."""
    labels = predicted(model, tmp_path)
    labels[0] = "good" if labels[0] == "bad" else "bad"
    capsys.readouterr()
    data, out = write(tmp_path / "data.tsv", labels), tmp_path / "out"
    assert main(["evaluate", str(model), "--data", str(data), "--out", str(out)]) == 0
    report = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))
    accuracy = report["scores"]["accuracy"]
    assert accuracy["value"] == 7 / 8
    assert accuracy["interval"][0] < 7 / 8 < accuracy["interval"][1] == 1
    assert (report["rows"], report["interval"]["resamples"]) == (8, 1000)
    assert [(error["line"], error["text"], error["gold"]) for error in report["errors"]] == [(2, TEXTS[0], labels[0])]
    assert sum(each["support"] for each in report["classes"]) == sum(map(sum, report["confusion"]["rows"])) == 8
    assert (out / CONFUSION_FILE).read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "accuracy" in shown
    assert "87.5%" in shown
    assert "line 2" in shown
    assert "errors: gold → predicted (probability)" in shown


def test_labels_are_compared_by_name_not_by_order(model: Path, tmp_path: Path) -> None:
    """A model with the same classes in the other order, and so with other numbers, has the same score."""
    labels = predicted(model, tmp_path)
    network = BertForSequenceClassification.from_pretrained(model)
    other = BertForSequenceClassification(network.config.with_labels(["good", "bad"]))
    state = network.state_dict()
    other.load_state_dict(state | {name: state[name].flip(0) for name in ("classifier.weight", "classifier.bias")})
    other.save_pretrained(model)
    (model / "task.json").unlink()
    assert main(["evaluate", str(model), "--data", str(write(tmp_path / "d.tsv", labels)), "--out", str(tmp_path / "o")]) == 0
    assert json.loads((tmp_path / "o" / REPORT_FILE).read_text(encoding="utf-8"))["scores"]["accuracy"]["value"] == 1


def test_a_label_that_the_model_lacks_counts_as_missed_with_a_warning(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = predicted(model, tmp_path)
    labels[3] = "never seen"
    data = write(tmp_path / "data.tsv", labels)
    capsys.readouterr()
    assert main(["evaluate", str(model), "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    assert "(never seen) are not in the model; 1 rows count as errors" in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / REPORT_FILE).read_text(encoding="utf-8"))
    assert report["scores"]["accuracy"]["value"] == 7 / 8


def test_numbers_for_named_classes_are_refused_until_they_are_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["0" if label == "bad" else "1" for label in predicted(model, tmp_path)]
    words = ["evaluate", str(model), "--data", str(write(tmp_path / "data.tsv", labels)), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "--label-names 0=NAME,1=NAME" in capsys.readouterr().err
    assert main([*words, "--label-names", "0=bad,1=good"]) == 0
    report = json.loads((tmp_path / "out" / REPORT_FILE).read_text(encoding="utf-8"))
    assert report["scores"]["accuracy"]["value"] == 1


@pytest.mark.parametrize(
    ("problem_type", "labels", "main_metric"),
    [
        ("multi_label_classification", ["bad", "good,bad", "", "good"] * 2, "micro_f1"),
        ("regression", ["1.5", "-2"] * 4, "pearson"),
    ],
)
def test_the_task_is_that_of_the_model(tmp_path: Path, problem_type: str, labels: list[str], main_metric: str) -> None:
    names = ("score",) if problem_type == "regression" else ("bad", "good")
    model = trained_model(tmp_path / "model", Classification(names, problem_type, 64))
    data = write(tmp_path / "data.tsv", labels)
    assert main(["evaluate", str(model), "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    report = json.loads((tmp_path / "out" / REPORT_FILE).read_text(encoding="utf-8"))
    assert next(iter(report["scores"])) == main_metric
    assert not (tmp_path / "out" / CONFUSION_FILE).exists()


def test_a_positive_class_can_be_chosen(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(write(tmp_path / "data.tsv", ["bad", "good"] * 4))
    for name in ("bad", "good"):
        assert main(["evaluate", str(model), "--data", data, "--positive-class", name, "--out", str(tmp_path / name)]) == 0
    found = [
        (report["scores"]["f1"]["value"], next(each["f1"] for each in report["classes"] if each["name"] == name))
        for name in ("bad", "good")
        for report in [json.loads((tmp_path / name / REPORT_FILE).read_text(encoding="utf-8"))]
    ]
    assert all(value == pytest.approx(of_class) for value, of_class in found)
    assert main(["evaluate", str(model), "--data", data, "--positive-class", "else"]) == 2
    assert "positive class 'else'" in capsys.readouterr().err


def test_the_number_of_texts_that_were_cut_is_printed(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model has a maximum length of 32 tokens, of which two are [CLS] and [SEP]."""
    data = tmp_path / "data.tsv"
    data.write_text(f"text\tlabel\n{'bad ' * 31}\tbad\n{'good ' * 30}\tgood\n", encoding="utf-8")
    assert main(["evaluate", str(model), "--data", str(data)]) == 0
    assert "1 of 2 texts are too long for the model and were cut" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text\tlabel\ngood\tbad\nfine\t\n", "line 3: has no label"),
        ("text\tlabel\n", "has no rows"),
        ("", "has no rows"),
        ("text\ngood\n", "has no column with a known name of a label; its columns: 'text'."),
        ("text\tlabel\ngood\tA\nbad\tB\n", "the labels of the data are 'A', 'B', and those of the model 'bad', 'good'"),
        ("text\tlabel\ngood\tbad\textra\n", "line 2: has 3 columns instead of 2"),
        ("\x89PNG", "not plain text"),
        (None, "cannot be read"),
    ],
)
def test_bad_data_is_refused(
    model: Path, tmp_path: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file and the line, and exit code 2."""
    file = tmp_path / "data.tsv"
    if content is not None:
        file.write_bytes(content.encode("latin-1"))
    assert main(["evaluate", str(model), "--data", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(file) in error or "labels of the data" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "was not trained on built-in data: give --data FILE"),
        (["--data", "a.tsv", "--dataset", "b"], "--data and --dataset exclude each other"),
        (["--data", "a.tsv", "--resamples", "-1"], "--resamples must be at least 0"),
    ],
)
def test_bad_options_are_refused(
    model: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built_in = LabeledData([TextRow("text", None, "math")], name="built-in")
    monkeypatch.setattr(Classification, "built_in", classmethod(lambda cls: (built_in, built_in)))
    assert main(["evaluate", str(model), *words]) == 2
    assert message in capsys.readouterr().err


class TestReceipt:
    def test_a_different_prediction_is_exit_code_1(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """The row is named with its line and its text, and the report is written before."""
        difference = Difference(3, 5, "great \x1b[31m movie", 0.5, {"label": "bad"}, {"label": "good"}, differs=True)
        checks = [
            Check("first", 2e-5, 8, 1e-7),
            Check("second", 2e-5, 8, 0.5, [difference]),
            Check("third", skipped="no adapter"),
        ]
        monkeypatch.setattr("minibert.study.evaluation.receipt.receipt", lambda evaluated: iter(checks))
        data = str(write(tmp_path / "data.tsv", ["bad", "good"] * 4))
        assert main(["evaluate", str(model), "--data", data, "--receipt", "--out", str(tmp_path / "out")]) == 1
        shown = capsys.readouterr().out
        assert "first: same predictions (8 rows; largest difference of logits 1.0e-07, tolerance 2e-05)" in shown
        assert "second: 1 predictions differ" in shown
        assert "line 5: bad instead of good, difference 5.0e-01: great \\u001b[31m movie" in shown
        assert "third: not checked, no adapter" in shown
        stored = json.loads((tmp_path / "out" / REPORT_FILE).read_text(encoding="utf-8"))["receipt"]
        assert [check.get("predictions_differ") for check in stored] == [False, True, None]
        assert stored[1]["differences"][0]["line"] == 5


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (False, "has a second text, but the model was trained on single texts; name the column with --text-column"),
        (True, "has one text, but the model was trained on pairs; name the second column with --pair-column"),
    ],
)
def test_pairs_are_not_scored_by_a_model_of_single_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pairs: bool, message: str
) -> None:
    model = trained_model(tmp_path / "model", Classification(("bad", "good"), max_length=32, pairs=pairs))
    one, two = tmp_path / "one.tsv", tmp_path / "two.tsv"
    one.write_text("text\tlabel\ngood\tgood\nbad\tbad\n")
    two.write_text("sentence1\tsentence2\tlabel\ngood\tfilm\tgood\nbad\tmovie\tbad\n")
    right, wrong = (two, one) if pairs else (one, two)
    assert main(["evaluate", str(model), "--data", str(right), "--resamples", "0"]) == 0
    assert main(["evaluate", str(model), "--data", str(wrong), "--resamples", "0"]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_threshold_for_unanswerable_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model without a threshold answers every question. With the lowest one it answers none."""
    model = trained_model(tmp_path / "model", Answering(max_length=32, overlap=8))
    answer = {"text": ["good"], "answer_start": [5]}
    rows = [{"id": str(n), "context": "very good film", "question": "good", "answers": answer if n else []} for n in range(2)]
    data, out = tmp_path / "rows.jsonl", tmp_path / "out"
    data.write_text("\n".join(map(json.dumps, rows)))
    command = ["evaluate", str(model), "--data", str(data), "--resamples", "0", "--out", str(out)]
    found = []
    for option in ([], ["--null-threshold=-inf"]):
        assert main([*command, *option]) == 0
        scores = json.loads((out / REPORT_FILE).read_text(encoding="utf-8"))["scores"]
        found.append(scores["unanswerable_f1"]["value"])
        assert ("--null-threshold 0 sets one" in " ".join(capsys.readouterr().out.split())) == (not option)
    assert found == [0, 1]


def test_names_of_labels_that_the_model_has_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model calls its classes 0 and 1, as the data do. Names for them are no labels of the model."""
    model = trained_model(tmp_path / "model", Classification(("0", "1"), max_length=32))
    data = write(tmp_path / "data.tsv", ["0", "1", *"001101"])
    command = ["evaluate", str(model), "--data", str(data), "--resamples", "0"]
    assert main([*command, "--label-names", "0=bad,1=good"]) == 2
    assert "--label-names 0=bad,1=good: leave it out" in " ".join(capsys.readouterr().err.split())
    assert main(command) == 0
    named = write(tmp_path / "named.tsv", ["bad", "good"])
    assert main(["evaluate", str(model), "--data", str(named), "--resamples", "0"]) == 2
    assert "give each label its name in the model: --label-names bad=NAME,good=NAME" in capsys.readouterr().err
    assert main(["evaluate", str(model), "--data", str(named), "--resamples", "0", "--label-names", "bad=0,good=1"]) == 0


@pytest.mark.parametrize(("classes", "is_noted"), [(("消极", "积极"), True), (("schön", "été"), False)])
def test_characters_without_a_font_are_noted(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    classes: tuple[str, str],
    is_noted: bool,
) -> None:
    """The figure has their code points, not boxes."""
    monkeypatch.setattr("minibert.study.drawing.CJK_FONTS", ("No such font",))
    model = trained_model(tmp_path / "model", Classification(classes, max_length=32))
    data = write(tmp_path / "data.tsv", [*classes] * 4)
    command = ["evaluate", str(model), "--data", str(data), "--resamples", "0", "--errors", "0", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert ("confusion.png shows codes such as U+" in " ".join(capsys.readouterr().err.split())) == is_noted
