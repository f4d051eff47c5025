"""Texts that belong together, and what a Transformer is trained on: a source, and the target that it is to become."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray, padded
from minibert.text.corpus import CorpusError, numbered_lines
from minibert.text.options import SequenceTask
from minibert.text.splits import in_validation
from minibert.text.tokenizer import PAD, token_id

ALPHABET = tuple("abcdefghijklmnopqrstuvwxyz")
ORDER, DRAWS = 0, 1
"""What is drawn: each has random numbers of its own."""


@dataclass(frozen=True)
class ParallelText:
    """Sources and their targets, in order."""

    sources: list[str]
    targets: list[str]
    left_out: int = 0
    """Pairs of which one side was empty."""

    def __len__(self) -> int:
        return len(self.sources)


def read_parallel(paths: Sequence[Path]) -> ParallelText:
    """The lines of two files side by side, or of one with a tab in each line. Where either side is empty, both are left out.

    Raises: CorpusError that names file and line.
    """
    pairs = _split(paths[0]) if len(paths) == 1 else _side_by_side(*paths)
    sides = [side for side in ((source.strip(), target.strip()) for source, target in pairs) if any(side)]
    full = [side for side in sides if all(side)]
    if not full:
        raise CorpusError(f"{paths[0]}: there is no line with a source and a target")
    return ParallelText([source for source, _ in full], [target for _, target in full], len(sides) - len(full))


def _split(path: Path) -> Iterable[tuple[str, str]]:
    for number, line in numbered_lines(path):
        columns = line.rstrip("\r\n").split("\t")
        if len(columns) == 1 and line.strip():
            raise CorpusError(f"{path}, line {number}: has no tab between source and target; or give two files")
        if len(columns) > 2:
            raise CorpusError(f"{path}, line {number}: has {len(columns)} columns, not source and target; try cut -f 1,2")
        yield columns[0], columns[-1]


def _side_by_side(one: Path, other: Path) -> Iterable[tuple[str, str]]:
    for source, target in zip_longest(numbered_lines(one), numbered_lines(other)):
        if source is None or target is None:
            shorter, longer = (one, other) if source is None else (other, one)
            raise CorpusError(f"{shorter} has fewer lines than {longer}: line {(source or target)[0]} has no partner")
        yield source[1], target[1]


def split_parallel(text: ParallelText, share: float) -> tuple[ParallelText, ParallelText]:
    """What is learned from, and what is held out: which, depends on the source alone, so that none is on both sides."""
    parts = ParallelText([], []), ParallelText([], [])
    for source, target in zip(text.sources, text.targets, strict=True):
        part = parts[in_validation(source, share)]
        part.sources.append(source)
        part.targets.append(target)
    return parts


@dataclass(frozen=True)
class ParallelBatch:
    """What a Transformer is trained on; the names are those of its arguments.

    At each place of the target `decoder_input_ids` has the token before the one that `labels` wants foretold.
    """

    input_ids: Int[Tensor, "batch sources"]
    attention_mask: Bool[Tensor, "batch sources"]
    decoder_input_ids: Int[Tensor, "batch targets"]
    labels: Int[Tensor, "batch targets"]

    def to(self, device: torch.device) -> "ParallelBatch":
        """The same on another device."""
        return ParallelBatch(*(column.to(device, non_blocking=True) for column in vars(self).values()))


@dataclass(frozen=True)
class ParallelEpoch:
    """Pairs of encoded sentences, numbered, both [CLS] … [SEP]."""

    sources: list[list[int]]
    targets: list[list[int]]
    pad: int
    seed: tuple[int, ...]

    @property
    def lengths(self) -> IntArray:
        """Tokens of each pair together; the target has one less than it is long, on the way in as on the way out."""
        pairs = zip(self.sources, self.targets, strict=True)
        return np.array([len(source) + len(target) - 1 for source, target in pairs], dtype=np.int64)

    def in_batches(self, cut: Callable[[IntArray, np.random.Generator], list[IntArray]]) -> list[IntArray]:
        """The numbers of all pairs, cut into batches by a function of their lengths, in this epoch's random order."""
        return cut(self.lengths, np.random.default_rng(self.seed))

    def batch(self, chosen: IntArray) -> ParallelBatch:
        """Some pairs, one a row. Where none is chosen it is the first one, with nothing to foretell."""
        rows = chosen.tolist() or [0]
        given, _ = padded([self.targets[row][:-1] for row in rows], self.pad)
        labels, _ = padded([self.targets[row][1:] for row in rows], IGNORE_INDEX)
        return ParallelBatch(
            *padded([self.sources[row] for row in rows], self.pad),
            given,
            labels if len(chosen) else torch.full_like(labels, IGNORE_INDEX),
        )


