"""Examples and batches of fine-tuning, and the encoding of texts and pairs."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import batches_of_similar_length, epoch_batches
from minibert.text.labeled.examples import Example, LabeledExamples, make_batch, sorted_batches
from minibert.text.labeled.text_rows import TextRow, encode_texts, shorten
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *"abcdefgh", "[", "]", "mask"])
NO_ROWS = np.array([], dtype=np.int64)


def decode(ids) -> str:
    return TOKENIZER.decode(list(ids), skip_special_tokens=False)


def test_batches_contain_every_text_once_with_its_label() -> None:
    """Padding is masked. Without indices there is no label."""
    texts = ["a", "b c", "d e f g h a b", "h"]
    encoded = encode_texts([TextRow(text) for text in texts], TOKENIZER, 6, "end")
    examples = [Example(*text[:2], {"labels": label}, label, text.is_cut) for label, text in enumerate(encoded)]
    epoch = LabeledExamples(examples, pad_id=0, seed=0).epoch(0)
    seen = {}
    for batch in epoch_batches(epoch, partial(batches_of_similar_length, batch_size=2)):
        assert len(batch.input_ids) == 2
        for ids, mask, label in zip(batch.input_ids, batch.attention_mask, batch.targets["labels"], strict=True):
            assert not ids[~mask].any()
            seen[int(label)] = decode(ids[mask].tolist())
    assert seen == {0: "[CLS] a [SEP]", 1: "[CLS] b c [SEP]", 2: "[CLS] d e f g [SEP]", 3: "[CLS] h [SEP]"}
    assert [example.is_cut for example in examples] == [False, False, True, False]
    assert epoch.batch(NO_ROWS).targets["labels"].tolist() == [IGNORE_INDEX]


def test_pairs_have_two_segments_and_the_longer_text_is_cut() -> None:
    rows = [TextRow("a b c d e f", "g h"), TextRow("a", "b c d e f g"), TextRow("a b c d", "e f g h"), TextRow("a", "")]
    encoded = encode_texts(rows, TOKENIZER, 8, "end")
    assert [decode(text.input_ids) for text in encoded] == [
        "[CLS] a b c [SEP] g h [SEP]",
        "[CLS] a [SEP] b c d e [SEP]",
        "[CLS] a b c [SEP] e f [SEP]",
        "[CLS] a [SEP] [SEP]",
    ]
    assert [text.token_type_ids for text in encoded] == [
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 1, 1],
        [0, 0, 0, 1],
    ]


@given(st.integers(0, 12), st.integers(0, 12), st.integers(5, 14))
def test_pairs_are_cut_as_in_the_code_of_google(first: int, second: int, max_length: int) -> None:
    """Google's BERT code removes one token at a time from the end of the longer text; of equal lengths, from the second."""
    a, b = ["a"] * first, ["b"] * second
    while len(a) + len(b) > max_length - 3:
        (a if len(a) > len(b) else b).pop()
    [text] = encode_texts([TextRow(" a" * first, " b" * second)], TOKENIZER, max_length, "end")
    assert decode(text.input_ids).split() == ["[CLS]", *a, "[SEP]", *b, "[SEP]"]
    assert text.is_cut == (first + second > max_length - 3)


def test_head_and_tail_of_a_long_text() -> None:
    """Of 510 tokens, the first 128 and the last 382 are kept (Sun et al. 2019)."""
    ids = list(range(1000))
    assert shorten(ids, 510, "head+tail") == [*range(128), *range(1000 - 382, 1000)]
    assert shorten(ids, 510, "end") == [*range(510)]
    assert shorten(ids[:510], 510, "head+tail") == ids[:510]
    assert shorten(ids, 0, "head+tail") == shorten(ids, 0, "end") == []


def test_special_tokens_in_a_text_are_text() -> None:
    [text] = encode_texts([TextRow("a [MASK] b")], TOKENIZER, 20, "end")
    assert decode(text.input_ids) == "[CLS] a [ mask ] b [SEP]"


