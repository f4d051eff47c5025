"""Pretraining examples and batches."""

from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import batches_by_count, batches_by_length, epoch_batches, iterate_batches, split_micro_batches
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch, PretrainingEpoch, PretrainingExamples, format_examples, masked_sentence
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.strategies import seeds

FIRST_ID = 5
WORDS = [f"w{number}" for number in range(40)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "x", "##y"])


def make_examples(seed: int = 3, **settings: object) -> PretrainingExamples:
    generator = np.random.default_rng(0)
    texts = [[" ".join(generator.choice([*WORDS, "xyy"], 5)) for _ in range(1 + d % 5)] for d in range(60)]
    corpus = TokenizedCorpus.from_documents([Document(f"m{d}", tuple(text)) for d, text in enumerate(texts)], TOKENIZER)
    return PretrainingExamples(corpus, TOKENIZER, replace(ExampleConfig(max_length=24), **settings), seed)


def make_epoch(number: int = 0, seed: int = 3, **settings: object) -> PretrainingEpoch:
    return make_examples(seed, **settings).epoch(number)


def equal(one: PretrainingBatch, other: PretrainingBatch) -> bool:
    columns = [[each for each in vars(batch).values() if isinstance(each, Tensor)] for batch in (one, other)]
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in zip(*columns, strict=True))


@pytest.mark.parametrize("pairs", ["nsp", "sop", "none"])
def test_batches_have_the_form_cls_a_sep_b_sep(pairs: str) -> None:
    """Special tokens, segment ids, padding and labels are at the right positions."""
    epoch = make_epoch(pairs=pairs)
    for batch in epoch_batches(epoch, partial(batches_by_count, batch_size=16)):
        assert batch.input_ids.shape[1] <= 24
        assert (batch.labels.flatten()[batch.predict_at] != IGNORE_INDEX).all()
        assert len(batch.predict_at) == (batch.labels != IGNORE_INDEX).sum()
        first = batch.labels.shape[1] * torch.arange(len(batch.labels))
        assert batch.output_at.unique().tolist() == sorted({*first.tolist(), *batch.predict_at.tolist()})
        columns = (batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.labels, batch.next_sentence_label)
        for ids, mask, segments, labels, pair in zip(*columns, strict=True):
            length = int(mask.sum())
            assert mask[:length].all()
            assert not ids[length:].any()
            original = torch.where(labels == IGNORE_INDEX, ids, labels)[:length].tolist()
            first_sep = original.index(3)
            assert original[0] == 2
            assert original[-1] == 3
            assert original.count(2) == 1
            if pairs == "none":  # separators between documents add more [SEP]
                assert not segments.any()
                assert pair == IGNORE_INDEX
            else:
                assert original.count(3) == (1 if pair == IGNORE_INDEX else 2)
                assert segments.tolist() == [0] * (first_sep + 1) + [1] * (length - first_sep - 1) + [0] * (len(ids) - length)
            assert all(token >= FIRST_ID for token in original if token not in (2, 3))
            assert (labels[:length][torch.tensor(original) < FIRST_ID] == IGNORE_INDEX).all()
            assert (labels[labels != IGNORE_INDEX] >= FIRST_ID).all()


@pytest.mark.parametrize("probability", [0.0, 1.0])
@pytest.mark.parametrize("pairs", ["nsp", "sop", "none"])
def test_batches_contain_the_text_of_both_segments(pairs: str, probability: float) -> None:
    """Without masking the text is in the ids; if everything is masked, it is in the labels. Special tokens are not."""
    epoch = make_epoch(pairs=pairs, mlm_probability=probability)
    text, drawn = epoch.examples.corpus.ids, epoch.pairs
    batch = epoch.batch(np.arange(len(epoch.lengths)))
    found = torch.where(batch.labels == IGNORE_INDEX, batch.input_ids, batch.labels)
    spans = (drawn.a_start, drawn.a_end, drawn.b_start, drawn.b_end)
    for ids, mask, labels, a_start, a_end, b_start, b_end in zip(
        found, batch.attention_mask, batch.labels, *(column.tolist() for column in spans), strict=True
    ):
        b = [*text[b_start:b_end].tolist(), 3] if b_end > b_start else []
        assert ids[mask].tolist() == [2, *text[a_start:a_end].tolist(), 3, *b]
        assert torch.equal(labels != IGNORE_INDEX, (ids >= FIRST_ID) & bool(probability))


@given(seeds, st.integers(1, 30))
def test_an_example_does_not_depend_on_its_batch(seed: int, size: int) -> None:
    """An example has the same tokens and masks alone, with others, and in any order."""
    epoch = make_epoch(seed=seed % 1000)
    indices = np.random.default_rng(seed).permutation(len(epoch.lengths))[:size]
    together = epoch.batch(indices)
    for row, example in enumerate(indices):
        alone = epoch.batch(np.array([example]))
        for name in ("input_ids", "attention_mask", "token_type_ids", "labels"):
            assert torch.equal(getattr(together, name)[row, : epoch.lengths[example]], getattr(alone, name)[0])
        assert together.next_sentence_label[row] == alone.next_sentence_label[0]
        rows, columns = divmod(together.predict_at.numpy(), together.input_ids.shape[1])
        assert columns[rows == row].tolist() == alone.predict_at.tolist()


