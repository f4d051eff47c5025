"""Exercises about replaced-token detection, the pretraining of ELECTRA."""

import torch

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import LARGE_NUMBERS, Arguments, Case, Exercise, Invariant, Role
from minibert.classroom.exercises.invariants import EQUAL, equal, independent, unchanged_by_shift
from minibert.classroom.exercises.objectives import without_labels
from minibert.equations import IGNORE_INDEX, replaced_token_labels, replaced_token_loss, sample_tokens


def distributions(draw: Draw) -> Arguments:
    """Logits of some tokens, and a random number between 0 and 1 for each."""
    tokens = draw.size(6, least=2)
    return {"logits": draw.numbers(tokens, draw.size(5, least=2)), "uniform": torch.sigmoid(2 * draw.numbers(tokens))}


def numbers_near_one(draw: Draw) -> Arguments:
    """The largest random number below 1. The last sum of probabilities may be less than it, by rounding."""
    tokens = 64
    return {
        "logits": draw.numbers(tokens, draw.size(30, least=2)),
        "uniform": torch.full((tokens,), 1 - 2**-24),
    }


def corrupted_texts(draw: Draw) -> Arguments:
    """Texts with replaced tokens and original ones, and padding at their ends."""
    shape = draw.size(2), draw.size(5, least=3)
    original_ids, keep = draw.integers(5, 9, *shape), torch.ones(shape, dtype=torch.bool)
    corrupted_ids = torch.where(draw.integers(0, 2, *shape) == 0, original_ids, original_ids + 1)
    corrupted_ids[0, 0] = original_ids[0, 0]
    corrupted_ids[0, 1] = original_ids[0, 1] + 1
    keep[:, -1] = False
    return {"corrupted_ids": corrupted_ids, "original_ids": original_ids, "keep": keep}


def detections(draw: Draw) -> Arguments:
    """Scores of tokens that are replaced, original, and padding. The first text is shorter than the others."""
    shape = draw.size(2), draw.size(5, least=3)
    labels = draw.integers(0, 2, *shape)
    labels[:, :3] = torch.tensor([1, 0, IGNORE_INDEX])
    labels[0, 3:] = IGNORE_INDEX
    return {"logits": draw.numbers(*shape, spread=2.0), "labels": labels}


def certain_detections(draw: Draw) -> Arguments:
    """Scores so large that their exponentials overflow."""
    given = detections(draw)
    return {**given, "logits": 200 * given["logits"]}


def change_scores_of_padding(arguments: Arguments) -> Arguments:
    return {**arguments, "logits": arguments["logits"] + (arguments["labels"] == IGNORE_INDEX)}


REPLACED_TOKEN_EXERCISES = [
    Exercise(
        "sample_tokens",
        sample_tokens,
        (Case("distributions", distributions), Case("numbers near 1", numbers_near_one, Role.LIMIT)),
        questions=(
            "Three tokens have the probabilities 0.5, 0.2 and 0.3. Which one belongs to the number 0.6?",
            "How can the sum of the probabilities up to each token be computed at once?",
        ),
        invariants=(unchanged_by_shift("adding a number to all logits changes nothing", "logits"),),
    ),
    Exercise(
        "replaced_token_labels",
        replaced_token_labels,
        (Case("texts", corrupted_texts, gradients=False),),
        questions=("Which label has a masked token for which the generator drew the original?",),
        invariants=(independent("texts", ("corrupted_ids", "original_ids"), axis=0),),
    ),
    Exercise(
        "replaced_token_loss",
        replaced_token_loss,
        (
            Case("tokens", detections),
            Case("large logits", certain_detections, Role.LIMIT, tolerance=LARGE_NUMBERS),
            without_labels("padding alone", detections),
        ),
        questions=(
            "By which number is the sum of the losses divided?",
            "Padding has the label -100. How large is its loss?",
        ),
        invariants=(
            Invariant(
                "padding has no influence",
                change_scores_of_padding,
                equal,
                f"Here, the scores of padding are larger by 1. {EQUAL}",
            ),
        ),
        needs=("binary_cross_entropy",),
    ),
]
