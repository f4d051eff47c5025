"""Hints: a question, the place, and the line of the reference with a blank."""

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.hints import BLANK, Level, hints, next_hint
from minibert.classroom.mistakes import Kind
from minibert.classroom.report import Named, Report, Verdict

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)


@every_exercise
def test_every_exercise_has_hints_of_three_levels(exercise) -> None:
    found = hints(exercise)
    assert [level for level in Level if level in {hint.level for hint in found}] == list(Level)
    assert all(len(hint.text) > 10 for hint in found)
    assert found[-1].code


@every_exercise
def test_every_mistake_of_the_catalogue_has_its_line(exercise) -> None:
    """The last hint for a mistake is a line without `observe`, and never the whole solution of several lines."""
    for mistake in exercise.mistakes:
        if mistake.kind is not Kind.EQUIVALENT:
            *_, place, line = hints(exercise, Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)]))
            assert (place.level, line.level) == (Level.PLACE, Level.LINE)
            assert line.code
            assert "\n" not in line.code
            assert "observe(" not in line.code


def of_mistake(name: str):
    exercise = EXERCISES["scaled_dot_product_attention"]
    mistake = next(mistake for mistake in exercise.mistakes if mistake.name == name)
    return hints(exercise, Report(exercise.name, Verdict.WRONG, mistakes=[Named.of(mistake)]))


def test_the_place_and_the_line_are_those_of_the_mistake() -> None:
    *_, place, line = of_mistake("no scale")
    assert "S = P/√d_k" in place.text
    assert line.code == f"scores = dot_products {BLANK}"


def test_the_place_is_the_line_of_the_learner_if_the_report_names_one() -> None:
    report = Report("softmax", Verdict.WRONG, line=7, line_text="    return scores.exp()")
    place = next(hint for hint in hints(EXERCISES["softmax"], report) if hint.level is Level.PLACE)
    assert place.text.startswith("Look at line 7 of your code, `return scores.exp()`.")


def test_hints_come_in_order_and_the_last_one_stays() -> None:
    exercise = EXERCISES["scaled_dot_product_attention"]
    levels = [next_hint(exercise, given).level for given in range(6)]
    assert levels == [Level.QUESTION, Level.QUESTION, Level.PLACE, Level.LINE, Level.LINE, Level.LINE]
