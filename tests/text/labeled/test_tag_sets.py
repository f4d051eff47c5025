"""Labels of taggers: any order, spelling and scheme, mapped by name."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.tag_schemes import entities_of, parse_tag, to_bio
from minibert.text.labeled.tag_sets import TagSet

GOLD = ["B-PER", "I-PER", "O", "B-LOC", "B-PER"]


def test_targets_follow_the_names_in_every_order() -> None:
    for labels in permutations(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]):
        assert [labels[number] for number in TagSet(labels).targets(GOLD)] == GOLD


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["O", "B-PER", "I-PER", "E-PER", "S-PER", "S-LOC"], ["B-PER", "E-PER", "O", "S-LOC", "S-PER"]),
        (["U-LOC", "L-PER", "I-PER", "B-PER", "U-PER", "O"], ["B-PER", "L-PER", "O", "U-LOC", "U-PER"]),
        (["O", "PER", "LOC"], ["PER", "PER", "O", "LOC", "PER"]),
        (["O", "I-PER", "I-LOC"], ["I-PER", "I-PER", "O", "I-LOC", "I-PER"]),
        (["o", "b_PER", "i_PER", "b_LOC"], ["b_PER", "i_PER", "o", "b_LOC", "b_PER"]),
        (["[PAD]", "O", "B-PER", "I-PER", "B-LOC", "[CLS]"], ["B-PER", "I-PER", "O", "B-LOC", "B-PER"]),
        (["PER-B", "PER-I", "LOC-B", "O"], ["PER-B", "PER-I", "O", "LOC-B", "PER-B"]),
    ],
)
def test_targets_in_the_scheme_and_spelling_of_the_labels(labels, expected) -> None:
    tag_set = TagSet(tuple(labels))
    assert [labels[number] for number in tag_set.targets(GOLD)] == expected
    assert tag_set.covers(GOLD)


def test_types_are_in_the_order_of_the_labels() -> None:
    assert TagSet(("O", "I-PER", "B-ORG", "B-PER", "[PAD]", "U-geo-loc")).types == ["PER", "ORG", "geo-loc"]
    assert TagSet(("O",)).types == []


def test_a_tag_without_a_label_has_no_target() -> None:
    tag_set = TagSet(("O", "B-PER", "I-PER"))
    assert tag_set.targets(["B-ORG", "O", "B-PER"]) == [IGNORE_INDEX, 0, 1]
    assert not tag_set.covers(["B-ORG"])


def test_labels_without_names_cover_nothing() -> None:
    assert not TagSet(("LABEL_0", "LABEL_1")).covers(["O"])
    assert TagSet(()).targets(["O"]) == [IGNORE_INDEX]


def test_predictions_are_read_as_they_are() -> None:
    labels = ("O", "I-PER", "B-PER", "[PAD]")
    assert TagSet(labels).read([1, 1, 0, 3, 2]) == ["I-PER", "I-PER", "O", "O", "B-PER"]
    assert TagSet(("O", "U-PER", "L-PER", "B-PER")).read([1, 3, 2]) == ["S-PER", "B-PER", "E-PER"]
    assert TagSet(("O", "PER")).read([1, 1, 0, 1]) == ["B-PER", "I-PER", "O", "B-PER"]


@given(st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=8))
def test_reading_inverts_targets(tags) -> None:
    """A perfect tagger in any scheme that marks beginnings gives the gold entities."""
    gold = to_bio(map(parse_tag, tags))
    for prefixes in ("BI", "BIES", "BILU", "BMEW"):
        labels = ("O", *(f"{prefix}-{name}" for prefix in prefixes for name in ("PER", "LOC")))
        read = TagSet(labels).read(TagSet(labels).targets(gold))
        assert entities_of(map(parse_tag, read)) == entities_of(map(parse_tag, gold))
