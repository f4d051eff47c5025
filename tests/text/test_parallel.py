"""Parallel text: reading, splitting, examples and batches."""

import gzip
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.model.encoder_decoder import shift_right
from minibert.text.batching import batches_by_length, epoch_batches
from minibert.text.file_formats import CorpusError
from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.parallel import ParallelEpoch, ParallelExamples, ParallelText, read_parallel, split_parallel
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.strategies import seeds

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])


INVISIBLE = st.text(st.sampled_from("\u200b\ufeff\u00ad\u2060\ufffd\x01\x7f\u3000 "), max_size=3)
"""Texts of which BERT's tokenizer leaves nothing."""


def invisible_or(text: str) -> st.SearchStrategy[str]:
    """Draw an invisible text, or `text` with one before it and one after it."""
    return INVISIBLE | st.builds(lambda before, after: before + text + after, INVISIBLE, INVISIBLE)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


class TestReadParallel:
    def test_two_files_and_one_file_with_tabs_are_equivalent(self, tmp_path: Path) -> None:
        """Lines correspond, .gz files are decompressed, and pairs with a blank side are skipped."""
        one = written(tmp_path / "a.de", "ein Hund\n\nzwei 学习\ndrei\n")
        other = written(tmp_path / "a.en", "a dog\nnothing\ntwo\n  \n")
        tabs = tmp_path / "both.tsv.gz"
        tabs.write_bytes(gzip.compress("ein Hund\ta dog\n\nzwei 学习\ttwo\r\ndrei\t\n".encode()))
        expected = ParallelText(["ein Hund", "zwei 学习"], ["a dog", "two"], skipped=2)
        assert read_parallel([one, other]) == expected
        assert read_parallel([tabs]) == replace(expected, skipped=1)

    @pytest.mark.parametrize("names", [["a.json"], ["a.json", "b.txt"], ["b.txt", "a.json"], ["b.txt", "c.json.gz"]])
    def test_json_is_not_parallel_text(self, tmp_path: Path, names: list[str]) -> None:
        """Its lines could have tabs, and as many as another file."""
        for name in ("a.json", "b.txt"):
            written(tmp_path / name, "one\ttwo\n")
        (tmp_path / "c.json.gz").write_bytes(gzip.compress(b"one\n"))
        with pytest.raises(CorpusError, match=r"[ac]\.json(\.gz)?: is JSON, not plain text"):
            read_parallel([tmp_path / name for name in names])

    def test_errors_contain_file_and_line(self, tmp_path: Path) -> None:
        """Different numbers of lines, missing or extra tabs, a missing file, invalid UTF-8, no pairs."""
        one, other = written(tmp_path / "a", "x\ny\nz\n"), written(tmp_path / "b", "x\ny\n")
        with pytest.raises(CorpusError, match=r"b has fewer lines than .*a: nothing corresponds to line 3"):
            read_parallel([one, other])
        with pytest.raises(CorpusError, match="b has fewer lines"):
            read_parallel([other, one])
        with pytest.raises(CorpusError, match="a, line 1: has no tab"):
            read_parallel([one])
        with pytest.raises(CorpusError, match="e, line 2: has 3 columns instead of source and target"):
            read_parallel([written(tmp_path / "e", "x\ty\nx\ty\tCC-BY\n")])
        with pytest.raises(CorpusError, match=r"nowhere: cannot be read \(No such file or directory\)"):
            read_parallel([tmp_path / "nowhere"])
        (tmp_path / "c").write_bytes(b"x\ty\n\xff\tz\n")
        with pytest.raises(CorpusError, match="c, line 2: is not UTF-8"):
            read_parallel([tmp_path / "c"])
        with pytest.raises(CorpusError, match="no line has a source and a target"):
            read_parallel([written(tmp_path / "d", "\t\n\n")])


