"""`minibert predict`."""

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minibert.commands import main
from minibert.text.labeled.text_rows import TextRow
from minibert.training.answering import Answering
from minibert.training.classification import Classification
from minibert.training.prediction import Input, predict_stream
from minibert.training.tagging import Tagging
from minibert.training.trained import load_trained
from tests.processes import start
from tests.trained_models import trained_model

Predict = Callable[..., tuple[int, list[dict], str]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return trained_model(tmp_path / "model")


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Run the command. Returns: exit code, the objects it has printed, and its messages."""

    def run(model: Path, *words: object, stdin: bytes = b"") -> tuple[int, list[dict], str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin))))
        code = main(["predict", str(model), *map(str, words)])
        shown = capsys.readouterr()
        return code, [json.loads(line) for line in shown.out.splitlines()], shown.err

    return run


def test_results_are_those_of_the_model_in_the_order_of_the_lines(model: Path, predict: Predict) -> None:
    texts = ["very good film", "bad", "", "not good not bad not great", "film"]
    code, results, messages = predict(model, stdin="\n".join(texts).encode() + b"\n")
    expected = load_trained(model).predict([TextRow(text) for text in texts])
    assert (code, messages) == (0, "")
    assert [result.pop("line") for result in results] == [1, 2, 3, 4, 5]
    for result, each in zip(results, expected, strict=True):
        assert result["label"] == each["label"]
        assert result["scores"] == pytest.approx(each["scores"], abs=1e-6)


def test_a_bad_line_has_an_error_and_the_others_a_prediction(model: Path, predict: Predict) -> None:
    code, results, messages = predict(model, stdin=b"good\n\xff\na\tb\tc\nbad\n")
    assert code == 1
    assert ["error" in result for result in results] == [False, True, True, False]
    assert "line 2: is not UTF-8" in messages
    assert "line 3: has 3 fields" in messages
    assert "2 of 4 rows could not be predicted" in messages


def test_a_text_that_was_cut_says_so(model: Path, predict: Predict) -> None:
    """The model has a maximum length of 32 tokens, of which two are [CLS] and [SEP]."""
    _, results, _ = predict(model, stdin=f"{'bad ' * 30}\n{'bad ' * 31}\n".encode())
    assert [result.get("cut") for result in results] == [None, True]


def test_json_lines(model: Path, predict: Predict) -> None:
    lines = ['{"text": "good"}', "", '{"text": "good", "pair": "bad"}', '{"text": 3}', '{"other": "x"}', '{"text": null}', "["]
    code, results, _ = predict(model, "--format", "jsonl", stdin="\n".join(lines).encode())
    assert code == 1
    assert [(result["line"], result.get("error", "")[:20]) for result in results] == [
        (1, ""),
        (3, ""),
        (4, "column 'text' does n"),
        (5, "has no column 'text'"),
        (6, "the 'text' is null"),
        (7, "is not JSON (Expecti"),
    ]
    assert results[0]["scores"] != results[1]["scores"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.tsv", "label\tsentence\nbad\tgood\nbad\tbad\n", []),
        ("rows.csv", 'label,mine\nbad,"good"\nbad,bad\n', ["--text-column", "mine"]),
        ("rows.tsv", "bad\tgood\nbad\tbad\n", ["--columns", "_,text"]),
        ("rows.jsonl", '{"label": 1, "text": "good"}\n{"text": "bad"}\n', []),
        ("rows.txt", "good\nbad", []),
        ("rows", "good\nbad", []),
        ("rows.dat", '{"text": "good"}\n{"text": "bad"}', ["--format", "jsonl"]),
    ],
)
def test_files(model: Path, tmp_path: Path, predict: Predict, name: str, content: str, words: list[str]) -> None:
    """Labels in a file are not needed and not read."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    code, results, _ = predict(model, tmp_path / name, *words)
    expected = load_trained(model).predict([TextRow("good"), TextRow("bad")])
    assert code == 0
    assert [result["scores"] for result in results] == [pytest.approx(each["scores"], abs=1e-6) for each in expected]


def test_classes_are_named_in_any_script_and_escaped(tmp_path: Path, predict: Predict) -> None:
    model = trained_model(tmp_path / "model", Classification(("消极", "\x1b[31m", "c"), "multi_label_classification", 64))
    code, [result], _ = predict(model, stdin="中 文".encode())
    assert code == 0
    assert [*result["scores"]] == ["消极", "\x1b[31m", "c"]


def test_numbers_are_predicted(tmp_path: Path, predict: Predict) -> None:
    model = trained_model(tmp_path / "model", Classification(("score",), "regression", 64))
    code, [result], _ = predict(model, stdin=b"good")
    assert code == 0
    assert isinstance(result["score"], float)


def test_answers(tmp_path: Path, predict: Predict) -> None:
    """A line is a question and a context. The answer is a part of the context."""
    model = trained_model(tmp_path / "model", Answering(max_length=32, overlap=8))
    code, results, _ = predict(model, stdin="good?\tvery  good movie, 中文\nno context\n".encode())
    assert code == 1
    assert results[0]["answer"] in "very  good movie, 中文"
    assert results[1]["error"].startswith("has no column 'context'")


class TestTags:
    @pytest.fixture
    def tagger(self, tmp_path: Path) -> Path:
        return trained_model(tmp_path / "model", Tagging(("O", "B-PER", "I-PER"), max_length=16, overlap=4))

    def test_each_word_of_a_line_has_a_tag(self, tagger: Path, predict: Predict) -> None:
        """Also of a sentence that is longer than a window, of an empty line, and of a word that gives no tokens."""
        code, results, _ = predict(tagger, stdin=f"very good \u200b film\n\n{'bad ' * 40}\n".encode())
        assert code == 0
        assert [len(result["tags"]) for result in results] == [4, 0, 40]
        assert results[0]["words"] == ["very", "good", "\u200b", "film"]
        assert results[0]["tags"][2] == "O"

    def test_json_and_conll(self, tagger: Path, tmp_path: Path, predict: Predict) -> None:
        """Words and their tags in a file with tags, or without."""
        _, [expected], _ = predict(tagger, stdin=b"very good film")
        code, results, _ = predict(
            tagger, "--format", "jsonl", stdin=b'{"words": ["very", "good", "film"]}\n{"words": 3}\n{"text": "a"}'
        )
        assert code == 1
        assert results[0] == expected
        assert all("needs 'words'" in result["error"] for result in results[1:])
        (tmp_path / "test.conll").write_text("very O\ngood B-PER\nfilm O\n\nbad O", encoding="utf-8")
        code, results, _ = predict(tagger, tmp_path / "test.conll")
        assert (code, results[0]) == (0, expected)
        assert [result["line"] for result in results] == [1, 5]

    @pytest.mark.parametrize("name", ["test.txt", "test.tsv", "test"])
    def test_columns_are_recognized_in_any_file(self, tagger: Path, tmp_path: Path, predict: Predict, name: str) -> None:
        """A word on each line is not a sentence, although the name of the file does not say so."""
        (tmp_path / name).write_text("-DOCSTART-\tO\n\nvery\tO\ngood\tU-PER\nfilm\tO\n\nbad\tO\n", encoding="utf-8")
        code, results, messages = predict(tagger, tmp_path / name)
        assert (code, [result["words"] for result in results]) == (0, [["very", "good", "film"], ["bad"]])
        assert "is read as labeled data; --format text reads each line as one row" in messages

    def test_faults_in_columns_are_errors(self, tagger: Path, tmp_path: Path, predict: Predict) -> None:
        (tmp_path / "test.conll").write_text("very X O\ngood X O\n\nbad O\n", encoding="utf-8")
        code, results, messages = predict(tagger, tmp_path / "test.conll")
        assert (code, results) == (2, [])
        assert "line 4: has 2 columns instead of 3" in messages

    def test_chinese_characters_are_words(self, tagger: Path, predict: Predict) -> None:
        _, [result], _ = predict(tagger, stdin="我在 U.S. 北京2008年。\n".encode())
        assert result["words"] == ["我", "在", "U.S.", "北", "京", "2008", "年", "。"]


def test_questions_of_a_squad_file(tmp_path: Path, predict: Predict) -> None:
    """Answers in the file are not needed."""
    model = trained_model(tmp_path / "model", Answering(max_length=32, overlap=8))
    paragraph = {"context": "very good movie", "qas": [{"id": "q1", "question": "good?"}]}
    (tmp_path / "test.json").write_text(json.dumps({"data": [{"title": "", "paragraphs": [paragraph]}]}), encoding="utf-8")
    code, [result], _ = predict(model, tmp_path / "test.json")
    assert (code, result["id"]) == (0, "q1")
    assert result["answer"] in "very good movie"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the standard input: has no rows"),
        (["nowhere.txt"], "nowhere.txt: cannot be read"),
        (["nowhere.tsv"], "nowhere.tsv: cannot be read"),
        (["--format", "table"], "--format table: needs a file"),
    ],
)
def test_bad_input_is_refused(model: Path, predict: Predict, words: list[str], message: str) -> None:
    code, results, messages = predict(model, *words)
    assert (code, results) == (2, [])
    assert message in messages


