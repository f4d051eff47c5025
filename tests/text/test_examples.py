"""Examples: what stands in a batch, and on what it depends."""

import time
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import batches_by_count, batches_by_length, share_of
from minibert.text.corpus import Document
from minibert.text.examples import Epoch, ExampleConfig, PretrainingBatch, PretrainingExamples, shown
from minibert.text.options import InvalidOption
from minibert.text.prefetch import prefetch
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from tests.strategies import seeds

FIRST_PIECE = 5
WORDS = [f"w{number}" for number in range(40)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS, "x", "##y"])


def epoch_of(number: int = 0, seed: int = 3, **settings: object) -> Epoch:
    generator = np.random.default_rng(0)
    texts = [[" ".join(generator.choice([*WORDS, "xyy"], 5)) for _ in range(1 + d % 5)] for d in range(60)]
    corpus = TokenizedCorpus.from_documents([Document(f"m{d}", tuple(text)) for d, text in enumerate(texts)], TOKENIZER)
    return PretrainingExamples(corpus, TOKENIZER, replace(ExampleConfig(max_length=24), **settings), seed).epoch(number)


def same(one: PretrainingBatch, other: PretrainingBatch) -> bool:
    columns = zip(vars(one).values(), vars(other).values(), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in columns)


@pytest.mark.parametrize("pairs", ["nsp", "sop", "none"])
def test_batches_are_cls_a_sep_b_sep(pairs: str) -> None:
    """Special tokens, segments, padding and labels all stand where they belong."""
    epoch = epoch_of(pairs=pairs)
    for chosen in epoch.in_batches(partial(batches_by_count, 16)):
        batch = epoch.batch(chosen)
        assert batch.input_ids.shape[1] <= 24
        for ids, mask, segments, labels, pair in zip(*vars(batch).values(), strict=True):
            length = int(mask.sum())
            assert mask[:length].all()
            assert not ids[length:].any()
            original = torch.where(labels == IGNORE_INDEX, ids, labels)[:length].tolist()
            first_sep = original.index(3)
            assert original[0] == 2
            assert original[-1] == 3
            assert original.count(2) == 1
            if pairs == "none":  # between documents there is one more
                assert not segments.any()
                assert pair == IGNORE_INDEX
            else:
                assert original.count(3) == (1 if pair == IGNORE_INDEX else 2)
                assert segments.tolist() == [0] * (first_sep + 1) + [1] * (length - first_sep - 1) + [0] * (len(ids) - length)
            assert all(piece >= FIRST_PIECE for piece in original if piece not in (2, 3))
            assert (labels[:length][torch.tensor(original) < FIRST_PIECE] == IGNORE_INDEX).all()
            assert (labels[labels != IGNORE_INDEX] >= FIRST_PIECE).all()


@given(seeds, st.integers(1, 30))
def test_an_example_does_not_depend_on_its_batch(seed: int, size: int) -> None:
    """Alone or in company, in any order: the same tokens and masks. Another epoch and another seed have others."""
    epoch = epoch_of(seed=seed % 1000)
    chosen = np.random.default_rng(seed).permutation(len(epoch.lengths))[:size]
    together = epoch.batch(chosen)
    for row, example in enumerate(chosen):
        alone = epoch.batch(np.array([example]))
        for name, column in vars(alone).items():
            assert torch.equal(getattr(together, name)[row][: epoch.lengths[example]] if column.ndim == 2 else
                               getattr(together, name)[[row]], column[0] if column.ndim == 2 else column)  # fmt: skip


def test_every_epoch_is_drawn_anew_or_comes_again() -> None:
    """Dynamic: other pairs and masks each time. With a dupe factor of 2 the third epoch is the first, in another order."""
    everything = np.arange(20)
    dynamic = [epoch_of(number).batch(everything) for number in (0, 1, 0)]
    assert same(dynamic[0], dynamic[2])
    assert not same(dynamic[0], dynamic[1])
    assert not same(dynamic[0], epoch_of(0, seed=4).batch(everything))
    static = [epoch_of(number, dupe_factor=2) for number in (0, 1, 2)]
    assert same(static[0].batch(everything), static[2].batch(everything))
    assert not same(static[0].batch(everything), static[1].batch(everything))
    orders = [np.concatenate(epoch.in_batches(partial(batches_by_count, 8))).tolist() for epoch in static]
    assert orders[0] != orders[2]


