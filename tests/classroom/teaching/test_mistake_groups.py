"""Groups of students with the same mistake."""

import pytest

from minibert.classroom.teaching.mistake_groups import GroupKind, groups, same_fingerprint
from tests.classroom.teaching.synthetic_results import failed, named, right, unknown


def grouped(kind, *results):
    """Return the students of each group."""
    by_student = {}
    for each in results:
        by_student.setdefault(each.student, []).append(each)
    return [group.students for group in groups(by_student)[kind]]


@pytest.mark.parametrize(("numbers", "same"), [
    ((1.0, 100.0), True), ((1.005, 100.0), True), ((1.02, 100.0), False), ((1.0, None), False), ((1.0,), False),
    ((1.0, -100.0), False),
])  # fmt: skip
def test_fingerprints_are_equal_up_to_one_in_ten_thousand(numbers, same):
    one, other = (unknown("ann", "softmax", *each).fingerprint for each in ((1.0, 100.0), numbers))
    assert same_fingerprint(one, other) is same
    assert same_fingerprint(other, one) is same


def test_infinite_numbers_are_equal_at_the_same_places():
    assert grouped(GroupKind.UNKNOWN, unknown("ann", "gelu", None, 1.0), unknown("bob", "gelu", None, 1.0)) == [["ann", "bob"]]


def test_students_with_equal_numbers_are_one_group_and_the_largest_is_first():
    results = [unknown("ann", "gelu", 2.0), unknown("bob", "gelu", 1.0), unknown("cem", "gelu", 1.00001)]
    assert grouped(GroupKind.UNKNOWN, *results) == [["bob", "cem"], ["ann"]]


def test_equal_numbers_of_other_exercises_or_inputs_are_other_groups():
    results = [unknown("ann", "gelu", 1.0), unknown("bob", "softmax", 1.0), unknown("cem", "gelu", 1.0, input=2)]
    assert grouped(GroupKind.UNKNOWN, *results) == [["ann"], ["bob"], ["cem"]]


def test_a_group_is_not_wider_than_allowed():
    """Students between two others do not connect them."""
    results = [unknown(f"s{number:02}", "gelu", 1 + 0.9e-4 * number) for number in range(4)]
    assert grouped(GroupKind.UNKNOWN, *results) == [["s00", "s01"], ["s02", "s03"]]


def test_correct_and_named_functions_are_not_unknown():
    assert grouped(GroupKind.UNKNOWN, right("ann", "gelu"), named("bob", "gelu", 0), failed("cem", "gelu")) == []


def test_equal_errors_of_one_exercise_are_one_group():
    results = [failed("ann", "gelu"), failed("bob", "gelu"), failed("cem", "softmax"), failed("dan", "gelu", "other")]
    assert grouped(GroupKind.FAILED, *results) == [["ann", "bob"], ["cem"], ["dan"]]


def test_two_mistakes_of_a_student_are_in_two_groups():
    assert grouped(GroupKind.NAMED, named("ann", "softmax", 0, 1), named("bob", "softmax", 1)) == [["ann", "bob"], ["ann"]]


def test_the_example_is_the_first_one_with_a_line():
    without, with_line = unknown("ann", "gelu", 1.0, line=""), unknown("bob", "gelu", 1.0)
    group = groups({"ann": [without], "bob": [with_line]})[GroupKind.UNKNOWN][0]
    assert group.example is with_line.report
