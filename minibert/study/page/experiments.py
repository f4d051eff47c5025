"""Experiments of one click on a live page: a question, and an answer that is true for BERT and its relatives.

Some answers are true for GPT-2, too. Every claim is about the steps up to the first layer's output, or about all layers without
positions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from minibert.text.tokenizer import MASK


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A text with changes, and a step that shows what they do; see `experiment.js`."""

    name: str
    question: str
    answer: str
    """Shown when the reader asks for it."""
    text: str
    step: str
    """The path of a step. PREDICTION: that of the first prediction."""
    cell: str = "0,0"
    off: tuple[str, ...] = ()
    """Parts that are off."""
    padding: int = 0
    is_sorted: bool = False
    """The columns are in the order of their numbers, and the largest one is chosen."""
    temperature: float | None = None
    cells: Mapping[str, float] = field(default_factory=dict)
    fits_causal: bool = False
    """True if the answer holds for a network with a causal mask and pre-norm layers, too."""


PREDICTION = "probabilities"
HEAD_WIDTH = "d_k"
FIRST_INPUTS = {False: "The output of the embeddings", True: "The projection of the embeddings"}
"""The input of the first layer, in a network without and with a linear map from the embeddings to the layers."""
SENTENCE = "a dog bites a man ."
LAYER = "layers.0"
EXPERIMENTS = (
    Experiment(
        name="Word order",
        question="The positions are removed. Why do “dog bites man” and “man bites dog” now get the same vectors?",
        answer="Only the position embeddings say where a word stands. Without them, attention sums over a set of words: every "
        "word gets the same vector in each order. Choose a word and move it: its row moves, and the numbers stay the same.",
        text="man bites dog",
        off=("positions",),
        step=f"{LAYER}.feed_forward_norm",
        cell="1,0",
    ),
    Experiment(
        name="Scale",
        question="The dot products are no longer divided by √d_k. What happens to the largest weight of each row?",
        answer="It grows: the scores are √d_k times as far apart, and the softmax puts more weight on the largest one.",
        text=SENTENCE,
        off=("scale",),
        step=f"{LAYER}.attention.weights",
        cell="2,2",
    ),
    Experiment(
        name="One head off",
        question="Head 0 of layer 0 is off. Which columns of the merged heads are zero, and which have changed?",
        answer=f"The first {HEAD_WIDTH} columns are zero: they are those of head 0. The other columns are the same as before: "
        "a head does not use the numbers of another head of its layer.",
        text=SENTENCE,
        off=("0.0",),
        step=f"{LAYER}.attention.merged",
        cell=f"1,{HEAD_WIDTH}",
        fits_causal=True,
    ),
    Experiment(
        name="Mask",
        question="Two tokens of padding stand behind the text, and the mask is off. What do the other tokens lose?",
        answer="Weight: each row gives a part of it to the padding, and the vectors of all words change. Switch the mask on: "
        "the columns of the padding are zero, and the words get the same vectors as without padding.",
        text=SENTENCE,
        padding=2,
        off=("mask",),
        step=f"{LAYER}.attention.weights",
        cell="2,99",  # the last column there is
    ),
    Experiment(
        name="A layer off",
        question="Layer 0 is off. Which step has the same numbers as its output?",
        answer=f"{FIRST_INPUTS[False]}: the input of the layer. The layers have inputs and outputs of the same shape, so "
        "that each one can be left out.",
        text=SENTENCE,
        off=("0",),
        step=f"{LAYER}.feed_forward_norm",
        fits_causal=True,
    ),
    Experiment(
        name="Residual connection",
        question="The residual connection around attention is removed. What is missing in the sum?",
        answer="The token's own vector, which is the input of the layer. What is left is the output of attention: averages "
        "over the tokens.",
        text=SENTENCE,
        off=("attention_residual",),
        step=f"{LAYER}.attention_residual",
        fits_causal=True,
    ),
    Experiment(
        name="Two masks",
        question="Two words are masked, and the positions are removed. Why do both masks get the same vector?",
        answer="Both have the same word embedding, and without positions nothing else tells them apart. Switch the positions "
        "on: now their vectors differ.",
        text="a [MASK] [MASK] .",
        off=("positions",),
        step=f"{LAYER}.feed_forward_norm",
        cell="2,0",
    ),
    Experiment(
        name="A repeated word",
        question="The text is one word three times. In which step do the three vectors differ for the first time?",
        answer="Not in the word embeddings, which are the same for all three. They differ in the position embeddings, and so "
        "in the sum.",
        text="a a a",
        step="embeddings.words",
        cell="1,0",
        fits_causal=True,
    ),
    Experiment(
        name="Temperature",
        question="The scores of the prediction are divided by the temperature 4. Does the best prediction change?",
        answer="No: the order of the scores stays the same. The probabilities come closer to each other, so that the largest "
        "one becomes smaller.",
        text="a [MASK] bites a man .",
        temperature=4,
        step=PREDICTION,
        cell="",
        is_sorted=True,
    ),
    Experiment(
        name="Large negative score",
        question="In head 0, the score of query 1 and key 2 is overwritten by −10000. What happens to the weights of this row?",
        answer="The weight of key 2 is zero, because e⁻¹⁰⁰⁰⁰ is as good as zero. The other weights of the row grow by one "
        "common factor, so that the row sums to one. The other rows stay the same. A mask does the same.",
        text=SENTENCE,
        cells={f"{LAYER}.attention.scores:0,0,1,2": -10000},
        step=f"{LAYER}.attention.weights",
        cell="1,2",
    ),
)

