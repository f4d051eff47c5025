"""Exercises about the losses of distillation."""

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import LARGE_NUMBERS, Arguments, Case, Exercise, Role
from minibert.classroom.exercises.invariants import unchanged_by_shift
from minibert.equations import cosine_loss, soft_target_loss


def logits_of_both(draw: Draw) -> Arguments:
    """The logits of student and teacher for some predictions."""
    shape = draw.size(3), draw.size(5, least=2)
    return {"student": draw.numbers(*shape, spread=2.0), "teacher": draw.numbers(*shape, spread=2.0)}


def with_temperature(draw: Draw) -> Arguments:
    return {**logits_of_both(draw), "temperature": draw.choice([3.0, 1.5, 4.0])}


def large_logits(draw: Draw) -> Arguments:
    """Logits whose exponentials overflow, and probabilities that round to 0."""
    return {name: 200 * logits for name, logits in logits_of_both(draw).items()}


def vectors_of_both(draw: Draw) -> Arguments:
    """The last vectors of student and teacher for some tokens."""
    shape = draw.size(2), draw.size(3), draw.size(4, least=2)
    return {"student": 1 + draw.numbers(*shape), "teacher": 1 + draw.numbers(*shape)}


DISTILLATION_EXERCISES = [
    Exercise(
        "soft_target_loss",
        soft_target_loss,
        (
            Case("predictions", with_temperature),
            Case("the usual temperature", logits_of_both),
            Case("large logits", large_logits, Role.LIMIT, tolerance=LARGE_NUMBERS),
        ),
        questions=(
            "What is the loss of a student with the probabilities of its teacher?",
            "By which factor does the temperature shrink the gradient, and what makes up for it?",
        ),
        invariants=(unchanged_by_shift("adding a number to all logits changes nothing", "student"),),
    ),
    Exercise(
        "cosine_loss",
        cosine_loss,
        (Case("vectors", vectors_of_both),),
        questions=("What is the loss of vectors with the same direction, and of vectors with opposite ones?",),
    ),
]
