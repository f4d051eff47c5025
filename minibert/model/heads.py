"""BERT with something to say: the pretraining heads and a classifier. Devlin et al. 2019, sections 3.1 and 3.2."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX, cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.equations.objectives import reduce_losses
from minibert.kernels import Attention
from minibert.model.bert import Bert
from minibert.model.config import BertConfig
from minibert.model.inputs import Mask
from minibert.model.layers import ACTIVATION_FUNCTIONS, LayerNorm
from minibert.model.pretrained import PretrainedBert
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


@dataclass(frozen=True)
class MaskedLMOutput:
    """A score for every piece of the vocabulary at every token; `loss` is there if labels were given."""

    logits: Float[Tensor, "*positions vocabulary"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class NextSentenceOutput:
    """Two scores a pair: "is next", "another document"; `loss` is there if labels were given."""

    logits: Float[Tensor, "batch 2"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class TokenClassifierOutput:
    """One score a class for each token; `loss` is there if labels were given."""

    logits: Float[Tensor, "batch tokens classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class QuestionAnsweringOutput:
    """Two scores for each token: that the answer starts, and that it ends there; `loss` is there if places were given."""

    start_logits: Float[Tensor, "batch tokens"]
    end_logits: Float[Tensor, "batch tokens"]
    loss: Float[Tensor, ""] | None = None


class MaskedLMHead(nn.Module):
    """From a token's vector to a score for each piece of the vocabulary, which is compared with each piece's embedding.

    The embeddings are handed in at every call. There is one tensor, so nothing can untie it: no copy, pickle or move. Only
    if `config.tie_word_embeddings` is false does the head have a table of its own.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.decoder = None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(
        self, hidden: Float[Tensor, "*positions width"], embeddings: Float[Tensor, "vocabulary width"]
    ) -> Float[Tensor, "*positions vocabulary"]:
        transformed = observe("transform", self.norm(self.activation(self.transform(hidden))))
        table = embeddings if self.decoder is None else self.decoder.weight
        return observe("logits", nn.functional.linear(transformed, table, self.bias))


class NextSentenceHead(nn.Linear):
    """Does the second segment follow the first? Two scores from the pooled vector: "is next", "another document"."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.hidden_size, 2)

    def forward(self, pooled: Float[Tensor, "batch width"]) -> Float[Tensor, "batch 2"]:
        return observe("logits", super().forward(pooled))


class BertForPreTraining(PretrainedBert):
    """BERT as it is pretrained: the hidden words are guessed, and whether the second segment follows the first."""

    architecture = "BertForPreTraining"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention)
        self.mlm = MaskedLMHead(config)
        self.nsp = NextSentenceHead(config)
        self.initialize(self.mlm, self.nsp)

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


class BertForMaskedLM(PretrainedBert):
    """BERT that guesses hidden words, and nothing else."""

    architecture = "BertForMaskedLM"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention, pooler=False)
        self.mlm = MaskedLMHead(config)
        self.initialize(self.mlm)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, "batch tokens"] | None = None,
        predict_at: Bool[Tensor, "batch tokens"] | None = None,
    ) -> MaskedLMOutput:
        """The loss is `masked_lm_loss`, if `labels` are given. `predict_at` as in `BertForPreTraining`."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids, position_ids).last_hidden_state
        if predict_at is not None:
            hidden = hidden[predict_at]
            labels = None if labels is None else labels[predict_at]
        logits = self.mlm(hidden, self.bert.embeddings.words.weight)
        return MaskedLMOutput(logits, None if labels is None else masked_lm_loss(logits, labels))


class BertForNextSentencePrediction(PretrainedBert):
    """BERT that tells whether one sentence follows another, and nothing else."""

    architecture = "BertForNextSentencePrediction"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention)
        self.nsp = NextSentenceHead(config)
        self.initialize(self.nsp)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> NextSentenceOutput:
        """The loss is `next_sentence_loss`, if `labels` are given: 0 if the second sentence follows the first."""
        logits = self.nsp(self.bert(input_ids, attention_mask, token_type_ids, position_ids).pooler_output)
        return NextSentenceOutput(logits, None if labels is None else next_sentence_loss(logits, labels))


class BertForSequenceClassification(PretrainedBert):
    """BERT with a classifier on the pooled vector: `config.id2label` names the classes (Devlin et al., section 4.1)."""

    architecture = "BertForSequenceClassification"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.initialize(self.classifier)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, " batch"] | None = None,
    ) -> SequenceClassifierOutput:
        """The loss is the mean cross-entropy over the sequences, if `labels` are given.

        Raises: ValueError for labels where there is one class only: transformers takes them for numbers to come near to.
        """
        if labels is not None and self.config.num_labels == 1:
            raise ValueError("num_labels is 1: there is nothing to choose from; regression is not supported")
        encoded = self.bert(input_ids, attention_mask, token_type_ids, position_ids)
        logits = observe("classifier.logits", self.classifier(self.dropout(encoded.pooler_output)))
        loss = None if labels is None else reduce_losses(cross_entropy(logits, labels), labels)
        return SequenceClassifierOutput(logits, loss)


class BertForTokenClassification(PretrainedBert):
    """BERT with a classifier on every token: named entities and the like (Devlin et al., section 5.3)."""

    architecture = "BertForTokenClassification"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention, pooler=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.initialize(self.classifier)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        labels: Int[Tensor, "batch tokens"] | None = None,
    ) -> TokenClassifierOutput:
        """The loss is the mean cross-entropy over the tokens whose label is not -100, if `labels` are given."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids, position_ids).last_hidden_state
        logits = observe("classifier.logits", self.classifier(self.dropout(hidden)))
        loss = None if labels is None else reduce_losses(cross_entropy(logits, labels), labels)
        return TokenClassifierOutput(logits, loss)


class BertForQuestionAnswering(PretrainedBert):
    """BERT that marks where in a text the answer to a question starts and ends (Devlin et al., section 4.2)."""

    architecture = "BertForQuestionAnswering"

    def __init__(self, config: BertConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.bert = Bert(config, attention, pooler=False)
        self.span = nn.Linear(config.hidden_size, 2)
        self.initialize(self.span)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        start_positions: Int[Tensor, " batch"] | None = None,
        end_positions: Int[Tensor, " batch"] | None = None,
    ) -> QuestionAnsweringOutput:
        """The loss is the mean of both cross-entropies, if both places are given; one outside the text does not count.

        Differs: transformers takes a place below 0 for 0.
        """
        hidden = self.bert(input_ids, attention_mask, token_type_ids, position_ids).last_hidden_state
        start_logits, end_logits = observe("span.logits", self.span(hidden)).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            tokens = input_ids.shape[1]
            start, end = (p.masked_fill((p < 0) | (p >= tokens), IGNORE_INDEX) for p in (start_positions, end_positions))
            starts, ends = cross_entropy(start_logits, start), cross_entropy(end_logits, end)
            loss = (reduce_losses(starts, start) + reduce_losses(ends, end)) / 2
        return QuestionAnsweringOutput(start_logits, end_logits, loss)
