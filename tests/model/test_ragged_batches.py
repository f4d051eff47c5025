"""Networks compute a ragged batch without its padding, with the same values and gradients at every token."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import Bert, BertForPreTraining, BertForSequenceClassification, BertForTokenClassification, record
from minibert.equations import IGNORE_INDEX
from minibert.kernels import Sequences
from minibert.kernels.ragged import MIN_PADDING
from minibert.model.inputs import attention_keep
from minibert.text.masking import first_and_masked, masked_positions
from tests.model.test_output_at import CONFIG, gradients
from tests.strategies import seeds

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=5).map(lambda each: [9, *each])


def ragged_batch(lengths: list[int], seed: int) -> dict[str, Tensor]:
    """Draw ids, segments and labels of some tokens; padding is on the right."""
    generator = torch.Generator().manual_seed(seed)
    keep = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, 30, keep.shape, generator=generator)
    chosen = keep & (torch.rand(keep.shape, generator=generator) < 0.3)
    segments = torch.randint(0, 2, keep.shape, generator=generator)
    labels = ids.masked_fill(~chosen, IGNORE_INDEX)
    return {"input_ids": ids, "attention_mask": keep, "token_type_ids": segments, "labels": labels}


def random_model(network: type[nn.Module], seed: int = 0, **changes: object) -> nn.Module:
    torch.manual_seed(seed)
    return network(replace(CONFIG, **changes)).double().eval()


def tokens_in_layers(model: nn.Module) -> list[torch.Size]:
    """Return a list to which each layer will add the shape of its output."""
    seen: list[torch.Size] = []
    for layer in model.bert.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    return seen


@given(lengths, st.sampled_from(["auto", "explicit"]), seeds)
def test_vectors_of_tokens_are_the_same_and_those_of_padding_are_zeros(lengths: list[int], attention: str, seed: int) -> None:
    model, batch = random_model(Bert, seed).set_attention(attention), ragged_batch(lengths, seed)
    ids, keep, segments = batch["input_ids"], batch["attention_mask"], batch["token_type_ids"]
    positions = torch.arange(9).flip(0)
    whole = model(ids, keep, segments, positions)
    ragged = model(ids, Sequences.of(keep), segments, positions)
    torch.testing.assert_close(ragged.last_hidden_state, whole.last_hidden_state * keep[..., None])
    torch.testing.assert_close(ragged.pooler_output, whole.pooler_output)
    expected = gradients(model, (whole.last_hidden_state[keep] ** 2).sum())
    found = gradients(model, (ragged.last_hidden_state**2).sum())
    torch.testing.assert_close(found, expected)


def test_a_sequence_of_padding_only_has_zeros() -> None:
    model, batch = random_model(Bert), ragged_batch([4, 2, 9], 0)
    keep = batch["attention_mask"] & torch.tensor([[True], [False], [True]])
    whole, ragged = (model(batch["input_ids"], mask).last_hidden_state for mask in (keep, Sequences.of(keep)))
    torch.testing.assert_close(ragged, whole * keep[..., None])


@given(lengths, st.integers(1, 2), st.booleans(), seeds)
def test_pretraining_is_the_same(lengths: list[int], layers: int, recompute: bool, seed: int) -> None:
    """With `output_at`, padding is left out without being asked for."""
    model, batch = random_model(BertForPreTraining, seed, num_hidden_layers=layers), ragged_batch(lengths, seed)
    model.set_recompute(recompute)
    predict_at = masked_positions(batch["labels"].numpy())
    places = torch.from_numpy(predict_at), torch.from_numpy(first_and_masked(predict_at, batch["input_ids"].shape))
    batch |= {"predict_at": places[0], "next_sentence_label": torch.arange(len(lengths)) % 2}
    seen = tokens_in_layers(model)
    whole = model(**batch)
    seen.clear()
    ragged = model(**batch, output_at=places[1])
    padding = 1 - sum(lengths) / batch["input_ids"].numel()
    if layers == 2:
        assert seen[0] == ((1, sum(lengths), 12) if padding >= MIN_PADDING else (*batch["input_ids"].shape, 12))
    for name, value in vars(whole).items():
        torch.testing.assert_close(vars(ragged)[name], value, rtol=1e-10, atol=1e-12)
    expected = gradients(model, whole.loss)
    found = gradients(model, ragged.loss)
    torch.testing.assert_close(found, {name: expected[name] for name in found}, rtol=1e-8, atol=1e-10)


def test_a_classifier_leaves_padding_out() -> None:
    model, batch = random_model(BertForSequenceClassification), ragged_batch([9, 2, 4], 1)
    inputs = [batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")]
    seen = tokens_in_layers(model)
    ragged = model(*inputs).logits
    assert seen == [(1, 15, 12), (1, 3, 12)]
    with record(model) as recorded:
        whole = model(*inputs).logits
    assert recorded["layers.0.output"].shape == (3, 9, 12)
    torch.testing.assert_close(ragged, whole)


def test_padding_whose_vector_is_wanted_is_computed() -> None:
    """With padding on the left, the pooled vector is that of padding, as in transformers."""
    model, batch = random_model(BertForSequenceClassification), ragged_batch([9, 2, 4], 1)
    keep = batch["attention_mask"].flip(1)
    seen = tokens_in_layers(model)
    logits = model(batch["input_ids"], keep).logits
    assert seen[0] == (3, 9, 12)
    with record(model):
        torch.testing.assert_close(logits, model(batch["input_ids"], keep).logits)


def test_without_sequences_the_vectors_of_padding_are_those_of_transformers() -> None:
    model, batch = random_model(BertForTokenClassification), ragged_batch([9, 2, 4], 1)
    logits = model(batch["input_ids"], batch["attention_mask"]).logits
    with record(model):
        torch.testing.assert_close(logits, model(batch["input_ids"], batch["attention_mask"]).logits)


def test_a_recording_has_the_steps_of_all_tokens_and_the_same_result() -> None:
    model, batch = random_model(Bert), ragged_batch([9, 2, 4], 1)
    sequences = Sequences.of(batch["attention_mask"])
    with record(model) as recorded:
        whole = model(batch["input_ids"], sequences).last_hidden_state
    assert recorded["layers.1.attention.weights"].shape == (3, 3, 9, 9)
    torch.testing.assert_close(model(batch["input_ids"], sequences).last_hidden_state, whole)


def test_sequences_stay_in_one_row_unless_a_recording_needs_the_rectangle() -> None:
    """A recording has the masked scores, also of a mask that keeps everything."""
    ids = torch.ones(2, 5, dtype=torch.int64)
    sequences, everything = Sequences.of(torch.arange(5) < torch.tensor([[5], [2]])), torch.ones_like(ids)
    assert isinstance(attention_keep(sequences, ids, None), Sequences)
    assert attention_keep(everything, ids, None) is None
    with record():
        assert isinstance(attention_keep(sequences, ids, None), Tensor)
        assert isinstance(attention_keep(everything, ids, None), Tensor)


def test_dropout_of_attention_is_applied() -> None:
    model, batch = random_model(Bert, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.5), ragged_batch([9, 2], 1)
    sequences = Sequences.of(batch["attention_mask"])
    first, second = (model.train()(batch["input_ids"], sequences).last_hidden_state for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(*(model.eval()(batch["input_ids"], sequences).last_hidden_state for _ in range(2)))


def test_sequences_of_another_batch_are_refused(without_shape_checks: None) -> None:
    with pytest.raises(ValueError, match=r"attention_mask has sequences of shape \(2, 3\), expected \(2, 5\)"):
        Bert(CONFIG)(torch.ones(2, 5, dtype=torch.int64), Sequences.of(torch.ones(2, 3, dtype=torch.bool)))