def test_split_keeps_equal_sources_together() -> None:
    """No source is in both parts, and the two parts together contain all pairs."""
    text = ParallelText([f"s{n % 200}" for n in range(600)], [f"t{n}" for n in range(600)])
    train, validation = split_parallel(text, 0.1)
    assert not {*train.sources} & {*validation.sources}
    assert 20 < len(validation) < 120
    assert sorted(train.targets + validation.targets) == sorted(text.targets)
    assert split_parallel(text, 0.0) == (text, ParallelText([], []))


class TestParallelExamples:
    def test_value_of_a_batch(self) -> None:
        """Sources include [CLS] and [SEP]. Decoder inputs start with [CLS]; labels end with [SEP]. Padding has no labels."""
        examples = ParallelExamples(ParallelText(["a b", "c"], ["b", "d e f"]), TOKENIZER, seed=0, max_length=9)
        batch = examples.epoch(0).batch(np.array([0, 1]))
        assert batch.input_ids.tolist() == [[2, 5, 6, 3], [2, 7, 3, 0]]
        assert batch.attention_mask.tolist() == [[True] * 4, [True, True, True, False]]
        assert batch.decoder_input_ids.tolist() == [[2, 6, 0, 0], [2, 8, 9, 10]]
        assert batch.labels.tolist() == [[6, 3, IGNORE_INDEX, IGNORE_INDEX], [8, 9, 10, 3]]

    def test_decoder_input_ids_equal_the_shifted_labels(self) -> None:
        """The batch and `Transformer(labels=...)` use the same shift."""
        batch = LettersExamples("sort", TOKENIZER, seed=0, size=20, max_length=6).epoch(0).batch(np.arange(20))
        shifted = shift_right(batch.labels, start=2, padding=0)
        is_target = batch.labels != IGNORE_INDEX
        assert torch.equal(batch.decoder_input_ids[is_target], shifted[is_target])

    def test_long_pairs_are_skipped_and_counted(self) -> None:
        """A pair is skipped if its source or its target is too long, or both together."""
        text = ParallelText(["a b c d", "a", "a", "a b"], ["a", "a b c d", "b", "a b c"])
        examples = ParallelExamples(text, TOKENIZER, seed=0, max_length=4, max_tokens=7)
        assert examples.text == ParallelText(["a"], ["b"])
        assert examples.sources == [[2, 5, 3]]
        assert examples.describe_skipped() == (
            "2 pairs with more than 4 tokens on a side (see --max-length), "
            "1 pairs with more than 7 tokens on both sides together (see --batch-tokens)"
        )
        assert ParallelExamples(text, TOKENIZER, seed=0, max_length=9).describe_skipped() == ""

    @given(st.lists(st.tuples(invisible_or("a b"), invisible_or("c")), max_size=9), st.integers(0, 2))
    def test_pairs_of_which_the_tokenizer_leaves_nothing_are_skipped_and_counted(
        self, pairs: list[tuple[str, str]], blank: int
    ) -> None:
        """Characters without width, control characters and the like are no text. Pairs with a blank side are counted too."""
        text = ParallelText([source for source, _ in pairs], [target for _, target in pairs], blank)
        examples = ParallelExamples(text, TOKENIZER, seed=0, max_length=9)
        complete = [(source, target) for source, target in pairs if "a b" in source and "c" in target]
        assert list(zip(examples.text.sources, examples.text.targets, strict=True)) == complete
        assert examples.sources == [[2, 5, 6, 3]] * len(complete)
        assert examples.skipped["with an empty side"] == len(pairs) - len(complete) + blank

    def test_literal_special_tokens_are_text(self) -> None:
        """They are split into unknown pieces here; otherwise [SEP] would end the target."""
        examples = ParallelExamples(ParallelText(["a [PAD]"], ["[SEP] b [MASK]"]), TOKENIZER, seed=0, max_length=9)
        assert examples.sources == [[2, 5, 1, 1, 1, 3]]
        assert examples.targets == [[2, 1, 1, 1, 6, 1, 1, 1, 3]]

    def test_unknown_pieces_are_never_labels(self) -> None:
        """They are inputs only."""
        batch = (
            ParallelExamples(ParallelText(["学 a"], ["b 学 c 学"]), TOKENIZER, seed=0, max_length=9)
            .epoch(0)
            .batch(np.array([0]))
        )
        assert batch.input_ids.tolist() == [[2, 1, 5, 3]]
        assert batch.decoder_input_ids.tolist() == [[2, 6, 1, 7, 1]]
        assert batch.labels.tolist() == [[6, IGNORE_INDEX, 7, IGNORE_INDEX, 3]]

    @given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), max_size=60), st.integers(64, 200), seeds)
    def test_batches_have_at_most_the_given_number_of_padded_tokens(
        self, lengths: list[tuple[int, int]], max_tokens: int, seed: int
    ) -> None:
        """The number of sources and targets that the model computes, including padding, is never larger."""
        text = ParallelText(
            [" ".join("a" * source) for source, _ in lengths], [" ".join("a" * target) for _, target in lengths]
        )
        epoch = ParallelExamples(text, TOKENIZER, seed, max_length=40).epoch(0)
        for batch in epoch_batches(epoch, partial(batches_by_length, max_tokens=max_tokens)):
            assert batch.input_ids.numel() + batch.decoder_input_ids.numel() <= max_tokens

    def test_lengths_of_sources_and_of_targets_without_their_last_token(self) -> None:
        """The label of the last token but one is the last token, so a target is one shorter."""
        epoch = ParallelExamples(ParallelText(["a b c", "d"], ["e", "f g"]), TOKENIZER, seed=0, max_length=9).epoch(0)
        assert epoch.lengths_by_side.tolist() == [[5, 2], [3, 3]]
        assert epoch.lengths.tolist() == [7, 6]

    def test_batch_without_indices_has_no_labels(self) -> None:
        """A process without examples in a step gets such a batch."""
        epoch = ParallelExamples(ParallelText(["a b"], ["b"]), TOKENIZER, seed=0, max_length=9).epoch(0)
        assert (epoch.batch(np.zeros(0, dtype=np.int64)).labels == IGNORE_INDEX).all()

    def test_all_columns_of_a_batch_are_copied_to_a_device(self) -> None:
        batch = ParallelExamples(ParallelText(["a b"], ["b"]), TOKENIZER, seed=0, max_length=9).epoch(0).batch(np.arange(1))
        moved = batch.to(torch.device("meta"))
        for name, column in vars(batch).items():
            if isinstance(column, Tensor):
                assert getattr(moved, name).is_meta
                assert getattr(moved, name).shape == column.shape
        assert batch.sequences is not None
        assert moved.sequences is not None
        assert moved.sequences.mask.is_meta

    def test_padding_of_sources_is_left_out_where_it_saves_time(self) -> None:
        text = ParallelText(["a " * 10, "a", "a " * 10], ["b", "b", "b"])
        epoch = ParallelExamples(text, TOKENIZER, seed=0, max_length=20).epoch(0)
        padded, full = epoch.batch(np.array([0, 1])), epoch.batch(np.array([0, 2]))
        assert padded.sequences is not None
        assert padded.sequences.lengths == (12, 3)
        assert full.sequences is not None
        assert full.sequences.are_full

    @given(st.lists(st.integers(1, 9), min_size=1, max_size=30), seeds, st.integers(0, 3))
    def test_every_pair_is_in_one_batch_and_the_order_is_reproducible(self, lengths: list[int], seed: int, number: int) -> None:
        """The order depends only on the seed, which contains the epoch."""
        pairs = [[5] * length for length in lengths]
        epoch = ParallelEpoch(pairs, pairs, 0, 1, (seed, 0, number))
        found = epoch.batch_indices(partial(batches_by_length, max_tokens=12))
        assert sorted(np.concatenate(found).tolist()) == list(range(len(lengths)))
        again = ParallelEpoch(pairs, pairs, 0, 1, (seed, 0, number)).batch_indices(partial(batches_by_length, max_tokens=12))
        assert [indices.tolist() for indices in found] == [indices.tolist() for indices in again]
