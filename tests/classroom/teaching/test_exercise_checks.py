"""The problems of an exercise, each in one sentence."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from torch import Tensor

from minibert.classroom.candidates import Variant
from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.mistakes import Kind, Mistake
from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching import exercise_checks
from minibert.classroom.teaching.exercise_checks import (
    differ,
    problems,
    problems_of_distances,
    problems_of_equivalents,
    problems_of_names,
    problems_of_parts,
    problems_of_reference,
    problems_of_seriousness,
    problems_of_stub,
)


def half_exponential(x: Tensor) -> Tensor:
    """Compute half of the exponential."""
    y = x.exp()
    return y / 2


def mistake(name: str, new: str, kind: Kind = Kind.BUG, message: str = "You did it.", old: str = "y / 2") -> Mistake:
    return Mistake(name, half_exponential, ((old, new),), "", "", "", kind, message)


USUAL = Case("usual", lambda draw: {"x": draw.numbers(2, draw.size(3))})
LARGE = Case("large", lambda draw: {"x": draw.numbers(2, 3) + 80}, Role.LIMIT)
NUMBERS = count()
WHOLE = mistake("no half", "y")
ROOT = mistake("a root", "y.sqrt()")


def exercise_of(*mistakes: Mistake, cases=(USUAL, LARGE), questions=("Why?", "Because.")) -> Exercise:
    """Return an exercise that is equal to no other one, so that each has its own mistakes."""
    others = tuple(replace(each, name=f"{each.name} {next(NUMBERS)}") for each in cases)
    exercise = Exercise("half_exponential", half_exponential, others, questions)
    exercise.__dict__["mistakes"] = mistakes
    return exercise


def variants(exercise: Exercise) -> list[Variant]:
    return [Variant(exercise, (each,)) for each in exercise.mistakes]


def test_an_exercise_without_problems_is_ready() -> None:
    same = mistake("a product", "0.5 * y", Kind.EQUIVALENT, "")
    safe = mistake("a bound", "y.clamp(max=1e30) / 2", Kind.UNSAFE)
    assert list(problems(exercise_of(WHOLE, ROOT, same, safe))) == []


@pytest.mark.parametrize(
    ("exercise", "found"),
    [
        (exercise_of(cases=(replace(USUAL, role=Role.EDGE),)), ["There is no typical case: add Case(name, recipe)."]),
        (exercise_of(questions=()), ["There is no question: the first hint is a question, `questions=(…)`."]),
        (exercise_of(questions=("What", "Why?")), ["Question 'What': it must end with a question mark or a period."]),
        (
            exercise_of(cases=(USUAL, Case("text", lambda draw: {"x": "text"}))),
            ["The reference fails on the case 'text "],
        ),
        (
            exercise_of(WHOLE, mistake("other", "x", old="z / 2")),
            ["Mistake other: 'z / 2' occurs 0 times in the source, not once; another mistake may have changed it"],
        ),
        (
            exercise_of(mistake("silent", "y", message=""), mistake("words", "y", message="no sentence")),
            [
                "Mistake 'silent': it has no message: write what the learner did, such as \"You left out √d_k.\".",
                "Mistake 'words': its message 'no sentence' is no sentence: write what the learner did, "
                'such as "You left out √d_k.".',
            ],
        ),
        (exercise_of(mistake("equal", "0.5 * y", Kind.EQUIVALENT, "")), []),
    ],
)
def test_the_parts_of_an_exercise(exercise: Exercise, found: list[str]) -> None:
    """Nothing else is checked then."""
    assert [each[: len(text)] for each, text in zip(problems_of_parts(exercise), found, strict=True)] == found
    if found:
        assert list(problems(exercise)) == list(problems_of_parts(exercise))


def test_an_exercise_that_cannot_be_run() -> None:
    def fails(draw):
        raise ValueError("no input")

    assert list(problems(exercise_of(cases=(Case("usual", fails),)))) == ["The exercise cannot be run: ValueError: no input"]


@pytest.mark.parametrize(
    ("mistakes", "found"),
    [
        ((WHOLE, ROOT), []),
        ((WHOLE, mistake("same", "(y / 2)")), ["Mistake 'same' changes no number: choose inputs that show it, or remove it."]),
        (
            (mistake("a bound", "y.clamp(max=1e30) / 2"), WHOLE),
            ["Mistake 'a bound' shows only at a limit of the formula: add a case that shows it."],
        ),
        (
            (mistake("a third", "y / 3", Kind.UNSAFE),),
            ["Mistake 'a third' has unsafe numerics, but differs on usual inputs too: make it a bug."],
        ),
        ((mistake("a bound", "y.clamp(max=1e30) / 2", Kind.UNSAFE), mistake("other", "y / 3", Kind.CONVENTION)), []),
    ],
)
def test_mistakes_show_where_they_should(mistakes: tuple[Mistake, ...], found: list[str]) -> None:
    exercise = exercise_of(*mistakes)
    assert list(problems_of_seriousness(variants(exercise))) == found
    assert list(problems(exercise))[: len(found)] == found


def test_no_two_mistakes_compute_the_same() -> None:
    exercise = exercise_of(WHOLE, ROOT, mistake("a product", "1.0 * y"))
    sentence = "Mistakes 'no half' and 'a product' compute the same: add a case that tells them apart, or remove one."
    assert list(problems_of_distances(variants(exercise))) == [sentence]
    assert list(problems(exercise))[-1] == sentence


def test_each_mistake_is_recognized() -> None:
    exercise = exercise_of(WHOLE, mistake("a product", "1.0 * y"))
    assert list(problems_of_names(variants(exercise))) == ["Mistake 'a product' is not recognized; it is named ['no half']."]
    assert "Mistake 'a product' is not recognized; it is named ['no half']." in problems(exercise)
    unknown = Variant(exercise_of(), (ROOT,))
    assert list(problems_of_names([unknown, Variant(exercise_of(ROOT), (ROOT,))])) == [
        "Mistake 'a root' is not recognized; it is named nothing."
    ]


def test_equivalent_forms_pass() -> None:
    good, bad = (mistake(name, new, Kind.EQUIVALENT, "") for name, new in (("half", "0.5 * y"), ("less", "0.4 * y")))
    (found,) = problems_of_equivalents(exercise_of(good, WHOLE, bad))
    assert found.startswith("The equivalent form 'less' is judged not correct: The result: ")


def test_the_reference_passes_and_the_stub_does_not() -> None:
    exercise = exercise_of()
    assert [*problems_of_stub(exercise), *problems_of_reference(exercise)] == []

    def random(x: Tensor) -> Tensor:
        """Compute something else each time."""
        counts.append(1)
        return x * len(counts)

    counts: list[int] = []
    (found,) = problems_of_reference(Exercise("random", random, (USUAL,)))
    assert found.startswith("The reference is judged not correct: The function returns other numbers")


def test_a_reference_with_warnings_is_described_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report("a", Verdict.WARNING, reason="No.", warnings=["One.", "Two."])
    monkeypatch.setattr(exercise_checks, "check_function", lambda *_: report)
    assert [*problems_of_reference(exercise_of())] == [f"The reference is judged {Verdict.WARNING}: No. One. Two."]


def test_gradients_and_limits_make_a_difference() -> None:
    detached, bound = mistake("detached", "y.detach() / 2 + (y - y.detach())"), mistake("bound", "y.clamp(max=1e30) / 2")
    exercise = exercise_of(detached, bound)
    right = Variant(exercise, ())
    found = [(differ(each, right), differ(each, right, limits=False)) for each in variants(exercise)]
    assert found == [(True, True), (True, False)]
    assert torch.equal(variants(exercise)[0].values(0).outputs["output"], right.values(0).outputs["output"])
