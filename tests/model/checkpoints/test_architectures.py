"""Classes that config.json names and minibert does not have."""

import json
import warnings
from pathlib import Path

import pytest

from minibert import load
from minibert.commands import main
from tests.model.checkpoints.test_token_ids import network

MISSING = [
    *("BertForMultipleChoice", "RobertaForMultipleChoice", "AlbertForMultipleChoice", "ElectraForMultipleChoice"),
    *("DistilBertForMultipleChoice", "GPT2ForSequenceClassification", "GPT2ForTokenClassification", "GPT2DoubleHeadsModel"),
    *("GPT2ForQuestionAnswering", "T5ForQuestionAnswering", "T5ForSequenceClassification", "T5EncoderModel"),
    *("ViTForMaskedImageModeling", "TFBertForMultipleChoice", "RobertaForNextSentencePrediction"),
]
SIMILAR = [
    *("BertLMHeadModel", "RobertaForCausalLM", "ElectraForCausalLM", "GPT2Model", "T5Model", "T5WithLMHeadModel"),
    *("TFBertModel", "FlaxRobertaModel", "TFBertForSequenceClassification", "BertForPreTrainingLossMask", "BertCrfForNer"),
    *("SentenceTransformer", "BertForSequenceClassification"),
]
FAMILIES = ("distilbert", "roberta", "albert", "electra", "bert", "gpt2", "t5", "vit")


def save(folder: Path, *architectures: str) -> None:
    """Write a network of the family that the last name begins with, under these names."""
    named = architectures[-1].lower().removeprefix("tf").removeprefix("flax")
    network(next((family for family in FAMILIES if named.startswith(family)), "bert")).save_pretrained(folder)
    stored = json.loads((folder / "config.json").read_text()) | {"architectures": [*architectures]}
    (folder / "config.json").write_text(json.dumps(stored))


@pytest.mark.parametrize("name", MISSING)
def test_a_class_that_is_not_here_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """Otherwise the weights of its head would be used for another one, or dropped. The encoder can be asked for."""
    save(tmp_path, name)
    plain = name.removeprefix("TF")
    with pytest.raises(ValueError, match=rf"config\.json: minibert has no {plain}, only .* or give its head to `load`"):
        load(tmp_path)
    head = next(head for start, head in (("GPT2", "lm"), ("T5", "seq2seq"), ("", "encoder")) if plain.startswith(start))
    assert load(tmp_path, head).head == head


@pytest.mark.parametrize("name", SIMILAR)
def test_classes_with_the_weights_of_one_that_is_here_are_read(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(tmp_path, name)
        assert load(tmp_path).head in ("encoder", "lm", "seq2seq")


def test_one_known_name_is_enough(tmp_path: Path) -> None:
    save(tmp_path, "BertForMultipleChoice", "BertModel")
    assert load(tmp_path).head == "encoder"


def test_multiple_choice_of_transformers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its matrix has one row. With one class, its shape is also that of a classifier for tokens."""
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 12}
    for labels in (1, 2):
        config = transformers.RobertaConfig(**sizes, num_labels=labels)
        transformers.RobertaForMultipleChoice(config).save_pretrained(tmp_path)
        assert main(["verify", str(tmp_path), "--ids", "5", "6"]) == 2
        assert "minibert has no RobertaForMultipleChoice" in capsys.readouterr().err
