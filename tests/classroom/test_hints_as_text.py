"""The hints of every exercise, and those after some checks, as a learner reads them.

They are in hint_texts.txt. If they change on purpose, `python -m tests.classroom.test_hints_as_text` writes the file again:
look at the difference.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.hints import Hint, Level, hints, next_hint
from minibert.classroom.mistakes import MISTAKES
from minibert.classroom.report import Named, Report, Stage, Verdict
from tests.classroom.small_exercise import exercise, mistake

FILE = Path(__file__).with_name("hint_texts.txt")
MISTAKEN = (
    ("scaled_dot_product_attention", "no scale", "mask inverted"),
    ("scaled_dot_product_attention", "sum over all rows"),
    ("scaled_dot_product_attention", "unknown name", "no scale"),
    ("softmax", "sum over all rows"),
    ("softmax", "no scale"),
    ("layer_norm", "eps of PyTorch"),
    ("layer_norm", "fixed eps"),
    ("add_and_norm", "fixed eps"),
    ("training_steps", "schedule forgotten"),
    ("adamw_step", "no bias correction"),
    ("decoder_layer", "last residual from the input"),
    ("causal_mask", "causal mask without the diagonal"),
    ("feed_forward", "no activation function"),
)
"""Exercises, and mistakes that a check names."""


def requests() -> list[tuple[Exercise, Report | None]]:
    found: list[tuple[Exercise, Report | None]] = [(each, None) for each in EXERCISES.values()]
    for name, *mistakes in MISTAKEN:
        named = [Named.of(MISTAKES[each]) if each in MISTAKES else Named(each, "bug", "", "", "") for each in mistakes]
        found.append((EXERCISES[name], Report(name, Verdict.WRONG, mistakes=named)))
    found += [(EXERCISES["softmax"], Report("softmax", Verdict.WRONG, stage)) for stage in Stage]
    found.append((EXERCISES["softmax"], Report("softmax", Verdict.STOPPED, Stage.RUNS)))
    placed = [Report("softmax", Verdict.WRONG, line=line, line_text=text) for line, text in ((3, ""), (4, "  x = 1 "))]
    two = [Named.of(MISTAKES[name]) for name in MISTAKEN[0][1:]]
    found.append((EXERCISES[MISTAKEN[0][0]], Report(MISTAKEN[0][0], Verdict.WRONG, mistakes=two, line=5)))
    return found + [(EXERCISES["softmax"], report) for report in placed]


def lines_of(exercise: Exercise, report: Report | None) -> Iterator[str]:
    about = [each.name for each in report.mistakes] + [str(report.failed or report.verdict)] if report else []
    yield " | ".join([exercise.name, *about])
    yield from (f"  {hint.level}: {hint}" for hint in hints(exercise, report))


@pytest.mark.parametrize("number", range(len(requests())))
def test_the_hints_are_those_of_the_file(number) -> None:
    whole = FILE.read_text(encoding="utf-8").splitlines()
    begins = [number for number, line in enumerate(whole) if not line.startswith(" ")] + [len(whole)]
    assert [*lines_of(*requests()[number])] == whole[begins[number] : begins[number + 1]]


def test_an_exercise_without_questions_and_formulas_has_hints_from_its_code() -> None:
    small = exercise()
    assert hints(small) == (
        Hint(Level.QUESTION, "Which operation of PyTorch computes each step, and which shape does its result have?"),
        Hint(Level.PLACE, "The reference computes, in this order: the product, the result."),
        Hint(Level.LINE, "Fill the blank:", "return product + ____  (here `product` is the product)"),
    )


def test_after_the_last_hint_comes_the_last_one_again() -> None:
    found = hints(EXERCISES["softmax"])
    assert [next_hint(EXERCISES["softmax"], given) for given in (0, 1, 2, 3, 9)] == [*found, found[2], found[2]]


def test_a_mistake_that_is_none_of_the_exercise_gives_the_usual_hints() -> None:
    report = Report("scaled", Verdict.WRONG, mistakes=[Named.of(mistake("2.0 if", "3.0 if"))])
    assert hints(exercise(), report) == hints(exercise())


def test_the_hints_of_a_mistake_are_about_its_line(monkeypatch) -> None:
    """A mistake in the default of an argument that the stub does not have gives the usual hints."""
    three, default = mistake("2.0 if", "3.0 if"), mistake("shift: float = 0.0", "shift: float = 1.0")
    of = exercise(mistakes=(three, default))
    for each in (three, default):
        monkeypatch.setitem(MISTAKES, each.name, each)
    assert [str(hint) for hint in hints(of, Report("scaled", Verdict.WRONG, mistakes=[Named.of(three)]))] == [
        "From which values is the product computed, and by which operations? Compare each of them with your code.",
        "The reference computes, in this order: the product, the result. Look at the product.",
        "Fill the blank: product = x * (____ if factor is None else factor)",
    ]
    assert hints(of, Report("scaled", Verdict.WRONG, mistakes=[Named.of(default)])) == hints(of)


if __name__ == "__main__":
    FILE.write_text("\n".join(line for each in requests() for line in lines_of(*each)) + "\n", encoding="utf-8")
