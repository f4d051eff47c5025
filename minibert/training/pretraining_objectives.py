"""The objectives of pretraining: masked language modeling, alone, with a task for sentence pairs, or with a discriminator."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from minibert.equations import masked_lm_loss, next_sentence_loss, replaced_token_labels, replaced_token_loss
from minibert.text.examples import PretrainingBatch
from minibert.training.objective import LossSum, count_correct, count_targets, scale_gradient


def _targets(batch: PretrainingBatch) -> dict[str, Tensor | None]:
    labels_at = batch.labels.flatten()[batch.predict_at]
    return {"predict_at": batch.predict_at, "output_at": batch.output_at, "labels_at": labels_at}


@dataclass(frozen=True)
class MaskedLMObjective:
    """Masked language modeling alone, as RoBERTa is pretrained (Liu et al. 2019). For `BertForMaskedLM`."""

    def target_counts(self, batch: PretrainingBatch) -> dict[str, int]:
        """Count the targets of each term."""
        return {"mlm": len(batch.predict_at)}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute each term: the sum of its losses and the number of correct predictions."""
        output = model(*batch.inputs, **_targets(batch))
        return {"mlm": LossSum(output.loss_sum, output.correct)}


@dataclass(frozen=True)
class PretrainingObjective:
    """Masked language modeling plus next-sentence prediction, as BERT is pretrained. For `BertForPreTraining`.

    The scores of the vocabulary are computed for the masked tokens only, and not stored.
    """

    pairs: Literal["nsp", "sop"] = "nsp"
    """Name of the second term. "sop": the same head learns sentence-order prediction, from examples with swapped segments."""
    stores_scores: bool = False
    """True to store the scores, and to compute the loss with its equation: slower, for a head or a loss of a learner."""

    def target_counts(self, batch: PretrainingBatch) -> dict[str, float | Tensor]:
        """Count the targets of each term."""
        return {"mlm": len(batch.predict_at), self.pairs: count_targets(batch.next_sentence_label)}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute each term: the sum of its losses and the number of correct predictions."""
        targets = _targets(batch)
        labels_at = targets.pop("labels_at") if self.stores_scores else None
        output = model(*batch.inputs, **targets)
        logits, labels = output.seq_relationship_logits, batch.next_sentence_label
        if labels_at is None:
            mlm = LossSum(output.loss_sum, output.correct)
        else:
            scores = output.prediction_logits
            mlm = LossSum(masked_lm_loss(scores, labels_at, reduction="sum"), count_correct(scores, labels_at))
        return {
            "mlm": mlm,
            self.pairs: LossSum(next_sentence_loss(logits, labels, reduction="sum"), count_correct(logits, labels)),
        }


ORIGINAL = "original"
"""Name of the term of `ElectraObjective` whose accuracy is that of always predicting "original"."""


@dataclass(frozen=True)
class ElectraObjective:
    """Replaced-token detection, with masked language modeling of the generator (Clark et al. 2020). For `ElectraWithGenerator`.

    The losses in the log are means in nats. In the gradient, that of the discriminator has its weight; see
    `equations.electra_loss`.
    """

    discriminator_weight: float = 50.0
    """λ of the paper."""
    with_baseline: bool = False
    """True to count the original tokens, too: the term `ORIGINAL`, with a loss of 0."""

    def target_counts(self, batch: PretrainingBatch) -> dict[str, float | Tensor]:
        """Count the targets of each term: masked tokens, and all tokens."""
        tokens = batch.attention_mask.sum()
        counts: dict[str, float | Tensor] = {"mlm": len(batch.predict_at), "replaced": tokens}
        return counts | ({ORIGINAL: tokens} if self.with_baseline else {})

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute each term: the sum of its losses and the number of correct predictions."""
        output = model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at)
        labels_at = batch.labels.flatten()[batch.predict_at]
        mlm = masked_lm_loss(output.prediction_logits, labels_at, "sum")
        labels = replaced_token_labels(output.corrupted_ids, batch.original_ids, batch.attention_mask)
        replaced = scale_gradient(replaced_token_loss(output.logits, labels, "sum"), self.discriminator_weight)
        sums = {
            "mlm": LossSum(mlm, count_correct(output.prediction_logits, labels_at)),
            "replaced": LossSum(replaced, ((output.logits > 0).long() == labels).sum()),
        }
        return sums | ({ORIGINAL: LossSum(torch.zeros_like(replaced), (labels == 0).sum())} if self.with_baseline else {})
