"""Tag schemes: reading any scheme, writing each, and finding the scheme of a file."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from minibert.text.labeled.tag_schemes import (
    SCHEMES,
    Entity,
    Tag,
    detect_scheme,
    entities_of,
    invalid_tags,
    parse_tag,
    to_bio,
    write_tags,
)

TYPES = ("PER", "geo-loc", "B-x", "人名")


@st.composite
def sentences(draw: st.DrawFn) -> tuple[list[Entity], int]:
    """Entities and the number of words of a sentence: some entities are neighbors, some of them of one type."""
    entities, end = [], 0
    for name, size, gap in draw(st.lists(st.tuples(st.sampled_from(TYPES), st.integers(1, 4), st.integers(0, 2)), max_size=5)):
        entities.append(Entity(name, end + gap, end + gap + size))
        end += gap + size
    return entities, end + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", SCHEMES)
@given(sentence=sentences())
def test_reading_inverts_writing_in_every_scheme(scheme, sentence) -> None:
    entities, words = sentence
    tags = [parse_tag(tag) for tag in write_tags(entities, words, scheme)]
    assert entities_of(tags) == entities
    assert not invalid_tags(tags, scheme)


def test_entities_of_random_sequences_equal_those_of_seqeval() -> None:
    """5,000 sequences, most of them invalid in every scheme."""
    choose = random.Random(0)
    for _ in range(5000):
        tags = [choose.choice(["O", f"{choose.choice('BIES')}-{choose.choice(TYPES)}"]) for _ in range(choose.randrange(9))]
        ours = [(entity.type, entity.start, entity.end - 1) for entity in entities_of(map(parse_tag, tags))]
        assert ours == [tuple(entity) for entity in get_entities(tags)], tags


@given(st.lists(st.tuples(st.sampled_from("BIESO"), st.sampled_from(TYPES)), max_size=9))
def test_bio_of_any_sequence_is_valid_and_has_the_same_entities(pairs) -> None:
    tags = [Tag("O") if position == "O" else Tag(position, name) for position, name in pairs]
    bio = [parse_tag(tag) for tag in to_bio(tags)]
    assert entities_of(bio) == entities_of(tags)
    assert not invalid_tags(bio, "BIO")


@pytest.mark.parametrize(
    ("tag", "parsed"),
    [
        ("O", Tag("O")),
        ("B-PER", Tag("B", "PER")),
        ("I-geo-loc", Tag("I", "geo-loc")),
        ("L-PER", Tag("E", "PER")),
        ("U-PER", Tag("S", "PER")),
        ("M-PER", Tag("I", "PER")),
        ("W-PER", Tag("S", "PER")),
        ("B", Tag("B")),
    ],
)
def test_parse_tag(tag, parsed) -> None:
    assert parse_tag(tag) == parsed


@pytest.mark.parametrize("tag", ["", "o", "0", "PER", "BPER", "b-PER", "X-PER", "O-PER", "B_PER", "-", "-PER"])
def test_tags_without_a_scheme_are_refused(tag) -> None:
    with pytest.raises(ValueError, match="is not O, and does not begin"):
        parse_tag(tag)


NEIGHBORS = [Entity("PER", 0, 2), Entity("PER", 2, 3), Entity("LOC", 4, 5)]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", "B-PER I-PER B-PER O B-LOC"),
        ("IOB1", "I-PER I-PER B-PER O I-LOC"),
        ("IOBES", "B-PER E-PER S-PER O S-LOC"),
        ("IOE2", "I-PER E-PER E-PER O E-LOC"),
        ("IOE1", "I-PER E-PER I-PER O I-LOC"),
    ],
)
def test_schemes_are_written_and_detected(scheme, tags) -> None:
    assert write_tags(NEIGHBORS, 5, scheme) == tags.split()
    found = detect_scheme([tags.split()])
    assert found.name == scheme
    assert found.description.startswith(f"{scheme}: 0 of 4 tags of entities are invalid")


def test_few_invalid_tags_do_not_change_the_scheme_and_are_located() -> None:
    sentences = [["B-PER", "I-PER", "O"]] * 9 + [["O", "I-LOC", "I-LOC"]]
    scheme = detect_scheme(sentences)
    assert scheme.description.startswith("BIO: 1 of 20 tags of entities are invalid in it")
    assert scheme.invalid_tags([*map(parse_tag, sentences[-1])]) == [(1, "B-LOC")]


def test_letters_of_iobes_variants_are_named() -> None:
    """No other scheme has these letters."""
    end = "tags of entities are invalid in it"
    assert detect_scheme([["U-PER", "B-PER", "L-PER"]]).description == f"BILOU (IOBES): 0 of 3 {end}"
    assert detect_scheme([["S-PER", "B-PER", "M-PER", "E-PER"]]).description == f"BMES (IOBES): 0 of 4 {end}"


def test_the_letters_of_a_scheme_do_not_depend_on_the_order_of_the_tags() -> None:
    tags = ["U-PER", "B-PER", "L-PER", "W-PER"]
    assert detect_scheme([tags]).letters == detect_scheme([tags[::-1]]).letters == "BLUW"


def test_an_ambiguous_scheme_is_said_to_be_so() -> None:
    description = detect_scheme([["I-PER", "I-PER", "O"]]).description
    assert description.startswith("IOB1 or IOE1, with the same entities: 0 of 2")
    assert detect_scheme([["O", "O"], []]).description == "unknown: every tag is O"


def test_types_without_prefixes_are_never_invalid() -> None:
    scheme = detect_scheme([["I-PER", "I-PER"]], has_prefixes=False)
    assert (scheme.name, scheme.letters) == ("IO", "I")
    assert scheme.description.startswith("IO: there are types without prefixes")
    assert not scheme.invalid_tags([Tag("I", "PER"), Tag("I", "LOC")])
