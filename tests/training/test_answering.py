"""Question answering: predictions, thresholds, and a run from a file of questions to a model of transformers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert.model import BertConfig, BertForQuestionAnswering
from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.options import LabeledSource
from minibert.text.labeled.squad_checks import Answer, Question
from minibert.text.options import InvalidOption
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.answering import Answering
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.events import Finished, StepDone
from minibert.training.finetuning import FineTuning
from minibert.training.finetuning_data import check_shared
from minibert.training.finetuning_options import AnswerOptions
from minibert.training.job import Job
from minibert.training.logits import predict
from minibert.training.metrics.answers import squad_v2
from minibert.training.options import DeviceOptions, FineTuningConfig, OutputOptions
from minibert.training.task_type import TASK_FILE, TaskData

LETTERS = "abcdefghijklmnopqrst"
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *LETTERS, "é", "##\u0301"], lowercase=False)
MODEL = BertConfig(
    vocab_size=len(LETTERS) + 7,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    initializer_range=0.1,
)
CPU = DeviceOptions(device="cpu")


def question(number: int, asked: str, context: str, answer: str | None) -> Question:
    answers = () if answer is None else (Answer(answer, context.index(answer)),)
    return Question(str(number), asked, context, answers, number, "data.json")


LONG = " ".join("abcdefghijklmnopqrst")
ROWS = [
    question(1, "a", LONG, "b c"),
    question(2, "e", LONG, "t"),
    question(3, "j", LONG, None),
    question(4, "b", "m e\u0301 n e\u0301", "e\u0301"),
    question(5, "n", "m e\u0301 n e\u0301", "m e\u0301 n"),
    question(6, "t", "k l", None),
]
"""Questions about one context of two windows and two short ones. Two have no answer."""
TYPE = Answering(max_length=16, overlap=3, threshold=0.0)


def make_task(rows: list[Question] = ROWS, task_type: Answering = TYPE, **settings: object) -> FineTuning[Question]:
    defaults = {"epochs": 60, "batch_size": 4, "learning_rate": 3e-3, "dropout": 0.0, "warmup_fraction": 0.1}
    config = FineTuningConfig(**(defaults | settings))
    dropout = {"hidden_dropout_prob": config.dropout, "attention_probs_dropout_prob": config.dropout}
    return FineTuning(
        task_type,
        config,
        lambda: BertForQuestionAnswering(replace(MODEL, **dropout)),
        TOKENIZER,
        rows,
        rows,
        settings={"task": "answering"},
    )


def run_job(task: FineTuning[Question], out: Path, **options: object) -> list:
    output = OutputOptions(out, **({"evaluate_every": 1000} | options))
    return list(Job(lambda folder, create: task, output, CPU, SINGLE_PROCESS).events())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("answering") / "run"
    events = run_job(make_task(), out)
    assert isinstance(events[-1], Finished)
    return out


class TestRun:
    def test_a_small_model_learns_its_questions_by_heart(self, trained: Path) -> None:
        """Every answer is right, also those of unanswerable questions, in a context of several windows."""
        model = BertForQuestionAnswering.from_pretrained(trained)
        stored = json.loads((trained / TASK_FILE).read_text())
        assert stored["task"] == "answering"
        task_type = Answering.from_settings(stored["settings"])
        predictions = predict(model, task_type, ROWS, load_tokenizer(trained))
        assert [each["answer"] for each in predictions] == ["b c", "t", "", "e\u0301", "m e\u0301 n", ""]
        assert [each["id"] for each in predictions] == ["1", "2", "3", "4", "5", "6"]
        for row, each in zip(ROWS, predictions, strict=True):
            assert each["answer"] == ("" if each["start"] is None else row.context[each["start"] : each["end"]])
            assert sum(entry["probability"] for entry in each["n_best"]) == pytest.approx(1)
            assert each["probability"] in [entry["probability"] for entry in each["n_best"]]
            assert [entry["answer"] for entry in each["n_best"] if not entry["answer"]] == [""]
        assert task_type.score(ROWS, predictions) == {
            "f1": 1.0, "no_answer_f1": 1 / 3, "exact_match": 1.0, "answerable_f1": 1.0, "unanswerable_f1": 1.0,
        }  # fmt: skip

    def test_the_evaluation_of_the_run_is_that_of_the_stored_model(self, trained: Path) -> None:
        entry = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
        assert entry["validation_f1"] == entry["validation_exact_match"] == 1.0
        assert entry["validation_answering_loss"] < 0.5

    def test_transformers_computes_the_same_logits(self, trained: Path) -> None:
        transformers = pytest.importorskip("transformers")
        theirs = transformers.AutoModelForQuestionAnswering.from_pretrained(trained, dtype=torch.float64).eval()
        ours = BertForQuestionAnswering.from_pretrained(trained, dtype=torch.float64)
        batch = make_task().train.epoch(0).batch(np.arange(6))
        ids, mask, segments = batch.inputs
        with torch.no_grad():
            expected = theirs(input_ids=ids, attention_mask=mask.long(), token_type_ids=segments)
            found = ours(ids, mask, segments)
        for name in ("start_logits", "end_logits"):
            assert (getattr(found, name) - getattr(expected, name)).abs().max() < 1e-10


def test_resumed_run_equals_uninterrupted_run(tmp_path: Path) -> None:
    """Bit for bit, with dropout and several windows: losses, weights and the stored threshold."""
    task = make_task(dropout=0.1, epochs=4)
    whole = run_job(task, tmp_path / "whole")
    job = Job(lambda folder, create: make_task(dropout=0.1, epochs=4), OutputOptions(tmp_path / "parts"), CPU)
    for event in job.events():
        if isinstance(event, StepDone) and event.entry["step"] == 3:
            job.stop()
    resumed = run_job(make_task(dropout=0.1, epochs=4), tmp_path / "parts", resume=True)
    losses = [event.entry["answering_loss"] for event in whole if isinstance(event, StepDone)]
    assert [event.entry["answering_loss"] for event in resumed if isinstance(event, StepDone)] == losses[3:]
    for name in ("model.safetensors", TASK_FILE):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_the_best_model_is_exported_with_its_threshold(tmp_path: Path) -> None:
    """The exported model and its task.json have the score of the best evaluation, which is not the last one."""
    task = make_task(epochs=8, learning_rate=0.03, batch_size=2)
    events = run_job(task, tmp_path, evaluate_every=1, restore_best=True)
    scores = [event.entry["validation_f1"] for event in events if isinstance(event, StepDone)]
    assert max(scores) > scores[-1]
    task_type = Answering.from_settings(json.loads((tmp_path / TASK_FILE).read_text())["settings"])
    predictions = predict(BertForQuestionAnswering.from_pretrained(tmp_path), task_type, ROWS, TOKENIZER)
    assert task_type.score(ROWS, predictions)["f1"] == max(scores)


@pytest.mark.parametrize("micro_batch_size", [1, 2, 3])
def test_the_loss_does_not_depend_on_how_a_batch_is_split(micro_batch_size: int) -> None:
    """The softmax includes the padding, so all parts of a batch are padded to its longest window."""
    losses = []
    for size in (None, micro_batch_size):
        run = make_task(precision="float64", batch_size=5).make_run(replace(CPU, micro_batch_size=size), SINGLE_PROCESS)
        losses.append([step.losses["answering"] for step, _ in zip(run.run(), range(6), strict=False)])
        assert len({batch.input_ids.shape[1] for batch in run.last_batches}) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-10)


def scores_for(windows, places: dict[int, tuple[int, int, float]]) -> list[np.ndarray]:
    """Return logits: for each window, the first and last token of a span, and the scores of both."""
    logits = [np.full((len(window.input_ids), 2), -9.0) for window in windows]
    for number, (first, last, score) in places.items():
        logits[number][first, 0] = logits[number][last, 1] = score
    return logits


class TestPredictions:
    ROW = question(1, "a", "b c d e", "c")

    def predict(self, null_score: float, **settings: object):
        task_type = replace(TYPE, **settings)
        windows = task_type.encode([self.ROW], TOKENIZER)
        logits = scores_for(windows, {0: (4, 5, 1.0)})  # "c d", with score 2
        logits[0][0] = null_score / 2
        return task_type, task_type.predict([self.ROW], windows, logits)

    def test_threshold(self) -> None:
        """No answer is predicted if the null score is higher by more than the threshold."""
        for null_score, threshold, answer in ((2.5, 0.0, ""), (2.0, 0.0, "c d"), (2.5, 0.5, "c d"), (1.9, -0.2, "")):
            _, [found] = self.predict(null_score, threshold=threshold)
            assert (found["answer"], found["null_difference"]) == (answer, pytest.approx(null_score - 2))
            assert found["start"] == (2 if answer else None)
            assert {entry["answer"]: entry["score"] for entry in found["n_best"]}[""] == null_score

    def test_the_id_is_only_given_if_there_is_one(self) -> None:
        windows = TYPE.encode([self.ROW], TOKENIZER)
        for identifier in ("x", ""):
            [found] = TYPE.predict([replace(self.ROW, id=identifier)], windows, scores_for(windows, {}))
            assert found.get("id", "") == identifier
            assert ("id" in found) == bool(identifier)

    def test_without_a_threshold_every_question_has_an_answer(self) -> None:
        _, [found] = self.predict(100.0, threshold=None)
        assert (found["answer"], found["start"], found["end"]) == ("c d", 2, 5)
        assert all(entry["answer"] for entry in found["n_best"])
        assert found["probability"] == max(entry["probability"] for entry in found["n_best"])

    def test_n_best(self) -> None:
        _, [found] = self.predict(0.0, n_best=3, threshold=None)
        assert len(found["n_best"]) == 3
        _, [found] = self.predict(0.0, max_answer_tokens=1)
        assert all(" " not in entry["answer"] for entry in found["n_best"])

    def test_predictions_are_json(self) -> None:
        row = replace(self.ROW, context="\u200b")
        windows = TYPE.encode([row], TOKENIZER)
        [found] = TYPE.predict([row], windows, [np.zeros((4, 2))])
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert (found["answer"], found["null_difference"], found["probability"]) == ("", None, 1.0)
        [found] = replace(TYPE, threshold=None).predict([row], windows, [np.zeros((4, 2))])
        assert (found["answer"], found["start"], found["probability"], found["n_best"]) == ("", None, 0.0, [])

    def test_outcomes(self) -> None:
        task_type, predictions = self.predict(3.0)
        results = task_type.results([self.ROW], predictions)
        [outcome] = results.outcomes
        assert (outcome.text, outcome.gold, outcome.predicted, outcome.is_correct) == ("a", "c", "(no answer)", False)
        assert results.values == {"f1": 0.0, "exact_match": 0.0}


class TestCalibration:
    def make(self, random: np.random.Generator, count: int = 40):
        """Random predictions for questions of which a third has no answer."""
        rows = [question(n, "a", LONG, None if n % 3 == 0 else LONG[2 * n % 20 : 2 * n % 20 + 5]) for n in range(count)]
        windows = TYPE.encode(rows, TOKENIZER)
        return rows, windows, [random.normal(size=(len(window.input_ids), 2)) for window in windows]

    def test_threshold_has_the_best_f1_of_squads_script(self) -> None:
        for seed in range(10):
            rows, windows, logits = self.make(np.random.default_rng(seed))
            predictions = TYPE.predict(rows, windows, logits)
            calibrated = TYPE.calibrate(rows, predictions)
            answered = replace(TYPE, threshold=None).predict(rows, windows, logits)
            gold = [[answer.text for answer in row.answers] for row in rows]
            official = squad_v2([each["answer"] for each in answered], gold, [each["null_difference"] for each in answered])
            after = calibrated.score(rows, calibrated.predict(rows, windows, logits))
            assert 100 * after["f1"] == pytest.approx(official["best_f1"])
            if official["best_f1_thresh"]:
                assert calibrated.threshold == official["best_f1_thresh"]
            assert calibrated.calibrate(rows, calibrated.predict(rows, windows, logits)) == calibrated

    def test_no_question_is_answered_if_that_is_best(self) -> None:
        """Also where all null scores are lower than the scores of the answers, for which the script's threshold is 0."""
        rows = [replace(row, answers=()) for row in ROWS[:2]]
        windows = TYPE.encode(rows, TOKENIZER)
        logits = scores_for(windows, dict.fromkeys(range(len(windows)), (4, 4, 5.0)))
        calibrated = TYPE.calibrate(rows, TYPE.predict(rows, windows, logits))
        assert [each["answer"] for each in calibrated.predict(rows, windows, logits)] == ["", ""]

    def test_a_question_without_candidates_is_never_answered(self) -> None:
        """It has no score, and no influence on the threshold."""
        rows = [question(1, "a", LONG, None), question(2, "a", LONG, LONG[2:7]), question(3, "a", "", None)]
        scored = [{"null_difference": difference, "n_best": [{"answer": LONG[2:7]}]} for difference in (3.0, -2.0)]
        without = {"null_difference": None, "n_best": []}
        expected = TYPE.calibrate(rows[:2], scored).threshold
        assert -2 <= expected < 3
        assert TYPE.calibrate(rows, [*scored, without]).threshold == expected
        assert TYPE.calibrate(rows[2:], [without]).threshold == -1

    def test_it_is_kept_without_unanswerable_questions(self) -> None:
        rows = [ROWS[0]]
        windows = TYPE.encode(rows, TOKENIZER)
        predictions = TYPE.predict(rows, windows, scores_for(windows, {}))
        assert TYPE.calibrate(rows, predictions) == TYPE
        never = replace(TYPE, threshold=None)
        assert never.calibrate(ROWS, predictions) == never


