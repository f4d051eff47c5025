"""BERT with its heads (Devlin et al. 2019, sections 3.1, 3.2, 4 and 5.3).

Every network here is `Bert` and one head. `BertWithHead.forward` runs the encoder; each class shows what is its own: the
head's modules, its output and its loss.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.checks import check_tensor
from minibert.equations import IGNORE_INDEX, cross_entropy, masked_lm_loss, next_sentence_loss
from minibert.equations.objectives import check_labels, reduce_losses
from minibert.kernels import AttentionImplementation, Sequences, linear_cross_entropy
from minibert.model.bert import Bert, BertOutput, PretrainedBert
from minibert.model.config import BertConfig
from minibert.model.inputs import Mask, check_batch, select_positions
from minibert.model.layers import ACTIVATION_FUNCTIONS, LayerNorm
from minibert.model.linear import Dropout, Linear
from minibert.model.losses import classification_loss
from minibert.model.outputs import (
    MaskedLMOutput,
    MaskedLMSums,
    NextSentenceOutput,
    PretrainingOutput,
    QuestionAnsweringOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from minibert.observe import is_recording, observe


class MaskedLMHead(nn.Module):
    r"""The masked-LM head: a transform of the token vector, then its dot product with every word embedding.

    The word embeddings are an argument of `forward`. There is one tensor only, so copying, pickling or moving the model
    cannot untie the weights. With `config.tie_word_embeddings` false, the head has an output matrix of its own.

    Steps:
        linear (batch tokens width): $$h = x W^\top + b_h$$ The linear map of the masked-LM head.
        activation (batch tokens width): $$a = f(h)$$ The activation function of each feature.
        transform (batch tokens width): $$n = \mathrm{LayerNorm}(a)$$ Layer normalization of each token's vector.
        logits (batch tokens vocabulary): $$z = n E^\top + b_z$$ The score of each piece of the vocabulary: its dot product
            with the token's vector, plus a bias.
    Tests: tests/model/test_heads.py::TestMaskedLMHead
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.embedding_width
        self.transform = Linear(config.hidden_size, width)
        self.activation = ACTIVATION_FUNCTIONS[config.mlm_act]
        self.norm = LayerNorm(width, config.layer_norm_eps)
        self.decoder = None if config.tie_word_embeddings else Linear(width, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def extra_repr(self) -> str:
        return f"vocabulary={len(self.bias)}, activation={self.activation.__name__}, tied={self.decoder is None}"

    def forward(
        self, hidden: Float[Tensor, "*positions width"], embeddings: Float[Tensor, "vocabulary embedding"]
    ) -> Float[Tensor, "*positions vocabulary"]:
        activation = observe("activation", self.activation(observe("linear", self.transform(hidden))))
        transformed = observe("transform", self.norm(activation))
        output_matrix = embeddings if self.decoder is None else self.decoder.weight
        return observe("logits", nn.functional.linear(transformed, output_matrix, self.bias))

    def loss_sum(
        self,
        hidden: Float[Tensor, "positions width"],
        embeddings: Float[Tensor, "vocabulary embedding"],
        labels: Int[Tensor, " positions"],
    ) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
        """Compute the sum of `equations.masked_lm_loss`, and the number of correct predictions, without storing all scores."""
        if is_recording():
            logits = self(hidden, embeddings)
            return masked_lm_loss(logits, labels, "sum"), (logits.argmax(dim=-1) == labels).sum()
        transformed = self.norm(self.activation(self.transform(hidden)))
        output_matrix = embeddings if self.decoder is None else self.decoder.weight
        return linear_cross_entropy(transformed, output_matrix, self.bias, labels)


class NextSentenceHead(Linear):
    r"""The next-sentence head: from the pooled vector to the scores of "B is next" and "B is from another document".

    Steps:
        logits (batch next_sentence): $$z = v W^\top + b$$ The scores of the two classes of a sentence pair.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.hidden_size, 2)
        self.dropout = Dropout(config.pair_head_dropout_prob)

    def forward(self, pooled: Float[Tensor, "batch width"]) -> Float[Tensor, "batch 2"]:
        return observe("logits", super().forward(self.dropout(pooled)))


class BertWithHead(PretrainedBert):
    """Base of the networks below: the encoder, then a head.

    A subclass builds the modules of its head and applies them in `apply_head`. The arguments of `apply_head` after `encoded`
    are keyword arguments of `forward`.
    """

    pooled: ClassVar[bool]
    """True if the head uses the pooled vector, so that the encoder needs a pooler."""
    first_token_only: ClassVar[bool] = False
    """True if the head uses the pooled vector only."""
    encoder: ClassVar[type[Bert]] = Bert
    """Class of the encoder."""
    apply_head: Callable[..., Any]

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.bert = self.encoder(config, attention, pooler=self.pooled)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | Sequences | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        output_at: Int[Tensor, "batch outputs"] | None = None,
        **targets: Tensor | bool | None,
    ) -> Any:
        """Encode a batch as `Bert` does and apply the head.

        Args:
            output_at: as in `Bert`: the tokens whose vectors the head needs. Default: all; if it needs the pooled vector only,
                the first one, except during a recording.
            targets: the keyword arguments of the class's `apply_head`, such as `labels`.
        """
        if output_at is None:
            output_at = self.needed_outputs(input_ids)
        return self.apply_head(self.bert(input_ids, attention_mask, token_type_ids, position_ids, output_at), **targets)

    def needed_outputs(self, input_ids: Int[Tensor, "batch tokens"]) -> Int[Tensor, "batch 1"] | None:
        """Return the positions of the tokens whose vectors the head needs, as `output_at` of `Bert`; None for all."""
        if not self.first_token_only or is_recording():
            return None
        check_batch("input_ids", input_ids)
        batch, tokens = input_ids.shape
        return tokens * torch.arange(batch, device=input_ids.device)[:, None]


class BertForPreTraining(BertWithHead):
    """BERT with both pretraining heads: masked language modeling and next-sentence prediction."""

    architecture = "BertForPreTraining"
    head = "pretraining"
    head_modules = ("mlm", "nsp")
    pooled = True

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.mlm = MaskedLMHead(config)
        self.nsp = NextSentenceHead(config)
        self.initialize(self.mlm, self.nsp)

    def apply_head(
        self,
        encoded: BertOutput,
        labels: Int[Tensor, "batch tokens"] | None = None,
        next_sentence_label: Int[Tensor, " batch"] | None = None,
        predict_at: Int[Tensor, " positions"] | None = None,
        labels_at: Int[Tensor, " positions"] | None = None,
    ) -> PretrainingOutput | MaskedLMSums:
        """Compute both predictions. The loss is the sum of the mean losses whose labels are given (section A.2).

        Args:
            labels: the original id where a token was masked, -100 elsewhere.
            next_sentence_label: 0 if B follows A, 1 if B is from another document, -100 if there is no B.
            predict_at: the positions to predict, such as `(labels != -100).flatten().nonzero()[:, 0]`: those of the first
                sequence are 0, 1, 2, …, and those of the next one follow. `prediction_logits` then has one row for each.
                Default: all positions.
            labels_at: the labels at these positions, for training: the output is `MaskedLMSums`, and the scores of the
                vocabulary are never stored.

        Raises: TypeError and ValueError for labels of a wrong type or shape, and for a number that is not a class (checked on
            the CPU only); so in every head below.
        """
        hidden, labels = select_positions(encoded.last_hidden_state, labels, predict_at, encoded.output_at)
        if labels_at is not None:
            sums = self.mlm.loss_sum(hidden, self.bert.embeddings.words.weight, labels_at)
            return MaskedLMSums(*sums, self.nsp(encoded.pooler_output))
        prediction_logits = self.mlm(hidden, self.bert.embeddings.words.weight)
        seq_relationship_logits = self.nsp(encoded.pooler_output)
        losses = []
        if labels is not None:
            losses.append(masked_lm_loss(prediction_logits, labels))
        if next_sentence_label is not None:
            check_labels(seq_relationship_logits, next_sentence_label, "next_sentence_label")
            losses.append(next_sentence_loss(seq_relationship_logits, next_sentence_label))
        return PretrainingOutput(prediction_logits, seq_relationship_logits, torch.stack(losses).sum() if losses else None)


class BertForMaskedLM(BertWithHead):
    """BERT with the masked-LM head."""

    architecture = "BertForMaskedLM"
    head = "mlm"
    head_modules = ("mlm",)
    pooled = False

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.mlm = MaskedLMHead(config)
        self.initialize(self.mlm)

    def apply_head(
        self,
        encoded: BertOutput,
        labels: Int[Tensor, "batch tokens"] | None = None,
        predict_at: Int[Tensor, " positions"] | None = None,
        labels_at: Int[Tensor, " positions"] | None = None,
        with_vectors: bool = False,
    ) -> MaskedLMOutput | MaskedLMSums:
        """Compute the scores of the vocabulary; the arguments are those of `BertForPreTraining`.

        Args:
            with_vectors: also return the vectors of the encoder, such as for a student that learns them from its teacher.
        """
        hidden, labels = select_positions(encoded.last_hidden_state, labels, predict_at, encoded.output_at)
        if labels_at is not None:
            return MaskedLMSums(*self.mlm.loss_sum(hidden, self.bert.embeddings.words.weight, labels_at))
        logits = self.mlm(hidden, self.bert.embeddings.words.weight)
        loss = None if labels is None else masked_lm_loss(logits, labels)
        return MaskedLMOutput(logits, loss, encoded.last_hidden_state if with_vectors else None)


class BertForNextSentencePrediction(BertWithHead):
    """BERT with the next-sentence head."""

    architecture = "BertForNextSentencePrediction"
    head = "nsp"
    head_modules = ("nsp",)
    pooled = first_token_only = True

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.nsp = NextSentenceHead(config)
        self.initialize(self.nsp)

    def apply_head(self, encoded: BertOutput, labels: Int[Tensor, " batch"] | None = None) -> NextSentenceOutput:
        """Compute the two scores; `labels` are 0 if B follows A, 1 if B is from another document."""
        logits = self.nsp(encoded.pooler_output)
        return NextSentenceOutput(logits, None if labels is None else next_sentence_loss(logits, labels))


class BertForSequenceClassification(BertWithHead):
    r"""BERT with a classifier on the pooled vector (section 4.1). `config.id2label` names the classes.

    Steps:
        classifier.logits (batch classes): $$z = v W^\top + b$$ The score of each class.
    """

    architecture = "BertForSequenceClassification"
    head = "sequence-classification"
    head_modules: ClassVar[tuple[str, ...]] = ("classifier",)
    has_classes = True
    pooled = first_token_only = True

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.dropout = Dropout(config.head_dropout_prob)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.initialize(self.classifier)

    def apply_head(
        self, encoded: BertOutput, labels: Int[Tensor, " batch"] | Float[Tensor, "batch ..."] | None = None
    ) -> SequenceClassifierOutput:
        """Compute the scores of the classes and, with labels, the mean loss; the labels are those of `classification_loss`."""
        logits = observe("classifier.logits", self.classifier(self.dropout(self.sequence_vector(encoded))))
        return SequenceClassifierOutput(logits, None if labels is None else classification_loss(logits, labels, self.config))

    def sequence_vector(self, encoded: BertOutput) -> Float[Tensor, "batch width"]:
        """Return the vector of each sequence that the classifier sees: here the pooled vector."""
        assert encoded.pooler_output is not None
        return encoded.pooler_output


class BertForTokenClassification(BertWithHead):
    r"""BERT with a classifier on every token, for tasks such as named entities (section 5.3).

    Steps:
        classifier.logits (batch tokens classes): $$z = x W^\top + b$$ The score of each class for each token.
    """

    architecture = "BertForTokenClassification"
    head = "token-classification"
    head_modules = ("classifier",)
    has_classes = True
    pooled = False

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.dropout = Dropout(config.token_head_dropout_prob)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.initialize(self.classifier)

    def apply_head(self, encoded: BertOutput, labels: Int[Tensor, "batch tokens"] | None = None) -> TokenClassifierOutput:
        """Compute the scores of the classes. The loss is the mean cross-entropy over tokens whose label is not -100."""
        logits = observe("classifier.logits", self.classifier(self.dropout(encoded.last_hidden_state)))
        loss = None if labels is None else reduce_losses(cross_entropy(logits, labels), labels)
        return TokenClassifierOutput(logits, loss)


class BertForQuestionAnswering(BertWithHead):
    r"""BERT that predicts the start and the end of the answer to a question in a text (section 4.2).

    Steps:
        span.logits (batch tokens ends): $$z = x W^\top + b$$ The score of each token as the start, and as the end, of the
            answer.
    """

    architecture = "BertForQuestionAnswering"
    head = "question-answering"
    head_modules = ("span",)
    pooled = False

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.dropout = Dropout(config.span_head_dropout_prob)
        self.span = Linear(config.hidden_size, 2)
        self.initialize(self.span)

    def apply_head(
        self,
        encoded: BertOutput,
        start_positions: Int[Tensor, " batch"] | None = None,
        end_positions: Int[Tensor, " batch"] | None = None,
    ) -> QuestionAnsweringOutput:
        """Compute the start and end scores. The loss is the mean of both cross-entropies.

        A position outside the text is ignored in the loss.
        Differs: transformers treats a negative position as 0.

        Raises: ValueError for a start without an end, or an end without a start.
        """
        start_logits, end_logits = observe("span.logits", self.span(self.dropout(encoded.last_hidden_state))).unbind(-1)
        if start_positions is None and end_positions is None:
            return QuestionAnsweringOutput(start_logits, end_logits)
        if start_positions is None or end_positions is None:
            raise ValueError("pass both start_positions and end_positions, or neither")
        check_tensor("start_positions", start_positions, torch.int64, shape=start_logits.shape[:1])
        check_tensor("end_positions", end_positions, torch.int64, shape=end_logits.shape[:1])
        loss = (_span_loss(start_logits, start_positions) + _span_loss(end_logits, end_positions)) / 2
        return QuestionAnsweringOutput(start_logits, end_logits, loss)


def _span_loss(logits: Float[Tensor, "batch tokens"], positions: Int[Tensor, " batch"]) -> Tensor:
    outside = (positions < 0) | (positions >= logits.shape[1])
    labels = positions.masked_fill(outside, IGNORE_INDEX)
    return reduce_losses(cross_entropy(logits, labels), labels)
