"""The text of a run that predicts the next token: what is printed about it before training, and its baselines."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tokenizers import Tokenizer

from minibert.equations import bigram_entropy, unigram_entropy
from minibert.text.packing import NextTokenBatch, target_ids
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import END_OF_TEXT, token_id, vocabulary_size
from minibert.training.pretraining_text import UNIFORM, UNIGRAM, describe_missing_evaluation, describe_size

BIGRAM = "bigram entropy"
"""Name of the baseline that knows the token before."""
SAMPLE_TOKENS = 10_000_000
"""Number of training tokens whose frequencies are counted."""


def next_token_baselines(
    train: TokenizedCorpus, validation: Sequence[NextTokenBatch], tokenizer: Tokenizer
) -> dict[str, float]:
    """Compute the validation losses of predictions without attention, in nats per token.

    ln V is the loss of a uniform prediction. The entropies are the losses of predicting each token from its frequency in the
    training documents, and from its frequency after the token before it. Of a large corpus, the first ten million tokens are
    used.
    """
    vocab_size, targets = vocabulary_size(tokenizer), target_ids(validation)
    losses = {UNIFORM: math.log(vocab_size)}
    if len(targets):
        ids = torch.from_numpy(train.ids[:SAMPLE_TOKENS].astype(np.int64))
        after_end = torch.cat([targets.new_tensor([token_id(tokenizer, END_OF_TEXT)]), targets])
        losses[UNIGRAM] = unigram_entropy(ids, targets, vocab_size).item()
        losses[BIGRAM] = bigram_entropy(ids, after_end, vocab_size).item()
    return losses


def describe_text(
    train: TokenizedCorpus,
    validation: TokenizedCorpus,
    tokenizer: Tokenizer,
    baselines: Mapping[str, float],
    validation_fraction: float,
) -> list[str]:
    """Describe the size of a text, the characters that are lost, and the baselines of the loss."""
    lines = describe_size(train, validation, tokenizer)
    unknown = train.unknown + validation.unknown
    unknown.check()
    if unknown.unknown:
        lines.append(f"{unknown.share:.2%} of the characters are not in the vocabulary; they become {END_OF_TEXT}")
    if not len(validation.ids):
        reason = ValueError("there is no text")
        lines.append(describe_missing_evaluation(train, validation, validation_fraction, reason))
    losses = ", ".join(f"{name} {value:.2f}" for name, value in baselines.items())
    return [*lines, f"Baselines of the CLM loss, in nats per token: {losses}"]