def _encoded(text: ParallelText, tokenizer: Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """Sources and targets as a `ParallelEpoch` has them."""
    sources, targets = tokenizer.encode_batch(text.sources), tokenizer.encode_batch(text.targets)
    return [encoding.ids for encoding in sources], [encoding.ids for encoding in targets]


class ParallelExamples:
    """A parallel text, encoded: the same pairs in every epoch, in another order.

    Args:
        longest: pairs with a side of more tokens are left out; `left_out` says how many.
    """

    def __init__(self, text: ParallelText, tokenizer: Tokenizer, seed: int, longest: int) -> None:
        sources, targets = _encoded(text, tokenizer)
        fits = [len(one) <= longest and len(other) - 1 <= longest for one, other in zip(sources, targets, strict=True)]
        self.sources = [ids for ids, kept in zip(sources, fits, strict=True) if kept]
        self.targets = [ids for ids, kept in zip(targets, fits, strict=True) if kept]
        self.left_out = len(fits) - sum(fits)
        self.pad, self.seed = token_id(tokenizer, PAD), seed

    def epoch(self, number: int) -> ParallelEpoch:
        """Every pair once."""
        return ParallelEpoch(self.sources, self.targets, self.pad, (self.seed, ORDER, number))


class SequenceExamples:
    """Sequences of letters, and what a task makes of them: drawn anew in every epoch, without those that are held out.

    Args:
        size: sequences in an epoch.
        longest: letters; each length from 1 on is equally likely.
        validation: whether to draw those that are held out, and only those.
    """

    def __init__(
        self, task: SequenceTask, tokenizer: Tokenizer, seed: int, size: int, longest: int, validation: bool = False
    ) -> None:
        self.task, self.tokenizer, self.seed = task, tokenizer, seed
        self.size, self.longest, self.validation = size, longest, validation

    def texts(self, number: int) -> ParallelText:
        """The sequences of an epoch, with spaces between the letters."""
        generator = np.random.default_rng((self.seed, DRAWS, number, int(self.validation)))
        found = ParallelText([], [])
        while len(found) < self.size:
            letters = generator.choice(ALPHABET, generator.integers(1, self.longest + 1)).tolist()
            if in_validation(source := " ".join(letters), RESERVED_SHARE) == self.validation:
                found.sources.append(source)
                found.targets.append(" ".join(solved(self.task, letters)))
        return found

    def epoch(self, number: int) -> ParallelEpoch:
        """As many new sequences."""
        sources, targets = _encoded(self.texts(number), self.tokenizer)
        return ParallelEpoch(sources, targets, token_id(self.tokenizer, PAD), (self.seed, ORDER, number))


RESERVED_SHARE = 0.1
"""Share of all sequences that are never learned from."""


def solved(task: SequenceTask, letters: Sequence[str]) -> list[str]:
    """What a task makes of a sequence.

    >>> [solved(task, "cab") for task in ("copy", "reverse", "sort")]
    [['c', 'a', 'b'], ['b', 'a', 'c'], ['a', 'b', 'c']]
    """
    match task:
        case "copy":
            return list(letters)
        case "reverse":
            return list(reversed(letters))
        case "sort":
            return sorted(letters)
