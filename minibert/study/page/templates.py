"""The steps of a live page: for every text at once, so that the browser can fill in the numbers of one.

Every whole number of a step, such as the size of an axis or the stride of a view, is a polynomial of the number of tokens n and
the number of predictions p. Its factors follow from the steps of some texts.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from torch import Tensor

from minibert.model.bert import PretrainedBert
from minibert.printable import printable
from minibert.study.page.data import INPUTS, POSITIONS, PageData, dtype_name, is_attention_weights
from minibert.study.page.expressions import Tree
from minibert.study.stepthrough.step import Axis, Step, Walk
from minibert.study.stepthrough.symbols import parameter_letters
from minibert.study.stepthrough.walk import NO_PAIR, walk
from minibert.text.tokenizer import MASK, SEP, special_token

SIZES = ((4, 1), (5, 1), (6, 1), (5, 2), (7, 2), (9, 4))
"""Numbers of tokens and of predictions of the texts. The first five give the polynomials, which must also hold for the last."""
BASIS = np.array([(1, n, n * n, p, n * p) for n, p in SIZES])
"""The terms of the polynomials, for each text."""
TEXT_LABELS = {"queries": "tokens", "keys": "tokens"}
"""The axes whose labels are those of another axis."""
OWN_LABELS = {"classes", "next_sentence", "ends"}
"""The axes whose labels are the same for every text. Those of the others follow from the text and the vocabulary."""


def step_templates(model: PretrainedBert, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the steps of the forward pass of every text; see `Templates` in `live_walk.js`.

    A whole number that depends on the text is {"polynomial": factors}, a text with such a number {"joined": parts}.

    Raises: ValueError for a network with a step that is not of this kind, and for one with fewer than 9 positions.
    """
    longest, positions = SIZES[-1][0], model.config.max_tokens
    if positions < longest:
        raise ValueError(f"a live page needs a network with at least {longest} positions; this one has {positions}")
    plain = Tokenizer.from_str(tokenizer.to_str())  # in which [MASK] is a special token
    mask, other = special_token(plain, MASK), special_token(plain, SEP)
    pair = "" if any(plain.encode("", "").type_ids) else None  # so that both segments are there
    around = len(plain.encode("", pair).ids)
    samples = []
    for tokens, masked in SIZES:
        text = other * (tokens - masked - around) + mask * masked
        end = tokens - (around - 1)  # all special tokens follow but the first one
        predicted = range(end - masked, end)
        samples.append(_Steps(walk(model, plain, text, pair), model.config.num_hidden_layers, predicted).to_json())
    for steps in zip(*(sample["steps"] for sample in samples), strict=False):
        _keep_common_omissions(steps)
    return {"noPair": NO_PAIR, **_fitted(samples, "the page")}


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
    if name.startswith(POSITIONS):
        return POSITIONS
    return float(numbers[0]) if len({*numbers}) == 1 else numbers


def _fitted(values: list[Any], place: str) -> Any:
    """Return what values of some texts have in common, with a polynomial in place of each number that differs."""
    first = values[0]
    if all(value == first for value in values):
        return first
    if all(isinstance(value, dict) and value.keys() == first.keys() for value in values):
        return {key: _fitted([value[key] for value in values], f"{place}, {key}") for key in first}
    if all(isinstance(value, list) and len(value) == len(first) for value in values):
        return [_fitted([*each], _name(each[0], place)) for each in zip(*values, strict=True)]
    if all(type(value) is int for value in values):
        return {"polynomial": _polynomial(values, place)}
    parts = [re.split(r"(\d+)", value) if isinstance(value, str) else [] for value in values]
    if parts[0] and all(each[::2] == parts[0][::2] for each in parts):
        numbers = [[int(part) if number % 2 else part for number, part in enumerate(each)] for each in parts]
        return {"joined": _fitted(numbers, place)}
    raise ValueError(_refusal(place, values))


def _name(value: Any, place: str) -> str:
    return str(value["path"]) if isinstance(value, dict) and "path" in value else place


def _polynomial(values: list[int], place: str) -> list[int]:
    """Return the factors of the terms of `BASIS`."""
    known = len(BASIS[0])
    factors = np.rint(np.linalg.solve(BASIS[:known], values[:known])).astype(np.int64)
    if (BASIS @ factors != values).any():
        raise ValueError(_refusal(place, values))
    return [int(factor) for factor in factors]


def _refusal(place: str, values: list[Any]) -> str:
    texts = [f"{len(value)} entries" if isinstance(value, list) else printable(value) for value in values]
    shown = ", ".join(f"{text} for {n} tokens and {p} predictions" for (n, p), text in zip(SIZES, texts, strict=True))
    return f"a live page has no rule for {place}: it is {shown}"
