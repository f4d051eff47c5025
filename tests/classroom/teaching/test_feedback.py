"""Feedback: the whole text, and the words for each result."""

from dataclasses import replace

import pytest

from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching.course import Assignment
from minibert.classroom.teaching.feedback import feedback, result_of
from minibert.classroom.teaching.grading import Graded, State
from tests.classroom.teaching.small_class import COURSE, RESULTS

FEEDBACK = {
    "ann": r"""# Feedback for ann

A \*course\* & more

| exercise | result | points |
|---|---|---:|
| softmax | visible checks passed | 5 / 5 |
| gelu | not correct | 1 / 10 |
| layer_norm | not submitted | 0 / 10 |
| total | | 6 / 25 |

## softmax: visible checks passed (5 / 5 points)

2 days after the deadline


## gelu: not correct (1 / 10 points)

The numbers differ.

### Mistake 1 of 2: all \*axes\*

You used all axes.

Why it matters: The weights shrink.

Seen in: learners

### Other convention 2 of 2: tanh

You used tanh.

Correct in other code, but not what this exercise asks for.

### Points

shape: yes, forward: no, gradient: no, edge cases: no


## layer_norm: not submitted (0 / 10 points)

The submission has no function with this name. Write it, and do not import or rename it.
""",
    "bob": r"""# Feedback for bob

A \*course\* & more

| exercise | result | points |
|---|---|---:|
| softmax | not correct | 0.5 / 5 |
| gelu | not correct | 1 / 10 |
| layer_norm | does not run | 0 / 10 |
| total | | 1.5 / 25 |

## softmax: not correct (0.5 / 5 points)

The numbers differ.

2 days after the deadline

### Mistake: all \*axes\*

You used all axes.

Why it matters: The weights shrink.

Seen in: learners

### Points

shape: yes, forward: no, gradient: no, edge cases: no


## gelu: not correct (1 / 10 points)

The numbers differ.

### Not a known mistake

First difference: \`scores\`: 0.5, expected 0.25.

### Line 2 of your code

```text
    return x * 1.1
    ^^^^^^^^^^^^^^
```

### Points

shape: yes, forward: no, gradient: no, edge cases: no


## layer_norm: does not run (0 / 10 points)

NameError: name 'toch' is not defined

### Line 7 of your code

```text
    return toch.exp(x)
    ^^^^^^^^^^^^^^^^^^
```
""",
    "c<d": r"""# Feedback for c\<d

A \*course\* & more

| exercise | result | points |
|---|---|---:|
| softmax | not started | 0 / 5 |
| gelu | not correct | 1 / 10 |
| layer_norm | could not be graded | 0 / 10 |
| total | | 1 / 25 |

## softmax: not started (0 / 5 points)

2 days after the deadline


## gelu: not correct (1 / 10 points)

The numbers differ.

### Not a known mistake

First difference: \`scores\`: 0.5, expected 0.25.

### Line 2 of your code

```text
    return x * 1.1
    ^^^^^^^^^^^^^^
```

### Points

shape: yes, forward: no, gradient: no, edge cases: no


## layer_norm: could not be graded (0 / 10 points)

This could not be graded. Ask your teacher, who can grade it again.
""",
}


@pytest.mark.parametrize("student", FEEDBACK)
def test_the_feedback_of_a_student(student: str) -> None:
    assert feedback(COURSE, student, RESULTS[student]) == FEEDBACK[student]


def test_a_course_without_a_title_has_one_heading() -> None:
    assert feedback(replace(COURSE, title=""), "a|b", []).startswith("# Feedback for a|b\n\n| exercise |")


@pytest.mark.parametrize(
    ("report", "hidden_seeds", "words"),
    [
        (None, 2, "not submitted"),
        (Report("gelu", Verdict.PASSED), 2, "visible checks passed"),
        (Report("gelu", Verdict.PASSED), 0, "passed"),
        (Report("gelu", Verdict.WARNING), 2, "visible checks passed, with a warning"),
        (Report("gelu", Verdict.WARNING), 0, "passed, with a warning"),
        (Report("gelu", Verdict.WRONG), 2, "not correct"),
        (Report("gelu", Verdict.WRONG, only_hidden=True), 2, "visible checks passed, hidden checks not"),
    ],
)
def test_a_result_in_words(report: Report | None, hidden_seeds: int, words: str) -> None:
    """A function that passes may still fail for inputs that nobody has seen."""
    graded = Graded("ann", "gelu", State.GRADED if report else State.MISSING, report)
    found = result_of(replace(COURSE, hidden_seeds=hidden_seeds), graded)
    assert (found, type(found)) == (words, str)


def test_names_and_results_are_cells_of_a_table() -> None:
    """A vertical bar would end the cell, and begins no other."""
    course = replace(COURSE, assignments=(Assignment("a|b", 2.0),))
    table = feedback(course, "ann", [Graded("ann", "a|b", State.MISSING)]).splitlines()[4:8]
    assert table == [
        "| exercise | result | points |",
        "|---|---|---:|",
        r"| a\|b | not submitted | 0 / 2 |",
        "| total | | 0 / 2 |",
    ]
