"""The model and the input that a figure or a walk shows."""

from pathlib import Path

import pytest
import torch

from minibert import BertForMaskedLM, ViTConfig, ViTModel, record
from minibert.study.subject import load_subject, model_input, tokenizer_of
from minibert.text.tokenizer import SPECIAL_TOKENS
from tests.trained_models import write_checkpoint

PRESETS = ["tiny", "transformer-tiny"]


class TestLoadSubject:
    def test_a_checkpoint_has_its_own_tokenizer_or_the_one_that_is_named(self, tmp_path: Path) -> None:
        first, second = write_checkpoint(tmp_path / "a", ["one", "two"]), write_checkpoint(tmp_path / "b", ["two", "one"])
        model, tokenizer = load_subject(first)
        assert isinstance(model, BertForMaskedLM)
        assert tokenizer.encode("one").ids == [2, 5, 3]
        assert load_subject(first, tokenizer=second)[1].encode("one").ids == [2, 6, 3]

    def test_a_network_of_images_is_named_before_a_tokenizer_is_missed(self, tmp_path: Path) -> None:
        config = ViTConfig(
            image_size=4, patch_size=2, num_channels=1, hidden_size=8, num_attention_heads=2, num_hidden_layers=1
        )
        ViTModel(config).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=rf"^{tmp_path}: a ViTModel reads pixel_values, not texts; look inside with"):
            load_subject(str(tmp_path))

    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_preset_has_the_same_random_weights_every_time(self, preset: str) -> None:
        """Whatever the state of the random numbers, which does not change either."""
        state = torch.random.get_rng_state()
        one, _ = load_subject(preset=preset, texts=["a b"])
        assert torch.equal(torch.random.get_rng_state(), state)
        torch.manual_seed(5)
        other, _ = load_subject(preset=preset, texts=["b a"])
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
        assert not one.training

    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_preset_can_have_the_tokenizer_of_a_checkpoint(self, preset: str, tmp_path: Path) -> None:
        folder = write_checkpoint(tmp_path, ["one", "two"])
        model, tokenizer = load_subject(preset=preset, tokenizer=folder)
        assert model.config.vocab_size == len(SPECIAL_TOKENS) + 2
        assert model_input(model, tokenizer, "two").tokens == ["[CLS]", "two", "[SEP]"]

    def test_there_is_exactly_one_model(self) -> None:
        for arguments in ({}, {"checkpoint": "folder", "preset": "tiny"}):
            with pytest.raises(ValueError, match=r"give a checkpoint, or else a preset: tiny, .*transformer-tiny"):
                load_subject(**arguments)
        with pytest.raises(ValueError, match="there is no preset 'Tiny', only tiny, mini"):
            load_subject(preset="Tiny")


@pytest.mark.parametrize(
    "text", ["机器 学习", "Ünïcode 🙂🏽 $x_1^{2}$ \\ %", "[MASK]", "[CLS] a [SEP]", "<script>", "שלום", ""]
)
def test_every_word_of_a_text_is_a_piece(text: str) -> None:
    """Of the vocabulary of a preset. Special tokens in the text add none."""
    tokenizer = tokenizer_of([text])
    assert "[UNK]" not in tokenizer.encode(text).tokens
    assert "mask" not in tokenizer.get_vocab()


class TestModelInput:
    @pytest.mark.parametrize("preset", PRESETS)
    @pytest.mark.parametrize("pair", [None, "b b c"])
    def test_the_network_computes_it(self, preset: str, pair: str | None) -> None:
        model, tokenizer = load_subject(preset=preset, texts=["a b", "b b c"])
        made = model_input(model, tokenizer, "a b", pair)
        with record(model) as recording, torch.no_grad():
            model(**made.arguments)
        (weights,) = [recording[path] for path in recording if path.endswith("layers.0.attention.weights")][:1]
        assert weights.shape[-1] == len(made.tokens)

    def test_the_pair_is_the_second_segment_of_a_bert(self) -> None:
        model, tokenizer = load_subject(preset="tiny", texts=["a b"])
        made = model_input(model, tokenizer, "a", "b")
        assert made.tokens == ["[CLS]", "a", "[SEP]", "b", "[SEP]"]
        assert made.arguments["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]]
        assert made.targets == []

    def test_the_pair_is_the_target_of_an_encoder_decoder(self) -> None:
        """With the start token, and without the end token. Without a pair, the network generates it."""
        model, tokenizer = load_subject(preset="transformer-tiny", texts=["a b c"])
        made = model_input(model, tokenizer, "a", "b c")
        assert (made.tokens, made.targets) == (["[CLS]", "a", "[SEP]"], ["[CLS]", "b", "c"])
        generated = model_input(model, tokenizer, "a").arguments["decoder_input_ids"][0].tolist()
        assert generated[0] == model.config.decoder_start_token_id
        greedy = model(torch.tensor([[2, 5, 3]]), decoder_input_ids=torch.tensor([generated])).logits[0].argmax(-1).tolist()
        assert generated[1:] == greedy[:-1]

    def test_a_text_of_a_wrong_tokenizer_is_refused(self, tmp_path: Path) -> None:
        folder = write_checkpoint(tmp_path, ["one", "two"])
        model, _ = load_subject(folder)
        with pytest.raises(ValueError, match="Does the tokenizer belong to another model"):
            model_input(model, tokenizer_of(["a b c d e f g"]), "g")
