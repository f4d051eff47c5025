"""Pretraining examples: [CLS] A [SEP] B [SEP], with masked tokens, as batches of tensors.

These are BERT's names of the special tokens. Their ids, and the number of separators, are those of the tokenizer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from minibert.device import to_device
from minibert.equations import IGNORE_INDEX
from minibert.kernels import Sequences, worthwhile_sequences
from minibert.text.batching import BatchSampler, IntArray
from minibert.text.layout import continues_word, layout, word_mark
from minibert.text.masking import draw_random_numbers, first_and_masked, mask_or_keep, mask_tokens, masked_positions
from minibert.text.options import ExampleConfig, PairTask
from minibert.text.pairs import Pairs, draw_epoch
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import MASK, PAD, SPECIAL_TOKENS, UNK, special_token, token_id, vocabulary_size

PAIR_SEED, ORDER_SEED, MASK_SEED = 0, 1, 2
"""Part of the seed that differs for pairs, order and masks, so that their random numbers are independent."""


@dataclass(frozen=True)
class PretrainingBatch:
    """Arguments of `BertForPreTraining`."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]
    next_sentence_label: Int[Tensor, " batch"]
    predict_at: Int[Tensor, " positions"]
    """Positions of the labels, as `BertForPreTraining` expects them."""
    output_at: Int[Tensor, "batch outputs"] | None = None
    """Positions of [CLS] and of the labels, as `Bert` expects them; None for all positions."""
    sequences: Sequences | None = None
    """The tokens of `attention_mask`, if it saves time to leave the padding out."""
    uniform_at: Float[Tensor, " positions"] | None = None
    """A random number from 0 to below 1 for each position of `predict_at`, from which a generator draws a token (ELECTRA)."""

    @property
    def inputs(self) -> tuple[Tensor, Tensor | Sequences, Tensor]:
        """The arguments of the encoder."""
        return self.input_ids, self.sequences or self.attention_mask, self.token_type_ids

    @property
    def original_ids(self) -> Int[Tensor, "batch tokens"]:
        """The text without masks."""
        return self.input_ids.where(self.labels == IGNORE_INDEX, self.labels)

    def to(self, device: torch.device) -> "PretrainingBatch":
        """Copy the batch to a device."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return replace(self, **{name: to_device(column, device) for name, column in columns.items()})


class PretrainingExamples:
    """The pretraining examples of a corpus, for any number of epochs.

    Pairs and masks change from epoch to epoch (with `config.dupe_factor`, they repeat). An example depends only on the seed,
    the epoch and its index, not on its batch.

    Args:
        corpus: tokenized documents.
        tokenizer: the tokenizer of the corpus.
        config: lengths, sentence pairs and masking.
        seed: seed of pairs, masks and order.
        mask_share: for the pretraining with a generator (ELECTRA): the share of the selected tokens that become [MASK]. The
            others do not change. None: 80%, and 10% become a random token (BERT).
    """

    def __init__(
        self,
        corpus: TokenizedCorpus,
        tokenizer: Tokenizer,
        config: ExampleConfig | None = None,
        seed: int = 0,
        mask_share: float | None = None,
    ) -> None:
        self.corpus, self.mask_share = corpus, mask_share
        self.config = config or ExampleConfig()
        self.seed = seed
        self.layout, self.pad_id, self.mask_id = layout(tokenizer), token_id(tokenizer, PAD), token_id(tokenizer, MASK)
        special_ids = [token_id(tokenizer, token) for token in SPECIAL_TOKENS]
        tokens = [tokenizer.id_to_token(index) or "" for index in range(vocabulary_size(tokenizer))]
        mark = word_mark(tokenizer)
        self.continues_word = np.array([continues_word(token, mark) for token in tokens])
        self.is_ordinary = ~np.isin(np.arange(len(tokens)), special_ids)
        self.replacement_ids = np.flatnonzero(self.is_ordinary & (np.array(tokens) != ""))  # not ids without a token

    def epoch(self, number: int) -> "PretrainingEpoch":
        """Return an epoch; numbers start at 0. All documents are used once."""
        version = number % self.config.dupe_factor if self.config.dupe_factor else number
        generator = np.random.default_rng((self.seed, PAIR_SEED, version))
        pairs = draw_epoch(self.corpus, self.config, generator, len(self.layout.between))
        return PretrainingEpoch(self, number, version, pairs)


@dataclass(frozen=True)
class PretrainingEpoch:
    """The examples of one epoch, numbered from 0. Tokens are gathered and masked when a batch is created."""

    examples: PretrainingExamples
    number: int
    version: int
    """Number that determines pairs and masks: the epoch, or the epoch modulo `dupe_factor`."""
    pairs: Pairs

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each example."""
        return self.pairs.lengths_with(len(self.examples.layout.between))

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the examples in each batch, in this epoch's random order."""
        return batch_sampler(self.lengths, np.random.default_rng((self.examples.seed, ORDER_SEED, self.number)))

    def batch(self, indices: IntArray) -> PretrainingBatch:
        """Return a batch of examples, padded and masked. Without indices, return one example that has no labels."""
        if not len(indices):
            first = self.batch(np.zeros(1, dtype=np.int64))
            no_labels: dict[str, Any] = {
                name: torch.full_like(getattr(first, name), IGNORE_INDEX) for name in ("labels", "next_sentence_label")
            }
            return replace(
                first,
                **no_labels,
                attention_mask=torch.zeros_like(first.attention_mask),
                sequences=None,
                predict_at=first.predict_at[:0],
                output_at=torch.zeros(1, 1, dtype=torch.int64),
                uniform_at=None if first.uniform_at is None else first.uniform_at[:0],
            )
        examples, config, pairs = self.examples, self.examples.config, self.pairs[indices]
        lengths = pairs.lengths_with(len(examples.layout.between))[:, None]
        ids, is_text, in_second = self._gather(pairs, lengths)
        column, numbers = np.arange(ids.shape[1]), draw_random_numbers(indices, lengths[:, 0], self._seed)
        masked_ids, labels = mask_tokens(
            ids,
            is_text & examples.is_ordinary[ids],
            examples.mask_id,
            examples.replacement_ids,
            numbers,
            config.mlm_probability,
            examples.continues_word[ids] if config.whole_word_masking else None,
            config.max_predictions,
        )
        token_type_ids = np.where(in_second, examples.layout.second_segment, 0)
        predict_at, uniform_at = masked_positions(labels), None
        if examples.mask_share is not None:
            masked_ids = mask_or_keep(ids, labels, examples.mask_id, numbers, examples.mask_share)
            uniform_at = torch.from_numpy(numbers[..., 2].flatten()[predict_at])
        output_at = first_and_masked(predict_at, labels.shape)
        arrays = (masked_ids, column < lengths, token_type_ids, labels, pairs.label, predict_at, output_at)
        columns: list[Any] = [*map(torch.from_numpy, arrays)]
        columns += worthwhile_sequences(columns[1]), uniform_at
        return PretrainingBatch(*columns)

    @property
    def _seed(self) -> tuple[int, ...]:
        return self.examples.seed, MASK_SEED, self.version

    def _gather(self, pairs: Pairs, lengths: IntArray) -> tuple[IntArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the ids of [CLS] A [SEP] B [SEP] and padding, a mask that is True in A and B, and one for segment B."""
        examples = self.examples
        a_length, b_length = (pairs.a_end - pairs.a_start)[:, None], (pairs.b_end - pairs.b_start)[:, None]
        column = np.arange(lengths.max())
        b_column = a_length + 1 + len(examples.layout.between)
        in_a = (column >= 1) & (column <= a_length)
        in_b = (column >= b_column) & (column < b_column + b_length)
        position = np.where(in_a, pairs.a_start[:, None] + column - 1, pairs.b_start[:, None] + column - b_column)
        text_ids = examples.corpus.ids[np.where(in_a | in_b, position, 0)].astype(np.int64)
        end_ids = np.where(column < lengths, examples.layout.sep, examples.pad_id)
        special_ids = np.where(column == 0, examples.layout.cls, end_ids)
        in_second = (column >= b_column) & (column < lengths)
        return np.where(in_a | in_b, text_ids, special_ids), in_a | in_b, in_second


def masked_sentence(corpus: TokenizedCorpus, tokenizer: Tokenizer) -> str:
    """Return a short sentence of a corpus with [MASK] in place of one word, to try a model with; "[MASK]" if none is short.

    The word is one token, and the sentence has no [UNK]. The first thousand sentences are searched.
    """
    starts, mark = corpus.sentence_starts[:1001].tolist(), word_mark(tokenizer)
    mask, unknown = (special_token(tokenizer, name) for name in (MASK, UNK))
    for start, end in pairwise(starts):
        tokens = [tokenizer.id_to_token(index) or unknown for index in corpus.ids[start:end].tolist()]
        words = [
            position
            for position in range(1, len(tokens) - 1)
            if tokens[position].startswith(mark) and tokens[position][len(mark) :][:1].isalnum()
            if not continues_word(tokens[position + 1], mark)
        ]
        if 5 <= len(tokens) <= 15 and words and unknown not in tokens:
            tokens[words[len(words) // 2]] = mark + mask
            return str(tokenizer.decoder.decode(tokens)).strip() if tokenizer.decoder else " ".join(tokens)
    return mask


LABELS: dict[PairTask, tuple[str, tuple[str, str]]] = {
    "nsp": ("next_sentence_label", ("B is next", "B is not next")),
    "sop": ("sentence_order_label", ("A and B are in order", "A and B are swapped")),
}
"""Name of the label of a sentence pair, and its values in words."""


def describe_label(label: int, pairs: PairTask) -> str:
    """Describe the label of a sentence pair in words."""
    name, values = LABELS[pairs]
    return f"{name}: {label} ({'no second segment' if label == IGNORE_INDEX else values[label]})"


def format_examples(batches: Iterable[PretrainingBatch], tokenizer: Tokenizer, pairs: PairTask = "nsp") -> list[str]:
    """Format each example as text: its tokens after masking, the original tokens at masked positions, and its label.

    Examples without a masked token come last.
    """
    texts: list[str] = []
    unmasked_texts: list[str] = []
    for batch in batches:
        for ids, mask, labels, label in zip(
            batch.input_ids, batch.attention_mask, batch.labels, batch.next_sentence_label.tolist(), strict=True
        ):
            tokens = [tokenizer.id_to_token(token) or "" for token in ids[mask].tolist()]
            targets = [
                f"{position} {tokens[position]} was {tokenizer.id_to_token(target) or ''}"
                for position, target in enumerate(labels.tolist())
                if target != IGNORE_INDEX
            ]
            lines = [f"tokens: {' '.join(tokens)}", f"masked: {', '.join(targets) or 'nothing'}"]
            if pairs in LABELS:
                lines.append(describe_label(label, pairs))
            (texts if targets else unmasked_texts).append("\n".join(lines))
    return texts + unmasked_texts
