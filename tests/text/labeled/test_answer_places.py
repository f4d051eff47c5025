"""Places of answers with wrong offsets: found where there is one possibility, and refused where there are several."""

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minibert.text.labeled.answer_places import OFFSETS, Place, find_answer, shorten

CHARACTERS = "ababééİß é\U0001f469\u200d\u0301\r\n\u00a0\u200bß"
LETTERS = "abéİß"
contexts = st.text(CHARACTERS, min_size=1, max_size=30)


@st.composite
def contexts_with_answers(draw) -> tuple[str, str, int]:
    """A context, an answer without blanks at its ends, and its offset."""
    context = draw(contexts)
    start = draw(st.integers(0, len(context) - 1))
    answer = context[start : draw(st.integers(start + 1, len(context)))]
    assume(answer[0] in LETTERS and answer[-1] in LETTERS)
    return context, answer, start


@given(contexts_with_answers())
def test_a_right_offset_is_kept(case: tuple[str, str, int]) -> None:
    context, answer, start = case
    assert find_answer(context, answer, start) == Place(start, answer)


def place_or_message(context: str, answer: str, offset: int | None) -> Place | str:
    try:
        return find_answer(context, answer, offset)
    except ValueError as error:
        return str(error)


@given(contexts_with_answers(), st.integers(-5, 60) | st.none())
def test_the_place_has_the_text_of_the_context(case: tuple[str, str, int], offset: int | None) -> None:
    """Whatever the offset is: the place is one of the answer, or an error lists the possible places."""
    context, answer, _ = case
    starts = [index for index in range(len(context)) if context.startswith(answer, index)]
    found = place_or_message(context, answer, offset)
    if isinstance(found, str):
        assert len(starts) > 1
        assert offset not in starts
        assert f"stands at {starts[0]}, {starts[1]}" in found
    else:
        assert (found.start in starts, found.text) == (True, answer)
        assert bool(found.note) == (found.start != offset)
        assert found.start == offset or offset not in starts


@given(contexts_with_answers(), st.sampled_from([*OFFSETS]))
def test_offsets_of_other_programs(case: tuple[str, str, int], name: str) -> None:
    """An offset that counts in another way gives the right place if the answer stands at one place only, and never none."""
    context, answer, start = case
    starts = [index for index in range(len(context)) if context.startswith(answer, index)]
    found = place_or_message(context, answer, OFFSETS[name](context[:start]))
    if len(starts) == 1:
        assert found == (start, answer, found.note)
    else:
        assert isinstance(found, str) or found.start in starts


@pytest.mark.parametrize(
    ("name", "context", "answer"),
    [
        ("counts bytes of UTF-8", "Zürich und Genf, Genf", "Genf"),
        ("counts units of UTF-16", "\U0001f600\U0001f600 Genf und Genf", "Genf"),
        ("does not count blanks at the beginning of the context", "\n\n  In Genf und Genf", "Genf"),
        ("counts a line break of two characters as one", "a\r\nb\r\nGenf Genf", "Genf"),
        ("counts several blanks as one", "a   b  \n c Genf Genf", "Genf"),
        ("does not count control characters", "a\u200bb\u00adc Genf Genf", "Genf"),
        ("counts composed characters (NFC)", "e\u0301e\u0301e\u0301 Genf Genf", "Genf"),
        ("counts decomposed characters (NFD)", "가가 Genf Genf", "Genf"),
        ("counts characters of the lowercased text", "İé Genf Genf", "Genf"),
    ],
)
def test_explanation_of_an_offset(name: str, context: str, answer: str) -> None:
    """The first of two places is found from the offset alone, and the note says how the offset was counted."""
    start = context.index(answer)
    offset = OFFSETS[name](context[:start])
    assert offset != start
    place = find_answer(context, answer, offset)
    assert place.start == start
    assert place.note == f"answer_start is {offset}, but 'Genf' stands at {start}: corrected (the offset {name})"


@pytest.mark.parametrize(
    ("context", "answer", "offset", "start"),
    [
        ("x 12 y 12 z 12", "12", 3, 2),
        ("x 12 yyyyyyy 12 z 12", "12", 12, 13),
        ("12 yyyyyyyyyyyy 12", "12", 15, 16),
        ("x 1", "1", -1, 2),  # not counted from the end
    ],
)
def test_the_nearest_place(context: str, answer: str, offset: int, start: int) -> None:
    assert find_answer(context, answer, offset).start == start


