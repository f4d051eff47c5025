"""Share of labeled examples, and the accuracy of predicting labels from segment lengths alone."""

from collections.abc import Sequence

import numpy as np
import pytest

from minibert.equations import IGNORE_INDEX
from minibert.text import pair_statistics
from minibert.text.options import ExampleConfig
from minibert.text.pair_statistics import check_labels, labeled_fraction, length_accuracy
from minibert.text.pairs import Pairs, draw_epoch
from minibert.text.tokenized import TokenizedCorpus

CONFIG = ExampleConfig(max_length=103, short_seq_probability=0.0)


def corpus_of(documents: Sequence[Sequence[int]]) -> TokenizedCorpus:
    """Create a corpus of different documents from the lengths of their sentences."""
    starts = np.cumsum([0, *(length for document in documents for length in [*document, 1])])
    document_starts = np.cumsum([0, *(len(document) + 1 for document in documents)])
    return TokenizedCorpus(np.zeros(starts[-1], int), starts, document_starts, np.arange(len(documents)).astype(np.uint64))


def test_labeled_fraction() -> None:
    """Of two sentences, an example has both (`IS_NEXT`), or the first, and then there is another without a label."""
    assert labeled_fraction(corpus_of([[5, 5]] * 4000), CONFIG) == pytest.approx(2 / 3, abs=0.02)
    assert labeled_fraction(corpus_of([[5, 5], *[[5]] * 99]), CONFIG) < 0.02


def test_too_few_labels_are_refused_with_the_options_that_help() -> None:
    with pytest.raises(ValueError, match=r"only 4.0% .* label for --pairs nsp: .* --layout, .* --max-length, or --pairs none"):
        check_labels(0.04, CONFIG)
    check_labels(0.11, CONFIG)
    check_labels(0.0, ExampleConfig(pairs="none"))


def test_value_of_the_accuracy_from_lengths() -> None:
    """Half of the documents have sentences of 5 tokens, half of 20.

    A of 5 tokens is followed by 5 if B is next. Otherwise B has 5, 10, 20 or 40 tokens, equally often. The best prediction is
    wrong only for a random B of 5 tokens: in one of eight cases. The same is true for 20.
    """
    train, validation = corpus_of([[5, 5], [20, 20]] * 2000), corpus_of([[5, 5], [20, 20]] * 400)
    assert length_accuracy(train, validation, CONFIG) == pytest.approx(7 / 8, abs=0.02)


def test_lengths_without_information() -> None:
    """If all sentences are equally long and fill their segments, half of the predictions are right."""
    documents = [[50] * 20] * 400
    assert length_accuracy(corpus_of(documents), corpus_of(documents[:100]), CONFIG) == pytest.approx(0.5, abs=0.03)


def test_the_accuracy_is_that_of_documents_that_were_not_counted() -> None:
    """With few documents of random lengths, the lengths of the training documents say nothing about others."""
    generator = np.random.default_rng(0)
    train, validation = (corpus_of(generator.integers(20, 30, (12, 40)).tolist()) for _ in range(2))
    accuracy = length_accuracy(train, validation, ExampleConfig(max_length=103, pairs="sop"))
    assert accuracy is not None
    assert 0.5 <= accuracy < 0.6


def test_no_labels_have_no_baseline() -> None:
    pairs, single = corpus_of([[5, 5]] * 20), corpus_of([[5]] * 20)
    assert length_accuracy(pairs, single, CONFIG) is None
    assert length_accuracy(pairs, pairs, ExampleConfig(pairs="none")) is None


def test_a_sample_of_the_first_documents() -> None:
    """The sample has whole documents, and its pairs are those of a corpus of these documents alone."""
    lengths = np.random.default_rng(0).integers(1, 9, (50, 6)).tolist()
    corpus = corpus_of(lengths)
    for count in (2, 7, 50):
        alone = corpus_of(lengths[:count])
        sample = corpus.first_documents(len(alone.ids) + 1)
        pairs, expected = (vars(draw_epoch(part, CONFIG, np.random.default_rng(1))) for part in (sample, alone))
        assert all(np.array_equal(pairs[name], expected[name]) for name in pairs)
    assert len(corpus.first_documents(0).document_digests) == 2


def test_statistics_are_those_of_the_first_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large corpus is not used as a whole. The documents after the first ones are other ones here."""
    monkeypatch.setattr(pair_statistics, "SAMPLE_TOKENS", 1100)
    corpus = corpus_of([[5, 5]] * 100 + [[20]] * 3000)
    assert labeled_fraction(corpus, CONFIG) > 0.5
    lengths, _ = pair_statistics._lengths_and_labels(corpus, CONFIG, count=1)
    assert lengths.max() == 18
    assert len(lengths) > 50


@pytest.mark.parametrize(("count", "epochs"), [(1, 1), (3, 1), (4, 2), (6, 2), (59, 20), (1000, 20)])
def test_a_small_corpus_is_used_for_several_epochs(monkeypatch: pytest.MonkeyPatch, count: int, epochs: int) -> None:
    """Until there are enough labeled pairs, but for at most 20 epochs. Each epoch has three labeled pairs here."""

    def draw(corpus: TokenizedCorpus, config: ExampleConfig, generator: np.random.Generator) -> Pairs:
        column = generator.integers(1, 10**9, 4)
        return Pairs(0 * column, column, column, column, np.array([0, 1, IGNORE_INDEX, 1]))

    monkeypatch.setattr(pair_statistics, "draw_epoch", draw)
    lengths, labels = pair_statistics._lengths_and_labels(corpus_of([[5, 5]] * 2), CONFIG, count)
    assert labels.tolist() == [0, 1, 1] * epochs
    assert len({*lengths[:, 1].tolist()}) == 3 * epochs


def test_value_of_the_accuracy_of_known_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prediction is the more frequent label of the same lengths: 0 in a tie, and for lengths that no training pair has."""
    train = {(10, 5): [0, 0, 0, 1], (10, 6): [0, 1, 1], (20, 5): [0, 1], (30, 5): [1]}
    validation = {(10, 5): [0], (10, 6): [1, 1, 1, 0], (20, 5): [0, 0, 1], (30, 5): [1], (30, 6): [0, 0], (9, 4): [0]}

    def pairs(labels: dict[tuple[int, int], list[int]]) -> tuple[np.ndarray, np.ndarray]:
        rows = [(lengths, label) for lengths, found in labels.items() for label in found]
        return np.array([lengths for lengths, _ in rows]), np.array([label for _, label in rows])

    monkeypatch.setattr(
        pair_statistics, "_lengths_and_labels", lambda corpus, config, count: pairs(train if count == 50_000 else validation)
    )
    corpus = corpus_of([[5, 5]] * 2)
    assert length_accuracy(corpus, corpus, CONFIG) == pytest.approx(10 / 12)


@pytest.mark.parametrize(
    ("lengths", "limits"),
    [
        ([5, 5], []),
        ([3, 9, 3, 4], [4, 9]),
        ([1, 2, 3, 4, 5, 6, 7, 80], [2, 3, 4, 5, 6, 7, 80]),
        ([*range(9)], [1, 2, 3, 4, 5, 6, 7]),
        ([*range(17)], [2, 4, 6, 8, 10, 12, 14]),
        ([*range(9), *[4] * 99], [4]),
    ],
)
def test_limits_of_at_most_eight_intervals(lengths: list[int], limits: list[float]) -> None:
    """Few lengths have an interval each; many are divided into intervals with about as many pairs."""
    assert pair_statistics._limits(np.array(lengths)).tolist() == limits
