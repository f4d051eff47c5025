"""Exercises about losses, perplexity, and the unigram baseline."""

from collections.abc import Callable

import torch

from minibert.classroom.draws import Draw
from minibert.classroom.exercise import LARGE_NUMBERS, Arguments, Case, Exercise, Invariant, Role
from minibert.classroom.exercises.invariants import EQUAL, equal, unchanged_by_shift
from minibert.equations import (
    IGNORE_INDEX,
    binary_cross_entropy,
    cross_entropy,
    label_smoothing_loss,
    masked_lm_loss,
    next_sentence_loss,
    perplexity,
    unigram_entropy,
)


def predictions(draw: Draw) -> Arguments:
    """Logits and labels of a batch of texts. Class 0 is a label, and at least one position has none."""
    batch, tokens, classes = draw.size(2), draw.size(4, least=2), draw.size(5, least=2)
    labels = draw.integers(0, classes, batch, tokens)
    labels[draw.integers(0, 3, batch, tokens) == 0] = IGNORE_INDEX
    labels[0, :2] = torch.tensor([0, IGNORE_INDEX])
    return {"logits": draw.numbers(batch, tokens, classes, spread=2.0), "labels": labels}


def pair_predictions(draw: Draw) -> Arguments:
    """Logits and labels of sentence pairs: both labels, and at least one example without a pair."""
    count = draw.size(5, least=3)
    labels = torch.cat([torch.tensor([0, 1, IGNORE_INDEX]), draw.integers(0, 3, count - 3)])
    labels[labels == 2] = IGNORE_INDEX
    return {"logits": draw.numbers(count, 2, spread=2.0), "labels": labels}


def smoothed_predictions(draw: Draw) -> Arguments:
    return {**predictions(draw), "label_smoothing": draw.choice([0.3, 0.2, 0.15])}


def answers(draw: Draw) -> Arguments:
    """Logits of yes-or-no questions. Some targets are probabilities."""
    shape = draw.size(3), draw.size(4, least=3)
    targets = draw.integers(0, 2, *shape).float()
    targets[0, :3] = torch.tensor([1.0, 0.0, 0.25])
    return {"logits": draw.numbers(*shape, spread=2.0), "targets": targets}


def mean_losses(draw: Draw) -> Arguments:
    return {"mean_loss": draw.numbers(draw.size(4)).abs() + 0.5}


def training_and_validation_text(draw: Draw) -> Arguments:
    """Two texts. The last token of the vocabulary is missing in the training text, and one is in neither."""
    vocab_size = draw.size(8, least=3)
    train_ids = draw.integers(0, vocab_size - 2, draw.size(20))
    validation_ids = torch.cat([draw.integers(0, vocab_size - 2, draw.size(7)), torch.tensor([vocab_size - 1])])
    return {"train_ids": train_ids, "validation_ids": validation_ids, "vocab_size": vocab_size}


def no_training_text(draw: Draw) -> Arguments:
    inputs = training_and_validation_text(draw)
    return {**inputs, "train_ids": inputs["train_ids"][:0]}


def with_large_logits(inputs: Callable[[Draw], Arguments]) -> Case:
    """Return the case in which the exponential of a logit overflows."""

    def large(draw: Draw) -> Arguments:
        arguments = inputs(draw)
        return {**arguments, "logits": 100 * arguments["logits"]}

    return Case("large logits", large, Role.LIMIT, tolerance=LARGE_NUMBERS)


def without_labels(name: str, inputs: Callable[[Draw], Arguments]) -> Case:
    """Return the case in which the mean over all labels is a mean over nothing."""

    def unlabeled(draw: Draw) -> Arguments:
        arguments = inputs(draw)
        return {**arguments, "labels": torch.full_like(arguments["labels"], IGNORE_INDEX)}

    return Case(name, unlabeled, Role.LIMIT, gradients=False)


def change_ignored_logits(arguments: Arguments) -> Arguments:
    """Change the logits at positions without a label."""
    ignored = (arguments["labels"] == IGNORE_INDEX)[..., None]
    return {**arguments, "logits": arguments["logits"] + ignored * torch.arange(arguments["logits"].shape[-1])}


IGNORED = Invariant(
    "positions without a label have no influence",
    change_ignored_logits,
    equal,
    f"Here, the positions without a label have other logits. {EQUAL}",
)

OBJECTIVE_EXERCISES = [
    Exercise(
        "cross_entropy",
        cross_entropy,
        (Case("predictions", predictions), with_large_logits(predictions)),
        questions=(
            "How is the logarithm of a softmax written without the softmax?",
            "What is the loss at a position whose label is IGNORE_INDEX?",
        ),
        invariants=(IGNORED, unchanged_by_shift("adding a number to all logits changes nothing", "logits")),
    ),
    Exercise(
        "masked_lm_loss",
        masked_lm_loss,
        (
            Case("predictions", predictions),
            with_large_logits(predictions),
            without_labels("no masked position", predictions),
        ),
        questions=("By which number is the sum of the losses divided?",),
        invariants=(IGNORED,),
        needs=("cross_entropy",),
    ),
    Exercise(
        "next_sentence_loss",
        next_sentence_loss,
        (
            Case("pairs", pair_predictions),
            with_large_logits(pair_predictions),
            without_labels("no pairs", pair_predictions),
        ),
        questions=('Which of the two logits is that of "is next"?',),
        invariants=(IGNORED,),
        needs=("cross_entropy",),
    ),
    Exercise(
        "label_smoothing_loss",
        label_smoothing_loss,
        (
            Case("predictions", smoothed_predictions),
            Case("the usual ε", predictions),
            with_large_logits(smoothed_predictions),
            without_labels("no labels", smoothed_predictions),
        ),
        questions=("Which target probability has the label, and which has each other class?",),
        invariants=(IGNORED,),
        needs=("cross_entropy",),
    ),
    Exercise(
        "binary_cross_entropy",
        binary_cross_entropy,
        (Case("answers", answers), with_large_logits(answers)),
        questions=("Which of the two terms remains if the target is 1, and which if it is 0?",),
    ),
    Exercise(
        "perplexity",
        perplexity,
        (Case("losses", mean_losses),),
        questions=("Which perplexity has a model that chooses among 8 words at random? Its loss is ln 8.",),
    ),
    Exercise(
        "unigram_entropy",
        unigram_entropy,
        (
            Case("two texts", training_and_validation_text),
            Case("no training text", no_training_text, Role.EDGE),
        ),
        questions=("Which text gives the frequencies, and over which text is the mean?",),
    ),
]