CAUSAL_MASK = Experiment(
    name="Causal mask",
    question="The attention mask is off. Which weights are no longer zero?",
    answer="Those to the right of the diagonal: each token now attends to later tokens, too. In training, a prediction of the "
    "next token could then copy that token. Switch the mask on: the first token attends to itself only, with the weight 1.",
    text=SENTENCE,
    off=("mask",),
    step=f"{LAYER}.attention.weights",
    cell="0,1",
    fits_causal=True,
)
"""For a network with a causal mask only."""


def experiments_json(
    predictions: list[str],
    head_width: int,
    mask: str = MASK,
    *,
    has_projection: bool = False,
    is_causal: bool = False,
    start: str = "",
) -> list[dict[str, str]]:
    """Return the experiments of a network, with the hashes of their addresses; see `experiment.js`.

    Args:
        predictions: the paths of the steps with probabilities that sum to one. Without such a step, the experiments that need
            one are left out.
        head_width: d_k, the number of columns of a head.
        mask: the token [MASK], which can have another name.
        has_projection: whether a linear map leads from the embeddings to the layers.
        is_causal: whether the network is a decoder.
        start: characters before each text, such as a space that makes its first word the same piece as elsewhere.
    """
    found = []
    of_decoder = [_of_decoder(each) for each in (CAUSAL_MASK, *EXPERIMENTS) if each.fits_causal]
    for each in of_decoder if is_causal else EXPERIMENTS:
        answer = each.answer.replace(f"first {HEAD_WIDTH} columns", f"first {head_width} columns")
        answer = answer.replace(FIRST_INPUTS[False], FIRST_INPUTS[has_projection])
        for step in predictions[:1] if each.step == PREDICTION else [each.step]:
            address = _address(replace(each, text=start + each.text), step, head_width, mask)
            found.append({"name": each.name, "question": each.question, "answer": answer, "address": address})
    return found


def _of_decoder(experiment: Experiment) -> Experiment:
    """Return an experiment with the path of its step in GPT-2, whose layers end with a residual connection."""
    step = experiment.step.replace("feed_forward_norm", "feed_forward_residual")
    return replace(experiment, step=f"decoder.{step}")


def _address(experiment: Experiment, step: str, head_width: int, mask: str) -> str:
    fields = {
        "step": step,
        "slice": "0",
        "cell": experiment.cell.replace(HEAD_WIDTH, str(head_width)),
        "sort": "0" if experiment.is_sorted else "",
        "text": experiment.text.replace(MASK, mask),
        "padding": str(experiment.padding or ""),
        "off": ",".join(experiment.off),
        "temperature": "" if experiment.temperature is None else f"{experiment.temperature:g}",
        "cells": ";".join(f"{place}:{number:g}" for place, number in experiment.cells.items()),
    }
    return "#" + urlencode({name: value for name, value in fields.items() if value}, safe=",:;")
