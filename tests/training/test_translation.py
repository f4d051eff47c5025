"""The translation objective: its losses and its numbers of targets."""

import numpy as np
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX
from minibert.model.transformer import Seq2SeqLMOutput
from minibert.text.parallel import ParallelBatch
from minibert.training.translation import TranslationObjective
from tests import reference
from tests.strategies import normal, seeds

LABELS = torch.tensor([[4, 1, 3], [2, 3, IGNORE_INDEX], [0, IGNORE_INDEX, IGNORE_INDEX]])


class Fixed(nn.Module):
    """A model that returns fixed logits."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Seq2SeqLMOutput:
        return Seq2SeqLMOutput(self.logits, torch.zeros(3, 1, 1))


def batch_of(labels: Tensor) -> ParallelBatch:
    return ParallelBatch(torch.ones(3, 1, dtype=torch.long), torch.ones(3, 1, dtype=torch.bool), labels.clamp(min=0), labels)


class TestTranslationObjective:
    @settings(max_examples=20)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The sum of the smoothed losses of all target tokens, computed in loops, and the number of correct predictions."""
        logits = normal(seed, 3, 3, 5)
        loss, correct = TranslationObjective(0.1).loss_sums(Fixed(logits), batch_of(LABELS))["target"]
        targets_at = [(row, column) for row in range(3) for column in range(3) if LABELS[row, column] != IGNORE_INDEX]
        expected = sum(reference.smoothed_cross_entropy(logits[place].numpy(), int(LABELS[place]), 0.1) for place in targets_at)
        np.testing.assert_allclose(loss.item(), expected)
        assert correct is not None
        assert int(correct) == sum(int(logits[place].argmax()) == int(LABELS[place]) for place in targets_at)
        assert TranslationObjective().target_counts(batch_of(LABELS)) == {"target": 6}

    @settings(max_examples=20)
    @given(seeds)
    def test_padding_has_no_influence(self, seed: int) -> None:
        """Logits at padding change neither the loss, nor its gradient, nor the number of correct predictions."""
        logits = normal(seed, 3, 3, 5)
        noise = torch.where((LABELS == IGNORE_INDEX)[..., None], 50 * normal(seed + 1, 3, 3, 5), logits)
        results = []
        for some in (logits, noise):
            leaf = some.clone().requires_grad_()
            loss, correct = TranslationObjective(0.1).loss_sums(Fixed(leaf), batch_of(LABELS))["target"]
            loss.backward()
            assert not leaf.grad[LABELS == IGNORE_INDEX].any()
            results.append((loss.item(), int(correct)))
        assert results[0] == results[1]

    @settings(max_examples=20)
    @given(seeds)
    def test_sums_of_rows_add_up(self, seed: int) -> None:
        """The sums of a batch equal the sums of its rows."""
        logits = normal(seed, 3, 3, 5)
        whole = TranslationObjective(0.1).loss_sums(Fixed(logits), batch_of(LABELS))["target"]
        objective, rows = TranslationObjective(0.1), torch.arange(3)[:, None]
        single_rows = [batch_of(torch.where(rows == row, LABELS, IGNORE_INDEX)) for row in range(3)]
        parts = [objective.loss_sums(Fixed(logits), batch)["target"] for batch in single_rows]
        np.testing.assert_allclose(whole.loss.item(), sum(part.loss.item() for part in parts))
        assert int(whole.correct) == sum(int(part.correct) for part in parts)
