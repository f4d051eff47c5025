"""Every exercise accepts its reference and equivalent forms of it, and names every mistake of the catalogue.

All exercises are tested alike. An exercise whose inputs hide a mistake fails here.
"""

import inspect
from functools import cache

import pytest

from minibert.classroom.candidates import Variant
from minibert.classroom.checking import check
from minibert.classroom.exercise import Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.mistakes import MISTAKES, Kind, Mistake
from minibert.classroom.probes import probes
from minibert.classroom.report import Report, Verdict
from minibert.classroom.teaching.exercise_checks import (
    HIDDEN_SEEDS,
    problems_of_distances,
    problems_of_equivalents,
    problems_of_names,
    problems_of_parts,
    problems_of_reference,
    problems_of_seriousness,
)
from tests.sampling import sampled

pytestmark = pytest.mark.usefixtures("without_shape_checks")
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)
some_exercises = pytest.mark.parametrize("exercise", sampled(EXERCISES.values(), 5), ids=lambda exercise: exercise.name)
HALF_PRECISION = "learners are not asked for code that converts half precision"
ATTENTION = (
    "scaled_dot_product_attention",
    "multi_head_attention",
    "online_softmax_attention",
    "multi_head_attention_layer",
)
NOT_ASKED = {
    **{(name, "dropout without rescaling"): "its attention has no dropout" for name in ATTENTION},
    **{(name, "scores in half precision"): HALF_PRECISION for name in ATTENTION},
    ("multi_head_attention_layer", "scores divided by the root of the values' width"): "values are as wide as keys",
    ("layer_norm", "layer norm in half precision"): HALF_PRECISION,
    ("add_and_norm", "layer norm in half precision"): HALF_PRECISION,
    ("gelu_tanh", "GELU with tanh, in half precision"): HALF_PRECISION,
    ("masked_lm_loss", "sum in place of separate losses"): "the losses are summed anyway",
    ("next_sentence_loss", "sum in place of separate losses"): "the losses are summed anyway",
    ("next_sentence_loss", "softmax over the tokens"): "the second axis is that of the two classes",
    ("training_steps", "sum in place of separate losses"): "the losses are summed anyway",
    ("label_smoothing_loss", "mean of all losses with zeros"): "the sum of as many means is the sum",
    **{
        ("draw_pairs", name): "the pairs of the exercise are those of next-sentence prediction"
        for name in (
            "sentence-order labels swapped",
            "segments always in order",
            "segment of another document in place of the wrong order",
        )
    },
    ("add_and_norm", "eps of PyTorch"): "it gives its own eps to layer_norm",
}
"""Entries of the catalogue that an exercise cannot show, and the reason."""
WITHOUT_EXERCISE = {
    "dropout in evaluation": "the attention layer is an exercise without dropout, whose random numbers are those of PyTorch",
    "weights transposed on loading": "copying the weights of a file is no formula",
    "first rows of the mask with a cache": "the decoder is an exercise without a cache",
    "positions not advanced with the cache": "the decoder is an exercise without a cache",
    "loss on padding": "label_smoothing_loss is the exercise, and has a mistake of this kind",
    "accuracy on padding": "it changes what is reported, and no result of a formula",
    "no stop at the end-of-sequence token": "greedy_decoding is the exercise, and has a mistake of this kind",
    "least likely token": "greedy_decoding is the exercise, and has a mistake of this kind",
    **dict.fromkeys(
        ("pairs in the wrong order", "no weight of the single token", "pairs of the last token"),
        "unigram_entropy is the exercise of baselines",
    ),
    "beams mixed between sentences": "beam search in a batch has more than thirty lines",
    "finished outputs continued": "beam search in a batch has more than thirty lines",
    **dict.fromkeys(
        ("no weight of the discriminator", "weight of the generator"), "a sum of two losses is too short for an exercise"
    ),
}
"""Entries of the catalogue that belong to no exercise, and the reason."""


@cache
def entries(exercise: Exercise) -> dict[str, Variant]:
    """Return the entries of the catalogue that an exercise has to recognize, by name.

    An entry that raises an error on every input has no numbers; its error is shown instead.
    """
    asked = [each for each in exercise.mistakes if (exercise.name, each.name) not in NOT_ASKED]
    variants = {each.name: Variant(exercise, (each,)) for each in asked if each.kind is not Kind.EQUIVALENT}
    numbers = range(len(probes(exercise)))
    return {name: each for name, each in variants.items() if not all(each.values(number).error for number in numbers)}


