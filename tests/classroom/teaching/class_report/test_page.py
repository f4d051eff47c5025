"""The contents of the report of a class."""

import re
from dataclasses import replace
from datetime import datetime

from minibert.classroom.teaching.class_report.page import class_report
from tests.classroom.teaching.synthetic_results import class_of, course, empty, failed, missing, named, right, unknown

NAMES = ["softmax", "gelu"]


def rows(page, caption):
    """Return the texts of the cells of a table."""
    table = next(part for part in page.split("<table")[1:] if f"<caption>{caption}" in part)
    body = table.split("<tbody>")[1].split("</tbody>")[0]
    return [
        [re.sub("<[^>]*>", " ", cell).split() for cell in re.split("<t[hd][^>]*>", row)[1:]] for row in body.split("<tr>")[1:]
    ]


def joined(page, caption):
    return [[" ".join(cell) for cell in row] for row in rows(page, caption)]


def test_cells_have_points_marks_and_signs():
    results = {
        "ann": [right("ann", "softmax"), named("ann", "gelu", 0)],
        "bob": [unknown("bob", "softmax", 1.0), failed("bob", "gelu")],
        "cem": [empty("cem", "softmax"), missing("cem", "gelu")],
    }
    assert joined(class_report(course(NAMES), results), "Points of each student") == [
        ["ann", "10", "1 M1", "11", "no"],
        ["bob", "1 U1", "0 E1", "1", "no"],
        ["cem", "0 ○ not started", "0 – not submitted", "0", "no"],
    ]


def test_mistakes_are_listed_with_names_and_the_most_common_first():
    results = {
        "ann": [named("ann", "softmax", 1), named("ann", "gelu", 0)],
        "bob": [named("bob", "softmax", 0, 1), right("bob", "gelu")],
    }
    table = joined(class_report(course(NAMES), results), "Students with each mistake")
    assert [(row[0], row[1], row[-2], row[-1]) for row in table[:1]] == [("M1", "2", "softmax", "ann , bob")]
    assert {row[1] for row in table[1:]} == {"1"}
    assert len(table) == 3


def test_days_after_the_deadline_are_shown():
    late = course(["softmax"])
    late = replace(late, assignments=(replace(late.assignments[0], due=datetime(1969, 12, 30, 12)),))
    page = class_report(late, {"ann": [right("ann", "softmax")], "bob": [missing("bob", "softmax")]})
    assert [row[-1] for row in joined(page, "Points of each student")] == ["2 days", "no"]
    assert joined(page, "Results of each exercise") == [["softmax", "10", "1969-12-30 12:00", "5.00", "1", "0", "0", "1"]]


def test_the_histogram_counts_every_student_once():
    counts = [int(row[1]) for row in joined(class_report(course(), class_of(60)), "Histogram of the totals")]
    assert (len(counts), sum(counts)) == (10, 60)


def test_a_class_without_students_points_or_mistakes_has_a_report():
    nothing = course(["softmax"])
    free = replace(nothing, assignments=(replace(nothing.assignments[0], points=0.0),))
    assert "None." in class_report(nothing, {})
    assert "0 of 0 points" in re.sub(r"\.0", "", class_report(free, {"ann": [right("ann", "softmax")]}))


def test_names_of_files_that_are_not_utf_8_can_be_written():
    page = class_report(course(["softmax"]), {"\udcff": [right("\udcff", "softmax")]})
    assert r"\udcff" in page.encode("utf-8").decode()


def test_the_colors_of_the_legend_are_those_of_no_half_and_all_points():
    legend = class_report(course(NAMES), {}).partition('<span class="scale">')[2].partition("</span>.")[0]
    assert re.findall(r'class="level(\d)">(\w+)', legend) == [("0", "none"), ("3", "half"), ("5", "all")]
