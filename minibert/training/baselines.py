"""What a masked-LM loss can be held against, before there is anything to compare it with."""

import math

import torch
from tokenizers import Tokenizer

from minibert.equations import unigram_entropy
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SEP, token_id

UNIFORM, UNIGRAM = "ln V", "unigram entropy"
"""Names of the landmarks."""


def baselines(train: TokenizedCorpus, validation: TokenizedCorpus, tokenizer: Tokenizer) -> dict[str, float]:
    """Held-out losses that can be had without reading context, in nats; of a large corpus, by its first ten million tokens."""
    size, separator = tokenizer.get_vocab_size(), token_id(tokenizer, SEP)
    seen, asked = (torch.from_numpy(corpus.sample(separator)) for corpus in (train, validation))
    return {UNIFORM: math.log(size)} | ({UNIGRAM: unigram_entropy(seen, asked, size).item()} if len(asked) else {})
