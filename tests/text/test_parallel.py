"""Texts that belong together: read, split, drawn, and put into batches."""

import gzip
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.model.transformer import shift_right
from minibert.text.batching import batches_by_length
from minibert.text.corpus import CorpusError
from minibert.text.parallel import (
    ALPHABET,
    ParallelEpoch,
    ParallelExamples,
    ParallelText,
    SequenceExamples,
    read_parallel,
    solved,
    split_parallel,
)
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.strategies import seeds

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
TASKS = ("copy", "reverse", "sort")


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


class TestReadParallel:
    def test_two_files_and_one_with_tabs_are_the_same(self, tmp_path: Path) -> None:
        """Line by line, unpacked if need be; where a side is blank, both are left out."""
        one = written(tmp_path / "a.de", "ein Hund\n\nzwei 学习\ndrei\n")
        other = written(tmp_path / "a.en", "a dog\nnothing\ntwo\n  \n")
        tabs = tmp_path / "both.tsv.gz"
        tabs.write_bytes(gzip.compress("ein Hund\ta dog\n\nzwei 学习\ttwo\r\ndrei\t\n".encode()))
        expected = ParallelText(["ein Hund", "zwei 学习"], ["a dog", "two"], left_out=2)
        assert read_parallel([one, other]) == expected
        assert read_parallel([tabs]) == replace(expected, left_out=1)

    def test_clear_errors(self, tmp_path: Path) -> None:
        """Another number of lines, no tab, not UTF-8, nothing at all."""
        one, other = written(tmp_path / "a", "x\ny\nz\n"), written(tmp_path / "b", "x\ny\n")
        with pytest.raises(CorpusError, match=r"b has fewer lines than .*a: line 3 has no partner"):
            read_parallel([one, other])
        with pytest.raises(CorpusError, match=r"a has no partner|b has fewer lines"):
            read_parallel([other, one])
        with pytest.raises(CorpusError, match="a, line 1: has no tab"):
            read_parallel([one])
        with pytest.raises(CorpusError, match="e, line 2: has 3 columns, not source and target"):
            read_parallel([written(tmp_path / "e", "x\ty\nx\ty\tCC-BY\n")])
        with pytest.raises(CorpusError, match="nowhere: No such file or directory; a file is wanted here"):
            read_parallel([tmp_path / "nowhere"])
        (tmp_path / "c").write_bytes(b"x\ty\n\xff\tz\n")
        with pytest.raises(CorpusError, match="c, line 2: is not UTF-8"):
            read_parallel([tmp_path / "c"])
        with pytest.raises(CorpusError, match="there is no line with a source and a target"):
            read_parallel([written(tmp_path / "d", "\t\n\n")])


def test_a_source_is_on_one_side_only() -> None:
    """However often it comes, and wherever; together both sides are everything, in order."""
    text = ParallelText([f"s{n % 200}" for n in range(600)], [f"t{n}" for n in range(600)])
    train, validation = split_parallel(text, 0.1)
    assert not {*train.sources} & {*validation.sources}
    assert 20 < len(validation) < 120
    assert sorted(train.targets + validation.targets) == sorted(text.targets)
    assert split_parallel(text, 0.0) == (text, ParallelText([], []))