def test_targets_of_all_kinds_are_stacked() -> None:
    """One class per token is padded with -100, one number per class is not. No target: -100 or NaN everywhere."""
    examples = [
        Example([1, 2, 3], [0, 0, 1], {"tags": [4, -100, 5], "labels": [0.5, 1.0], "start": 2}),
        Example([1], [1], {"tags": [6], "labels": [0.0, math.nan], "start": 0}),
    ]
    batch = make_batch(examples, pad_id=9)
    assert batch.input_ids.tolist() == [[1, 2, 3], [1, 9, 9]]
    assert batch.token_type_ids.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert batch.targets["tags"].tolist() == [[4, -100, 5], [6, -100, -100]]
    assert batch.targets["start"].tolist() == [2, 0]
    np.testing.assert_array_equal(batch.targets["labels"].numpy(), [[0.5, 1.0], [0.0, math.nan]])
    empty = LabeledExamples(examples, 9, 0).epoch(0).batch(NO_ROWS)
    assert (empty.input_ids.tolist(), empty.token_type_ids.tolist()) == ([[1, 2, 3]], [[0, 0, 1]])
    assert empty.targets["tags"].tolist() == [[-100] * 3]
    assert empty.targets["start"].tolist() == [-100]
    assert empty.targets["labels"].isnan().all()


def test_numbers_are_as_exact_as_in_the_data() -> None:
    examples = [Example([1], [0], {"labels": number}) for number in (4.4, 0.1)]
    assert make_batch(examples, pad_id=0).targets["labels"].tolist() == [4.4, 0.1]


def test_all_of_a_batch_is_copied_to_a_device() -> None:
    batch = make_batch([Example([1, 2], [0, 1], {"labels": 0.5}), Example([3], [0], {"labels": 1.5})], pad_id=0)
    copy = batch.to(torch.device("meta"))
    columns = [
        (each.input_ids, each.attention_mask, each.token_type_ids, each.sequences.places, *each.targets.values())
        for each in (batch, copy)
    ]
    for tensor, copied in zip(*columns, strict=True):
        assert (copied.device.type, copied.dtype, copied.shape) == ("meta", tensor.dtype, tensor.shape)
    assert copy.targets.keys() == {"labels"}


class SharingPadding(Example):
    """An example whose loss depends on the padding of its batch."""

    shares_padding = True


@pytest.mark.parametrize(("kind", "is_shared"), [(SharingPadding, True), (Example, False)])
def test_parts_of_a_batch_are_as_long_as_the_batch_if_the_loss_depends_on_padding(kind, is_shared: bool) -> None:
    examples = [kind([1] * length, [0] * length, {"labels": length}) for length in (5, 1, 9, 3, 2, 4)]
    epoch = LabeledExamples(examples, pad_id=0, seed=0).epoch(0)
    batches = epoch.batch_indices(lambda lengths, _: np.split(np.arange(len(lengths)), 3))
    for batch, longest in zip(batches, (5, 9, 4), strict=True):
        for index in batch:
            length = epoch.batch(np.array([index])).input_ids.shape[1]
            assert length == (longest if is_shared else len(examples[index].input_ids))
    assert epoch.batch(np.array([1, 4])).input_ids.shape[1] == (5 if is_shared else 2), "the longest of their batches"


@pytest.mark.parametrize("max_tokens", [1, 7, 1000])
def test_evaluation_batches_have_every_example_once(max_tokens: int) -> None:
    examples = [Example([1] * length, [0] * length, {"labels": length}) for length in (5, 1, 3, 3, 2)]
    batches = sorted_batches(examples, 0, max_tokens)
    assert sorted(index for indices, _ in batches for index in indices) == [0, 1, 2, 3, 4]
    for indices, batch in batches:
        assert batch.targets["labels"].tolist() == [len(examples[index].input_ids) for index in indices]
        assert batch.input_ids.numel() <= max_tokens or len(indices) == 1
    assert sorted_batches([], 0, 7) == []


def test_evaluation_batches_are_in_order_and_padded_as_asked() -> None:
    """Examples of one length are in the order of the data."""
    examples = [Example([1] * (1 + index % 2), [0] * (1 + index % 2), {"labels": index}) for index in range(100)]
    batches = sorted_batches(examples, pad_id=9, max_tokens=100, length=4)
    assert [index for indices, _ in batches for index in indices] == [*range(0, 100, 2), *range(1, 100, 2)]
    assert {tuple(batch.input_ids.shape) for _, batch in batches} == {(25, 4)}
    assert batches[0][1].input_ids[0].tolist() == [1, 9, 9, 9]


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(1, 9))
def test_batches_of_similar_length_have_every_example_once(lengths: list[int], batch_size: int) -> None:
    batches = batches_of_similar_length(np.array(lengths, dtype=np.int64), np.random.default_rng(0), batch_size)
    assert sorted(index for batch in batches for index in batch) == [*range(len(lengths))]
    assert len(batches) == math.ceil(len(lengths) / batch_size)
    assert all(len(batch) <= batch_size for batch in batches)
