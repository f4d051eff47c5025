"""The last steps: from the scores of a head to probabilities.

A head is recognized by the axes of its scores, so that every network with such a head is covered.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from minibert.equations import softmax
from minibert.model.config import ModelConfig
from minibert.observe import Recording


def add_masked_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of the vocabulary at some tokens.

    Steps:
        predicted_logits (positions vocabulary): $$\hat z = z_t$$ The scores of the vocabulary at the predicted tokens.
        probabilities (positions vocabulary): $$p = \mathrm{softmax}(\hat z)$$ The probability of each piece of the vocabulary.
    """
    prefix = scores.removesuffix("logits")
    logits = recording.add(f"{prefix}predicted_logits", recording[scores][0, [*positions]])
    recording.add(f"{prefix}probabilities", softmax(logits))


def add_class_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of classes, of which one is right.

    Steps:
        probabilities (batch classes): $$p = \mathrm{softmax}(z)$$ The probability of each class.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", softmax(recording[scores]))


def add_token_class_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of the classes of each token.

    Steps:
        probabilities (batch tokens classes): $$p = \mathrm{softmax}(z)$$ The probability of each class for each token.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", softmax(recording[scores]))


def add_next_sentence_prediction(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of "B is next" and "B is not next", or of "in order" and "swapped".

    Steps:
        probabilities (batch next_sentence): $$p = \mathrm{softmax}(z)$$ The probability of each class of the pair.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", softmax(recording[scores]))


def add_independent_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of classes that do not exclude each other (multi-label classification).

    Steps:
        probabilities (batch classes): $$p = \frac{1}{1 + e^{-z}}$$ The probability of each class, independent of the others.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", torch.sigmoid(recording[scores]))


def add_replaced_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record for each token the probability that a generator has replaced it.

    Steps:
        probabilities (batch tokens): $$p = \frac{1}{1 + e^{-z}}$$ The probability of "replaced" for each token.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", torch.sigmoid(recording[scores]))


def add_span_predictions(recording: Recording, scores: str, positions: Sequence[int]) -> None:
    r"""Record the probabilities of each token as the start and as the end of the answer.

    Steps:
        probabilities (batch ends tokens): $$p = \mathrm{softmax}(z^\top)$$ The probability of each token as the start, and as
            the end, of the answer.
    """
    recording.add(f"{scores.removesuffix('logits')}probabilities", softmax(recording[scores].mT))


ENDINGS: dict[tuple[str, ...], Callable[[Recording, str, Sequence[int]], None]] = {
    ("batch", "tokens", "vocabulary"): add_masked_predictions,
    ("batch", "classes"): add_class_predictions,
    ("batch", "tokens", "classes"): add_token_class_predictions,
    ("batch", "next_sentence"): add_next_sentence_prediction,
    ("batch", "tokens", "ends"): add_span_predictions,
    ("batch", "tokens"): add_replaced_predictions,
}
"""Functions by the axes of the scores."""


def predicted_positions(input_ids: Tensor, mask_id: int | None, causal: bool) -> list[int]:
    """Return the tokens whose predictions are shown: every [MASK]; without one, all tokens, or the last one of a decoder."""
    masked = [] if mask_id is None else (input_ids == mask_id).nonzero()[:, 0].tolist()
    if masked:
        return [int(position) for position in masked]
    return [len(input_ids) - 1] if causal else [*range(len(input_ids))]


def problem_type(config: ModelConfig) -> str | None:
    """Return what a classifier predicts, in the words of transformers: one class (None), a number, or independent classes.

    A classifier with one output predicts a number, unless its config says otherwise.
    """
    kind: str | None = getattr(config, "problem_type", None)
    return "regression" if kind is None and getattr(config, "num_labels", 0) == 1 else kind