def own_entries(exercise: Exercise) -> dict[str, Variant]:
    """Return the entries without those of a called function that is an exercise itself."""
    others = [inspect.unwrap(each.reference) for each in EXERCISES.values() if each is not exercise]
    return {
        name: variant
        for name, variant in entries(exercise).items()
        if inspect.unwrap(variant.mistakes[0].function) not in others
    }


ALSO_NAN = {
    ("multi_head_attention", "maximum of all scores"),
    ("multi_head_attention_layer", "maximum of all scores"),
    ("multi_head_attention_layer", "maximum added"),
    ("multi_head_attention", "maximum added"),
    ("scaled_dot_product_attention", "maximum added"),
    ("online_softmax_attention", "maximum added"),
    ("training_steps", "log of the sum of exponentials"),
}
"""Entries that give NaN for all outputs wherever they differ, as another entry does: W_O spreads the NaN of one head, and a
training step that of the loss."""


NAN_WITH_A_MASK = {"minimum subtracted"}
"""Entries of softmax whose numerics are unsafe. In attention, where masked scores are minus infinity, they give NaN."""


def judge(exercise: Exercise, mistake: Mistake) -> Report:
    return check(exercise.with_mistakes(mistake), exercise)


@some_exercises
@pytest.mark.parametrize("seeds", [HIDDEN_SEEDS, pytest.param(range(150, 200), marks=pytest.mark.slow)], ids=str)
def test_the_reference_passes_for_hidden_seeds(exercise: Exercise, seeds: range) -> None:
    """Hidden seeds have other sizes and numbers."""
    assert [*problems_of_reference(exercise, seeds)] == []


@some_exercises
def test_equivalent_forms_pass_without_a_warning(exercise: Exercise) -> None:
    assert [*problems_of_equivalents(exercise)] == []


@some_exercises
def test_every_mistake_is_named(exercise: Exercise) -> None:
    """The name is found from the numbers alone, and a mistake that computes the same as another has no name."""
    assert [*problems_of_names(own_entries(exercise).values())] == []


@some_exercises
def test_a_mistake_is_serious_unless_its_numerics_are_unsafe(exercise: Exercise) -> None:
    """A bug fails. Another convention fails, or is a warning at a limit. Unsafe numerics differ at a limit only."""
    asked = [each for name, each in entries(exercise).items() if exercise.name == "softmax" or name not in NAN_WITH_A_MASK]
    assert [*problems_of_seriousness(asked)] == []


@pytest.mark.parametrize("kind", [Kind.BUG, Kind.CONVENTION, Kind.UNSAFE])
def test_the_verdict_depends_on_the_kind_of_the_mistake(kind: Kind) -> None:
    exercise = EXERCISES["layer_norm"]
    mistake = next(each for each in exercise.mistakes if each.kind is kind and each.name in entries(exercise))
    report = judge(exercise, mistake)
    verdicts = {Kind.BUG: Verdict.WRONG, Kind.CONVENTION: Verdict.CONVENTION, Kind.UNSAFE: Verdict.WARNING}
    assert (report.verdict, [each.name for each in report.mistakes]) == (verdicts[kind], [mistake.name])


@some_exercises
def test_mistakes_are_far_from_each_other(exercise: Exercise) -> None:
    known = [variant for name, variant in entries(exercise).items() if (exercise.name, name) not in ALSO_NAN]
    assert [*problems_of_distances(known)] == []


@pytest.mark.parametrize(("exercise", "mistake"), NOT_ASKED)
def test_what_an_exercise_does_not_ask_for_passes(exercise: str, mistake: str) -> None:
    """Without a warning, unless it speaks of a number of axes that only the stub allows."""
    entry = next(each for each in EXERCISES[exercise].mistakes if each.name == mistake)
    report = judge(EXERCISES[exercise], entry)
    assert report.verdict in (Verdict.PASSED, Verdict.WARNING)
    assert all("axes that the stub allows" in warning for warning in report.warnings)


def test_every_entry_belongs_to_an_exercise_or_has_a_reason() -> None:
    known = {mistake.name for exercise in EXERCISES.values() for mistake in exercise.mistakes}
    assert {*MISTAKES} - known == {*WITHOUT_EXERCISE}


@every_exercise
def test_no_exercise_needs_a_later_one(exercise: Exercise) -> None:
    names = list(EXERCISES)
    assert all(names.index(needed) < names.index(exercise.name) for needed in exercise.needs)


@every_exercise
def test_an_exercise_has_questions_a_typical_case_and_messages(exercise: Exercise) -> None:
    assert [*problems_of_parts(exercise)] == []