class TestSettings:
    START = replace(MODEL, max_position_embeddings=512)

    def infer(self, train: list[Question], validation: list[Question], start: BertConfig = START, **options: object):
        data = TaskData(LabeledData(train, name="train.json"), LabeledData(validation, name="dev.json"))
        return Answering.from_data(data, AnswerOptions(**options), start)

    def test_answerable_questions(self) -> None:
        inferred = self.infer(ROWS[:2], [ROWS[3]])
        assert inferred.type == Answering(384, 128)
        assert inferred.findings == []

    def test_unanswerable_questions(self) -> None:
        inferred = self.infer(ROWS[:3], ROWS[4:])
        assert inferred.type.threshold == 0.0
        assert "without an answer: 1 of 3 training questions, 1 of 2 validation questions" in inferred.notes[1]
        assert inferred.findings == []

    def test_unanswerable_questions_in_one_part_only(self) -> None:
        for train, validation, message in (
            (ROWS[:3], ROWS[3:4], "dev.json: no validation question is unanswerable"),
            (ROWS[:2], ROWS[4:], "train.json: the training data have no unanswerable questions"),
        ):
            inferred = self.infer(train, validation)
            assert inferred.type.threshold == 0.0
            [finding] = inferred.findings
            assert str(finding).startswith(message)
            assert not finding.is_error

    def test_shared_contexts(self) -> None:
        data = TaskData(LabeledData(ROWS[:2] + ROWS[4:], name="train.json"), LabeledData(ROWS[:3], name="dev.json"))
        _, [finding] = check_shared(Answering, data, drop=False)
        assert "3 of 3 rows are about contexts that are also in the training data: lines 1 (data.json" in finding.message
        dropped, _ = check_shared(Answering, data, drop=True)
        assert dropped.train.rows == ROWS[4:]

    def test_a_model_with_few_positions_has_shorter_windows(self) -> None:
        inferred = self.infer(ROWS[:2], [], MODEL)
        assert (inferred.type.max_length, inferred.type.overlap) == (32, 10)
        with pytest.raises(ValueError, match="overlap 100: must be from 0 to 21"):
            self.infer(ROWS[:2], [], MODEL, overlap=100)

    def test_options(self) -> None:
        for options in ({"overlap": 300}, {"overlap": -1}, {"max_length": 12}, {"n_best": 0}, {"max_answer_tokens": 0}):
            with pytest.raises(InvalidOption):
                AnswerOptions(**options)
        assert AnswerOptions(max_length=100).overlap is None

    def test_the_head_has_two_outputs_whatever_the_checkpoint_has(self) -> None:
        config = Answering().model_config(MODEL.with_labels(["contradiction", "neutral", "entailment"]))
        assert config.num_labels == 2
        assert Answering().model_config(config) == config
        assert Answering().model_config(replace(MODEL, problem_type="regression")).problem_type is None

    def test_options_for_reading(self) -> None:
        assert Answering(100, 20, 5, 10, 0.5).reading_options == AnswerOptions(100, 20, 5, 10)

    def test_a_model_without_a_task_file(self) -> None:
        assert Answering.of_model(self.START) == Answering(384, 128)
        assert Answering.of_model(MODEL) == Answering(32, 10)


