"""What is trained: for each task its objective (which loss, over how many predictions) and its scores."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minibert.equations import IGNORED, cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.model import BertForPreTraining, BertForSequenceClassification
from minibert.text.labelled import LabelledBatch
from minibert.text.pretraining import PretrainingBatch


@dataclass(frozen=True)
class PretrainingScores:
    """How well both pretraining tasks are done; losses in nats per prediction."""

    mlm_loss: float
    mlm_accuracy: float
    nsp_loss: float
    nsp_accuracy: float


class Pretraining:
    """Masked words and next sentences, as BERT is pretrained (Devlin et al. 2019, section 3.1)."""

    def counts(self, batch: PretrainingBatch) -> dict[str, int]:
        return {
            "mlm": int((batch.labels != IGNORED).sum()),
            "nsp": int((batch.next_sentence_label != IGNORED).sum()),
        }

    def sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, Tensor]:
        (words, true_words), (pairs, true_pairs) = self._predictions(model, batch)
        return {
            "mlm": masked_lm_loss(words, true_words, reduction="sum"),
            "nsp": next_sentence_loss(pairs, true_pairs, reduction="sum"),
        }

    @torch.no_grad()
    def evaluate(self, model: BertForPreTraining, batches: Iterable[PretrainingBatch]) -> PretrainingScores:
        """The mean over all predictions in `batches`, without dropout; the model is left as it was."""
        totals = torch.zeros(6, dtype=torch.float64)
        training = model.training
        model.eval()
        for batch in batches:
            totals += torch.cat([_loss_hits_count(*predicted) for predicted in self._predictions(model, batch)])
        model.train(training)
        mlm_loss, mlm_hits, mlm, nsp_loss, nsp_hits, nsp = totals.tolist()
        return PretrainingScores(mlm_loss / max(1, mlm), mlm_hits / max(1, mlm), nsp_loss / max(1, nsp), nsp_hits / max(1, nsp))

    def _predictions(self, model: nn.Module, batch: PretrainingBatch) -> list[tuple[Tensor, Tensor]]:
        """Logits and labels of the hidden words, for which alone logits are made, and of the pairs."""
        guessed = batch.labels != IGNORED
        output = model(batch.input_ids, batch.attention_mask, batch.token_type_ids, predict_at=guessed)
        return [
            (output.prediction_logits, batch.labels[guessed]),
            (output.seq_relationship_logits, batch.next_sentence_label),
        ]


class Classification:
    """One class for each text (Devlin et al. 2019, section 4.1)."""

    def counts(self, batch: LabelledBatch) -> dict[str, int]:
        return {"classification": len(batch.labels)}

    def sums(self, model: nn.Module, batch: LabelledBatch) -> dict[str, Tensor]:
        logits = model(batch.input_ids, batch.attention_mask).logits
        return {"classification": cross_entropy(logits, batch.labels).sum()}

    @torch.no_grad()
    def evaluate(self, model: BertForSequenceClassification, batches: Iterable[LabelledBatch]) -> float:
        """The share of texts whose class is found, without dropout; the model is left as it was."""
        totals = torch.zeros(3, dtype=torch.float64)
        training = model.training
        model.eval()
        for batch in batches:
            totals += _loss_hits_count(model(batch.input_ids, batch.attention_mask).logits, batch.labels)
        model.train(training)
        return (totals[1] / totals[2]).item()


def _loss_hits_count(logits: Tensor, labels: Tensor) -> Tensor:
    """The sums over all labelled predictions: loss, right ones, all."""
    labelled = labels != IGNORED
    hits = (logits.argmax(dim=-1) == labels) & labelled
    return torch.stack([cross_entropy(logits, labels).double().sum(), hits.sum().double(), labelled.sum().double()])