def test_dynamic_and_static_masking() -> None:
    """By default, every epoch has different pairs and masks. With dupe_factor=2, epoch 2 has those of epoch 0, reordered."""
    everything = np.arange(20)
    dynamic = [make_epoch(number).batch(everything) for number in (0, 1, 0)]
    assert equal(dynamic[0], dynamic[2])
    assert not equal(dynamic[0], dynamic[1])
    assert not equal(dynamic[0], make_epoch(0, seed=4).batch(everything))
    static = [make_epoch(number, dupe_factor=2) for number in (0, 1, 2)]
    assert equal(static[0].batch(everything), static[2].batch(everything))
    assert not equal(static[0].batch(everything), static[1].batch(everything))
    orders = [np.concatenate(epoch.batch_indices(partial(batches_by_count, batch_size=8))).tolist() for epoch in static]
    assert orders[0] != orders[2]


def test_iterate_batches_continues_with_the_next_epoch() -> None:
    """The batches are those of epoch 1, then those of epoch 2, each in its own order."""
    examples, batch_sampler = make_examples(), partial(batches_by_count, batch_size=16)
    expected = [batch for number in (1, 2) for batch in epoch_batches(examples.epoch(number), batch_sampler)]
    batches = islice(iterate_batches(examples, batch_sampler, first_epoch=1), len(expected))
    assert all(equal(batch, other) for batch, other in zip(batches, expected, strict=True))


def test_masking_options() -> None:
    """Whole-word masking and max_predictions are applied; with probability 0 nothing is masked."""
    epoch = make_epoch(whole_word_masking=True, mlm_probability=0.5)
    batch = epoch.batch(np.arange(len(epoch.lengths)))
    original = torch.where(batch.labels == IGNORE_INDEX, batch.input_ids, batch.labels)
    continues_word = original == TOKENIZER.token_to_id("##y")
    after_a_word = continues_word[:, 1:] & (original[:, :-1] >= FIRST_ID)
    selected = batch.labels != IGNORE_INDEX
    assert after_a_word.sum() > 20
    assert torch.equal(selected[:, 1:][after_a_word], selected[:, :-1][after_a_word])
    limited = make_epoch(max_predictions=2, mlm_probability=0.9)
    counts = (limited.batch(np.arange(30)).labels != IGNORE_INDEX).sum(dim=1)
    assert counts.max() == 2
    assert (make_epoch(mlm_probability=0.0).batch(np.arange(9)).labels == IGNORE_INDEX).all()


def test_batch_without_indices_has_no_labels() -> None:
    """A process without examples in a step gets such a batch."""
    batch = make_epoch().batch(np.array([], dtype=np.int64))
    assert len(batch.input_ids) == 1
    assert (batch.labels == IGNORE_INDEX).all()
    assert (batch.next_sentence_label == IGNORE_INDEX).all()
    assert not len(batch.predict_at)
    assert batch.output_at.tolist() == [[0]]


def test_a_batch_with_much_padding_has_its_sequences() -> None:
    """They are those of its mask, and the network gets them instead. Those of one text say that it has no padding."""
    batch = make_epoch().batch(np.arange(30))
    assert batch.sequences is not None
    assert torch.equal(batch.sequences.mask, batch.attention_mask)
    assert batch.inputs[1] is batch.sequences
    alone = make_epoch().batch(np.arange(1))
    assert alone.sequences.are_full
    assert alone.inputs[1] is alone.sequences


def test_a_batch_with_little_padding_has_its_mask() -> None:
    epoch = make_epoch()
    shortest, *_, longest = np.argsort(epoch.lengths)
    batch = epoch.batch(np.array([longest] * 20 + [shortest]))
    assert not batch.attention_mask.all()
    assert batch.sequences is None
    assert batch.inputs[1] is batch.attention_mask


def test_all_columns_of_a_batch_are_copied_to_a_device() -> None:
    """What a batch does not have stays so."""
    batch = make_epoch().batch(np.arange(3))
    moved = batch.to(torch.device("meta"))
    assert vars(moved).keys() == vars(batch).keys()
    for name, column in vars(batch).items():
        if isinstance(column, Tensor):
            assert getattr(moved, name).shape == column.shape
            assert getattr(moved, name).is_meta
    assert replace(batch, output_at=None, sequences=None).to(torch.device("meta")).output_at is None


