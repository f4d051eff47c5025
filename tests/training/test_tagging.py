"""Fine-tuning for named entities, from files to a model that transformers loads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from minibert.commands import main
from minibert.model import BertConfig, BertForMaskedLM, BertForTokenClassification
from minibert.text.labeled.examples import make_batch
from minibert.text.labeled.findings import LabeledData
from minibert.text.labeled.tagged import TaggedSentence, join_words
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.finetuning_options import TagOptions
from minibert.training.logits import predict
from minibert.training.tagging import Tagging
from minibert.training.task_type import Prediction, TaskData
from minibert.training.trained import load_trained

WORDS = ("anna", "ben", "york", "new", "paris", "lives", "in", "and", ".", "北", "京", "在", "我", "##s", "an", "##na")
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
CONFIG = BertConfig(
    vocab_size=len(SPECIAL_TOKENS) + len(WORDS),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
TAGS = {"anna": "B-PER", "ben": "B-PER", "paris": "B-LOC", "new": "B-LOC", "york": "I-LOC", "北": "B-LOC", "京": "I-LOC"}
SENTENCES = [
    f"{person} {verb} in {place} .".split()
    for person in ("anna", "ben", "anna and ben")
    for verb in ("lives", "is")
    for place in ("paris", "new york", "paris and new york", "北 京", "北 京 and paris")
]


def tags_of(words: list[str]) -> list[str]:
    return [TAGS.get(word, "O") for word in words]


def conll(sentences: list[list[str]]) -> str:
    return "".join(
        "".join(f"{word} {tag}\n" for word, tag in zip(each, tags_of(each), strict=True)) + "\n" for each in sentences
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    BertForMaskedLM(CONFIG).save_pretrained(folder)
    save_tokenizer(TOKENIZER, folder)
    return folder


def command(start: Path, folder: Path, *options: str) -> list[str]:
    (folder / "train.txt").write_text(conll(SENTENCES[::2]))
    (folder / "validation.txt").write_text(conll(SENTENCES[1::2]))
    files = ["--train", f"{folder}/train.txt", "--validation", f"{folder}/validation.txt"]
    training = ["--epochs", "24", "--batch-size", "5", "--learning-rate", "0.01", "--evaluate-every", "36", "--device", "cpu"]
    return ["finetune", "tag", "--from", str(start), "--out", f"{folder}/out", *files, *training, *options]


@pytest.fixture(scope="module")
def trained(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("tagging")
    assert main(command(start, folder, "--checkpoint-every", "60", "--keep", "9")) == 0
    return folder / "out"


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(entries: list[dict]) -> list[dict]:
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


def test_an_easy_tagging_is_learned(trained: Path) -> None:
    last = metrics(trained)[-1]
    assert last["validation_entity_f1"] > 0.9
    assert last["validation_always_o_entity_f1"] == 0
    assert 0.5 < last["validation_always_o_tag_accuracy"] < last["validation_tag_accuracy"]


def test_labels_are_sorted_and_stored(trained: Path) -> None:
    config = json.loads((trained / "config.json").read_text())
    assert [*config["id2label"].values()] == ["B-LOC", "B-PER", "I-LOC", "O"]
    assert config["architectures"] == ["BertForTokenClassification"]


def test_a_resumed_run_equals_an_uninterrupted_one(start: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(trained, out)
    shutil.rmtree(sorted((out / "checkpoints").iterdir())[-1])
    (out / "model.safetensors").unlink()
    words = command(start, trained.parent, "--checkpoint-every", "60", "--keep", "9", "--resume")
    assert main([str(out) if word == str(trained) else word for word in words]) == 0
    assert without_times(metrics(out)) == without_times(metrics(trained))
    assert (out / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_transformers_computes_the_same_logits_from_the_same_words(trained: Path) -> None:
    model = transformers.AutoModelForTokenClassification.from_pretrained(trained).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    inputs = tokenizer(SENTENCES, is_split_into_words=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
        ours = BertForTokenClassification.from_pretrained(trained)(inputs["input_ids"], inputs["attention_mask"]).logits
    assert torch.allclose(logits, ours, atol=1e-5)
    found = load_trained(trained).predict([TaggedSentence(tuple(each)) for each in SENTENCES])
    for row, sentence in enumerate(SENTENCES):
        words = inputs.word_ids(row)
        first = [words.index(number) for number in range(len(sentence))]
        assert [model.config.id2label[number] for number in logits[row, first].argmax(-1).tolist()] == found[row]["tags"]


def test_a_checkpoint_with_its_labels_in_another_order_has_the_same_score(trained: Path, tmp_path: Path, capsys) -> None:
    """As from the hub, without task.json; also after a run that begins with it and changes nearly nothing."""
    model = BertForTokenClassification.from_pretrained(trained)
    order = [2, 3, 0, 1]
    permuted = BertForTokenClassification(model.config.with_labels([model.config.id2label[number] for number in order]))
    weights = model.state_dict() | {name: tensor[order] for name, tensor in model.state_dict().items() if "classifier" in name}
    permuted.load_state_dict(weights)
    permuted.save_pretrained(tmp_path / "permuted")
    save_tokenizer(TOKENIZER, tmp_path / "permuted")
    rows = [TaggedSentence(tuple(each)) for each in SENTENCES]
    expected = [each["tags"] for each in load_trained(trained).predict(rows)]
    assert [each["tags"] for each in load_trained(tmp_path / "permuted").predict(rows)] == expected
    assert main([*command(tmp_path / "permuted", tmp_path), "--learning-rate", "1e-9", "--epochs", "0.2"]) == 0
    assert "those of the checkpoint, mapped by name" in capsys.readouterr().out
    assert [each["tags"] for each in load_trained(tmp_path / "out").predict(rows)] == expected


def test_predictions_have_the_original_words_and_entities(trained: Path) -> None:
    rows = [TaggedSentence(("Anna", "lives", "in", "北", "京", "\u200b", ".")), TaggedSentence(()), TaggedSentence(("\u00ad",))]
    first, empty, invisible = load_trained(trained).predict(rows)
    assert first["words"] == ["Anna", "lives", "in", "北", "京", "\u200b", "."]
    assert first["tags"] == ["B-PER", "O", "O", "B-LOC", "I-LOC", "O", "O"]
    assert [(each["type"], each["text"], each["start"], each["end"]) for each in first["entities"]] == [
        ("PER", "Anna", 0, 1),
        ("LOC", "北京", 3, 5),
    ]
    assert all(0.5 < score <= 1 for score in first["scores"] if score is not None)
    assert first["scores"][5] is None
    assert (empty["tags"], invisible["tags"], invisible["scores"]) == ([], ["O"], [None])
    json.dumps([first, empty, invisible], allow_nan=False)


def test_long_sentences_are_predicted_in_windows_and_each_word_once(trained: Path) -> None:
    """A sentence of more words than the model has positions has the tags of its parts."""
    words = tuple(SENTENCES[5] * 20)
    assert len(words) > 2 * CONFIG.max_position_embeddings
    [found] = load_trained(trained).predict([TaggedSentence(words)])
    assert found["tags"] == tags_of([*words])
    assert all(score is not None for score in found["scores"])


def test_words_without_tokens_keep_their_gold_tag_and_are_missed(trained: Path) -> None:
    model = load_trained(trained)
    row = TaggedSentence(("ben", "\u200b", "in", "paris"), ("B-PER", "B-LOC", "O", "B-LOC"))
    counts = model.type.results([row], model.predict([row])).counts
    assert counts is not None
    assert (counts.correct.tolist(), counts.gold.tolist()) == ([1, 1], [2, 1])


def test_evaluation_prints_the_entity_f1_first(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data.conll").write_text(conll(SENTENCES).replace("B-PER", "I-PER"))
    assert main(["evaluate", str(trained), "--data", f"{tmp_path}/data.conll", "--device", "cpu"]) == 0
    output = capsys.readouterr().out
    metrics_shown = [name for name in ("entity F1 (conlleval)", "entity F1 of always O", "tag accuracy") if name in output]
    assert metrics_shown == sorted(metrics_shown, key=output.index)
    assert len(metrics_shown) == 3


class TestLabels:
    data = TaskData(
        LabeledData([TaggedSentence(("anna", "in", "new", "york"), ("B-PER", "O", "B-LOC", "I-LOC"))], name="train"),
        LabeledData([TaggedSentence(("paris",), ("B-LOC",))], name="validation"),
    )

    def labels(self, *names: str, data: TaskData | None = None) -> tuple[str, ...]:
        start = CONFIG.with_labels(names) if names else CONFIG
        return Tagging.from_data(data or self.data, TagOptions(max_length=16), start).type.labels

    def test_they_are_sorted(self) -> None:
        assert self.labels() == ("B-LOC", "B-PER", "I-LOC", "O")

    @pytest.mark.parametrize(
        "names",
        [
            ("O", "I-LOC", "B-PER", "I-PER", "B-LOC", "B-MISC"),
            ("S-LOC", "B-LOC", "E-LOC", "O", "S-PER"),
            ("O", "PER", "LOC"),
            ("O", "I-PER", "I-LOC"),
        ],
    )
    def test_those_of_the_checkpoint_are_kept_in_their_order(self, names) -> None:
        assert self.labels(*names) == names

    @pytest.mark.parametrize(
        "names", [("LABEL_0", "LABEL_1"), ("O", "B-PER", "I-PER"), ("O", "B-PERSON", "B-LOCATION"), ("x",)]
    )
    def test_other_labels_of_the_checkpoint_are_replaced(self, names) -> None:
        assert self.labels(*names) == ("B-LOC", "B-PER", "I-LOC", "O")

    def test_a_replaced_output_layer_is_said(self) -> None:
        notes = Tagging.from_data(self.data, TagOptions(), CONFIG.with_labels(["O", "B-PERSON"])).notes
        assert "not those of the checkpoint, O, B-PERSON, so its output layer is replaced" in notes[0]
        assert "checkpoint" not in Tagging.from_data(self.data, TagOptions(), CONFIG).notes[0]

    def test_types_that_differ_only_in_case_are_those_of_the_checkpoint(self) -> None:
        start = CONFIG.with_labels(["O", "B-Loc", "I-Loc", "B-per", "I-per"])
        inferred = Tagging.from_data(self.data, TagOptions(), start)
        assert inferred.type.labels == ("O", "B-Loc", "I-Loc", "B-per", "I-per")
        assert inferred.data is not None
        assert inferred.data.train.rows[0].tags == ("B-per", "O", "B-Loc", "I-Loc")
        assert inferred.data.validation.rows[0].tags == ("B-Loc",)

    def test_data_for_an_evaluation_are_matched_by_name(self) -> None:
        tagging = Tagging(("O", "B-Loc", "B-PER"))
        assert tagging.to_score(self.data.train).rows[0].tags == ("B-PER", "O", "B-Loc", "I-Loc")
        other = LabeledData([TaggedSentence(("x",), ("B-GENE",))], name="genes.txt")
        with pytest.raises(ValueError, match=r"genes\.txt: the types of entities are GENE, and those of the model Loc, PER"):
            tagging.to_score(other)

    def test_types_of_the_validation_data_alone_are_findings(self) -> None:
        rows = [TaggedSentence(("a", "b", "c", "d"), ("B-NEW", "I-NEW", "B-PER", "I-PER"), 7, "v.txt")] * 2
        inferred = Tagging.from_data(TaskData(self.data.train, LabeledData(rows, name="v.txt")), TagOptions(), CONFIG)
        missed = "which no training data have; they are counted as missed; this is the first sentence"
        assert [str(finding) for finding in inferred.findings] == [
            f"v.txt, line 7: 2 entities have the type NEW, {missed}",
            f"v.txt, line 7: 2 words have the tag I-PER, {missed}",
        ]
        assert not inferred.findings[0].is_error

    def test_training_data_without_entities_are_an_error(self) -> None:
        rows = [TaggedSentence(("a",), ("O",))]
        [finding] = Tagging.from_data(
            TaskData(LabeledData(rows, name="t"), self.data.validation), TagOptions(), CONFIG
        ).findings
        assert finding.is_error

    def test_what_is_printed_about_them(self) -> None:
        """A text has a fourth of a window in common with the next one, or as much as the option says."""
        for options, windows in (
            (TagOptions(), "windows of 32 tokens, of which 8 overlap"),
            (TagOptions(max_length=16, overlap=3), "16 tokens, of which 3 "),
        ):
            labels, window = Tagging.from_data(self.data, options, CONFIG).notes
            assert labels == "labels (sorted): B-LOC, B-PER, I-LOC, O"
            assert windows in window

    @pytest.mark.parametrize(("positions", "length", "overlap"), [(32, 32, 8), (512, 128, 32)])
    def test_a_model_without_task_json_has_the_usual_windows(self, positions: int, length: int, overlap: int) -> None:
        config = replace(CONFIG.with_labels(["O", "B-PER"]), max_position_embeddings=positions)
        assert Tagging.of_model(config) == Tagging(("O", "B-PER"), length, overlap)

    def test_the_loss_of_a_model_is_that_of_classes(self) -> None:
        """Whatever the head of the checkpoint was for."""
        config = replace(CONFIG.with_labels(["number"]), problem_type="regression")
        assert Tagging(("O", "B-PER")).model_config(config).problem_type is None

    def test_a_model_without_the_tag_o_is_no_tagger(self) -> None:
        with pytest.raises(ValueError, match=r"none is O\. Give them the names of the tags"):
            Tagging.of_model(CONFIG)


@pytest.mark.parametrize(
    "names", [("O", "I-LOC", "B-PER", "B-LOC"), ("S-PER", "E-LOC", "B-LOC", "O", "S-LOC"), ("LOC", "O", "PER")]
)
def test_a_perfect_model_with_labels_of_its_own_scores_one(names) -> None:
    """In any order and scheme. If labels were mapped by number, the score would be near 0."""
    tagging = Tagging(names, max_length=16, overlap=4)
    rows = [TaggedSentence(tuple(words), tuple(tags_of(words))) for words in SENTENCES]
    examples = tagging.encode(rows, TOKENIZER)
    logits = [np.eye(len(names))[np.maximum(example.targets["labels"], 0)] * 9 for example in examples]
    values = tagging.results(rows, tagging.predict(rows, examples, logits)).values
    assert values["entity_f1"] == values["strict_entity_f1"] == values["tag_accuracy"] == 1


def test_an_entity_has_its_words_and_their_mean_probability() -> None:
    """Words without tokens have none."""
    tagging = Tagging(("O", "B-LOC", "I-LOC"))
    numbers = [tagging.tag_set.numbers[tag] for tag in ("O", "B-LOC", "I-LOC", "I-LOC", "O")]
    row = TaggedSentence(("in", "new", "york", "city", "."), None)
    [entity] = tagging._predict(row, numbers, [0.1, 0.5, 0.75, None, 0.2])["entities"]
    assert entity == {"type": "LOC", "text": "new york city", "start": 1, "end": 4, "score": 0.625}


class TestInputRow:
    """The sentence of a request, such as a line of a JSON file."""

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ({"words": ["anna", "is", "in new york"]}, ("anna", "is", "in new york")),
            ({"tokens": ["anna"]}, ("anna",)),
            ({"words": ["a"], "tokens": ["b"]}, ("a",)),
            ({"words": "anna  is in 北京"}, ("anna", "is", "in", "北", "京")),
            ({"words": []}, ()),
        ],
    )
    def test_words_are_a_list_or_a_text(self, values: dict[str, Any], words: tuple[str, ...]) -> None:
        assert Tagging.input_row(values) == TaggedSentence(words)

    @pytest.mark.parametrize("words", [None, 3, ["a", 3], {"a": "b"}])
    def test_others_are_refused(self, words: Any) -> None:
        with pytest.raises(
            ValueError, match="needs 'words': a list of words, or a text with spaces between them, not "
        ) as error:
            Tagging.input_row({"words": words})
        assert str(error.value).endswith(f"not {str(words)!r}")


class TestPredictions:
    TAGGING = Tagging(("O", "B-PER", "B-LOC"), max_length=8, overlap=2)
    ROWS = (
        TaggedSentence(("anna", "\u00ad", "paris"), ("B-PER", "O", "B-LOC"), 3),
        TaggedSentence(("\u00ad",), ("B-PER",), 7),
    )

    def predict(self) -> tuple[list[Any], list[Prediction]]:
        """Predict a person for both words that have tokens, with another probability for each."""
        examples = self.TAGGING.encode(self.ROWS, TOKENIZER)
        logits = [np.zeros((len(each.input_ids), 3)) for each in examples]
        logits[0][1:3] = np.log([[1, 7, 2], [3, 6, 1]])
        return examples, self.TAGGING.predict(self.ROWS, examples, logits)

    def test_scores_are_probabilities_of_the_tags(self) -> None:
        """The score of an entity is their mean. A word without tokens is O, without a score."""
        _, (first, second) = self.predict()
        assert (first["tags"], second["tags"]) == (["B-PER", "O", "B-PER"], ["O"])
        assert first["scores"] == [pytest.approx(0.7), None, pytest.approx(0.6)]
        assert [entity["score"] for entity in first["entities"]] == pytest.approx([0.7, 0.6])
        assert second["scores"] == [None]

    def test_outcomes_have_the_lowest_score_of_a_word(self) -> None:
        """1 if no word has a score."""
        _, predictions = self.predict()
        results = self.TAGGING.results(self.ROWS, predictions)
        assert [outcome.confidence for outcome in results.outcomes] == pytest.approx([0.6, 1.0])
        assert [(outcome.is_correct, outcome.line) for outcome in results.outcomes] == [(False, 3), (False, 7)]
        assert results.pairs == [("PER", "PER"), ("O", "O"), ("LOC", "PER"), ("PER", "O")]

    def test_words_without_tokens_are_counted_in_the_summary(self) -> None:
        examples, _ = self.predict()
        assert self.TAGGING.describe_examples(self.ROWS, examples) == "; 2 words give no token and are predicted as O"
        rows = [TaggedSentence(("anna",))]
        assert self.TAGGING.describe_examples(rows, self.TAGGING.encode(rows, TOKENIZER)) == ""


def test_sentences_with_entities_are_held_out_in_proportion() -> None:
    """And those without."""
    tagging = Tagging(("O", "B-PER"))
    assert tagging.stratum(TaggedSentence(("anna", "is"), ("B-PER", "O")))
    assert not tagging.stratum(TaggedSentence(("he", "is"), ("O", "O")))


def test_windows_must_move_on() -> None:
    with pytest.raises(ValueError, match="overlap 6: must be at least 0 and below 6"):
        Tagging(("O",), max_length=8, overlap=6)


def test_gold_types_that_the_model_does_not_have_are_missed() -> None:
    tagging = Tagging(("O", "B-PER"))
    row = TaggedSentence(("anna", "paris"), ("B-PER", "B-LOC"))
    examples = tagging.encode([row], TOKENIZER)
    results = tagging.results([row], tagging.predict([row], examples, [np.array([[9, 0], [0, 9], [9, 0], [9, 0.0]])]))
    assert results.values["entity_recall"] == 0.5
    assert results.unknown == {"LOC": 1}


def test_weights_of_tags_balance_their_losses() -> None:
    """Words without a label and other tokens have no weight. The weighted mean is that of PyTorch's cross-entropy."""
    tagging = Tagging(("O", "B-PER"), max_length=16, overlap=4)
    rows = [TaggedSentence(("anna", "in", "in", "in"), ("B-PER", "O", "O", "O"))]
    examples = tagging.encode(rows, TOKENIZER)
    balanced = tagging.with_balanced_classes(examples)
    assert balanced.class_weights == (4 / 6, 2.0)
    torch.manual_seed(0)
    model = BertForTokenClassification(CONFIG.with_labels(tagging.labels)).double().eval()
    batch = make_batch(examples, pad_id=0)
    [(loss, _)] = balanced.objective.loss_sums(model, batch).values()
    [weight] = balanced.objective.target_counts(batch).values()
    weights = torch.tensor(balanced.class_weights, dtype=torch.float64)
    logits = model(*batch.inputs).logits.flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, batch.targets["labels"].flatten(), weights)
    assert (loss / weight).item() == pytest.approx(expected.item(), abs=1e-12)