@pytest.mark.parametrize(
    ("context", "answer", "offset"),
    [
        ("x 12 12", "12", 4),  # between two places: 2 and 5
        ("12 and 12 and 12", "12", 40),  # too far away
        ("a 12 yyyyyyyyyyyyyyyyyy 12", "12", 0),  # 0 is written for an unknown offset
        ("a 12 yyyyyyyyyyyyyyyyyy 12", " 12", 0),
        ("a 12 yyyyyyyyyyyyyyyyyy 12", "12", -1),
        ("a 12 yyyyyyyyyyyyyyyyyy 12", "12", None),
        ("a 1212 1212", "1212", None),
        ("a 12121 b", "121", None),  # places that overlap
    ],
)
def test_several_places_are_refused(context: str, answer: str, offset: int | None) -> None:
    kept = answer.strip()
    places = ", ".join(str(index) for index in range(len(context)) if context.startswith(kept, index))
    described = "there is no answer_start" if offset is None else f"answer_start is {offset}"
    with pytest.raises(ValueError, match=f"^{described}, and the answer '{kept}' stands at {places}: write the right one"):
        find_answer(context, answer, offset)


@pytest.mark.parametrize(
    ("context", "answer", "text"),
    [
        ("the cafe\u0301 here", "café", "cafe\u0301"),
        ("the café here", "cafe\u0301", "café"),
        ("New  York\nCity", "New York City", "New  York\nCity"),
        ("New\u00a0York", "New York", "New\u00a0York"),
        ("it’s “here”", 'it\'s "here"', "it’s “here”"),
        ("1990–1995", "1990-1995", "1990–1995"),
        ("so\u00adft\u200bware", "software", "so\u00adft\u200bware"),
        ("Straße", "STRASSE", "Straße"),
        ("İzmir", unicodedata.normalize("NFD", "İzmir"), "İzmir"),
        ("１９９０年", "1990年", "１９９０年"),
        ("the oﬃce", "office", "oﬃce"),
        ("a \U0001f44d\U0001f3fd b", "\U0001f44d\U0001f3fd", "\U0001f44d\U0001f3fd"),
    ],
)
def test_differences_of_form(context: str, answer: str, text: str) -> None:
    """The answer has the text of the context, with a note if it differs."""
    place = find_answer(context, answer, context.index(text))
    assert (place.start, place.text) == (context.index(text), text)
    assert bool(place.note) == (answer != text)


@pytest.mark.parametrize(
    ("context", "answer"), [("oﬃce", "ice"), ("cafe\u0301", "e\u0301s"), ("a b", "ab"), ("résumé", "resume")]
)
def test_other_texts_are_not_the_answer(context: str, answer: str) -> None:
    with pytest.raises(ValueError, match="is not in the context"):
        find_answer(context, answer, 0)


@pytest.mark.parametrize(
    ("offset", "found"),
    [(0, "; at answer_start 0 stands 'a b'"), (4, "; at answer_start 4 stands 'c'"), (5, ""), (-1, ""), (None, "")],
)
def test_the_text_at_a_wrong_offset_is_shown_if_there_is_one(offset: int | None, found: str) -> None:
    with pytest.raises(ValueError, match=f"^the answer 'xyz' is not in the context{found}$"):
        find_answer("a b c", "xyz", offset)


def test_the_text_at_the_offset_counts_more_than_an_equal_one_elsewhere() -> None:
    assert find_answer("US troops, us", "us", 0) == Place(0, "US", "'us' is written 'US' in the context: its text was taken")


def test_an_exact_place_counts_more_than_similar_ones() -> None:
    assert find_answer("paris, PARIS, Paris", "Paris", None)[:2] == (14, "Paris")


def test_a_long_context_with_many_places_is_fast() -> None:
    with pytest.raises(ValueError, match="stands at 0, 1, 2, 3, 4 and 19995 more places: write the right one"):
        find_answer("a" * 20_000, "a", -1)


def test_shortened_texts() -> None:
    assert shorten("a" * 45) == repr("a" * 45)
    assert shorten("a" * 46) == repr("a" * 45 + "…")
