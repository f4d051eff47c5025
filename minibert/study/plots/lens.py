"""The logit lens: what the model's head would predict from the output of each layer (nostalgebraist 2020)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter, StrMethodFormatter
from tokenizers import Tokenizer
from torch import Tensor

from minibert.equations import softmax
from minibert.model.modes import evaluation_mode
from minibert.model.pretrained import PretrainedModel
from minibert.observe import Recording, record
from minibert.study.drawing import BLUE, ORANGE, as_text
from minibert.study.fill_mask import piece_of
from minibert.study.plots.tokens import MAX_CHARACTERS, label_tokens
from minibert.study.subject import ModelInput
from minibert.text.tokenizer import MASK, special_token

MASKED_LM, NEXT_TOKEN = "mlm.logits", "logits"
"""Recorded logits over the vocabulary: those of a masked-LM head, and those of the next token."""
STATE = re.compile(r"(?:decoder\.)?(embeddings\.(?:sum|output)|layers\.(\d+)\.output)")
"""The input of the first layer, and the output of each layer, of the stack below the head."""


@dataclass(frozen=True)
class Lens:
    """The final prediction at one token, and how the head would rate it after each layer."""

    position: int
    """Number of the token whose prediction is shown."""
    token: str
    """That token."""
    prediction: str
    """The piece with the highest probability after the last layer."""
    layers: tuple[str, ...]
    """"embeddings", then the number of each layer."""
    probabilities: Float[np.ndarray, " layers"]
    """Probability of the prediction after each layer."""
    ranks: Int[np.ndarray, " layers"]
    """Rank of the prediction after each layer: 1 for the highest probability."""
    best: tuple[str, ...]
    """The piece with the highest probability after each layer."""


@torch.no_grad()
def logit_lens(model: PretrainedModel, tokenizer: Tokenizer, made: ModelInput, position: int | None = None) -> Lens:
    """Compute the prediction of each layer's output at one token.

    The model computes them itself: in one forward pass per layer, the output of the last layer is replaced by that of the
    layer, and what follows (a final normalization, the head) is as always.

    Args:
        position: number of a token, from 0. Default: the first [MASK] for a masked LM; the last token for a language model.

    Raises: ValueError for a model without a head that predicts tokens, a text without [MASK], and an unknown position.
    """
    with evaluation_mode(model), record(model) as recording:
        model(**made.arguments)
    logits_path = next((path for path in (MASKED_LM, NEXT_TOKEN) if path in recording), None)
    if logits_path is None:
        raise ValueError(
            f"this model has no head that predicts tokens, which the logit lens needs (head: {model.head}). Give a checkpoint "
            "with a masked-LM head, a GPT-2, or a 2017 Transformer"
        )
    position = _position(tokenizer, made, logits_path, position)
    states = _states(recording)
    last = [*states][-1]
    logits = []
    for state in states.values():
        with evaluation_mode(model), record(model, edit={last: state}) as edited:
            model(**made.arguments)
        logits.append(edited[logits_path][0, position])
    scores = torch.stack(logits)
    final = int(scores[-1].argmax())
    layers = ("embeddings", *(str(number) for number in range(len(states) - 1)))
    return Lens(
        position,
        (made.targets or made.tokens)[position],
        piece_of(tokenizer, final),
        layers,
        softmax(scores)[:, final].double().cpu().numpy(),
        1 + (scores > scores[:, final, None]).sum(dim=-1).cpu().numpy(),
        tuple(piece_of(tokenizer, index) for index in scores.argmax(dim=-1).tolist()),
    )


def _position(tokenizer: Tokenizer, made: ModelInput, logits_path: str, position: int | None) -> int:
    tokens = made.targets or made.tokens
    if position is not None:
        if not 0 <= position < len(tokens):
            raise ValueError(f"there is no token {position}: the tokens have the numbers 0 to {len(tokens) - 1}")
        return position
    if logits_path == NEXT_TOKEN:
        return len(tokens) - 1
    mask = special_token(tokenizer, MASK)
    if mask not in tokens:
        raise ValueError(f"the text has no {mask}: put {mask} in place of the word to predict, or choose a token by its number")
    return tokens.index(mask)


def _states(recording: Recording) -> dict[str, Tensor]:
    """Return the input of the first layer and the output of each layer, by path."""
    found = {path: match for path in recording if (match := STATE.fullmatch(path))}
    embeddings = [path for path, match in found.items() if match[2] is None]
    layers = sorted((path for path, match in found.items() if match[2]), key=lambda path: int(found[path][2]))
    return {path: recording[path] for path in [*embeddings[-1:], *layers]}


def lens_probabilities(axes: Axes, lens: Lens) -> Axes:
    """Draw the probability of the final prediction after each layer. A bar is the change from one layer to the next."""
    rows = np.arange(len(lens.layers))
    changes = np.diff(lens.probabilities, prepend=0.0)
    colors = [BLUE if change >= 0 else ORANGE for change in changes]
    axes.barh(rows, changes, left=lens.probabilities - changes, color=colors, height=0.6, alpha=0.45)
    axes.plot(lens.probabilities, rows, "o", color="black", markersize=4)
    for row, probability in zip(rows, lens.probabilities, strict=True):
        axes.annotate(f"{probability:.1%}", (probability, row), xytext=(6, -3), textcoords="offset points", fontsize=8)
    axes.set(xlim=(0, 1.12), xticks=np.linspace(0, 1, 6), xlabel="probability", ylabel="output of layer")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    return _rows(axes, lens, "Probability of", lens.layers)


def lens_ranks(axes: Axes, lens: Lens) -> Axes:
    """Draw the rank of the final prediction after each layer, and the first prediction of each layer."""
    rows = np.arange(len(lens.layers))
    axes.plot(lens.ranks, rows, "o-", color=BLUE, markersize=4, linewidth=1)
    for row, rank in zip(rows, lens.ranks, strict=True):
        axes.annotate(f"{rank:,}", (rank, row), xytext=(5, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set(xlabel="rank (1 is the highest probability)", ylabel="highest probability after the layer")
    axes.set_xlim(0.8, max(10, lens.ranks.max()) * 2)
    return _rows(axes, lens, "Rank of", lens.best)


def _rows(axes: Axes, lens: Lens, title: str, labels: Sequence[str]) -> Axes:
    label_tokens(axes.yaxis, labels)
    axes.set_ylim(len(lens.layers) - 0.4, -0.6)
    (prediction, token), properties = as_text([lens.prediction, lens.token], MAX_CHARACTERS)
    axes.set_title(f"{title} “{prediction}” at token {lens.position} ({token})", **properties)
    return axes