def test_labels_do_not_change_a_prediction() -> None:
    """Gold tags are not used for predictions: rows with and without them give the same."""
    torch.manual_seed(0)
    model = BertForTokenClassification(CONFIG.with_labels(["O", "B-PER"])).eval()
    tagging, words = Tagging(("O", "B-PER"), max_length=16, overlap=4), tuple(SENTENCES[8] * 4)
    rows = [TaggedSentence(words, tuple(tags_of([*words]))), TaggedSentence(words)]
    one, other = predict(model, tagging, rows, TOKENIZER)
    assert one == other


def test_texts_of_entities_are_joined_as_their_script_is_written() -> None:
    assert join_words(["New", "York"]) == "New York"
    assert join_words(["北", "京", "2008", "年"]) == "北京 2008 年"
    assert join_words(["東", "京", "タ", "ワ", "ー"]) == "東京タワー"
    assert join_words([]) == ""


class TestCommand:
    def test_check_lists_findings_and_writes_a_repaired_copy(self, start: Path, tmp_path: Path, capsys) -> None:
        arguments = command(start, tmp_path)
        good = conll(SENTENCES[::2])
        (tmp_path / "train.txt").write_bytes(b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode())
        copy = tmp_path / "copy.txt"
        assert main([*arguments, "--check", "--write-repaired", str(copy)]) == 0
        output = capsys.readouterr().out
        assert f"{tmp_path}/train.txt, line 1: begins with a byte-order mark" in output
        assert "Tag scheme BIO: 0 of" in output
        assert copy.read_text() == good

    def test_words_without_tokens_are_counted(self, start: Path, tmp_path: Path, capsys) -> None:
        arguments = command(start, tmp_path)
        with (tmp_path / "train.txt").open("a") as file:
            file.write("anna B-PER\n\u200b I-PER\n\n\u00ad O\n")
        assert main([*arguments, "--epochs", "0.1"]) == 0
        assert "; 2 words give no token and are predicted as O" in capsys.readouterr().out

    def test_errors_in_the_data_are_listed_and_no_run_begins(self, start: Path, tmp_path: Path, capsys) -> None:
        arguments = command(start, tmp_path)
        with (tmp_path / "train.txt").open("a") as file:
            file.write("anna PER\n\nben\n")
        assert main(arguments) != 0
        errors = capsys.readouterr().err
        lines = (tmp_path / "train.txt").read_text().count("\n")
        assert f"line {lines - 2}: the tag 'PER' has no prefix" in errors
        assert f"line {lines}: has 1 column instead of 2" in errors
        assert not (tmp_path / "out/model.safetensors").exists()

    def test_sentences_without_any_token_are_refused(self, start: Path, tmp_path: Path, capsys) -> None:
        for name in ("train.txt", "validation.txt"):
            arguments = command(start, tmp_path)
            (tmp_path / name).write_text("\u200b B-PER\n\u200b O\n\n\u00ad O\n")
            assert main(arguments) == 2
            assert f"{name}: none of the texts gives a token" in capsys.readouterr().err

    def test_windows_that_do_not_move_on_are_refused(self, start: Path, tmp_path: Path, capsys) -> None:
        assert main(command(start, tmp_path, "--overlap", "30", "--max-length", "32")) == 2
        assert "overlap 30: must be at least 0 and below 30" in capsys.readouterr().err


def test_the_tokenizer_of_the_run_is_that_of_the_start(start: Path, trained: Path) -> None:
    assert load_tokenizer(trained).to_str() == load_tokenizer(start).to_str()