class TestParallelExamples:
    def test_value_of_a_batch(self) -> None:
        """The source from [CLS] to [SEP]; the target from [CLS] on, and up to [SEP]; padding is masked, never foretold."""
        examples = ParallelExamples(ParallelText(["a b", "c"], ["b", "d e f"]), TOKENIZER, seed=0, longest=9)
        batch = examples.epoch(0).batch(np.array([0, 1]))
        assert batch.input_ids.tolist() == [[2, 5, 6, 3], [2, 7, 3, 0]]
        assert batch.attention_mask.tolist() == [[True] * 4, [True, True, True, False]]
        assert batch.decoder_input_ids.tolist() == [[2, 6, 0, 0], [2, 8, 9, 10]]
        assert batch.labels.tolist() == [[6, 3, IGNORE_INDEX, IGNORE_INDEX], [8, 9, 10, 3]]

    def test_the_decoder_is_given_what_the_model_makes_of_the_labels(self) -> None:
        """Training and `Transformer(labels=...)` shift the same way."""
        batch = SequenceExamples("sort", TOKENIZER, seed=0, size=20, longest=6).epoch(0).batch(np.arange(20))
        shifted = shift_right(batch.labels, start=2, padding=0)
        there = batch.labels != IGNORE_INDEX
        assert torch.equal(batch.decoder_input_ids[there], shifted[there])

    def test_long_pairs_are_left_out_and_counted(self) -> None:
        """With more tokens than there may be, on either side."""
        text = ParallelText(["a b c d", "a", "a"], ["a", "a b c d", "b"])
        examples = ParallelExamples(text, TOKENIZER, seed=0, longest=4)
        assert examples.left_out == 2
        assert examples.sources == [[2, 5, 3]]

    def test_no_example_chosen_is_nothing_to_learn(self) -> None:
        """What a process is given that has nothing to do."""
        epoch = ParallelExamples(ParallelText(["a b"], ["b"]), TOKENIZER, seed=0, longest=9).epoch(0)
        assert (epoch.batch(np.zeros(0, dtype=np.int64)).labels == IGNORE_INDEX).all()

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=30), seeds, st.integers(0, 3))
    def test_every_pair_is_in_one_batch_in_an_order_of_the_epoch(self, lengths: list[int], seed: int, number: int) -> None:
        """The order is that of seed and epoch; another epoch has another."""
        pairs = [[5] * length for length in lengths]
        epoch = ParallelEpoch(pairs, pairs, 0, (seed, 0, number))
        found = epoch.in_batches(partial(batches_by_length, 12))
        assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
        again = ParallelEpoch(pairs, pairs, 0, (seed, 0, number)).in_batches(partial(batches_by_length, 12))
        assert [some.tolist() for some in found] == [some.tolist() for some in again]


class TestSequenceExamples:
    @pytest.mark.parametrize("task", TASKS)
    def test_value(self, task: str) -> None:
        """Each target is what the task makes of its source; all lengths come."""
        text = SequenceExamples(task, TOKENIZER, seed=0, size=400, longest=6).texts(0)
        for source, target in zip(text.sources, text.targets, strict=True):
            assert target.split() == {"copy": list, "reverse": lambda s: s[::-1], "sort": sorted}[task](source.split())
        assert {len(source.split()) for source in text.sources} == {1, 2, 3, 4, 5, 6}

    def test_what_is_validation_is_never_train_from(self) -> None:
        """In no epoch; each epoch has other sequences, and the same again if it is asked for again."""
        train = SequenceExamples("sort", TOKENIZER, seed=0, size=2000, longest=3)
        validation = SequenceExamples("sort", TOKENIZER, seed=0, size=500, longest=3, validation=True)
        seen = {source for number in range(3) for source in train.texts(number).sources}
        assert not seen & {*validation.texts(0).sources}
        assert train.texts(0) != train.texts(1)
        assert train.texts(1) == train.texts(1)

    def test_a_batch_is_of_the_texts(self) -> None:
        """Encoded as parallel text is."""
        examples = SequenceExamples("reverse", TOKENIZER, seed=3, size=4, longest=5)
        text, batch = examples.texts(2), examples.epoch(2).batch(np.arange(4))
        for source, target, ids, keep, labels in zip(
            text.sources, text.targets, batch.input_ids, batch.attention_mask, batch.labels, strict=True
        ):
            assert TOKENIZER.decode(ids[keep].tolist()) == source
            assert TOKENIZER.decode(labels[labels != IGNORE_INDEX].tolist()) == target
            assert torch.equal(ids[~keep], torch.zeros_like(ids[~keep]))


@given(st.lists(st.sampled_from(ALPHABET), max_size=9))
def test_tasks_are_what_they_are_called(letters: list[str]) -> None:
    """Sorting twice is sorting once, reversing twice is copying, and nothing is lost."""
    assert solved("sort", solved("sort", letters)) == solved("sort", letters)
    assert solved("reverse", solved("reverse", letters)) == solved("copy", letters) == letters
    assert sorted(solved("reverse", letters)) == solved("sort", letters)
