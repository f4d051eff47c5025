"""The steps of a live page: for every text at once, so that the browser can fill in the numbers of one.

Every whole number of a step, such as the size of an axis or the stride of a view, is a polynomial of the number of tokens n and
the number of predictions p. Its factors follow from the steps of some texts.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert.model.pretrained import PretrainedModel
from minibert.printable import printable
from minibert.study.page.data import INPUTS, POSITIONS, PageData, dtype_name, is_attention_weights
from minibert.study.page.expressions import Tree
from minibert.study.stepthrough.step import Axis, Step, Walk
from minibert.study.stepthrough.symbols import parameter_letters
from minibert.study.stepthrough.walk import NO_PAIR, walk
from minibert.text.tokenizer import END_OF_TEXT, MASK, SEP, special_token

SIZES: Sequence[tuple[int, int]] = ((4, 1), (5, 1), (6, 1), (5, 2), (7, 2), (9, 4))
"""Numbers of tokens and of predictions of the texts. The first five give the polynomials, which must also hold for the last."""
CAUSAL_SIZES: Sequence[tuple[int, int]] = ((4, 1), (5, 1), (6, 1), (9, 1))
"""The same for a network that predicts the next token only."""
TEXT_LABELS = {"queries": "tokens", "keys": "tokens"}
"""The axes whose labels are those of another axis."""
OWN_LABELS = {"classes", "next_sentence", "ends"}
"""The axes whose labels are the same for every text. Those of the others follow from the text and the vocabulary."""


def is_causal(model: PretrainedModel) -> bool:
    """Return True for a network that predicts the next token, in which no token attends to later ones."""
    return getattr(model, "head", None) == "lm"


def step_templates(model: PretrainedModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the steps of the forward pass of every text; see `Templates` in `live_walk.js`.

    A whole number that depends on the text is {"polynomial": factors}, a text with such a number {"joined": parts}.

    Raises: ValueError for a network with a step that is not of this kind, and for one with fewer than 9 positions.
    """
    config: Any = model.config
    longest, positions = SIZES[-1][0], config.max_tokens
    if positions < longest:
        raise ValueError(f"a live page needs a network with at least {longest} positions; this one has {positions}")
    plain = Tokenizer.from_str(tokenizer.to_str())  # in which [MASK] is a special token
    sizes, mask, other = SIZES, special_token(plain, MASK), special_token(plain, SEP)
    if is_causal(model):
        sizes, mask, other = CAUSAL_SIZES, END_OF_TEXT, END_OF_TEXT
        if plain.token_to_id(END_OF_TEXT) is None:
            raise ValueError(f"a live page of GPT-2 needs a tokenizer with the token {END_OF_TEXT}")
    pair = "" if any(plain.encode("", "").type_ids) else None  # so that both segments are there
    around = len(plain.encode("", pair).ids)
    samples = []
    for tokens, masked in sizes:
        text = other * (tokens - masked - around) + mask * masked
        end = tokens - max(around - 1, 0)  # all special tokens follow but the first one
        predicted = range(end - masked, end)
        samples.append(_Steps(walk(model, plain, text, pair), config.num_hidden_layers, predicted).to_json())
    for steps in zip(*(sample["steps"] for sample in samples), strict=False):
        _keep_common_omissions(steps)
    return {"noPair": NO_PAIR, **_Fit(sizes).fitted(samples, "the page")}


def _keep_common_omissions(steps: Sequence[dict[str, Any]]) -> None:
    """Remove what a reader can leave out of a step for one text only, because two sizes are the same by accident."""
    common = [each for each in steps[0]["omissions"] if all(each in step["omissions"] for step in steps)]
    for step in steps:
        step["omissions"] = common


