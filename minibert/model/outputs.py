"""Outputs of BERT with a head. Their names are those of transformers."""

from dataclasses import dataclass, fields
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from minibert.display import Shown, data_type, first_values, shape, table


class ModelOutput(Shown):
    """Base of the outputs of all networks. An output is shown as the shape and the first values of each of its tensors."""

    def _text(self) -> str:
        """Return one line for each tensor: its name, shape, data type, and first values."""
        rows = self._rows()
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join([*(f"{text:{width}}" for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
        return "\n".join([type(self).__name__, *(f"  {line.rstrip()}" for line in lines)])

    @property
    def summary(self) -> str:
        """The name and shape of each tensor."""
        return f"{type(self).__name__}({', '.join(f'{name}: {size}' for name, size, _, _ in self._rows())})"

    def _repr_html_(self) -> str:
        return table(["", "shape", "type", "values"], self._rows(), type(self).__name__)

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Return name, shape, data type and first values of each field that is given."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return [
            (name, shape(value), data_type(value), first_values(value)) for name, value in values.items() if value is not None
        ]


@dataclass(frozen=True, repr=False)
class PretrainingOutput(ModelOutput):
    """Output of `BertForPreTraining`."""

    prediction_logits: Float[Tensor, "*positions vocabulary"]
    """One score for each piece of the vocabulary."""
    seq_relationship_logits: Float[Tensor, "batch 2"]
    """Two scores for each pair: "B is next" and "B is from another document"."""
    loss: Float[Tensor, ""] | None = None
    """The loss in nats, if labels were passed; so in every output below."""


@dataclass(frozen=True, repr=False)
class SequenceClassifierOutput(ModelOutput):
    """Output of `BertForSequenceClassification`: one score per class for each sequence."""

    logits: Float[Tensor, "batch classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True, repr=False)
class ImageClassifierOutput(ModelOutput):
    """Output of `ViTForImageClassification`: one score per class for each image."""

    logits: Float[Tensor, "batch classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True, repr=False)
class MaskedLMOutput(ModelOutput):
    """Output of `BertForMaskedLM`: one score for each piece of the vocabulary at each position."""

    logits: Float[Tensor, "*positions vocabulary"]
    loss: Float[Tensor, ""] | None = None
    last_hidden_state: Float[Tensor, "batch tokens width"] | None = None
    """One vector per token, from the encoder, if it is asked for."""


@dataclass(frozen=True, repr=False)
class MaskedLMSums(ModelOutput):
    """Output of a network with a masked-LM head for `labels_at`: sums over the labels, in place of the scores."""

    loss_sum: Float[Tensor, ""]
    """Sum of the losses of all labels, in nats."""
    correct: Int[Tensor, ""]
    """Number of correct predictions."""
    seq_relationship_logits: Float[Tensor, "batch 2"] | None = None
    """The scores of `PretrainingOutput`; None without the next-sentence head."""


@dataclass(frozen=True, repr=False)
class NextSentenceOutput(ModelOutput):
    """Output of `BertForNextSentencePrediction`: for each pair the scores of "B is next" and "B is from another document"."""

    logits: Float[Tensor, "batch 2"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True, repr=False)
class TokenClassifierOutput(ModelOutput):
    """Output of `BertForTokenClassification`: one score per class for each token."""

    logits: Float[Tensor, "batch tokens classes"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True, repr=False)
class QuestionAnsweringOutput(ModelOutput):
    """Output of `BertForQuestionAnswering`: for each token the scores of being the start and the end of the answer."""

    start_logits: Float[Tensor, "batch tokens"]
    end_logits: Float[Tensor, "batch tokens"]
    loss: Float[Tensor, ""] | None = None


@dataclass(frozen=True, repr=False)
class ReplacedTokensOutput(ModelOutput):
    """Output of ELECTRA's discriminator: for each token the score of "a generator has replaced it"."""

    logits: Float[Tensor, "batch tokens"]
    loss: Float[Tensor, ""] | None = None
