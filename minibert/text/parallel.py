"""Parallel text: sources with their targets, as examples and batches for an encoder-decoder Transformer."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.device import to_device
from minibert.equations import IGNORE_INDEX
from minibert.kernels import Sequences, worthwhile_sequences
from minibert.text.batching import BatchSampler, IntArray, pad_rows
from minibert.text.file_formats import CorpusError, check_plain_text, numbered_lines
from minibert.text.splits import is_validation
from minibert.text.tokenizer import PAD, UNK, token_id, without_special_tokens

ORDER_SEED, SEQUENCE_SEED = 0, 1
"""Part of the seed that differs for the order of examples and for random sequences of letters, so that they are independent."""


@dataclass(frozen=True)
class ParallelText:
    """Source texts and their target texts, in the same order."""

    sources: list[str]
    targets: list[str]
    skipped: int = 0
    """Number of pairs in the files that were skipped because one side is empty."""

    def __len__(self) -> int:
        return len(self.sources)


def read_parallel(paths: Sequence[Path]) -> ParallelText:
    """Read two files line by line, or one file with a tab between source and target. Skip pairs with an empty side.

    Raises: CorpusError, with file and line, if a file cannot be read or has the wrong form.
    """
    pairs = _read_one_file(paths[0]) if len(paths) == 1 else _read_two_files(*paths)
    not_blank = [pair for pair in ((source.strip(), target.strip()) for source, target in pairs) if any(pair)]
    complete = [pair for pair in not_blank if all(pair)]
    if not complete:
        raise CorpusError(f"{paths[0]}: no line has a source and a target")
    return ParallelText([source for source, _ in complete], [target for _, target in complete], len(not_blank) - len(complete))


def _read_one_file(path: Path) -> Iterable[tuple[str, str]]:
    check_plain_text(path)
    for number, line in numbered_lines(path):
        columns = line.split("\t")
        if len(columns) == 1 and line.strip():
            raise CorpusError(f"{path}, line {number}: has no tab between source and target; add it, or give two files")
        if len(columns) > 2:
            raise CorpusError(
                f"{path}, line {number}: has {len(columns)} columns instead of source and target; "
                "select them, for example: cut -f 1,2"
            )
        yield columns[0], columns[-1]


def _read_two_files(source_path: Path, target_path: Path) -> Iterable[tuple[str, str]]:
    for path in (source_path, target_path):
        check_plain_text(path)
    for source, target in zip_longest(numbered_lines(source_path), numbered_lines(target_path)):
        if source is None or target is None:
            shorter, longer = (source_path, target_path) if source is None else (target_path, source_path)
            number, _ = source or target
            raise CorpusError(f"{shorter} has fewer lines than {longer}: nothing corresponds to line {number}")
        yield source[1], target[1]


def split_parallel(text: ParallelText, validation_fraction: float) -> tuple[ParallelText, ParallelText]:
    """Split parallel text into training and validation text. The split depends only on the sources."""
    splits = ParallelText([], []), ParallelText([], [])
    for source, target in zip(text.sources, text.targets, strict=True):
        split = splits[is_validation(source, validation_fraction)]
        split.sources.append(source)
        split.targets.append(target)
    return splits


@dataclass(frozen=True)
class ParallelBatch:
    """Arguments of `Transformer`. `decoder_input_ids` are the target tokens shifted right: each is followed by its label."""

    input_ids: Int[Tensor, "batch sources"]
    attention_mask: Bool[Tensor, "batch sources"]
    decoder_input_ids: Int[Tensor, "batch targets"]
    labels: Int[Tensor, "batch targets"]
    sequences: Sequences | None = None
    """The tokens of `attention_mask`, if it saves time to leave the padding out."""

    def to(self, device: torch.device) -> "ParallelBatch":
        """Copy the batch to a device."""
        columns = {name: column for name, column in vars(self).items() if column is not None}
        return replace(self, **{name: to_device(column, device) for name, column in columns.items()})


@dataclass(frozen=True)
class ParallelEpoch:
    """One pass over tokenized pairs. Sources and targets have the form [CLS] … [SEP]."""

    sources: list[list[int]]
    targets: list[list[int]]
    pad_id: int
    unk_id: int
    """Id of [UNK], which is never a label: there is nothing to learn from it."""
    seed: tuple[int, ...]

    @property
    def lengths(self) -> IntArray:
        """Number of tokens of each pair."""
        lengths: IntArray = self.lengths_by_side.sum(axis=1)
        return lengths

    @property
    def lengths_by_side(self) -> IntArray:
        """Number of tokens of each source and each target, as two columns.

        A target counts one token less, because inputs and labels are shifted by one.
        """
        pairs = zip(self.sources, self.targets, strict=True)
        return np.array([(len(source), len(target) - 1) for source, target in pairs], dtype=np.int64).reshape(-1, 2)

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the pairs in each batch, in this epoch's random order."""
        return batch_sampler(self.lengths_by_side, np.random.default_rng(self.seed))

    def batch(self, indices: IntArray) -> ParallelBatch:
        """Return a batch of pairs. Without indices, return one pair that has no labels."""
        rows = indices.tolist() or [0]
        input_ids, attention_mask = pad_rows([self.sources[row] for row in rows], self.pad_id)
        decoder_input_ids, _ = pad_rows([self.targets[row][:-1] for row in rows], self.pad_id)
        labels, _ = pad_rows([self.targets[row][1:] for row in rows], IGNORE_INDEX)
        labels = labels.masked_fill(labels == self.unk_id if len(indices) else torch.ones_like(labels).bool(), IGNORE_INDEX)
        return ParallelBatch(input_ids, attention_mask, decoder_input_ids, labels, worthwhile_sequences(attention_mask))


