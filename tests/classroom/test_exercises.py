"""Every exercise accepts its reference and equivalent forms of it, and names every mistake of the catalogue.

All exercises are tested alike. An exercise whose inputs hide a mistake fails here.
"""

from collections.abc import Sequence
from itertools import combinations

import pytest

from minibert.classroom.checking import check, check_function
from minibert.classroom.distance import gradient_distance, value_distance
from minibert.classroom.exercise import Exercise, Role
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import Kind, Mistake, variant_of
from minibert.classroom.naming import name_mistakes, single_mistakes
from minibert.classroom.probes import expected, probes
from minibert.classroom.report import Report, Verdict
from minibert.classroom.running import LocalRunner, Outcome

pytestmark = pytest.mark.usefixtures("without_shape_checks")
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
HALF_PRECISION = "learners are not asked for code that converts half precision"
NOT_ASKED = {
    ("scaled_dot_product_attention", "dropout without rescaling"): "the exercise has no dropout",
    ("multi_head_attention", "dropout without rescaling"): "its attention has no dropout",
    ("scaled_dot_product_attention", "scores in half precision"): HALF_PRECISION,
    ("multi_head_attention", "scores in half precision"): HALF_PRECISION,
    ("layer_norm", "layer norm in half precision"): HALF_PRECISION,
    ("add_and_norm", "layer norm in half precision"): HALF_PRECISION,
    ("gelu_tanh", "GELU with tanh, in half precision"): HALF_PRECISION,
    ("masked_lm_loss", "sum in place of separate losses"): "the losses are summed anyway",
    ("next_sentence_loss", "sum in place of separate losses"): "the losses are summed anyway",
    ("next_sentence_loss", "softmax over the tokens"): "the second axis is that of the two classes",
    ("training_steps", "sum in place of separate losses"): "the losses are summed anyway",
    ("label_smoothing_loss", "mean of all losses with zeros"): "the sum of as many means is the sum",
    ("add_and_norm", "eps of PyTorch"): "it gives its own eps to layer_norm",
}
"""Entries of the catalogue that an exercise cannot show, and the reason."""


def asked(exercise: Exercise) -> list[str]:
    """Return the names of the mistakes that an exercise has to recognize."""
    entries = [mistake for mistake in exercise.mistakes if mistake.kind is not Kind.EQUIVALENT]
    return [mistake.name for mistake in entries if (exercise.name, mistake.name) not in NOT_ASKED]


def judge(exercise: Exercise, mistake: Mistake) -> Report:
    return check(variant_of(exercise.reference, mistake), exercise)


def differ(exercise: Exercise, one: Sequence[Outcome], other: Sequence[Outcome], limits: bool = False) -> bool:
    """Return True if two functions differ by more than rounding, which is 100 times the precision of float32."""
    compared = zip(probes(exercise), one, other, strict=True)
    return any(
        max(value_distance(first, second, probe.case, exercise.changes), gradient_distance(first, second))
        > probe.case.tolerance
        for probe, first, second in compared
        if limits or probe.case.role is not Role.LIMIT
    )


@every_exercise
@pytest.mark.parametrize("seeds", [range(100, 108), pytest.param(range(150, 200), marks=pytest.mark.slow)], ids=str)
def test_the_reference_passes_for_hidden_seeds(exercise: Exercise, seeds: range) -> None:
    """Hidden seeds have other sizes and numbers."""
    report = check_function(exercise, LocalRunner(exercise, exercise.reference), seeds)
    assert (report.verdict, report.reason, report.warnings) == (Verdict.PASSED, "", [])


@every_exercise
def test_equivalent_forms_pass_without_a_warning(exercise: Exercise) -> None:
    for mistake in exercise.mistakes:
        if mistake.kind is Kind.EQUIVALENT:
            report = judge(exercise, mistake)
            assert (mistake.name, report.verdict, report.reason) == (mistake.name, Verdict.PASSED, "")


@every_exercise
def test_every_mistake_is_named(exercise: Exercise) -> None:
    """The name is found from the numbers alone, and a mistake that computes the same as another has no name."""
    for variant in single_mistakes(exercise):
        (mistake,) = variant.mistakes
        if mistake.name in asked(exercise):
            assert [each.name for each in name_mistakes(exercise, variant.outcomes)] == [mistake.name]


@every_exercise
def test_a_mistake_is_serious_unless_its_numerics_are_unsafe(exercise: Exercise) -> None:
    """A bug fails. Another convention fails, or is a warning at a limit. Unsafe numerics differ at a limit only."""
    right = expected(exercise)
    for variant in single_mistakes(exercise):
        (mistake,) = variant.mistakes
        if mistake.name in asked(exercise):
            assert differ(exercise, variant.outcomes, right, limits=True), mistake.name
            serious = differ(exercise, variant.outcomes, right)
            assert mistake.kind is Kind.CONVENTION or serious == (mistake.kind is Kind.BUG), mistake.name


@pytest.mark.parametrize("kind", [Kind.BUG, Kind.CONVENTION, Kind.UNSAFE])
def test_the_verdict_depends_on_the_kind_of_the_mistake(kind: Kind) -> None:
    exercise = EXERCISES["layer_norm"]
    mistake = next(each for each in exercise.mistakes if each.kind is kind and each.name in asked(exercise))
    report = judge(exercise, mistake)
    verdicts = {Kind.BUG: Verdict.WRONG, Kind.CONVENTION: Verdict.CONVENTION, Kind.UNSAFE: Verdict.WARNING}
    assert (report.verdict, [each.name for each in report.mistakes]) == (verdicts[kind], [mistake.name])


@every_exercise
def test_mistakes_are_far_from_each_other(exercise: Exercise) -> None:
    known = {
        each.mistakes[0].name: each.outcomes for each in single_mistakes(exercise) if each.mistakes[0].name in asked(exercise)
    }
    near = [pair for pair in combinations(known, 2) if not differ(exercise, *(known[name] for name in pair), limits=True)]
    assert near == []


@pytest.mark.parametrize(("exercise", "mistake"), NOT_ASKED)
def test_what_an_exercise_does_not_ask_for_passes_without_a_warning(exercise: str, mistake: str) -> None:
    entry = next(each for each in EXERCISES[exercise].mistakes if each.name == mistake)
    assert judge(EXERCISES[exercise], entry).verdict is Verdict.PASSED


@every_exercise
def test_no_exercise_needs_a_later_one(exercise: Exercise) -> None:
    names = list(EXERCISES)
    assert all(names.index(needed) < names.index(exercise.name) for needed in exercise.needs)


@every_exercise
def test_an_exercise_has_a_question_and_a_typical_case(exercise: Exercise) -> None:
    assert exercise.questions
    assert all(question.endswith((".", "?")) for question in exercise.questions)
    assert any(case.role is Role.TYPICAL for case in exercise.cases)


@every_exercise
def test_every_entry_has_a_message_to_the_learner(exercise: Exercise) -> None:
    entries = [mistake for mistake in exercise.mistakes if mistake.kind is not Kind.EQUIVALENT]
    assert [each.name for each in entries if not (each.message.startswith("You") and each.message.endswith("."))] == []