def test_a_model_without_a_head_is_refused(tmp_path: Path, predict: Predict) -> None:
    code, _, messages = predict(tmp_path / "nowhere", stdin=b"good")
    assert code == 2
    assert "nowhere" in messages


class TestStreaming:
    def test_a_block_is_predicted_before_the_next_one_is_read(self, model: Path) -> None:
        """An input without end is no problem."""
        taken = []

        def endless() -> Iterator[list[Input[TextRow]]]:
            for number in range(1_000_000):
                taken.append(number)
                yield [Input(number, TextRow("good")), Input(number, None, "broken")]

        results = predict_stream(load_trained(model), endless())
        assert [next(results)[1] for _ in range(3)] == [{"line": number, "error": "broken"} for number in range(3)]
        assert taken == [0, 1, 2]

    @pytest.mark.slow
    def test_a_line_is_answered_while_the_input_is_open(self, model: Path) -> None:
        process = start(["predict", str(model)], stdin=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("good", "bad"):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert "label" in json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait() == 0


def test_a_model_predicts_what_it_was_trained_on_one_text_or_a_pair(tmp_path: Path, predict: Predict) -> None:
    """A score of one text by a model of pairs means nothing. Models whose training is not known predict both."""
    single, pairs = (
        trained_model(tmp_path / name, Classification(("bad", "good"), max_length=32, pairs=name == "pairs"))
        for name in ("single", "pairs")
    )
    for model, right, wrong, message in (
        (single, "good", "good\tbad", "has a second text, but the model was trained on single texts"),
        (pairs, "good\tbad", "good", "has one text, but the model was trained on pairs"),
    ):
        code, results, messages = predict(model, stdin=f"{right}\n{wrong}\n".encode())
        assert (code, ["error" in each for each in results]) == (1, [False, True])
        assert f"line 2: {message}" in messages
    (tmp_path / "two.tsv").write_text("sentence1\tsentence2\ngood\tbad\n")
    (tmp_path / "one.tsv").write_text("text\ngood\n")
    code, results, messages = predict(single, tmp_path / "two.tsv")
    assert (code, results) == (2, [])
    assert "columns 'sentence1' and 'sentence2'); choose with --text-column" in " ".join(messages.split())
    assert predict(single, tmp_path / "two.tsv", "--text-column", "sentence1")[0] == 0
    assert predict(pairs, tmp_path / "two.tsv")[0] == 0
    code, results, messages = predict(pairs, tmp_path / "one.tsv")
    assert (code, results) == (2, [])
    assert "choose with --pair-column" in messages


class TestAnswers:
    QUESTION = b"good?\tvery good movie , not a bad film\n"

    def test_the_number_of_answers_in_a_line(self, tmp_path: Path, predict: Predict) -> None:
        """Three by default. Fewer of them have the same probabilities; more than the model predicts are possible."""
        model = trained_model(tmp_path / "model", Answering(max_length=32, overlap=8, n_best=5))
        lists = [predict(model, *words, stdin=self.QUESTION)[1][0].get("n_best") for words in ([], ["--n-best", "1"])]
        assert [len(answers) for answers in lists] == [3, 1]
        assert lists[0][:1] == lists[1]
        _, [without], _ = predict(model, "--n-best", "0", stdin=self.QUESTION)
        assert "n_best" not in without
        assert without["answer"] == lists[0][0]["answer"]
        assert len(predict(model, "--n-best", "9", stdin=self.QUESTION)[1][0]["n_best"]) == 9

    def test_a_threshold_for_a_model_without_one(self, tmp_path: Path, predict: Predict) -> None:
        model = trained_model(tmp_path / "model", Answering(max_length=32, overlap=8))
        _, [plain], _ = predict(model, stdin=self.QUESTION)
        for above, has_answer in ((plain["null_difference"] + 1, True), (plain["null_difference"] - 1, False)):
            code, [result], _ = predict(model, f"--null-threshold={above}", stdin=self.QUESTION)
            assert (code, result["answer"]) == (0, plain["answer"] if has_answer else "")

    @pytest.mark.parametrize("option", ["--n-best=2", "--null-threshold=0", "--null-threshold=nan"])
    def test_models_of_other_tasks_have_no_such_options(self, model: Path, predict: Predict, option: str) -> None:
        code, results, messages = predict(model, option, stdin=b"good")
        assert (code, results) == (2, [])
        assert option.partition("=")[0] in messages


def test_the_models_in_subfolders_are_named(tmp_path: Path, predict: Predict) -> None:
    """Those of several seeds, tasks or adapters. None of them is the newest checkpoint."""
    for name, file in (
        ("seed-0", "config.json"),
        ("seed-1", "config.json"),
        ("lora", "adapter_config.json"),
        ("logs", "x.json"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    code, _, messages = predict(tmp_path, stdin=b"good")
    assert code == 2
    named = ", ".join(str(tmp_path / name) for name in ("lora", "seed-0", "seed-1"))
    assert f"there are models in its subfolders: {named}" in " ".join(messages.split())
