"""Groups of students with the same mistake."""

from dataclasses import replace

import pytest

from minibert.classroom.report import Stage
from minibert.classroom.teaching.mistake_groups import Group, GroupKind, groups, same_fingerprint
from tests.classroom.teaching.synthetic_results import failed, named, right, unknown


def grouped(kind, *results):
    """Return the students of each group."""
    by_student = {}
    for each in results:
        by_student.setdefault(each.student, []).append(each)
    return [group.students for group in groups(by_student)[kind]]


@pytest.mark.parametrize(("numbers", "same"), [
    ((1.0, 100.0), True), ((1.005, 100.0), True), ((1.02, 100.0), False), ((1.0, None), False), ((1.0,), False),
    ((1.0, -100.0), False), ((-1.0, 100.0), False), ((1.0, 100.0, 1.0), False),
])  # fmt: skip
def test_fingerprints_are_equal_up_to_one_in_ten_thousand(numbers, same):
    one, other = (unknown("ann", "softmax", *each).fingerprint for each in ((1.0, 100.0), numbers))
    assert same_fingerprint(one, other) is same
    assert same_fingerprint(other, one) is same


def test_the_scale_of_negative_numbers_is_their_size():
    one, other = (unknown("ann", "softmax", *each).fingerprint for each in ((-100.0, 1.0, None), (-100.005, 1.005, None)))
    assert same_fingerprint(one, other)
    assert not same_fingerprint(one, replace(other, numbers=(-100.0, None, 1.0)))


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


def test_results_without_numbers_are_equal_if_the_same_check_fails():
    """A result with numbers is another one."""

    def without(student, reason, **changes):
        report = replace(unknown(student, "gelu", 1.0).report, reason=reason, **changes)
        return replace(unknown(student, "gelu", 1.0), fingerprint=None, report=report)

    results = [
        without("ann", "Shape."), without("bob", "Shape."), without("cem", "Other."),
        without("dan", "Shape.", failed=Stage.SHAPE),
        replace(unknown("eve", "gelu", 1.0), report=without("eve", "Shape.").report),
        without("fay", "Values.", relation="Two times."),
    ]  # fmt: skip
    found = {}
    for each in results:
        found[each.student] = [each]
    titles = {group.title: [] for group in groups(found)[GroupKind.UNKNOWN]}
    for group in groups(found)[GroupKind.UNKNOWN]:
        titles[group.title].append(group.students)
    assert titles == {"Shape.": [["ann", "bob"], ["dan"], ["eve"]], "Other.": [["cem"]], "Two times.": [["fay"]]}


def test_a_group_has_the_exercises_in_alphabetical_order_with_their_numbers():
    group = groups({"ann": [named("ann", "softmax", 0)], "bob": [named("bob", "softmax", 0)]})[GroupKind.NAMED][0]
    both = replace(group, results=(*group.results, unknown("cem", "gelu", 1.0)))
    assert list(replace(both, results=both.results[::-1]).exercises) == ["gelu", "softmax"]
    assert list(both.exercises.items()) == [("gelu", 1), ("softmax", 2)]
    assert (group.mark, both.students) == ("M1", ["ann", "bob", "cem"])


def test_the_example_is_the_first_one_with_a_line():
    without, with_line = unknown("ann", "gelu", 1.0, line=""), unknown("bob", "gelu", 1.0)
    group = groups({"ann": [without], "bob": [with_line]})[GroupKind.UNKNOWN][0]
    assert group.example is with_line.report
    assert replace(group, results=(without, replace(without, student="bob"))).example is without.report


def test_the_example_is_the_first_report_with_a_line_or_the_first_one():
    results = [named("ann", "softmax", 0), named("bob", "softmax", 0), named("cem", "softmax", 0)]
    without = [replace(each, report=replace(each.report, line_text="", reason=each.student)) for each in results]
    assert Group("M1", "", tuple(without)).example.reason == "ann"
    assert Group("M1", "", (without[0], results[1], results[2])).example is results[1].report
    assert Group("M1", "", (results[0], named("ann", "gelu", 0), results[1])).exercises == {"gelu": 1, "softmax": 2}
