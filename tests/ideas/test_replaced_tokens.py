"""Replaced tokens and their ablations: what the networks predict, what counts as a target, and the operations."""

import pytest
import torch
from torch import Tensor

from benchmarks.ideas import electra_ablations, masks, replaced_tokens, short_runs
from benchmarks.ideas.common import Row
from minibert.equations import IGNORE_INDEX, binary_cross_entropy
from minibert.text.examples import PretrainingBatch
from minibert.training.pretraining_objectives import ElectraObjective
from tests.ideas.sizes import CONFIG
from tests.training.test_distillation import padded_batch


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (electra_ablations, short_runs):
        monkeypatch.setattr(module, "short_config", lambda: CONFIG)


@pytest.fixture
def batch() -> PretrainingBatch:
    return padded_batch(replaced_tokens.MASK_SHARE)


def log_probabilities(model: electra_ablations.AllTokensMLM, corrupted: Tensor, batch: PretrainingBatch) -> Tensor:
    """Return the logarithm of the probability of every token of the vocabulary, at every position."""
    candidates = [torch.full_like(corrupted, token) for token in range(CONFIG.vocab_size)]
    return torch.stack([model.log_probabilities(corrupted, each, batch) for each in candidates])


def all_tokens_network() -> electra_ablations.AllTokensMLM:
    torch.manual_seed(0)
    return electra_ablations.with_generator(electra_ablations.AllTokensMLM).double()


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
    originals = batch.original_ids
    assert torch.equal(originals[batch.labels != IGNORE_INDEX], batch.labels[batch.labels != IGNORE_INDEX])
    found = electra_ablations.AllTokensObjective().loss_sums(model, batch)["all"].loss
    scores = log_probabilities(model, corrupted, batch)
    torch.testing.assert_close(found, -scores.gather(0, originals[batch.attention_mask][None]).sum())


def test_masked_tokens_are_the_only_targets(batch: PretrainingBatch) -> None:
    model = electra_ablations.with_generator(electra_ablations.ElectraWithGenerator).double()
    output = model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at)
    is_masked = batch.labels != IGNORE_INDEX
    is_replaced = output.corrupted_ids != batch.original_ids
    objective = electra_ablations.MaskedElectraObjective()
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


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_effective_rank_counts_directions(rank: int) -> None:
    """Of equal variance in each of them, whatever their mean and the basis. A direction of little variance hardly counts."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    vectors = torch.cat([torch.eye(6, dtype=torch.float64)[:rank], -torch.eye(6, dtype=torch.float64)[:rank]]) @ basis
    assert replaced_tokens.effective_rank(5 + vectors) == pytest.approx(rank, abs=2e-3)
    more = torch.cat([vectors, 1e-3 * basis, -1e-3 * basis])
    assert replaced_tokens.effective_rank(more) == pytest.approx(rank, abs=2e-3)


def test_the_learning_rate_is_that_of_the_highest_accuracy() -> None:
    rows = {rate: Row({}, {"accuracy": [score], replaced_tokens.RANK: [9.0]}) for rate, score in ((1, 0.2), (2, 0.5), (3, 0.4))}
    assert replaced_tokens.best(rows) == 2


def test_a_network_with_another_learning_rate_has_a_file_of_its_own() -> None:
    """With the usual one it is the network of the other experiments."""
    way = replaced_tokens.WAYS[replaced_tokens.MASKED_LM]
    names = [replaced_tokens.file_name(way, rate) for rate in replaced_tokens.LEARNING_RATES]
    assert names == ["masks-15-0.0005", "masks-15-0.001", "masks-15"]
    assert masks.WAYS["BERT: 15%, pieces, 80/10/10"].name == names[-1]


def test_a_constant_discriminator_has_the_loss_of_the_share(batch: PretrainingBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """If its score is the logarithm of the odds of a replaced token."""
    model = electra_ablations.with_generator(electra_ablations.ElectraWithGenerator).double()
    output = model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at)
    share = (output.corrupted_ids != batch.original_ids)[batch.attention_mask].double().mean()
    torch.nn.init.zeros_(model.discriminator.replaced.output.weight)
    torch.nn.init.constant_(model.discriminator.replaced.output.bias, float(share.logit()))
    monkeypatch.setattr(replaced_tokens, "validation_batches", lambda mask_share: [batch])
    found = replaced_tokens.detection([model])
    assert 0 < share < 1
    assert found.mean("loss") == pytest.approx(found.mean("constant"), rel=1e-6)
