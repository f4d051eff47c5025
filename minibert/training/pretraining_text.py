"""The text of a pretraining run: what is printed about it before training, and the baselines that follow from it."""

import math

import numpy as np
import torch
from tokenizers import Tokenizer

from minibert.equations import unigram_entropy
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, token_id, vocabulary_size

UNIFORM, UNIGRAM = "ln V", "unigram entropy"
"""Names of the baselines of masked language modeling."""


def describe_size(train: TokenizedCorpus, validation: TokenizedCorpus, tokenizer: Tokenizer) -> list[str]:
    """Describe the numbers of documents, sentences and tokens, and of exact copies of documents."""
    train_count, validation_count = len(train.document_digests), len(validation.document_digests)
    documents = train_count + validation_count
    sentences = len(train.sentence_starts) + len(validation.sentence_starts) - 2 - documents  # without separators
    lines = [
        f"{documents:,} documents with {sentences:,} sentences",
        f"Training: {train_count:,} documents, {len(train.ids):,} tokens; vocabulary: {vocabulary_size(tokenizer):,}. "
        f"Validation: {validation_count:,} documents",
    ]
    different = len(np.unique(np.concatenate([train.document_digests, validation.document_digests])))
    if copies := documents - different:
        lines.insert(
            1, f"{copies:,} of them ({copies / documents:.0%}) are exact copies of others; remove them, or they count more"
        )
    return lines


def describe_missing_evaluation(
    train: TokenizedCorpus, validation: TokenizedCorpus, validation_fraction: float, error: ValueError
) -> str:
    """Return the reason why a run has no evaluation.

    Args:
        error: the error of creating validation examples.
    """
    if len(validation.document_digests):
        reason = f"in the validation documents, {error}"
    elif validation_fraction:
        reason = f"{len(np.unique(train.document_digests))} documents are too few to use some for validation"
    else:
        reason = "--validation-fraction is 0"
    return f"There will be no evaluation: {reason}."


def describe_baselines(losses: dict[str, float], pairs: str, length_accuracy: float | None) -> list[str]:
    """Describe the baselines of the loss, and of the accuracy of sentence pairs."""
    lines = ["Baselines of the MLM loss: " + ", ".join(f"{name} {value:.2f}" for name, value in losses.items())]
    if length_accuracy is not None:
        lines.append(f"Baseline of the {pairs.upper()} accuracy: {length_accuracy:.1%}, from segment lengths alone")
    return lines


def mlm_baselines(train: TokenizedCorpus, validation: TokenizedCorpus, tokenizer: Tokenizer) -> dict[str, float]:
    """Compute validation losses of masked language modeling without context, in nats.

    ln V is the loss of a uniform prediction. The unigram entropy is the loss of predicting every token from its frequency
    in the training documents. Of a large corpus, the first ten million tokens are used. Special tokens do not count, because
    they are never targets.
    """
    vocab_size, special_ids = vocabulary_size(tokenizer), [token_id(tokenizer, token) for token in SPECIAL_TOKENS]
    train_ids, validation_ids = (torch.from_numpy(corpus.first_tokens(special_ids)) for corpus in (train, validation))
    losses = {UNIFORM: math.log(vocab_size)}
    if len(validation_ids):
        losses[UNIGRAM] = unigram_entropy(train_ids, validation_ids, vocab_size).item()
    return losses
