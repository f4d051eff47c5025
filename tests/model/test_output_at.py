"""A last layer that computes only the tokens that a head reads: values and gradients are those of the whole layer."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import (
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForSequenceClassification,
    record,
)
from minibert.equations import IGNORE_INDEX
from minibert.text.masking import first_and_masked, masked_positions
from tests.strategies import seeds

CONFIG = BertConfig(
    vocab_size=30,
    hidden_size=12,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=10,
    initializer_range=0.3,
    id2label={0: "a", 1: "b", 2: "c"},
)


def batch_of(rows: int, tokens: int, seed: int) -> dict[str, Tensor]:
    """Draw ids, a mask with padding at any place, and labels at some tokens, perhaps at none."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 30, (rows, tokens), generator=generator)
    keep = torch.rand(rows, tokens, generator=generator) < 0.8
    labels = ids.masked_fill(torch.rand(rows, tokens, generator=generator) > (seed % 4) / 3, IGNORE_INDEX)
    return {"input_ids": ids, "attention_mask": keep, "labels": labels}


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@given(st.integers(1, 4), st.integers(1, 6), st.sampled_from([1, 2]), st.booleans(), seeds)
def test_pretraining_is_the_same(rows: int, tokens: int, layers: int, recompute: bool, seed: int) -> None:
    """Scores of the predicted tokens, pairs, loss, and all gradients."""
    torch.manual_seed(seed)
    model = BertForPreTraining(replace(CONFIG, num_hidden_layers=layers)).double().eval()
    model.set_recompute(recompute)
    batch = batch_of(rows, tokens, seed)
    predict_at = masked_positions(batch["labels"].numpy())
    positions = {
        "predict_at": torch.from_numpy(predict_at),
        "output_at": torch.from_numpy(first_and_masked(predict_at, (rows, tokens))),
    }
    pairs = torch.arange(rows) % 2
    whole = model(**batch, next_sentence_label=pairs, predict_at=positions["predict_at"])
    some = model(**batch, next_sentence_label=pairs, **positions)
    for name, value in vars(whole).items():
        torch.testing.assert_close(vars(some)[name], value, rtol=1e-10, atol=1e-12)
    expected = gradients(model, whole.loss)
    for name, gradient in gradients(model, some.loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-8, atol=1e-10)


def test_the_last_layer_computes_no_others() -> None:
    torch.manual_seed(0)
    model, batch = BertForMaskedLM(CONFIG), batch_of(3, 7, 1)
    seen: list[torch.Size] = []
    for layer in model.bert.layers:
        layer.feed_forward.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    output_at = torch.tensor([[0, 2], [7, 7], [14, 20]])
    model(batch["input_ids"], predict_at=torch.tensor([2, 20]), output_at=output_at)
    assert seen == [(3, 7, 12), (3, 2, 12)]


def test_bert_has_the_vectors_of_these_tokens() -> None:
    torch.manual_seed(0)
    model, ids = Bert(CONFIG).double().eval(), batch_of(2, 5, 1)["input_ids"]
    output_at = torch.tensor([[0, 3], [5, 9]])
    whole, some = model(ids), model(ids, output_at=output_at)
    torch.testing.assert_close(some.last_hidden_state, whole.last_hidden_state[[[0], [1]], [[0, 3], [0, 4]]])
    torch.testing.assert_close(some.pooler_output, whole.pooler_output)
    assert some.output_at is output_at


def test_positions_of_another_sequence_are_refused() -> None:
    with pytest.raises(ValueError, match="output_at must have, in each row, positions of this sequence in ascending order"):
        Bert(CONFIG)(batch_of(2, 5, 1)["input_ids"], output_at=torch.tensor([[0, 7], [5, 9]]))


@pytest.mark.parametrize("network", [BertForSequenceClassification, BertForNextSentencePrediction])
def test_a_head_for_the_pooled_vector_asks_for_the_first_token(network) -> None:
    """Its loss and gradients are those of the whole last layer, which a recording shows."""
    torch.manual_seed(0)
    model = network(CONFIG).double().eval()
    batch = batch_of(3, 6, 1) | {"labels": torch.tensor([0, 1, 1])}
    loss = model(**batch).loss
    with record(model) as recorded:
        whole = model(**batch).loss
    assert recorded["layers.1.output"].shape == (3, 6, 12)
    torch.testing.assert_close(loss, whole)
    expected = gradients(model, whole)
    for name, gradient in gradients(model, loss).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-8, atol=1e-10)
    seen: list[torch.Size] = []
    model.bert.layers[-1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    model(**batch)
    assert seen == [(3, 1, 12)]
