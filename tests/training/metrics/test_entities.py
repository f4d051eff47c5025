"""Entity-level scores: equal to seqeval on random sequences, valid or not, and to worked examples."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2, IOBES

from minibert.training.metrics.counts import Counts, f1, macro_f1, ratio, total
from minibert.training.metrics.entities import entity_counts, measure_entities

TYPES = ["PER", "LOC", "geo-loc", "I", "B-PER", "o", "人名"]


def tags(letters: str) -> st.SearchStrategy[str]:
    typed = st.builds("{}-{}".format, st.sampled_from(letters), st.sampled_from(TYPES))
    return st.just("O") | typed | st.sampled_from(letters)


def tagged(letters: str) -> st.SearchStrategy[tuple[list[list[str]], list[list[str]]]]:
    """Gold and predicted tags of some sentences, of which some have no words. Predictions often share a part with the gold."""
    pair = st.tuples(tags(letters), tags(letters)) | tags(letters).map(lambda tag: (tag, tag))
    return st.lists(st.lists(pair, max_size=8), max_size=4).map(
        lambda sentences: tuple([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    )


def seqeval_scores(gold: list[list[str]], predicted: list[list[str]], **options: object) -> dict[str, dict[str, float]]:
    if not any(gold):  # seqeval fails without any word
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = classification_report(gold, predicted, output_dict=True, zero_division=0, **options)
        except ValueError:  # seqeval fails without any entity
            return {}
    return {name: {score: float(value) for score, value in scores.items()} for name, scores in report.items()}


def our_scores(gold: list[list[str]], predicted: list[list[str]], **options: object) -> dict[str, dict[str, float]]:
    """Scores of each type and of all together. An undefined one is 0, as in seqeval."""
    types, rows = entity_counts(gold, predicted, **options)
    counts = total(rows)
    each = [*zip([*types, "micro avg"], *(np.append(values, values.sum()) for values in counts), strict=True)]
    return {
        name: {
            "precision": correct / found if found else 0,
            "recall": correct / expected if expected else 0,
            "f1-score": float(np.nan_to_num(f1(Counts(correct, found, expected)))),
            "support": expected,
        }
        for name, correct, found, expected in each
    }


def assert_equal(ours: dict[str, dict[str, float]], theirs: dict[str, dict[str, float]]) -> None:
    others = {"macro avg", "weighted avg"}
    if theirs:
        assert {name: pytest.approx(scores) for name, scores in theirs.items() if name not in others} == ours
    else:
        assert ours == {"micro avg": {"precision": 0, "recall": 0, "f1-score": 0, "support": 0}}


@settings(max_examples=120, deadline=None)
@given(tagged("BIES"))
@example(([["I-PER", "I-LOC", "B-LOC", "I-PER"]], [["I-PER", "I-PER", "B-LOC", "E-LOC"]]))
def test_conlleval_scores_equal_seqeval(sentences) -> None:
    assert_equal(our_scores(*sentences), seqeval_scores(*sentences))


@settings(max_examples=120, deadline=None)
@given(tagged("BI"))
def test_strict_scores_of_bio_equal_seqeval(sentences) -> None:
    assert_equal(our_scores(*sentences, strict=True), seqeval_scores(*sentences, mode="strict", scheme=IOB2))


@settings(max_examples=120, deadline=None)
@given(tagged("BIES"))
def test_strict_scores_of_iobes_equal_seqeval(sentences) -> None:
    ours = our_scores(*sentences, strict=True, scheme="IOBES")
    assert_equal(ours, seqeval_scores(*sentences, mode="strict", scheme=IOBES))


def test_macro_f1_is_the_mean_over_the_types_of_gold_and_predicted_tags() -> None:
    gold, predicted = [["B-PER", "O", "B-LOC"]], [["B-PER", "B-ORG", "O"]]
    score = macro_f1(total(entity_counts(gold, predicted)[1]))
    assert score == pytest.approx(1 / 3)
    assert score == pytest.approx(seqeval_scores(gold, predicted)["macro avg"]["f1-score"])


def test_definitions_differ_for_an_entity_that_begins_with_i() -> None:
    gold, predicted = [["B-PER", "I-PER"]], [["I-PER", "I-PER"]]
    assert our_scores(gold, predicted)["micro avg"]["f1-score"] == 1
    assert our_scores(gold, predicted, strict=True)["micro avg"]["f1-score"] == 0


def test_a_half_right_entity_is_wrong() -> None:
    """Missing the last word of an entity costs both precision and recall, although 2 of 3 tags are right."""
    _, counts = entity_counts([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]])
    assert total(counts).micro == (0, 1, 1)


def test_sentences_without_entities_have_no_counts() -> None:
    for sentences in ([], [[]], [["O", "O"]]):
        types, counts = entity_counts(sentences, sentences)
        assert types == []
        assert total(counts).micro == (0, 0, 0)


@pytest.mark.parametrize(
    ("gold", "predicted", "message"),
    [
        ([["O"]], [], "1 sentences have gold tags, but 0 have"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 1 has 2 gold tags, but 1 predicted"),
        ([["PER"]], [["O"]], "the tag 'PER'"),
        ([["O"]], [["o"]], "the tag 'o'"),
        ([["O"]], [["Bad"]], "the tag 'Bad'"),
        ([["O"]], [[""]], "the tag ''"),
        ([["O"]], [["O-PER"]], "the tag 'O-PER'"),
    ],
)
def test_unusable_tags_are_refused(gold, predicted, message) -> None:
    with pytest.raises(ValueError, match=message):
        entity_counts(gold, predicted)


GOLD = [["B-PER", "I-PER", "O", "O"], ["O", "O"], ["B-LOC", "O", "B-PER"]]
PREDICTED = [["I-PER", "I-PER", "O", "O"], ["O", "B-LOC"], ["B-LOC", "O", "O"]]


def test_measured_metrics_of_sentences() -> None:
    values = {each.metric.name: each.value for each in measure_entities(GOLD, PREDICTED)}
    assert [*values][:2] == ["entity_f1", "always_o_entity_f1"]
    assert values == pytest.approx(
        {
            "entity_f1": 2 / 3,
            "always_o_entity_f1": 0,
            "entity_precision": 2 / 3,
            "entity_recall": 2 / 3,
            "strict_entity_f1": 2 / 5,
            "macro_entity_f1": 2 / 3,
            "tag_accuracy": 6 / 9,
            "always_o_tag_accuracy": 5 / 9,
        }
    )


def test_metrics_of_resampled_sentences_equal_those_of_repeated_ones() -> None:
    times = np.array([2.0, 0.0, 1.0])
    repeated = [[each[0], each[0], each[2]] for each in (GOLD, PREDICTED)]
    for resampled, again in zip(measure_entities(GOLD, PREDICTED), measure_entities(*repeated), strict=True):
        assert resampled.resampled(times[None])[0] == pytest.approx(again.value)


def test_nothing_of_nothing_is_undefined_without_a_warning() -> None:
    with warnings.catch_warnings(action="error"):
        assert np.isnan(ratio(np.array([0.0, 1.0]), np.array([0.0, 2.0]))).tolist() == [True, False]


def test_metrics_without_entities_are_undefined() -> None:
    """They are neither 0 nor perfect: there is nothing to find. The accuracy of tags is defined."""
    values = {each.metric.name: each.value for each in measure_entities([["O", "O"]], [["O", "O"]])}
    assert values["entity_f1"] is None
    assert values["tag_accuracy"] == 1
    notes = {each.metric.name: each.note for each in measure_entities([], [])}
    assert all(each.value is None for each in measure_entities([], []))
    assert notes.pop("entity_precision") == "no entity is predicted"
    assert {notes.pop("tag_accuracy"), notes.pop("always_o_tag_accuracy")} == {"there are no words"}
    assert {*notes.values()} == {"there are no entities"}


def test_predictions_in_iobes_are_compared_strictly_in_iobes() -> None:
    values = {each.metric.name: each.value for each in measure_entities([["B-X", "E-X"]], [["B-X", "I-X"]], "IOBES")}
    assert (values["entity_f1"], values["strict_entity_f1"]) == (1, 0)