class ParallelExamples:
    """Tokenized parallel text: the same pairs in every epoch, in a different order.

    Pairs that cannot be used are skipped: those of which the tokenizer leaves nothing on a side, and those that are too long.

    Args:
        seed: seed of the order.
        max_length: maximum number of tokens of a source or a target.
        max_tokens: maximum number of tokens of both together; None for no maximum.

    Attributes:
        text: the pairs that are not skipped.
        skipped: number of pairs skipped for each reason.
    """

    def __init__(
        self, text: ParallelText, tokenizer: Tokenizer, seed: int, max_length: int, max_tokens: int | None = None
    ) -> None:
        self.pad_id, self.unk_id, self.seed = token_id(tokenizer, PAD), token_id(tokenizer, UNK), seed
        self.text = ParallelText([], [])
        self.sources: list[list[int]] = []
        self.targets: list[list[int]] = []
        self.skipped = Counter({"with an empty side": text.skipped} if text.skipped else {})
        pairs = zip(text.sources, text.targets, *tokenize_pairs(text, tokenizer), strict=True)
        for source, target, source_ids, target_ids in pairs:
            lengths = len(source_ids), len(target_ids) - 1
            if not source_ids or not target_ids:
                self.skipped["with an empty side"] += 1
            elif max(lengths) > max_length:
                self.skipped[f"with more than {max_length} tokens on a side (see --max-length)"] += 1
            elif max_tokens is not None and sum(lengths) > max_tokens:
                self.skipped[f"with more than {max_tokens} tokens on both sides together (see --batch-tokens)"] += 1
            else:
                self.text.sources.append(source)
                self.text.targets.append(target)
                self.sources.append(source_ids)
                self.targets.append(target_ids)

    def describe_skipped(self) -> str:
        """List the skipped pairs and the reasons; empty if there are none."""
        return ", ".join(f"{count:,} pairs {reason}" for reason, count in self.skipped.items())

    def epoch(self, number: int) -> ParallelEpoch:
        """Return an epoch; numbers start at 0."""
        return ParallelEpoch(self.sources, self.targets, self.pad_id, self.unk_id, (self.seed, ORDER_SEED, number))


def tokenize_pairs(text: ParallelText, tokenizer: Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """Tokenize sources and targets, each as [CLS] … [SEP], or as an empty list if the tokenizer leaves nothing of the text."""
    return tokenize_lines(text.sources, tokenizer), tokenize_lines(text.targets, tokenizer)


def tokenize_lines(lines: Sequence[str], tokenizer: Tokenizer) -> list[list[int]]:
    """Tokenize lines, each as [CLS] … [SEP], or as an empty list if the tokenizer leaves nothing: of U+200B, for example.

    A literal [MASK] or [SEP] in a line is text, not a special token.
    """
    encodings = without_special_tokens(tokenizer).encode_batch(lines)
    return [[] if all(encoding.special_tokens_mask) else encoding.ids for encoding in encodings]
