"""From a tokenized corpus to pretraining batches: [CLS] A [SEP] B [SEP], and what is hidden in them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray
from minibert.text.masking import draws_for, mask_tokens
from minibert.text.options import ExampleConfig
from minibert.text.pairs import Pairs, draw_pairs
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, token_id
from minibert.text.wordpiece_training import CONTINUES

PAIRS, ORDER, MASKS = 0, 1, 2
"""What is drawn: each has random numbers of its own."""


@dataclass(frozen=True)
class PretrainingBatch:
    """What BertForPreTraining is trained on; the names are those of its arguments."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]
    next_sentence_label: Int[Tensor, " batch"]

    def to(self, device: torch.device) -> "PretrainingBatch":
        """The same on another device."""
        return PretrainingBatch(*(column.to(device, non_blocking=True) for column in vars(self).values()))


class PretrainingExamples:
    """All pretraining examples of a corpus, of as many epochs as one likes.

    Every epoch the pairs and the masks are drawn anew. An example depends on the seed, the epoch and its number alone, not
    on the batch it is in.

    Args:
        corpus: the tokenized documents.
        tokenizer: the one they were tokenized with.
        settings: how examples are made.
        seed: of everything that is drawn.
    """

    def __init__(self, corpus: TokenizedCorpus, tokenizer: Tokenizer, settings: ExampleConfig, seed: int) -> None:
        self.corpus = corpus
        self.settings = settings
        self.seed = seed
        self.pad, self.cls, self.sep, self.mask = (token_id(tokenizer, token) for token in (PAD, CLS, SEP, MASK))
        special = [token_id(tokenizer, token) for token in SPECIAL_TOKENS]
        pieces = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
        self.continues = np.array([piece.startswith(CONTINUES) for piece in pieces])
        self.replacements = np.setdiff1d(np.arange(len(pieces)), special)

    def epoch(self, number: int) -> "Epoch":
        """Every document once."""
        version = number % self.settings.dupe_factor if self.settings.dupe_factor else number
        longest = self.settings.max_length - (2 if self.settings.pairs == "none" else 3)
        generator = np.random.default_rng((self.seed, PAIRS, version))
        pairs = draw_pairs(self.corpus, longest, generator, self.settings.pairs, self.settings.short_share)
        return Epoch(self, number, version, pairs)


@dataclass(frozen=True)
class Epoch:
    """The examples of one epoch, numbered; their tokens are put together when a batch of them is asked for."""

    examples: PretrainingExamples
    number: int
    version: int
    pairs: Pairs

    @property
    def lengths(self) -> IntArray:
        """Tokens of each example."""
        return self.pairs.lengths

    def in_batches(self, cut: Callable[[IntArray, np.random.Generator], list[IntArray]]) -> list[IntArray]:
        """The numbers of all examples, cut into batches by a function of their lengths, in this epoch's random order."""
        return cut(self.lengths, np.random.default_rng((self.examples.seed, ORDER, self.number)))

    def batch(self, chosen: IntArray) -> PretrainingBatch:
        """Some examples, one a row: [CLS] A [SEP] B [SEP], padding, and what is to be guessed hidden.

        Where none is chosen it is the first one, with nothing to guess and nothing to tell.
        """
        if not len(chosen):
            first = self.batch(np.zeros(1, dtype=np.int64))
            nothing = (torch.full_like(labels, IGNORE_INDEX) for labels in (first.labels, first.next_sentence_label))
            return PretrainingBatch(first.input_ids, first.attention_mask, first.token_type_ids, *nothing)
        known, settings, pairs = self.examples, self.examples.settings, self.pairs[chosen]
        a_length, b_length = (pairs.a_end - pairs.a_start)[:, None], (pairs.b_end - pairs.b_start)[:, None]
        lengths = pairs.lengths[:, None]
        column = np.arange(lengths.max())
        b_column = a_length + 2
        in_a = (column >= 1) & (column <= a_length)
        in_b = (column >= b_column) & (column < b_column + b_length)
        place = np.where(in_a, pairs.a_start[:, None] + column - 1, pairs.b_start[:, None] + column - b_column)
        words = known.corpus.ids[np.where(in_a | in_b, place, 0)].astype(np.int64)
        ids = np.where(in_a | in_b, words, np.where(column == 0, known.cls, np.where(column < lengths, known.sep, known.pad)))
        masked, labels = mask_tokens(
            ids,
            (in_a | in_b) & (words != known.sep),
            known.mask,
            known.replacements,
            draws_for(chosen, lengths[:, 0], (known.seed, MASKS, self.version)),
            settings.masked_share,
            known.continues[ids] if settings.whole_words else None,
            settings.max_predictions,
        )
        segments = ((column >= b_column) & (column < lengths)).astype(np.int64)
        arrays = (masked, column < lengths, segments, labels, pairs.label)
        return PretrainingBatch(*map(torch.from_numpy, arrays))


def meaning(pair: int) -> str:
    """What a next_sentence_label says."""
    return "one segment: there is nothing to tell" if pair == IGNORE_INDEX else ("B is next", "B is not next")[pair]


def shown(batches: Iterable[PretrainingBatch], tokenizer: Tokenizer) -> list[str]:
    """Each example of some batches for a reader: its tokens as the model sees them, what stood there, and the label."""
    texts = []
    for batch in batches:
        for ids, mask, labels, pair in zip(
            batch.input_ids, batch.attention_mask, batch.labels, batch.next_sentence_label.tolist(), strict=True
        ):
            tokens = [tokenizer.id_to_token(number) or "" for number in ids[mask].tolist()]
            hidden = [(place, tokenizer.id_to_token(label) or "") for place, label in enumerate(labels.tolist()) if label >= 0]
            answers = ", ".join(f"{place} {tokens[place]} was {truth}" for place, truth in hidden)
            texts.append(f"tokens: {' '.join(tokens)}\nhidden: {answers}\nnext_sentence_label: {pair} ({meaning(pair)})")
    return texts
