"""Masked-token prediction."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch

from minibert import Bert, BertConfig, BertForMaskedLM, BertForPreTraining, GPT2Config, GPT2LMHeadModel
from minibert.commands import main
from minibert.model.checkpoints import loading, weights
from minibert.study.fill_mask import fill_mask, load_masked_lm, unknown_words
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, "a", "new", "tensor", "shape"])
CONFIG = BertConfig(
    vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8
)


@pytest.mark.parametrize("network", [BertForPreTraining, BertForMaskedLM])
def test_predictions_are_the_softmax_at_the_mask(network: type[BertForPreTraining | BertForMaskedLM]) -> None:
    """The most probable pieces at each [MASK], in order, with the model's probabilities."""
    torch.manual_seed(0)
    model = network(CONFIG)
    predictions = fill_mask(model, TOKENIZER, "a [MASK] tensor [MASK]", top=9)
    ids = torch.tensor([TOKENIZER.encode("a [MASK] tensor [MASK]").ids])
    output = model.eval()(ids)
    logits = (output.prediction_logits if network is BertForPreTraining else output.logits)[0]
    for ranked, position in zip(predictions, (2, 4), strict=True):
        expected = logits[position].softmax(-1).sort(descending=True)
        assert [TOKENIZER.token_to_id(prediction.piece) for prediction in ranked] == expected.indices.tolist()
        torch.testing.assert_close(torch.tensor([prediction.probability for prediction in ranked]), expected.values)


def test_a_text_without_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"the text has no \[MASK\]"):
        fill_mask(BertForPreTraining(CONFIG), TOKENIZER, "a new tensor")