class _Steps(PageData):
    """The steps of one text, without the numbers of the tensors and without what `live_walk.js` makes of the text itself."""

    def __init__(self, steps: Walk, layers: int, predicted: Sequence[int]) -> None:
        super().__init__(steps, range(layers))
        self.predicted = predicted
        self.inputs: dict[str, Tensor] = {}

    def to_json(self) -> dict[str, Any]:
        steps = [self._step(step) for step in self.walk.steps]
        return {
            "labels": self.labels,
            "constants": [
                {"name": name, "shape": [*value.shape], "dtype": dtype_name(value), "values": _values(name, value)}
                for name, value in self.inputs.items()
            ],
            "formulas": self.formulas,
            "steps": steps,
            "overview": [step.path for step in self.walk.steps if is_attention_weights(step)],
            "letters": {name: letter for name, letter in parameter_letters(self.walk.steps).items() if name in self.weights},
            "aliases": {step.path: [*step.aliases] for step in self.walk.steps if step.aliases},
        }

    def _sources(self, step: Step) -> dict[str, Any] | None:
        sources = super()._sources(step)
        return sources and {**sources, "ranges": []}

    def _label(self, axis: Axis) -> str | None:
        if axis.labels is None:
            return None
        name = TEXT_LABELS.get(axis.name, axis.name)
        if name in OWN_LABELS:
            self.labels[name] = [printable(label) for label in axis.labels]
        return name

    def _step(self, step: Step) -> dict[str, Any]:
        record = super()._step(step)
        for axis in record["axes"]:
            if axis["labels"] == "characters":
                axis["size"] = None
        return record

    def _expression(self, step: Step) -> Tree | None:
        tree = super()._expression(step)
        self._clear_starts(step.path, tree)
        return tree

    def _clear_starts(self, path: str, tree: Any) -> None:
        """Remove where chosen rows start, which must be at the predicted tokens."""
        if not isinstance(tree, dict):
            return
        if "starts" in tree:
            width = tree["args"][0]["shape"][-1]
            if tree["starts"] != [place * width for place in self.predicted]:
                raise ValueError(f"a live page has no rule for {path}: it has other rows than those of the predicted tokens")
            tree["starts"] = []
        for part in tree.get("args", ()):
            self._clear_starts(path, part)

    def _add(self, key: str, value: Tensor, rows: object = None, is_view: bool = False) -> None:
        if key not in self.walk:
            self.inputs[key] = value


def _values(name: str, value: Tensor) -> Any:
    """Return the numbers of an input: how they follow from the text, one number for all of them, or a list."""
    numbers = value.flatten().tolist()
    if name == INPUTS["text.segments"]:
        return "segments"
    if value.dtype == torch.bool:
        return "masked"
    if name.startswith(POSITIONS):
        return POSITIONS
    return float(numbers[0]) if len({*numbers}) == 1 else numbers


class _Fit:
    """The part that the steps of some texts share, with a polynomial of the sizes for each number that differs.

    Args:
        sizes: numbers of tokens and of predictions of the texts. If there is always one prediction, n and n² are enough.
    """

    def __init__(self, sizes: Sequence[tuple[int, int]]) -> None:
        self.sizes = sizes
        terms = np.array([(1, n, n * n, p, n * p) for n, p in sizes])
        self.basis = terms if any(p > 1 for _, p in sizes) else terms[:, :3]

    def fitted(self, values: list[Any], place: str) -> Any:
        """Return what values of the texts have in common, with a polynomial in place of each number that differs."""
        first = values[0]
        if all(value == first for value in values):
            return first
        if all(isinstance(value, dict) and value.keys() == first.keys() for value in values):
            return {key: self.fitted([value[key] for value in values], f"{place}, {key}") for key in first}
        if all(isinstance(value, list) and len(value) == len(first) for value in values):
            return [self.fitted([*each], _name(each[0], place)) for each in zip(*values, strict=True)]
        if all(type(value) is int for value in values):
            return {"polynomial": self._polynomial(values, place)}
        parts = [re.split(r"(\d+)", value) if isinstance(value, str) else [] for value in values]
        if parts[0] and all(each[::2] == parts[0][::2] for each in parts):
            numbers = [[int(part) if number % 2 else part for number, part in enumerate(each)] for each in parts]
            return {"joined": self.fitted(numbers, place)}
        raise ValueError(self._refusal(place, values))

    def _polynomial(self, values: list[int], place: str) -> list[int]:
        """Return the factors of 1, n, n², p and n p."""
        known = len(self.basis[0])
        factors = np.rint(np.linalg.solve(self.basis[:known], values[:known])).astype(np.int64)
        if (self.basis @ factors != values).any():
            raise ValueError(self._refusal(place, values))
        return [*map(int, factors), *[0] * (5 - known)]

    def _refusal(self, place: str, values: list[Any]) -> str:
        texts = [f"{len(value)} entries" if isinstance(value, list) else printable(value) for value in values]
        shown = ", ".join(f"{text} for {n} tokens and {p} predictions" for (n, p), text in zip(self.sizes, texts, strict=True))
        return f"a live page has no rule for {place}: it is {shown}"


def _name(value: Any, place: str) -> str:
    return str(value["path"]) if isinstance(value, dict) and "path" in value else place
