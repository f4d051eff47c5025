"""From documents to pretraining examples: sentence pairs and masked words. Devlin et al. 2019, sections 3.1 and A.1.

Nothing here is a loop over examples: the corpus is one long array of ids, an example is four places in it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORED
from minibert.text.batching import IntArray, batches_by_length
from minibert.text.corpus import Document
from minibert.text.tokenizer import CLS, MASK, PAD, SEP, SPECIAL_TOKENS, token_id

IS_NEXT, ANOTHER_DOCUMENT = 0, 1
MASKED_SHARE = 0.15
"""Of the tokens that may be masked, so many are to be guessed (Devlin et al., section 3.1)."""
SHORTEST_SEGMENT = 8
"""The second segment is not cut shorter than this, in tokens."""


@dataclass(frozen=True)
class PretrainingBatch:
    """What BertForPreTraining is trained on; the names are those of its arguments."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]
    next_sentence_label: Int[Tensor, " batch"]


@dataclass(frozen=True)
class TokenizedCorpus:
    """All documents as one array of ids, and where their sentences and the documents themselves begin.

    `sentence_starts` and `document_starts` have one place more than there are: the end of the last.
    """

    ids: IntArray
    sentence_starts: IntArray
    document_starts: IntArray

    @classmethod
    def from_documents(cls, documents: Sequence[Document], tokenizer: Tokenizer) -> "TokenizedCorpus":
        """Encodes every sentence of every document, without special tokens."""
        sentences = [sentence for document in documents for sentence in document.sentences]
        pieces = [encoding.ids for encoding in tokenizer.encode_batch(sentences, add_special_tokens=False)]
        return cls(
            np.concatenate([np.empty(0, dtype=np.int64), *pieces]).astype(np.int64),
            _starts([len(sentence) for sentence in pieces]),
            _starts([len(document.sentences) for document in documents]),
        )


@dataclass(frozen=True)
class Pairs:
    """Where segment A and segment B of every example lie in the corpus; B is empty where there is no pair."""

    a_start: IntArray
    a_end: IntArray
    b_start: IntArray
    b_end: IntArray
    label: IntArray

    def __getitem__(self, chosen: IntArray) -> "Pairs":
        return Pairs(*(column[chosen] for column in vars(self).values()))

    @property
    def lengths(self) -> IntArray:
        """Tokens of each example, [CLS] and [SEP] included."""
        b_length = self.b_end - self.b_start
        return self.a_end - self.a_start + b_length + 2 + (b_length > 0)


def cut_into_chunks(corpus: TokenizedCorpus, longest: int) -> IntArray:
    """Every document as runs of whole sentences of at most `longest` tokens together, or of one sentence that is longer.

    Returns: one row a chunk: document, first sentence, sentence after the last.
    """
    starts = corpus.sentence_starts
    chunks = []
    for document, (first, end) in enumerate(zip(corpus.document_starts, corpus.document_starts[1:], strict=False)):
        while first < end:
            last = int(np.searchsorted(starts, starts[first] + longest, side="right")) - 1
            last = min(max(last, first + 1), int(end))
            chunks.append((document, first, last))
            first = last
    return np.array(chunks, dtype=np.int64).reshape(-1, 3)


def draw_pairs(corpus: TokenizedCorpus, chunks: IntArray, longest: int, generator: np.random.Generator) -> Pairs:
    """An example from every chunk: sentences up to a random place are segment A; then a coin decides about segment B.

    Heads: the rest of the chunk, which does follow. Tails: the rest of another chunk after a random place, and always of
    another document, each equally likely. So A and B look the same either way, but for whether they belong together. A
    chunk of one sentence is no pair: it is an example of one segment, whose label is `IGNORED`.

    Args:
        chunks: as from `cut_into_chunks`.
        longest: A and B together have at most so many tokens; B is cut at its end, then A.

    Source: Devlin et al. 2019, section 3.1, task 2.
    Differs: Google's code gives a lone sentence a B from another document, so that more than half of the labels say so.
    Tests: tests/text/test_pretraining.py::TestDrawPairs

    Raises: ValueError if fewer than two documents have a pair of sentences.
    """
    alone = chunks[:, 2] - chunks[:, 1] == 1
    pairs, singles = chunks[~alone], chunks[alone]
    documents = pairs[:, 0]
    if len(np.unique(documents)) < 2:
        raise ValueError("sentence pairs need at least two documents with two sentences or more")
    cut = generator.integers(pairs[:, 1] + 1, pairs[:, 2])

    # The chunks of a document stand together: a draw among all others skips over them, so each is equally likely.
    first, after = np.searchsorted(documents, documents, "left"), np.searchsorted(documents, documents, "right")
    other = generator.integers(0, len(pairs) - (after - first))
    other += np.where(other >= first, after - first, 0)
    label = generator.integers(0, 2, len(pairs))
    partner = np.where(label == ANOTHER_DOCUMENT, other, np.arange(len(pairs)))

    starts = corpus.sentence_starts
    a_start, a_end = starts[pairs[:, 1]], starts[cut]
    b_start, b_end = starts[cut[partner]], starts[pairs[partner, 2]]
    excess = np.maximum(0, (a_end - a_start) + (b_end - b_start) - longest)
    from_b = np.minimum(excess, np.maximum(0, b_end - b_start - SHORTEST_SEGMENT))
    single_start = starts[singles[:, 1]]
    single_end = np.minimum(starts[singles[:, 2]], single_start + longest)
    return Pairs(
        np.concatenate([a_start, single_start]),
        np.concatenate([a_end - (excess - from_b), single_end]),
        np.concatenate([b_start, single_end]),
        np.concatenate([b_end - from_b, single_end]),
        np.concatenate([label, np.full(len(singles), IGNORED)]),
    )