def test_formatted_examples() -> None:
    """The text contains the masked tokens, the original tokens at the masked positions, and the label of the pair task.

    Examples without a masked token come last.
    """
    ids = torch.tensor([[2, 6, 3, 0, 0, 0, 0], [2, 4, 6, 3, 7, 3, 0]])
    labels = torch.tensor([[-100] * 7, [-100, 5, -100, -100, 8, -100, -100]])
    batch = PretrainingBatch(ids, ids > 0, torch.zeros_like(ids), labels, torch.tensor([-100, 1]), torch.tensor([8, 11]))
    masked = "tokens: [CLS] [MASK] w1 [SEP] w2 [SEP]\nmasked: 1 [MASK] was w0, 4 w2 was w3"
    unmasked = "tokens: [CLS] w1 [SEP]\nmasked: nothing"
    assert format_examples([batch], TOKENIZER) == [
        f"{masked}\nnext_sentence_label: 1 (B is not next)",
        f"{unmasked}\nnext_sentence_label: -100 (no second segment)",
    ]
    assert format_examples([batch], TOKENIZER, "sop") == [
        f"{masked}\nsentence_order_label: 1 (A and B are swapped)",
        f"{unmasked}\nsentence_order_label: -100 (no second segment)",
    ]
    assert format_examples([batch], TOKENIZER, "none") == [masked, unmasked]


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(40, 200), seeds)
def test_every_example_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], budget: int, seed: int) -> None:
    lengths_array = np.array(lengths, dtype=np.int64)
    batches = batches_by_length(lengths_array, np.random.default_rng(seed), max_tokens=budget)
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) * lengths_array[batch].max() <= budget for batch in batches)
    batches = batches_by_count(lengths_array, np.random.default_rng(seed), batch_size=7)
    assert sorted(index for batch in batches for index in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 7 for batch in batches[:-1])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 9)), seeds)
def test_micro_batches_contain_every_example_once(lengths: list[int], processes: int, size: int | None, seed: int) -> None:
    """For any number of processes, every example is used once, and all processes have the same number of micro-batches."""
    indices = np.random.default_rng(seed).permutation(len(lengths))
    array = np.array(lengths)
    by_process = [split_micro_batches(indices, array, rank, processes, size) for rank in range(processes)]
    assert Counter(example for own in by_process for batch in own for example in batch.tolist()) == Counter(indices.tolist())
    assert len({len(own) for own in by_process}) == 1
    assert all(len(batch) <= (size or len(indices)) for own in by_process for batch in own)
    counts = [sum(map(len, own)) for own in by_process]
    assert max(counts) - min(counts) <= 1


def test_batches_by_length_have_little_padding() -> None:
    """Less than a tenth of the tokens are padding."""
    lengths = np.random.default_rng(0).integers(4, 64, 5000)
    batches = batches_by_length(lengths, np.random.default_rng(0), max_tokens=2048)
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_an_example_that_is_too_long_is_a_batch_of_its_own() -> None:
    batches = batches_by_length(np.array([5, 99, 5]), np.random.default_rng(0), max_tokens=20)
    assert sorted(len(batch) for batch in batches) == [1, 2]


@pytest.mark.parametrize(
    ("sentences", "expected"),
    [
        (["w1 w2 w3 w4 w5"], "w1 w2 [MASK] w4 w5"),
        (["w1 w2", "w1 unknown w3 w4 w5", "w1 xyy w2 w3 w4 w5 w6"], "w1 xyy w2 w3 [MASK] w5 w6"),
        (["w1 w2"], "[MASK]"),
        (["xyy xyy"], "[MASK]"),
    ],
)
def test_masked_sentence(sentences: list[str], expected: str) -> None:
    """The first sentence that is not too short and has no unknown word; the masked word is one token."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "x", "##y"])
    corpus = TokenizedCorpus.from_documents([Document("d", tuple(sentences))], tokenizer)
    assert masked_sentence(corpus, tokenizer) == expected


def test_masked_sentence_is_one_of_the_first_thousand() -> None:
    """A large corpus is not searched as a whole."""
    for before, expected in ((999, "w1 w2 [MASK] w4 w5"), (1000, "[MASK]")):
        texts = ["w1 w2"] * before + ["w1 w2 w3 w4 w5"]
        corpus = TokenizedCorpus.from_documents([Document("d", tuple(texts))], TOKENIZER)
        assert masked_sentence(corpus, TOKENIZER) == expected


def test_masked_sentence_is_of_the_language_of_the_text() -> None:
    characters = "今天我们去北京"
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *characters])
    corpus = TokenizedCorpus.from_documents([Document("d", (characters,))], tokenizer)
    assert masked_sentence(corpus, tokenizer) == "今 天 我 [MASK] 去 北 京"


def test_unknown_words_and_special_tokens_are_never_targets() -> None:
    """Neither [UNK] nor a literal [MASK] or [PAD] of the text is predicted. Random tokens have a piece and are not special."""
    holes = build_tokenizer([*SPECIAL_TOKENS, "", *WORDS, "[", "]", "mask", "pad"])
    texts = [Document(f"m{d}", (f"w{d} unknown w2 [MASK] w3 [PAD]", "w4 [UNK] other w5")) for d in range(20)]
    corpus = TokenizedCorpus.from_documents(texts, holes)
    examples = PretrainingExamples(corpus, holes, ExampleConfig(max_length=32, mlm_probability=1.0))
    assert set(examples.replacement_ids.tolist()) == set(range(6, holes.get_vocab_size()))
    for batch in epoch_batches(examples.epoch(0), partial(batches_by_count, batch_size=16)):
        targets = batch.labels[batch.labels != IGNORE_INDEX]
        assert len(targets)
        assert (targets > FIRST_ID).all()
        assert (batch.input_ids == 1).any()
