"""What stands at a [MASK]."""

from pathlib import Path

import pytest
import torch

from minibert import Bert, BertConfig, BertForPreTraining
from minibert.study.fill_mask import fill_mask, load_masked_lm
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, "a", "new", "tensor", "shape"])
CONFIG = BertConfig(
    vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=8
)


def test_guesses_are_the_softmax_at_the_mask() -> None:
    """For each [MASK] the most probable pieces, in order, with the probability that the model gives them."""
    torch.manual_seed(0)
    model = BertForPreTraining(CONFIG)
    places = fill_mask(model, TOKENIZER, "a [MASK] tensor [MASK]", top=9)
    ids = torch.tensor([TOKENIZER.encode("a [MASK] tensor [MASK]").ids])
    logits = model.eval()(ids).prediction_logits[0]
    for guesses, position in zip(places, (2, 4), strict=True):
        expected = logits[position].softmax(-1).sort(descending=True)
        assert [TOKENIZER.token_to_id(guess.piece) for guess in guesses] == expected.indices.tolist()
        torch.testing.assert_close(torch.tensor([guess.probability for guess in guesses]), expected.values)


def test_no_mask_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"there is no \[MASK\] in the text"):
        fill_mask(BertForPreTraining(CONFIG), TOKENIZER, "a new tensor")


def test_a_checkpoint_without_the_head_is_refused(tmp_path: Path) -> None:
    """And the heads that it has are listed."""
    Bert(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"has no masked-LM head \(mlm\); heads found: pooler"):
        load_masked_lm(tmp_path)


def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    BertForPreTraining(CONFIG).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="has no tokenizer"):
        load_masked_lm(tmp_path)
    save_tokenizer(TOKENIZER, tmp_path)
    model, tokenizer = load_masked_lm(tmp_path)
    assert len(fill_mask(model, tokenizer, "[MASK]")[0]) == 5
