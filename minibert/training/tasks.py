"""What is trained: for each task its objective, that is which loss over how many predictions."""

import torch
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import IGNORE_INDEX, cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.text.examples import PretrainingBatch
from minibert.text.labeled import ClassificationBatch
from minibert.text.parallel import ParallelBatch
from minibert.training.loop import LossSum


class MaskedLM:
    """Masked words alone, as RoBERTa is pretrained (Liu et al. 2019): for `BertForMaskedLM`."""

    def target_counts(self, batch: PretrainingBatch) -> dict[str, int]:
        return {"mlm": _target_count(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        guessed = batch.labels != IGNORE_INDEX
        output = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, predict_at=guessed)
        words, true_words = _single(output.logits), batch.labels[guessed]
        return {"mlm": LossSum(masked_lm_loss(words, true_words, reduction="sum"), _correct(words, true_words))}


class Pretraining:
    """Masked words and next sentences, as BERT is pretrained (Devlin et al. 2019, section 3.1).

    Logits are made for the hidden words alone.
    """

    def target_counts(self, batch: PretrainingBatch) -> dict[str, int]:
        return {"mlm": _target_count(batch.labels), "nsp": _target_count(batch.next_sentence_label)}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        guessed = batch.labels != IGNORE_INDEX
        output = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, predict_at=guessed)
        words, true_words = _single(output.prediction_logits), batch.labels[guessed]
        pairs, true_pairs = _single(output.seq_relationship_logits), batch.next_sentence_label
        return {
            "mlm": LossSum(masked_lm_loss(words, true_words, reduction="sum"), _correct(words, true_words)),
            "nsp": LossSum(next_sentence_loss(pairs, true_pairs, reduction="sum"), _correct(pairs, true_pairs)),
        }


class Classification:
    """One class for each text (Devlin et al. 2019, section 4.1)."""

    def target_counts(self, batch: ClassificationBatch) -> dict[str, int]:
        return {"classification": len(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: ClassificationBatch) -> dict[str, LossSum]:
        logits = _single(model(batch.input_ids, batch.attention_mask).logits)
        return {"classification": LossSum(cross_entropy(logits, batch.labels).sum(), _correct(logits, batch.labels))}


class Translation:
    """Each token of a target, foretold from the source and the tokens before it (Vaswani et al. 2017, section 5).

    Args:
        smoothing: of the labels (section 5.4); 0 to measure.

    Tests: tests/training/test_tasks.py::TestTranslation
    """

    def __init__(self, label_smoothing: float = 0.1) -> None:
        self.label_smoothing = label_smoothing

    def target_counts(self, batch: ParallelBatch) -> dict[str, int]:
        return {"target": _target_count(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: ParallelBatch) -> dict[str, LossSum]:
        logits = _single(model(batch.input_ids, batch.attention_mask, batch.decoder_input_ids).logits)
        loss = kernels.label_smoothing_loss(logits, batch.labels, self.label_smoothing, reduction="sum")
        return {"target": LossSum(loss, _correct(logits, batch.labels))}


def _target_count(labels: Tensor) -> int:
    return int((labels != IGNORE_INDEX).sum())


def _correct(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=-1) == labels).sum()


def _single(logits: Tensor) -> Tensor:
    """Half precision ends where a loss begins: sums over a vocabulary need more."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
