"""Documents packed one after another and cut into windows, for a model that predicts the next token.

Source: Radford et al. 2018, section 4.1 (contiguous sequences); Brown et al. 2020, appendix B (documents packed with an end
token between them, and no mask between them).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.device import to_device
from minibert.equations import IGNORE_INDEX
from minibert.text.batching import BatchSampler, IntArray
from minibert.text.tokenized import Ends, TokenizedCorpus
from minibert.text.tokenizer import END_OF_TEXT, token_id

LINES = Ends(sentence="\n", document=END_OF_TEXT)
"""The text of a document for a language model: a sentence in each line, and the end token."""
DOCUMENT_SEED, ORDER_SEED = 0, 1
"""Part of the seed that differs for the order of the documents and of the windows."""


@dataclass(frozen=True)
class NextTokenBatch:
    """Windows of a packed text."""

    input_ids: Int[Tensor, "batch tokens"]
    next_tokens: Int[Tensor, "batch tokens"]
    """The token that follows each of `input_ids`; `IGNORE_INDEX` for the padding of short windows, which is on the right.
    Tokens attend to no later ones, so it needs no mask."""

    def to(self, device: torch.device) -> "NextTokenBatch":
        """Copy the batch to a device."""
        return replace(self, **{name: to_device(ids, device) for name, ids in vars(self).items()})


@dataclass(frozen=True)
class Packing:
    """The tokens of all documents in a new order: a permutation of the places of a tokenized corpus."""

    old_starts: IntArray
    """Place of the first token of each document in the corpus, in the new order of the documents."""
    new_starts: IntArray
    """Place of the same token in the packed text."""
    tokens: int
    """Number of tokens."""

    def old_places(self, places: IntArray) -> IntArray:
        """Return where the tokens at these places of the packed text are in the corpus."""
        document = np.searchsorted(self.new_starts, places, side="right") - 1
        found: IntArray = self.old_starts[document] + places - self.new_starts[document]
        return found


def pack(starts: IntArray, order: IntArray) -> Packing:
    """Put documents one after another.

    Args:
        starts: place of the first token of each document, and the number of all tokens.
        order: numbers of the documents in their new order.

    >>> packing = pack(np.array([0, 3, 5]), order=np.array([1, 0]))  # two documents, of three and two tokens
    >>> packing.old_places(np.arange(5)).tolist()
    [3, 4, 0, 1, 2]
    """
    lengths = np.diff(starts)[order]
    return Packing(starts[:-1][order], np.cumsum(lengths) - lengths, int(starts[-1]))


def cut(tokens: int, length: int, first: int) -> IntArray:
    """Return the starts of the windows of a packed text, and its end. The last window may be short.

    Args:
        length: number of tokens of a window.
        first: number of tokens of the first window.

    >>> cut(tokens=10, length=4, first=3).tolist()
    [0, 3, 7, 10]
    """
    return np.unique(np.concatenate([[0], np.arange(first, tokens + length, length)]).clip(max=tokens))


class PackedExamples:
    """The windows of a corpus, for any number of epochs: each token is a target exactly once per epoch.

    In every epoch, the documents have another order, and the windows begin at other places. A window depends only on the seed,
    the epoch and its index.

    Args:
        corpus: tokenized documents, each with the end token (`LINES`).
        tokenizer: the tokenizer of the corpus.
        length: number of tokens of a window.
        seed: seed of all orders; None for the order of the corpus.
        end: the end token.
    """

    def __init__(
        self, corpus: TokenizedCorpus, tokenizer: Tokenizer, length: int, seed: int | None = 0, end: str = END_OF_TEXT
    ) -> None:
        self.corpus, self.length, self.seed = corpus, length, seed
        self.end_id = token_id(tokenizer, end)

    def epoch(self, number: int) -> "PackedEpoch":
        """Return an epoch; numbers start at 0."""
        starts = self.corpus.sentence_starts[self.corpus.document_starts]
        documents, first = np.arange(len(starts) - 1), self.length
        if self.seed is not None:
            generator = np.random.default_rng((self.seed, DOCUMENT_SEED, number))
            documents, first = generator.permutation(documents), int(generator.integers(1, self.length + 1))
        packing = pack(starts, documents)
        return PackedEpoch(self, number, packing, cut(packing.tokens, self.length, first))


@dataclass(frozen=True)
class PackedEpoch:
    """The windows of one epoch, numbered from 0. Tokens are gathered when a batch is created."""

    examples: PackedExamples
    number: int
    packing: Packing
    starts: IntArray
    """Places of the first targets of the windows in the packed text, and its end."""

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each window."""
        lengths: IntArray = np.diff(self.starts)
        return lengths

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the windows in each batch, in this epoch's random order."""
        return batch_sampler(self.lengths, np.random.default_rng((self.examples.seed or 0, ORDER_SEED, self.number)))

    def batch(self, indices: IntArray) -> NextTokenBatch:
        """Return a batch of windows. Without indices, return one token without a target.

        Before the first token of the packed text is an end token, as between two documents.
        """
        end_id = self.examples.end_id
        if not len(indices):
            return NextTokenBatch(torch.full((1, 1), end_id), torch.full((1, 1), IGNORE_INDEX))
        lengths = self.lengths[indices][:, None]
        column = np.arange(lengths.max())
        places = self.starts[indices][:, None] + column
        is_target = column < lengths
        next_tokens = np.where(is_target, self._tokens(places), IGNORE_INDEX)
        input_ids = np.where(is_target & (places > 0), self._tokens(places - 1), end_id)
        return NextTokenBatch(torch.from_numpy(input_ids), torch.from_numpy(next_tokens))

    def _tokens(self, places: IntArray) -> IntArray:
        """Return the tokens at places of the packed text; any token for a place outside of it."""
        inside = places.clip(0, self.packing.tokens - 1)
        tokens: IntArray = self.examples.corpus.ids[self.packing.old_places(inside)].astype(np.int64)
        return tokens


def in_order(corpus: TokenizedCorpus, tokenizer: Tokenizer, length: int, windows: int, batch_size: int) -> list[NextTokenBatch]:
    """Return the first windows of a corpus in batches, in the order of the text, such as for validation."""
    epoch = PackedExamples(corpus, tokenizer, length, seed=None).epoch(0)
    numbers = np.arange(min(windows, len(epoch.lengths)))
    return [epoch.batch(numbers[start : start + batch_size]) for start in range(0, len(numbers), batch_size)]


def target_ids(batches: Sequence[NextTokenBatch]) -> Int[Tensor, " targets"]:
    """Return all targets of batches, in their order."""
    flat = [batch.next_tokens.flatten() for batch in batches]
    ids = torch.cat([*flat, torch.empty(0, dtype=torch.int64)])
    return ids[ids != IGNORE_INDEX]
