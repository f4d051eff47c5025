"""Batches: their order, the blocks in which examples are sorted, and defaults."""

from functools import partial
from itertools import islice

import numpy as np
import pytest

from minibert.text.batching import (
    BatchSampler,
    batches_by_count,
    batches_by_length,
    batches_of_similar_length,
    iterate_batches,
    pad_rows,
    split_micro_batches,
)
from minibert.text.parallel import ParallelExamples, ParallelText
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

LENGTHS = np.random.default_rng(0).integers(4, 64, 2000)


@pytest.mark.parametrize(
    ("batch_sampler", "block_size"),
    [
        (partial(batches_by_length, max_tokens=600), 16 * 600 // int(LENGTHS.mean())),
        (partial(batches_of_similar_length, batch_size=18), 16 * 18),
    ],
)
def test_examples_are_sorted_within_blocks_of_16_batches_and_batches_are_shuffled(
    batch_sampler: BatchSampler, block_size: int
) -> None:
    """All examples of a batch are from one block of the shuffled examples. Batches of long examples come anywhere."""
    place = np.argsort(np.random.default_rng(1).permutation(len(LENGTHS)))
    batches = batch_sampler(LENGTHS, np.random.default_rng(1))
    assert sorted(np.concatenate(batches).tolist()) == [*range(len(LENGTHS))]
    blocks = [place[batch] // block_size for batch in batches]
    assert all(len({*block}) == 1 for block in blocks)
    longest = [LENGTHS[batch].max() for batch in batches]
    for block in range(-(-len(LENGTHS) // block_size)):
        of_block = [length for length, found in zip(longest, blocks, strict=True) if found[0] == block]
        assert len(of_block) < 3 or of_block != sorted(of_block)


def test_micro_batches_of_one_process() -> None:
    """By default there is one process with one micro-batch, sorted by length. Without examples there is none."""
    assert [batch.tolist() for batch in split_micro_batches(np.array([4, 0, 2]), np.array([9, 1, 3, 1, 5]))] == [[2, 4, 0]]
    assert split_micro_batches(np.array([], dtype=np.int64), np.array([1])) == []


def test_batches_begin_with_epoch_0() -> None:
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdefghij"])
    examples = ParallelExamples(ParallelText([*"abcdefghij"], [*"abcdefghij"]), tokenizer, seed=0, max_length=9)
    batch_sampler = partial(batches_by_count, batch_size=10)
    found = [batch.input_ids[:, 1].tolist() for batch in islice(iterate_batches(examples, batch_sampler), 2)]
    assert found == [(5 + np.concatenate(examples.epoch(number).batch_indices(batch_sampler))).tolist() for number in range(2)]


def test_rows_are_padded_to_the_longest_or_to_a_given_length() -> None:
    for length, columns in ((0, 3), (3, 3), (5, 5)):
        ids, mask = pad_rows([[1, 2, 3], [], [4]], 9, length)
        padding = columns - 3
        assert ids.tolist() == [[1, 2, 3, *[9] * padding], [9] * columns, [4, 9, 9, *[9] * padding]]
        assert mask.tolist() == (ids != 9).tolist()
