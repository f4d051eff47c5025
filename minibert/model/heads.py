"""BERT with something to say: the pretraining heads and a classifier. Devlin et al. 2019, sections 3.1 and 3.2."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minibert.equations import cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.model.bert import Bert, Mask
from minibert.model.config import BertConfig
from minibert.model.layers import ACTIVATION_FUNCTIONS, LayerNorm
from minibert.model.pretrained import PretrainedModel
from minibert.observe import observe


@dataclass(frozen=True)
class PretrainingOutput:
    """What both pretraining heads say; `loss` is there if labels were given."""

    prediction_logits: Float[Tensor, "*positions vocabulary"]
    seq_relationship_logits: Float[Tensor, "batch 2"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class SequenceClassifierOutput:
    """One score a class for each sequence; `loss` is there if labels were given."""

    logits: Float[Tensor, "batch classes"]
    loss: Float[Tensor, ""] | None = None


class MaskedLMHead(nn.Module):
    """From a token's vector to a score for each piece of the vocabulary, which is compared with each piece's embedding.

    The embeddings are handed in at every call. There is one tensor, so nothing can untie it: no copy, pickle or move.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, hidden: Float[Tensor, "*positions width"], embeddings: Float[Tensor, "vocabulary width"]
    ) -> Float[Tensor, "*positions vocabulary"]:
        transformed = observe("transform", self.norm(self.activation(self.transform(hidden))))
        return observe("logits", nn.functional.linear(transformed, embeddings, self.bias))


class NextSentenceHead(nn.Linear):
    """Does the second segment follow the first? Two scores from the pooled vector: "is next", "another document"."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.hidden_size, 2)

    def forward(self, pooled: Float[Tensor, "batch width"]) -> Float[Tensor, "batch 2"]:
        return observe("logits", super().forward(pooled))


class BertForPreTraining(PretrainedModel):
    """BERT as it is pretrained: the hidden words are guessed, and whether the second segment follows the first."""

    architecture = "BertForPreTraining"

    def __init__(self, config: BertConfig, attention: str = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention)
        self.mlm = MaskedLMHead(config)
        self.nsp = NextSentenceHead(config)
        self._initialise(self.mlm, self.nsp)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, "batch tokens"] | None = None,
        next_sentence_label: Int[Tensor, " batch"] | None = None,
        predict_at: Bool[Tensor, "batch tokens"] | None = None,
    ) -> PretrainingOutput:
        """The loss is the sum of the two tasks' means, of those whose labels are given (Devlin et al., section A.2).

        Args:
            labels: the true piece where one was masked, -100 elsewhere.
            next_sentence_label: 0 if the second segment follows the first, 1 if it is from another document.
            predict_at: where to guess. `prediction_logits` then has one row for each True, in reading order, and no
                logits are made for the rest. Without it, every position is guessed.
        """
        encoded = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        hidden = encoded.last_hidden_state
        if predict_at is not None:
            hidden = hidden[predict_at]
            labels = None if labels is None else labels[predict_at]
        prediction_logits = self.mlm(hidden, self.bert.embeddings.words.weight)
        seq_relationship_logits = self.nsp(encoded.pooler_output)
        losses = []
        if labels is not None:
            losses.append(masked_lm_loss(prediction_logits, labels))
        if next_sentence_label is not None:
            losses.append(next_sentence_loss(seq_relationship_logits, next_sentence_label))
        loss = torch.stack(losses).sum() if losses else None
        return PretrainingOutput(prediction_logits, seq_relationship_logits, loss)


class BertForSequenceClassification(PretrainedModel):
    """BERT with a classifier on the pooled vector: `config.id2label` names the classes (Devlin et al., section 4.1)."""

    architecture = "BertForSequenceClassification"

    def __init__(self, config: BertConfig, attention: str = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self._initialise(self.classifier)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> SequenceClassifierOutput:
        """The loss is the mean cross-entropy over the sequences, if `labels` are given."""
        encoded = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        logits = observe("classifier.logits", self.classifier(self.dropout(encoded.pooler_output)))
        return SequenceClassifierOutput(logits, None if labels is None else cross_entropy(logits, labels).mean())