def mask_tokens(
    input_ids: IntArray,
    maskable: NDArray[np.bool_],
    mask_id: int,
    replacements: IntArray,
    generator: np.random.Generator,
    share: float = MASKED_SHARE,
) -> tuple[IntArray, IntArray]:
    """Hides `share` of the maskable tokens, to be guessed: 80% become [MASK], 10% a random piece, 10% stay as they are.

    Args:
        maskable: False for special tokens and padding, which are never hidden.
        replacements: the pieces to draw a random one from, all equally likely: no special tokens.

    Returns: new ids, and labels: the true id where a token is to be guessed, `IGNORED` elsewhere.

    Source: Devlin et al. 2019, section 3.1, task 1.
    Differs: every token is chosen by itself with probability `share`; Google's code chooses round(share * length) of a
        sequence, at least one.
    Tests: tests/text/test_pretraining.py::TestMaskTokens
    """
    guessed = maskable & (generator.random(input_ids.shape) < share)
    lot = generator.random(input_ids.shape)  # one draw for all three: independent draws would give 81/10/9
    random_pieces = generator.choice(replacements, input_ids.shape)
    hidden = np.where(lot < 0.8, mask_id, np.where(lot < 0.9, random_pieces, input_ids))
    return np.where(guessed, hidden, input_ids), np.where(guessed, input_ids, IGNORED)


class PretrainingExamples:
    """An endless stream of pretraining batches: every epoch the pairs and the masks are drawn anew.

    The batch at any place in the stream depends on `seed` and the place alone, so a run can go on from wherever it
    stopped.

    Args:
        corpus: the tokenized documents.
        tokenizer: the one they were tokenized with.
        max_length: of an example in tokens, special tokens included.
        tokens_per_batch: at most so many in a batch, padding included.
        seed: of everything that is drawn.
        masked_share: see `mask_tokens`.
    """

    def __init__(
        self,
        corpus: TokenizedCorpus,
        tokenizer: Tokenizer,
        max_length: int,
        tokens_per_batch: int,
        seed: int,
        masked_share: float = MASKED_SHARE,
    ) -> None:
        self.corpus = corpus
        self.longest = max_length - 3  # [CLS] A [SEP] B [SEP]
        self.chunks = cut_into_chunks(corpus, self.longest)
        self.tokens_per_batch = tokens_per_batch
        self.seed = seed
        self.masked_share = masked_share
        self.pad, self.cls, self.sep, self.mask = (token_id(tokenizer, token) for token in (PAD, CLS, SEP, MASK))
        special = [token_id(tokenizer, token) for token in SPECIAL_TOKENS]
        self.replacements = np.setdiff1d(np.arange(tokenizer.get_vocab_size()), special)

    def batches(self, start: int = 0) -> Iterator[PretrainingBatch]:
        """The stream from its `start`-th batch on; it does not end."""
        epoch = 0
        while True:
            generator = np.random.default_rng([self.seed, epoch])
            pairs = draw_pairs(self.corpus, self.chunks, self.longest, generator)
            plan = batches_by_length(pairs.lengths, self.tokens_per_batch, generator)
            for number, chosen in enumerate(plan):
                if start:
                    start -= 1
                else:
                    yield self._batch(pairs[chosen], np.random.default_rng([self.seed, epoch, number]))
            epoch += 1

    def one_epoch(self) -> list[PretrainingBatch]:
        """Every document once with fixed pairs and masks: what an evaluation is run on."""
        generator = np.random.default_rng([self.seed, 0])
        pairs = draw_pairs(self.corpus, self.chunks, self.longest, generator)
        plan = batches_by_length(pairs.lengths, self.tokens_per_batch, generator)
        return [self._batch(pairs[chosen], generator) for chosen in plan]

    def _batch(self, pairs: Pairs, generator: np.random.Generator) -> PretrainingBatch:
        """[CLS] A [SEP] B [SEP] in every row, then padding, then what is to be guessed hidden."""
        a_length, b_length = (pairs.a_end - pairs.a_start)[:, None], (pairs.b_end - pairs.b_start)[:, None]
        lengths = pairs.lengths[:, None]
        column = np.arange(lengths.max())
        b_column = a_length + 2
        in_a = (column >= 1) & (column <= a_length)
        in_b = (column >= b_column) & (column < b_column + b_length)
        place = np.where(in_a, pairs.a_start[:, None] + column - 1, pairs.b_start[:, None] + column - b_column)
        words = self.corpus.ids[np.where(in_a | in_b, place, 0)]
        ids = np.where(in_a | in_b, words, np.where(column == 0, self.cls, np.where(column < lengths, self.sep, self.pad)))
        masked, labels = mask_tokens(ids, in_a | in_b, self.mask, self.replacements, generator, self.masked_share)
        return PretrainingBatch(
            *map(
                torch.from_numpy,
                (
                    masked,
                    column < lengths,
                    ((column >= b_column) & (column < lengths)).astype(np.int64),
                    labels,
                    pairs.label,
                ),
            )
        )


def _starts(lengths: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
