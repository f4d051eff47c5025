"""Loading trained models: their task, from task.json or from the head."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from minibert import BertForMaskedLM, BertForPreTraining
from minibert.text.labeled.text_rows import TextRow
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.classification import Classification
from minibert.training.task_type import TASK_FILE
from minibert.training.trained import load_trained
from tests.trained_models import trained_model


def change(file: Path, **fields: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | fields), encoding="utf-8")


def test_a_model_with_task_json_has_its_settings(tmp_path: Path) -> None:
    task_type = Classification(("a", "b", "c"), "multi_label_classification", max_length=17, cut="head+tail")
    assert load_trained(trained_model(tmp_path, task_type)).type == task_type


def test_the_folder_can_be_a_text(tmp_path: Path) -> None:
    assert load_trained(str(trained_model(tmp_path))).source == str(tmp_path)


def test_a_checkpoint_without_task_json_has_the_task_of_its_head(tmp_path: Path) -> None:
    """As those that transformers writes: the classes, the problem type and the maximum length are those of config.json."""
    task_type = Classification(("a", "b"), "multi_label_classification")
    loaded = load_trained(trained_model(tmp_path, task_type, with_task=False)).type
    assert (loaded.labels, loaded.problem_type, loaded.max_length) == (("a", "b"), "multi_label_classification", 64)


def test_predictions_are_by_name_and_in_order(tmp_path: Path) -> None:
    trained = load_trained(trained_model(tmp_path))
    texts = ["very good film", "bad", "not good not bad very fine movie"]
    together = trained.predict([TextRow(text) for text in texts])
    alone = [trained.predict([TextRow(text)])[0] for text in texts]
    assert [each["label"] for each in together] == [each["label"] for each in alone]
    assert all(each["score"] == max(each["scores"].values()) == each["scores"][each["label"]] for each in together)
    assert trained.predict([]) == []


@pytest.mark.parametrize("architectures", [None, ["BertCrfForNer"]])
def test_a_head_that_could_be_for_several_tasks_is_refused(tmp_path: Path, architectures: list[str] | None) -> None:
    """Classifiers of texts and of tokens have the same names of weights."""
    change(trained_model(tmp_path, with_task=False) / "config.json", architectures=architectures)
    expected = (
        "config.json: architectures is .*can be those of BertForSequenceClassification or BertForTokenClassification: name"
    )
    with pytest.raises(ValueError, match=expected):
        load_trained(tmp_path)


def test_two_classes_with_one_name_are_refused(tmp_path: Path) -> None:
    """A prediction names its class."""
    change(trained_model(tmp_path, with_task=False) / "config.json", id2label={"0": "x", "1": "x"})
    with pytest.raises(ValueError, match=r"config\.json: .*'x'"):
        load_trained(tmp_path)


def test_a_regression_with_several_numbers_is_refused(tmp_path: Path) -> None:
    """transformers can train one. Its first number alone would be a wrong prediction."""
    change(trained_model(tmp_path, with_task=False) / "config.json", problem_type="regression")
    with pytest.raises(ValueError, match="a regression predicts one number, not 2: bad, good"):
        load_trained(tmp_path)


@pytest.mark.parametrize("network", [BertForMaskedLM, BertForPreTraining])
def test_a_checkpoint_without_the_head_of_a_task_is_refused(tmp_path: Path, network: type) -> None:
    """It lists the heads found."""
    trained = load_trained(trained_model(tmp_path / "model"))
    network(trained.network.config).save_pretrained(tmp_path / "other")
    save_tokenizer(trained.tokenizer, tmp_path / "other")
    with pytest.raises(ValueError, match=r"has no head of a task \(heads found: .*mlm.*minibert finetune"):
        load_trained(tmp_path / "other")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "unknown"}, "must have the name of a task"),
        ({"settings": None}, "must have the name of a task"),
        ({"settings": {}}, "its settings cannot be used .*labels"),
        ({"settings": {"labels": ["a", "b"], "extra": 1}}, "its settings cannot be used .*extra"),
        ({"settings": {"labels": ["good", "bad"]}}, r"its classes \(good, bad\) are not those .*\(bad, good\)"),
        ({"settings": {"labels": 5}}, "its settings cannot be used"),
        ({"settings": {"labels": ["bad", "good"], "max_length": "9"}}, "its settings cannot be used .max_length cannot be '9'"),
        ({"settings": {"labels": ["bad", "good"], "max_length": -3}}, "its settings cannot be used .max_length -3: must be"),
        ({"settings": {"labels": ["bad", "good"], "max_length": 65}}, "max_length 65 is more than the 64 tokens of the model"),
        ({"settings": {"labels": ["bad", "good"], "cut": "middle"}}, "its settings cannot be used .cut cannot be 'middle'"),
        ({"settings": {"labels": ["bad", "good"], "class_weights": "ab"}}, "its settings cannot be used .class_weights"),
        ({"settings": {"labels": ["bad", 1]}}, "its settings cannot be used .labels"),
        ({"task": "answering", "settings": {"max_length": 64, "overlap": 64}}, "its settings cannot be used .overlap 64"),
        ({"task": "tagging", "settings": {"labels": ["a"], "max_length": 8, "overlap": 8}}, "its settings .*overlap 8"),
    ],
)
def test_a_damaged_task_json_is_named(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    """Another order of the classes would give other predictions."""
    change(trained_model(tmp_path) / TASK_FILE, **fields)
    with pytest.raises(ValueError, match=f"{TASK_FILE}: {message}"):
        load_trained(tmp_path)


def test_a_tokenizer_with_more_pieces_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = trained_model(tmp_path)
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *map(chr, range(65, 91))]), folder)
    with pytest.raises(ValueError, match="its tokenizer has 31 pieces, but its model only 17"):
        load_trained(folder)


def test_a_run_without_a_model_names_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="has not ended, so it has no model yet; and no checkpoint either"):
        load_trained(tmp_path)
    for step in (20, 10):
        trained_model(tmp_path / "checkpoints" / f"step-{step}")
    for source in (tmp_path, str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"use its last checkpoint, \S*step-20, or continue it"):
            load_trained(source)


def test_a_head_is_never_new(tmp_path: Path) -> None:
    """Its predictions would be random."""
    folder = trained_model(tmp_path)
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight for name, weight in weights.items() if "classifier" not in name}, folder / "model.safetensors")
    with pytest.raises(ValueError, match="has no sequence-classification head"):
        load_trained(folder)


def test_a_file_next_to_the_folder_of_a_model_is_not_read(tmp_path: Path) -> None:
    folder = trained_model(tmp_path / "model", with_task=False)
    (tmp_path / TASK_FILE).write_text("damaged", encoding="utf-8")
    assert load_trained(folder).type.max_length == 64


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_trained(tmp_path / "nowhere")
