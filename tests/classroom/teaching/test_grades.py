"""The table of points, and the notes in it."""

from dataclasses import replace

import pytest

from minibert.classroom.teaching.grades import cell, days, days_late, grades, notes
from tests.classroom.teaching.small_class import COURSE, RESULTS
from tests.classroom.teaching.synthetic_results import missing


def test_the_whole_table() -> None:
    assert grades(COURSE, {**RESULTS, "=x\n": []}) == (
        "student,softmax,gelu,layer_norm,total,late,notes\n"
        "ann,5,1,0,6,2,2 days late (softmax); not submitted (layer_norm)\n"
        "bob,0.5,1,0,1.5,2,2 days late (softmax)\n"
        "c<d,0,1,0,1,2,2 days late (softmax); could not be graded (layer_norm); a note (layer_norm)\n"
        "'=x\\u000a,0,0,\n"
    )


def test_a_note_that_begins_as_a_formula_is_text_in_the_table() -> None:
    gelu = replace(RESULTS["ann"][1], notes=["=A1"])
    assert grades(COURSE, {"ann": [gelu]}).splitlines()[1] == "ann,1,1,0,'=A1 (all)"


def test_days_late_are_those_of_the_latest_exercise() -> None:
    assert days_late(COURSE, RESULTS["ann"]) == 2
    assert days_late(COURSE, RESULTS["ann"][1:]) == days_late(COURSE, []) == 0
    assert [days(count) for count in (0, 1, 2)] == ["0 days", "1 day", "2 days"]


def test_a_remark_about_all_exercises_is_said_once() -> None:
    results = [replace(missing("ann", name), notes=["a", "a"]) for name in ("softmax", "gelu")]
    assert notes(COURSE, results[:1]) == ["not submitted (all)", "a (softmax, softmax)"]
    assert notes(COURSE, results)[0] == "not submitted (all)"


@pytest.mark.parametrize(
    ("text", "safe"), [("a", "a"), ("=1", "'=1"), ("  -1", "'  -1"), ("＋1", "'＋1"), ("1-1", "1-1"), ("a\x07", "a\\u0007")]
)
def test_no_cell_is_a_formula(text: str, safe: str) -> None:
    assert cell(text) == safe