def test_settings_reach_the_masks() -> None:
    """Whole words and the limit hold in the batches; a share of nothing hides nothing."""
    epoch = epoch_of(whole_words=True, masked_share=0.5)
    batch = epoch.batch(np.arange(len(epoch.lengths)))
    original = torch.where(batch.labels == IGNORE_INDEX, batch.input_ids, batch.labels)
    continues = original == TOKENIZER.token_to_id("##y")
    after_a_word = continues[:, 1:] & (original[:, :-1] >= FIRST_PIECE)
    guessed = batch.labels != IGNORE_INDEX
    assert after_a_word.sum() > 20
    assert torch.equal(guessed[:, 1:][after_a_word], guessed[:, :-1][after_a_word])
    limited = epoch_of(max_predictions=2, masked_share=0.9)
    counts = (limited.batch(np.arange(30)).labels != IGNORE_INDEX).sum(dim=1)
    assert counts.max() == 2
    assert (epoch_of(masked_share=0.0).batch(np.arange(9)).labels == IGNORE_INDEX).all()


def test_no_example_at_all_is_one_with_nothing_to_guess() -> None:
    """Which is what a process gets that has nothing to do in a step."""
    batch = epoch_of().batch(np.array([], dtype=np.int64))
    assert len(batch.input_ids) == 1
    assert (batch.labels == IGNORE_INDEX).all()
    assert (batch.next_sentence_label == IGNORE_INDEX).all()


def test_what_is_shown_is_what_the_model_sees() -> None:
    """Tokens with their masks, the truth at each hidden place, and the label of the pair."""
    ids = torch.tensor([[2, 4, 6, 3, 7, 3, 0]])
    labels = torch.tensor([[-100, 5, -100, -100, 8, -100, -100]])
    batch = PretrainingBatch(ids, ids > 0, torch.zeros_like(ids), labels, torch.tensor([1]))
    assert shown([batch], TOKENIZER) == [
        "tokens: [CLS] [MASK] w1 [SEP] w2 [SEP]\nhidden: 1 [MASK] was w0, 4 w2 was w3\nnext_sentence_label: 1 (B is not next)"
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_length": 4}, "max_length 4: must be at least 5"),
        ({"masked_share": 1.5}, "masked_share 1.5: must be from 0 to 1"),
        ({"max_predictions": 0}, "max_predictions 0: must be at least 1"),
        ({"dupe_factor": 0}, "dupe_factor 0: must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        ExampleConfig(**settings)


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(40, 200), seeds)
def test_every_example_is_in_one_batch_and_none_is_too_large(lengths: list[int], budget: int, seed: int) -> None:
    lengths_array = np.array(lengths, dtype=np.int64)
    batches = batches_by_length(budget, lengths_array, np.random.default_rng(seed))
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) * lengths_array[batch].max() <= budget for batch in batches)
    batches = batches_by_count(7, lengths_array, np.random.default_rng(seed))
    assert sorted(place for batch in batches for place in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 7 for batch in batches[:-1])


@given(st.lists(st.integers(1, 40), min_size=1, max_size=50), st.integers(1, 9), st.one_of(st.none(), st.integers(1, 9)), seeds)
def test_processes_share_a_step_without_loss(lengths: list[int], processes: int, micro_batch: int | None, seed: int) -> None:
    """No example is lost or doubled, for any number of processes; all have as many batches, none too large, of like length."""
    chosen = np.random.default_rng(seed).permutation(len(lengths))
    array = np.array(lengths)
    shares = [share_of(chosen, array, rank, processes, micro_batch) for rank in range(processes)]
    assert Counter(example for share in shares for batch in share for example in batch.tolist()) == Counter(chosen.tolist())
    assert len({len(share) for share in shares}) == 1
    assert all(len(batch) <= (micro_batch or len(chosen)) for share in shares for batch in share)
    counts = [sum(map(len, share)) for share in shares]
    assert max(counts) - min(counts) <= 1


def test_little_is_padding() -> None:
    """Sorted by length within stretches, less than a tenth of the tokens are padding."""
    lengths = np.random.default_rng(0).integers(4, 64, 5000)
    batches = batches_by_length(2048, lengths, np.random.default_rng(0))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


def test_an_example_too_long_for_a_batch_is_one_by_itself() -> None:
    batches = batches_by_length(20, np.array([5, 99, 5]), np.random.default_rng(0))
    assert sorted(len(batch) for batch in batches) == [1, 2]


def test_prefetching_changes_nothing_and_hides_no_error() -> None:
    """The same items in the same order, made ahead; what goes wrong is raised; who stops early stops the making too."""
    assert list(prefetch(iter(range(50)))) == list(range(50))

    def breaks() -> object:
        yield 1
        raise KeyError("broken")

    stream = prefetch(breaks())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="broken"):
        next(stream)

    made: list[int] = []

    def endless() -> object:
        while True:
            made.append(1)
            yield len(made)

    stream = prefetch(endless(), depth=2)
    assert next(stream) == 1
    stream.close()
    time.sleep(0.3)
    count = len(made)
    time.sleep(0.2)
    assert len(made) == count <= 5