def test_repaired_copy(tmp_path: Path) -> None:
    row = {"id": "x", "context": "a b", "question": "c", "answers": {"text": ["b"], "answer_start": [0]}}
    source, target = tmp_path / "data.jsonl", tmp_path / "copy.jsonl"
    source.write_text(json.dumps(row))
    Answering.write_repaired(LabeledSource((source,)), AnswerOptions(), target)
    assert json.loads(target.read_text())["answers"]["answer_start"] == [2]
    with pytest.raises(ValueError, match="is the file itself"):
        Answering.write_repaired(LabeledSource((source,)), AnswerOptions(), source)


def test_inputs_of_predictions() -> None:
    values = {"id": 5, "question": "a", "context": "b\u200b"}
    assert Answering.input_row(values) == Question("5", "a", "b\u200b")
    assert Answering.input_row(values | {"id": None}).id == ""
    for name in ("question", "context"):
        for wrong in ("", " ", 5, None, "\ud800"):
            with pytest.raises(ValueError, match=name if wrong != "\ud800" else "half a surrogate pair"):
                Answering.input_row(values | {name: wrong})


def test_questions_that_are_predicted_for_need_no_answers(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps({"id": "x", "context": "a b", "question": "b"}))
    data = Answering.read_inputs(LabeledSource((tmp_path / "data.jsonl",)), AnswerOptions())
    assert [(row.question, row.answers) for row in data.rows] == [("b", None)]
    assert data.findings == []


