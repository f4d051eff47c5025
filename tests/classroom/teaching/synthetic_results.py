"""Results of a class as grading returns them, without any grading: all states, verdicts and kinds of mistakes."""

import random
from collections.abc import Sequence

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.report import Named, Report, Stage, Verdict
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.grading import Fingerprint, Graded, State

EXERCISE_NAMES = (
    "softmax", "causal_mask", "scaled_dot_product_attention", "multi_head_attention", "layer_norm", "gelu", "cross_entropy",
    "mask_tokens", "adamw_step", "greedy_decoding",
)  # fmt: skip
RIGHT = {"shape": True, "forward": True, "gradient": True, "edge cases": True}
WRONG = {"shape": True, "forward": False, "gradient": False, "edge cases": False}


def course(names: Sequence[str] = EXERCISE_NAMES, title: str = "Attention, autumn 2030") -> Course:
    """Return a course."""
    return Course(title, "a secret of the tests", tuple(Assignment(name) for name in names))


def right(student: str, exercise: str) -> Graded:
    """Return the result of a correct function."""
    return Graded(student, exercise, State.GRADED, Report(exercise, Verdict.PASSED, credit=RIGHT), file="all.py", modified=0.0)


def named(student: str, exercise: str, *mistakes: int) -> Graded:
    """Return the result of a function with mistakes of the catalogue, by their numbers."""
    known = EXERCISES[exercise].mistakes
    report = Report(
        exercise,
        Verdict.WRONG,
        Stage.VALUES,
        "The numbers differ.",
        [Named.of(known[number % len(known)]) for number in mistakes],
        credit=WRONG,
        line=3,
        line_text="    return x",
    )
    return Graded(student, exercise, State.GRADED, report, file="all.py", modified=0.0)


def unknown(student: str, exercise: str, *numbers: float | None, line: str = "    return x * 1.1", input: int = 0) -> Graded:  # noqa: A002
    """Return the result of a function whose numbers match no known mistake."""
    report = Report(
        exercise, Verdict.WRONG, Stage.VALUES, "The numbers differ.", credit=WRONG, line=2, line_text=line,
        first_difference="`scores`: 0.5, expected 0.25.",
    )  # fmt: skip
    return Graded(student, exercise, State.GRADED, report, Fingerprint(input, (2, 3), numbers), "all.py", 0.0)


def failed(student: str, exercise: str, reason: str = "NameError: name 'toch' is not defined") -> Graded:
    """Return the result of a function that raises an error."""
    report = Report(exercise, Verdict.ERROR, Stage.RUNS, reason, line=7, line_text="    return toch.exp(x)", credit={})
    return Graded(student, exercise, State.GRADED, report, file="all.py", modified=0.0)


def empty(student: str, exercise: str) -> Graded:
    """Return the result of a stub."""
    return Graded(student, exercise, State.GRADED, Report(exercise, Verdict.EMPTY), file="all.py", modified=0.0)


def missing(student: str, exercise: str) -> Graded:
    """Return the result of an exercise that was not submitted."""
    return Graded(student, exercise, State.MISSING)


def class_of(count: int, names: Sequence[str] = EXERCISE_NAMES) -> dict[str, list[Graded]]:
    """Return the results of a class, the same ones in each call."""
    draw = random.Random(0)
    students = [f"{first}-{last}{number}" for number, (first, last) in enumerate(_names(count, draw))]
    return {student: [_any(student, exercise, draw) for exercise in names] for student in students}


def _names(count: int, draw: random.Random) -> list[tuple[str, str]]:
    firsts, lasts = ("ada", "bao", "chloé", "daniyar", "emeka", "fatima"), ("lovelace", "nguyen", "garcía", "okafor", "weiß")
    return sorted((draw.choice(firsts), draw.choice(lasts)) for _ in range(count))


def _any(student: str, exercise: str, draw: random.Random) -> Graded:
    chance = draw.random()
    if chance < 0.55:
        return right(student, exercise)
    if chance < 0.75:
        return named(student, exercise, min(3, int(draw.expovariate(1))), *([4] if draw.random() < 0.2 else []))
    if chance < 0.85:
        return unknown(student, exercise, float(draw.choice((1, 1, 2, 5))), 0.5)
    if chance < 0.9:
        return failed(student, exercise)
    return empty(student, exercise) if chance < 0.95 else missing(student, exercise)
