"""What is trained: for each task its objective, that is which loss over how many predictions."""

import torch
from torch import Tensor, nn

from minibert import kernels
from minibert.equations import IGNORED, cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.text.labelled import LabelledBatch
from minibert.text.parallel import ParallelBatch
from minibert.text.pretraining import PretrainingBatch
from minibert.training.loop import Sums


class MaskedLM:
    """Masked words alone, as RoBERTa is pretrained (Liu et al. 2019): for `BertForMaskedLM`."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        return {"mlm": _labelled(batch.labels)}

    def sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, Sums]:
        guessed = batch.labels != IGNORED
        output = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, predict_at=guessed)
        words, true_words = _single(output.logits), batch.labels[guessed]
        return {"mlm": Sums(masked_lm_loss(words, true_words, reduction="sum"), _hits(words, true_words))}


class Pretraining:
    """Masked words and next sentences, as BERT is pretrained (Devlin et al. 2019, section 3.1).

    Logits are made for the hidden words alone.
    """

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        return {"mlm": _labelled(batch.labels), "nsp": _labelled(batch.next_sentence_label)}

    def sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, Sums]:
        guessed = batch.labels != IGNORED
        output = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, predict_at=guessed)
        words, true_words = _single(output.prediction_logits), batch.labels[guessed]
        pairs, true_pairs = _single(output.seq_relationship_logits), batch.next_sentence_label
        return {
            "mlm": Sums(masked_lm_loss(words, true_words, reduction="sum"), _hits(words, true_words)),
            "nsp": Sums(next_sentence_loss(pairs, true_pairs, reduction="sum"), _hits(pairs, true_pairs)),
        }


class Classification:
    """One class for each text (Devlin et al. 2019, section 4.1)."""

    def counts(self, batch: LabelledBatch) -> dict[str, int]:
        return {"classification": len(batch.labels)}

    def sums(self, model: nn.Module, batch: LabelledBatch) -> dict[str, Sums]:
        logits = _single(model(batch.input_ids, batch.attention_mask).logits)
        return {"classification": Sums(cross_entropy(logits, batch.labels).sum(), _hits(logits, batch.labels))}


class Translation:
    """Each token of a target, foretold from the source and the tokens before it (Vaswani et al. 2017, section 5).

    Args:
        smoothing: of the labels (section 5.4); 0 to measure.

    Tests: tests/training/test_tasks.py::TestTranslation
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        self.smoothing = smoothing

    def counts(self, batch: ParallelBatch) -> dict[str, int]:
        return {"target": _labelled(batch.labels)}

    def sums(self, model: nn.Module, batch: ParallelBatch) -> dict[str, Sums]:
        logits = _single(model(batch.input_ids, batch.attention_mask, batch.decoder_input_ids).logits)
        loss = kernels.label_smoothing_loss(logits, batch.labels, self.smoothing, reduction="sum")
        return {"target": Sums(loss, _hits(logits, batch.labels))}


def _labelled(labels: Tensor) -> int:
    return int((labels != IGNORED).sum())


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits.argmax(dim=-1) == labels).sum()


def _single(logits: Tensor) -> Tensor:
    """Half precision ends where a loss begins: sums over a vocabulary need more."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
