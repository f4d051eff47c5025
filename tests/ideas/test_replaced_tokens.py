"""Replaced tokens and their ablations: what the networks predict, what counts as a target, and the operations."""

import pytest
import torch
from torch import Tensor

from benchmarks.ideas import replaced_tokens, short_runs
from minibert.equations import IGNORE_INDEX, binary_cross_entropy
from minibert.text.examples import PretrainingBatch
from minibert.training.pretraining_objectives import ElectraObjective
from tests.ideas.sizes import CONFIG
from tests.training.test_distillation import padded_batch


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (replaced_tokens, short_runs):
        monkeypatch.setattr(module, "short_config", lambda: CONFIG)


@pytest.fixture
def batch() -> PretrainingBatch:
    return padded_batch(replaced_tokens.MASK_SHARE)


def log_probabilities(model: replaced_tokens.AllTokensMLM, corrupted: Tensor, batch: PretrainingBatch) -> Tensor:
    """Return the logarithm of the probability of every token of the vocabulary, at every position."""
    candidates = [torch.full_like(corrupted, token) for token in range(CONFIG.vocab_size)]
    return torch.stack([model.log_probabilities(corrupted, each, batch) for each in candidates])


def all_tokens_network() -> replaced_tokens.AllTokensMLM:
    torch.manual_seed(0)
    return replaced_tokens.with_generator(replaced_tokens.AllTokensMLM).double()


def test_probabilities_of_all_tokens_sum_to_one(batch: PretrainingBatch) -> None:
    """Copying is one way to predict a token, the vocabulary the other one."""
    model = all_tokens_network()
    _, corrupted = model.corrupt(batch)
    total = log_probabilities(model, corrupted, batch).exp().sum(dim=0)
    torch.testing.assert_close(total, torch.ones_like(total))
    assert len(total) == batch.attention_mask.sum()
    torch.nn.init.constant_(model.discriminator.replaced.output.bias, -50.0)  # nothing looks replaced: all is copied
    copied = model.log_probabilities(corrupted, corrupted, batch)
    assert copied.abs().max() < 1e-9


def test_the_loss_of_all_tokens_is_that_of_the_originals(batch: PretrainingBatch) -> None:
    """The text is corrupted as in ELECTRA."""
    model = all_tokens_network()
    _, corrupted = model.corrupt(batch)
    assert torch.equal(corrupted, model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at).corrupted_ids)
    originals = replaced_tokens.original_ids(batch)
    assert torch.equal(originals[batch.labels != IGNORE_INDEX], batch.labels[batch.labels != IGNORE_INDEX])
    found = replaced_tokens.AllTokensObjective().loss_sums(model, batch)["all"].loss
    scores = log_probabilities(model, corrupted, batch)
    torch.testing.assert_close(found, -scores.gather(0, originals[batch.attention_mask][None]).sum())


def test_masked_tokens_are_the_only_targets(batch: PretrainingBatch) -> None:
    model = replaced_tokens.with_generator(replaced_tokens.ElectraWithGenerator).double()
    output = model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at)
    is_masked = batch.labels != IGNORE_INDEX
    is_replaced = output.corrupted_ids != replaced_tokens.original_ids(batch)
    objective = replaced_tokens.MaskedElectraObjective()
    found = objective.loss_sums(model, batch)
    expected = binary_cross_entropy(output.logits[is_masked], is_replaced[is_masked].to(output.logits.dtype)).sum()
    torch.testing.assert_close(found["replaced"].loss, expected)
    whole = ElectraObjective().loss_sums(model, batch)
    torch.testing.assert_close(found["mlm"].loss, whole["mlm"].loss)
    assert found["replaced"].loss < whole["replaced"].loss
    assert objective.target_counts(batch) == {"mlm": len(batch.predict_at), "replaced": int(is_masked.sum())}


def test_operations_of_all_ways(batch: PretrainingBatch) -> None:
    """A discriminator comes with its generator. A prediction of all tokens adds the head at every token."""
    bert, electra, all_tokens = (
        replaced_tokens.operations(replaced_tokens.WAYS[way].network(), [batch, batch])
        for way in ("masked LM (BERT)", "replaced tokens (ELECTRA)", "All-Tokens MLM")
    )
    assert bert < electra
    assert all_tokens - electra == 6 * int(batch.attention_mask.sum()) * 8 * (8 + CONFIG.vocab_size)