class TestDataToScore:
    DATA = LabeledData(ROWS, name="dev.json", notes=["read"])

    def test_questions_without_an_answer_are_counted_if_the_model_answers_all(self) -> None:
        scored = replace(TYPE, threshold=None).to_score(self.DATA)
        assert scored.notes[0] == "read"
        assert scored.notes[1].startswith("2 of 6 questions have no answer, but the model has no threshold for them")
        assert scored.rows == ROWS

    def test_nothing_is_said_where_nothing_is_missing(self) -> None:
        assert TYPE.to_score(self.DATA) == self.DATA
        answered = replace(self.DATA, rows=ROWS[:2])
        assert replace(TYPE, threshold=None).to_score(answered) == answered


def test_questions_with_and_without_an_answer_are_two_strata() -> None:
    assert [TYPE.stratum(row) for row in ROWS] == [True, True, False, True, True, False]


def test_reading_files_and_datasets(tmp_path: Path) -> None:
    import datasets

    columns = {"text": ["b"], "answer_start": [2]}
    rows = [{"id": name, "context": "a b", "question": name, "answers": columns} for name in ("x", "y")]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "dataset")
    for source in (LabeledSource((tmp_path / "data.jsonl",)), LabeledSource(dataset=str(tmp_path / "dataset"))):
        data = Answering.read(source, AnswerOptions())
        assert [row.answers for row in data.rows] == [(Answer("b", 2),)] * 2
        assert data.findings == []
        assert data.digest
        assert data.name in ("data.jsonl", f"{tmp_path / 'dataset'}, train")
