"""Packed documents: every token is a target once per epoch, in the order of its document."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import IntArray, batches_by_count, split_micro_batches
from minibert.text.characters import build_character_tokenizer
from minibert.text.corpus import Document
from minibert.text.packing import LINES, PackedEpoch, PackedExamples, cut, in_order, pack, target_ids
from minibert.text.tokenized import TokenizedCorpus
from tests.strategies import seeds

TOKENIZER = build_character_tokenizer(["\n", *"abcdefghij"])
END = 0
DOCUMENTS = [Document(str(number), tuple("abcdefghij"[: number + 1] for _ in range(number % 3 + 1))) for number in range(8)]
CORPUS = TokenizedCorpus.from_documents(DOCUMENTS, TOKENIZER, LINES)
lengths_of_documents = st.lists(st.integers(1, 7), max_size=9)


def by_count(lengths: IntArray, generator: np.random.Generator) -> list[IntArray]:
    return batches_by_count(lengths, generator, 3)


def epoch_of(length: int, seed: int | None = 0, number: int = 0) -> PackedEpoch:
    return PackedExamples(CORPUS, TOKENIZER, length, seed).epoch(number)


def test_a_document_is_its_lines_and_the_end() -> None:
    corpus = TokenizedCorpus.from_documents([Document("", ("ab", "c")), Document("", ("d",))], TOKENIZER, LINES)
    assert TOKENIZER.decode(corpus.ids.tolist(), skip_special_tokens=False) == "ab\nc\n<|endoftext|>d\n<|endoftext|>"


@given(lengths_of_documents, seeds)
def test_packing_is_a_permutation_that_keeps_documents_together(lengths: list[int], seed: int) -> None:
    starts = np.cumsum([0, *lengths])
    order = np.random.default_rng(seed).permutation(len(lengths))
    packing = pack(starts, order)
    expected = [place for document in order for place in range(starts[document], starts[document + 1])]
    assert packing.old_places(np.arange(sum(lengths))).tolist() == expected
    assert sorted(expected) == [*range(sum(lengths))]


@given(st.integers(0, 40), st.integers(1, 9), st.data())
def test_windows_have_every_token_once(tokens: int, length: int, data: st.DataObject) -> None:
    """All have the given length, except for the first and the last one."""
    first = data.draw(st.integers(1, length))
    starts = cut(tokens, length, first)
    lengths = np.diff(starts)
    assert (starts[0], starts[-1]) == (0, tokens)
    assert (lengths > 0).all()
    assert (lengths[1:-1] == length).all()
    assert len(lengths) < 2 or lengths[0] == first


@given(st.integers(1, 200), seeds, st.integers(0, 3))
def test_every_token_is_a_target_once_per_epoch(length: int, seed: int, number: int) -> None:
    """In windows of any length. Each window continues with the token before its first target as input."""
    epoch = epoch_of(length, seed, number)
    windows = [epoch.batch(np.array([index])) for index in range(len(epoch.lengths))]
    targets = torch.cat([window.next_tokens[0] for window in windows])
    inputs = torch.cat([window.input_ids[0] for window in windows])
    assert torch.equal(targets.bincount(minlength=12), torch.from_numpy(np.bincount(CORPUS.ids, minlength=12)))
    assert inputs.tolist() == [END, *targets[:-1].tolist()]
    texts = TOKENIZER.decode(targets.tolist(), skip_special_tokens=False).split("<|endoftext|>")
    assert sorted(texts) == sorted(["", *("".join(f"{line}\n" for line in each.sentences) for each in DOCUMENTS)])


@given(st.integers(1, 30), st.integers(1, 4))
def test_several_processes_share_the_windows(length: int, processes: int) -> None:
    """Together they have the targets of the step, whatever their number; one without windows has a batch without targets."""
    epoch = epoch_of(length)
    for indices in epoch.batch_indices(by_count):
        parts = [
            epoch.batch(part)
            for rank in range(processes)
            for part in split_micro_batches(indices, epoch.lengths, rank, processes, micro_batch_size=2)
        ]
        together = epoch.batch(indices)
        assert torch.equal(target_ids(parts).sort().values, target_ids([together]).sort().values)


def test_batches_have_every_window_once_and_epochs_differ() -> None:
    """The first epoch is the same each time; in the next one, documents and windows have another order."""
    orders, targets = [], []
    for number in (0, 0, 1):
        epoch = epoch_of(5, number=number)
        batches = epoch.batch_indices(by_count)
        orders.append([index for batch in batches for index in batch.tolist()])
        targets.append(target_ids([epoch.batch(batch) for batch in batches]).tolist())
        assert sorted(orders[-1]) == [*range(len(epoch.lengths))]
    assert targets[0] == targets[1] != targets[2]
    assert sorted(targets[0]) == sorted(targets[2])


def test_short_windows_are_padded_on_the_right() -> None:
    epoch = epoch_of(7)
    batch = epoch.batch(np.array([0, 1, len(epoch.lengths) - 1]))
    for row, length in enumerate(epoch.lengths[[0, 1, -1]]):
        assert (batch.next_tokens[row, length:] == IGNORE_INDEX).all()
        assert (batch.next_tokens[row, :length] != IGNORE_INDEX).all()


def test_a_batch_without_windows_has_no_targets() -> None:
    batch = epoch_of(5).batch(np.array([], dtype=np.int64))
    assert batch.input_ids.shape == (1, 1)
    assert len(target_ids([batch])) == 0


@pytest.mark.parametrize("windows", [2, 1000])
def test_validation_windows_are_the_beginning_of_the_text(windows: int) -> None:
    """In its order, at most so many, and each of full length but the last one."""
    batches = in_order(CORPUS, TOKENIZER, 6, windows, batch_size=3)
    ids = target_ids(batches).tolist()
    assert ids == CORPUS.ids[: 6 * windows].tolist()
    assert batches[0].input_ids[0].tolist() == [END, *ids[:5]]
    assert in_order(TokenizedCorpus.from_documents([], TOKENIZER, LINES), TOKENIZER, 6, windows, 3) == []