def test_mask_that_is_not_a_special_token() -> None:
    """[MASK] is in the vocabulary and in the text, but the tokenizer splits it: the message says so."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "a", "[", "]", "mask"])
    tokenizer.encode_special_tokens = True
    with pytest.raises(ValueError, match=r"does not treat \[MASK\] as a special token: set mask_token"):
        fill_mask(BertForPreTraining(CONFIG), tokenizer, "a [MASK]")


def test_mask_with_another_name(tmp_path: Path) -> None:
    save_tokenizer(TOKENIZER, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings = settings | {"mask_token": "tensor", "added_tokens_decoder": {}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = load_tokenizer(tmp_path)
    assert len(fill_mask(BertForPreTraining(CONFIG), tokenizer, "a tensor", top=3)[0]) == 3
    with pytest.raises(ValueError, match="the text has no tensor: put tensor in place"):
        fill_mask(BertForPreTraining(CONFIG), tokenizer, "a shape")


def test_ids_without_a_piece_are_shown_as_numbers() -> None:
    """A vocabulary padded to a round number has embeddings without a piece. They are not [UNK]."""
    torch.manual_seed(0)
    model = BertForPreTraining(replace(CONFIG, vocab_size=16))
    pieces = [prediction.piece for prediction in fill_mask(model, TOKENIZER, "[MASK]", top=16)[0]]
    assert set(pieces) == {
        *SPECIAL_TOKENS,
        "a",
        "new",
        "tensor",
        "shape",
        *(f"(id {index}, no piece)" for index in range(9, 16)),
    }


def test_a_tokenizer_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="gives 'shape' the id 8, but the model has only 8 embeddings"):
        fill_mask(BertForPreTraining(replace(CONFIG, vocab_size=8)), TOKENIZER, "[MASK] shape")


@pytest.mark.parametrize("network", [BertForPreTraining, BertForMaskedLM])
def test_every_checkpoint_with_a_masked_lm_head_is_accepted(
    tmp_path: Path, network: type[BertForPreTraining | BertForMaskedLM]
) -> None:
    """Without a warning about the weights of other heads. Weights and config are read once."""
    network(CONFIG).save_pretrained(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    with (
        warnings.catch_warnings(),
        mock.patch.object(weights, "_read_safetensors", wraps=weights._read_safetensors) as read_tensors,
        mock.patch.object(loading, "read_json", wraps=loading.read_json) as read_json,
    ):
        warnings.simplefilter("error")
        model, tokenizer = load_masked_lm(tmp_path)
    assert read_tensors.call_count == read_json.call_count == 1
    assert len(fill_mask(model, tokenizer, "a [MASK]")[0]) == 5


def test_a_checkpoint_without_a_masked_lm_head_is_refused(tmp_path: Path) -> None:
    """The message lists the heads that the checkpoint has."""
    Bert(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no mlm head; heads found: encoder"):
        load_masked_lm(tmp_path)


def test_a_network_of_another_kind_is_refused(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=9, hidden_size=8, num_attention_heads=2, num_hidden_layers=1, max_position_embeddings=8)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"a model of type 'gpt2' does not predict masked words.*`minibert generate`"):
        load_masked_lm(tmp_path)


def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="has no tokenizer"):
        load_masked_lm(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    model, tokenizer = load_masked_lm(tmp_path)
    assert len(fill_mask(model, tokenizer, "[MASK]")[0]) == 5


@pytest.mark.parametrize("pretraining", [True, False])
def test_unused_heads_and_a_missing_pooler_give_no_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pretraining: bool
) -> None:
    """A file of transformers with the masked-LM head alone, and one with both heads."""
    transformers = pytest.importorskip("transformers")
    network = transformers.BertForPreTraining if pretraining else transformers.BertForMaskedLM
    sizes = {name: getattr(CONFIG, name) for name in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")}
    network(transformers.BertConfig(**sizes, num_attention_heads=2)).save_pretrained(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_masked_lm(tmp_path / "model.safetensors")
    assert main(["fill-mask", str(tmp_path), "a [MASK]"]) == 0
    assert capsys.readouterr().err == ""


def test_unknown_words() -> None:
    """[MASK] is no word. A literal [UNK] is unknown, and an empty text has no words."""
    assert unknown_words(TOKENIZER, "a Zebra, [MASK] new") == (["Zebra", ","], 4)
    assert unknown_words(TOKENIZER, "[UNK] [MASK] 词") == (["[UNK]", "词"], 2)
    assert unknown_words(TOKENIZER, "[MASK] a") == ([], 1)
    assert unknown_words(TOKENIZER, "[MASK]") == ([], 0)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a [MASK] tensor", ""),
        ("[MASK]", ""),
        ("a zebra [MASK]", "minibert: note: 1 of 2 tokens of the text are unknown to the tokenizer (zebra)\n"),
        (
            "[MASK] Я",
            "1 of 1 tokens of the text are unknown to the tokenizer (Я); the predictions do not depend on its words\n",
        ),
        ("b c d e f g [MASK]", "6 of 6 tokens of the text are unknown to the tokenizer (b, c, d, e, f, …); the predictions"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_unknown_words_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, note: str, options: list[str]
) -> None:
    """On the standard error, so that JSON stays JSON."""
    BertForMaskedLM(replace(CONFIG, max_position_embeddings=16)).save_pretrained(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    assert main(["fill-mask", str(tmp_path), text, *options]) == 0
    shown = capsys.readouterr()
    assert note in shown.err
    assert bool(note) is bool(shown.err)
    if options:
        assert len(json.loads(shown.out)) == 1


@pytest.mark.parametrize(
    ("folders", "newest"),
    [
        (["checkpoints/step-000900", "checkpoints/step-001000"], "checkpoints/step-001000"),
        (
            ["checkpoints/step-999999", "checkpoints/step-1000000", "checkpoints/.step-2000000.partial"],
            "checkpoints/step-1000000",
        ),
        (["step-000002", "step-000004"], "step-000004"),
        (["checkpoint-500", "checkpoint-1000"], "checkpoint-1000"),
    ],
)
def test_a_folder_with_checkpoints_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folders: list[str], newest: str
) -> None:
    """The newest is named: that with the largest number, also in the folders of other programs."""
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    assert main(["fill-mask", str(tmp_path), "a [MASK]"]) == 2
    shown = capsys.readouterr().err
    assert "is not a checkpoint, it has no config.json" in shown
    assert shown.endswith(f" {tmp_path / newest}\n")
