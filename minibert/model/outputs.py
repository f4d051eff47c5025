"""Outputs of BERT with a head. Their names are those of transformers."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PretrainingOutput:
    """Output of `BertForPreTraining`."""

    prediction_logits: Float[Tensor, "*positions vocabulary"]
    """One score for each piece of the vocabulary."""
    seq_relationship_logits: Float[Tensor, "batch 2"]
    """Two scores for each pair: "B is next" and "B is from another document"."""
    loss: Float[Tensor, ""] | None = None
    """The loss in nats, if labels were passed; so in every output below."""


@dataclass(frozen=True)
class SequenceClassifierOutput:
    """Output of `BertForSequenceClassification`: one score per class for each sequence."""

    logits: Float[Tensor, "batch classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class MaskedLMOutput:
    """Output of `BertForMaskedLM`: one score for each piece of the vocabulary at each position."""

    logits: Float[Tensor, "*positions vocabulary"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class NextSentenceOutput:
    """Output of `BertForNextSentencePrediction`: for each pair the scores of "B is next" and "B is from another document"."""

    logits: Float[Tensor, "batch 2"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class TokenClassifierOutput:
    """Output of `BertForTokenClassification`: one score per class for each token."""

    logits: Float[Tensor, "batch tokens classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True)
class QuestionAnsweringOutput:
    """Output of `BertForQuestionAnswering`: for each token the scores of being the start and the end of the answer."""

    start_logits: Float[Tensor, "batch tokens"]
    end_logits: Float[Tensor, "batch tokens"]
    loss: Float[Tensor, ""] | None = None
