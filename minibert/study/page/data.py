"""The numbers of a step-through as JSON for the page: which tensors it has, and how much of each."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor

from minibert.printable import printable
from minibert.study.equations.formulas import mathml, plain
from minibert.study.equations.registry import registry
from minibert.study.page.chain import rows_along_chains
from minibert.study.page.expressions import VIEWS, Tree, expression_tree
from minibert.study.stepthrough.arithmetic import UnknownOperation
from minibert.study.stepthrough.omissions import omissions, symbols_of
from minibert.study.stepthrough.ranking import predictions
from minibert.study.stepthrough.step import Axis, Step, TextStep, Walk
from minibert.study.stepthrough.symbols import parameter_letters
from minibert.study.stepthrough.walk import NO_PAIR
from minibert.text.examples import LABELS
from minibert.trace import Leaf, Node, Operation

SMALL, LARGE = 1_080_000, 4_800_000
"""Bytes of the numbers and labels in the page of a small model and of a large one. Weights fill what the steps leave."""
BYTES = 16 / 3
"""Bytes of one number: four, as base64."""
MIN_WEIGHTS = {True: 15_000, False: 60_000}
"""The least number of bytes for the weights, in the page of a small model and of a large one."""
MAX_NUMBERS = 600_000
"""Most numbers of one tensor. Of a larger one, the page has some rows."""
MAX_VOCABULARY_NUMBERS = {True: 40_000, False: 100_000}
"""The same for tensors with a row of the width of a vocabulary, in the page of a small model and of a large one."""
MISTAKE_NUMBERS = {True: (32, 512), False: (768, 4_096)}
"""Range of the numbers that the page has of a tensor that a mistake gives: some rows, or none if its rows are longer. There are
several for each step, so the page has those of one layer only."""
MISTAKE_SHARE = 1 / 4
"""Largest share of the mistakes in the bytes that the steps leave."""
VOCABULARY = 5_000
"""Least width of a row that counts as a vocabulary."""
TOP = 5
"""Number of predictions that the page lists for each token."""
APART = re.compile(r",?\s*\\q?quad\s*")
"""Space between the formulas of an equation."""
INPUTS = {"text.segments": "segments (0: sentence A, 1: sentence B)"}
"""Descriptions of the inputs of a model that are not steps."""
POSITIONS = "positions"
TYPES = {"int32": "<i4", "float32": "<f4", "float64": "<f8", "bool": "u1"}
"""Types of the numbers in the page, as in `data.js`, and in NumPy."""


@runtime_checkable
class Mistake(Protocol):
    """A tensor that a known mistake gives at a step. The page names the mistake to a reader who predicts its number."""

    @property
    def message(self) -> str:
        """Such as "You left out √d_k."."""
        ...

    @property
    def output(self) -> Tensor:
        """It has the shape of the step's output."""
        ...


class PageData:
    """Collects the numbers of the steps that the page shows.

    Args:
        walk: the steps.
        layers: numbers of the layers that are shown in full. Of the other layers, the page has the attention weights, and
            the outputs that a step shown in full is computed from. None: all layers, if they are small, or else the first
            one; with a backward pass, the one whose weights are updated.
        mistakes: by the path of a step. The page has those of the first layer that it shows in full.
        others: by the path of a step, a name and a second tensor to compare with.
    """

    def __init__(
        self,
        walk: Walk,
        layers: Sequence[int] | None = None,
        mistakes: Mapping[str, Sequence[Mistake]] | None = None,
        others: Mapping[str, tuple[str, Tensor]] | None = None,
    ) -> None:
        self.walk, self.mistakes, self.others = walk, mistakes or {}, others or {}
        numbers = {step.layer for step in walk.steps if step.layer is not None}
        self.is_small = sum(step.output.numel() for step in walk.steps if not _is_wide(step.output)) * BYTES < SMALL
        updated = [step.layer for step in walk.steps if step.path.startswith("adamw") and step.layer is not None]
        one = {updated[0] if updated else min(numbers, default=0)}
        self.layers = {*layers} if layers is not None else numbers if self.is_small else one
        self.needed = {leaf.name for step in walk.steps if self.is_shown(step) for leaf in step.inputs}
        self.tensors: dict[str, dict[str, Any]] = {}
        self.labels: dict[str, list[str]] = {}
        self.formulas: list[Any] = []
        self.equations = registry()
        self.symbols = symbols_of(walk.steps)
        self.constants: dict[bytes, str] = {}
        self.weights: dict[str, Tensor] = {}

    def to_json(self) -> dict[str, Any]:
        """Return the data of `PageData` in `data.js`, without the title and the description of the model."""
        steps = [self._step(step) for step in self.walk.steps]
        self._add_mistakes(steps)
        predictions = [*self._predictions()]
        self._add_weights(predictions)
        return {
            "labels": self.labels,
            "tensors": self.tensors,
            "formulas": self.formulas,
            "steps": steps,
            "overview": [step.path for step in self.walk.steps if is_attention_weights(step)],
            "predictions": predictions,
            "letters": {name: letter for name, letter in parameter_letters(self.walk.steps).items() if name in self.tensors},
        }

    def is_shown(self, step: Step) -> bool:
        """Return True if the page has the numbers of a step and of its inputs."""
        return step.layer is None or step.layer in self.layers

    def _step(self, step: Step) -> dict[str, Any]:
        shown = self.is_shown(step)
        if shown or step.path in self.needed or is_attention_weights(step):
            self._add(step.path, step.output, self._rows(step), is_view=shown and _is_view(step.expression))
        expression = self._expression(step) if shown else None
        group, name = heading_of(step), group_and_name(step.path)[1]
        return {
            "path": step.path,
            "name": name,
            "group": group,
            "layer": step.layer,
            "symbol": _plain(step.symbol),
            "explanation": step.explanation,
            "formula": self._formula(step.formula),
            "equation": step.equation,
            "equationFormulas": self._equation(step.equation),
            "code": step.code,
            "axes": [{"name": _axis_name(axis), "size": axis.size, "labels": self._label(axis)} for axis in step.axes],
            "expression": expression,
            "inputs": [leaf.name for leaf in step.inputs if leaf.kind == "step"],
            "sources": self._sources(step),
            "omitted": None if shown else self._omitted(step),
            "failure": printable(self.walk.failure, lines=True) if self.walk.failure and step is self.walk.steps[-1] else None,
            "other": self._other(step) if shown else None,
            "mistakes": [],
            "omissions": [] if expression is None else [asdict(each) for each in omissions(step, self.symbols)],
        }

    def _omitted(self, step: Step) -> str:
        return (
            f"To stay small, this page has all numbers of layer {_listed(self.layers)} only. To see how this step is computed, "
            f"write the page again, with --layers {_listed({*self.layers, step.layer or 0}, ' ')} at the end of the command."
        )

    def _sources(self, step: Step) -> dict[str, Any] | None:
        if not isinstance(step, TextStep) or step.sources is None:
            return None
        before = self.walk.steps[self.walk.steps.index(step) - 1]
        return {"step": before.path, "ranges": step.sources}

    def _other(self, step: Step) -> dict[str, str] | None:
        if step.path not in self.others:
            return None
        label, output = self.others[step.path]
        key = f"{step.path}: {label}"
        self._add(key, output, self._rows(step))
        return {"label": printable(label), "tensor": key}

    def _has_mistakes(self, step: Step) -> bool:
        """Return True if the page has the numbers of mistakes at a step: in one layer only, because they need much space."""
        return step.layer in (None, min(self.layers, default=None)) and not _is_wide(step.output)

    def _expression(self, step: Step) -> Tree | None:
        """Return the expression of a step as JSON; None if there is none, or the page cannot repeat an operation of it."""
        try:
            return None if step.expression is None else expression_tree(step.expression, self._leaf)
        except UnknownOperation:
            return None

    def _add_mistakes(self, records: Sequence[dict[str, Any]]) -> None:
        """Add the mistakes to the steps of the first layer, as many numbers of each as the page has room for."""
        least, most = MISTAKE_NUMBERS[self.is_small]
        steps = {step.path: step for step in self.walk.steps if self._has_mistakes(step)}
        count = sum(len(self.mistakes.get(path, ())) for path in steps)
        limit = int(min(max(MISTAKE_SHARE * self._room() / BYTES / max(count, 1), least), most))
        for record in records:
            step = steps.get(record["path"])
            if step is not None and max(step.output.shape[-1:], default=1) <= limit:
                record["mistakes"] = [*self._mistakes(step, limit)]

    def _mistakes(self, step: Step, limit: int) -> Iterator[dict[str, str]]:
        """Yield the mistakes of a step, with some rows of a large tensor. Equal numbers are kept once."""
        rows = self._rows(step, limit)
        for mistake in self.mistakes.get(step.path, ()):
            if not mistake.output.isnan().all():  # no reader types NaN
                numbers = repr(rows).encode() + _bytes(mistake.output)
                key = self.constants.setdefault(numbers, f"mistake {len(self.constants)}")
                self._add(key, mistake.output, rows)
                yield {"message": mistake.message, "tensor": key}

    def _room(self) -> int:
        """Return the number of bytes that are left for numbers and labels."""
        taken = sum(len(record["data"] or "") for record in self.tensors.values())
        taken += sum(len(label) + 3 for labels in self.labels.values() for label in labels)
        return (SMALL if self.is_small else LARGE) - taken

    def _formula(self, latex: str) -> int | None:
        """Return the number of a formula. Layers share their formulas."""
        try:
            tree = _math_tree(ElementTree.fromstring(mathml(latex))) if latex else None
        except ValueError:
            return None
        if tree is not None and tree not in self.formulas:
            self.formulas.append(tree)
        return None if tree is None else self.formulas.index(tree)

    def _equation(self, name: str | None) -> list[int | None]:
        """Return the numbers of the formulas of an equation. Each of its symbols, such as a mean, has its own formula."""
        equation = self.equations.get(name or "")
        return [self._formula(part) for part in APART.split(equation.formula)] if equation is not None else []

    def _label(self, axis: Axis) -> str | None:
        """Return the name of the labels of an axis. Axes with the same labels share them."""
        if axis.labels is None:
            return None
        labels = [printable(label) for label in axis.labels]
        found = [name for name, known in self.labels.items() if known == labels]
        name = found[0] if found else f"{axis.name} {len(self.labels)}"
        self.labels[name] = labels
        return name

    def _leaf(self, leaf: Leaf) -> str:
        """Return the key of a leaf among the tensors, and add its tensor."""
        if leaf.kind == "step":
            return leaf.name
        if leaf.kind == "parameter":
            self.weights[leaf.name] = leaf.value
            return leaf.name
        if leaf.kind == "input" and leaf.name in self.walk:
            return leaf.name
        name = INPUTS.get(leaf.name, leaf.name) or self._constant(leaf.value)
        self._add(name, leaf.value)
        return name

    def _constant(self, value: Tensor) -> str:
        key = repr((value.dtype, value.shape)).encode() + _bytes(value)
        if key not in self.constants:
            name, others = _constant_name(value), [*self.constants.values()]
            count = sum(other.partition(" #")[0] == name for other in others)
            self.constants[key] = f"{name} #{count + 1}" if count else name
        return self.constants[key]

    def _rows(self, step: Step, most_numbers: int = MAX_NUMBERS) -> list[int] | None:
        """Return the rows of a large tensor that the page has: those that a later step uses, or else the first ones."""
        output = step.output
        limit = min(MAX_VOCABULARY_NUMBERS[self.is_small] if _is_wide(output) else MAX_NUMBERS, most_numbers)
        if output.ndim < 2 or output.numel() <= limit:
            return None
        rows = torch.arange(output.numel() // output.shape[-1]).reshape(output.shape[:-1])
        most = max(1, limit // output.shape[-1])
        for user in self.walk.steps:
            node = user.expression
            if isinstance(node, Operation) and node.name == "getitem" and _is_leaf(node.arguments[0], step.path):
                return sorted({*rows[node.arguments[1]].flatten().tolist()})[:most]
        of_each = max(1, most * output.shape[-2] // rows.numel())
        return [*rows[..., :of_each].flatten().tolist()]

    def _add(self, key: str, value: Tensor, rows: Sequence[int] | None = None, is_view: bool = False) -> None:
        """Add a tensor, or some of its rows. The rows of a vector are its numbers. A view has no data: the page computes it."""
        if key in self.tensors:
            return
        kept = value.detach()
        if rows is not None:
            kept = (kept if kept.ndim == 1 else kept.reshape(-1, kept.shape[-1]))[[*rows]]
        data = None if is_view else base64.b64encode(_bytes(kept)).decode("ascii")
        self.tensors[key] = {"shape": [*value.shape], "dtype": dtype_name(value), "data": data}
        if rows is not None:
            self.tensors[key]["rows"] = [*rows]

    def _add_weights(self, predictions: Sequence[Mapping[str, Any]]) -> None:
        """Add the parameters: all vectors, of embeddings the rows in use, of matrices as many rows as the page has room for.

        The rows of matrices are those that explain the largest terms behind the predictions, and then every k-th one.
        """
        used = self._used_rows({best["cell"][1] for prediction in predictions for best in prediction["best"]})
        for name, value in self.weights.items():
            if name in used:
                self._add(name, value, sorted(used[name]))
            elif value.ndim < 2:
                self._add(name, value)
        matrices = {name: value for name, value in self.weights.items() if name not in self.tensors}
        room = max(self._room(), MIN_WEIGHTS[self.is_small]) / BYTES
        rows = rows_along_chains(self.walk, self._chain_starts(predictions), self.is_shown, matrices, room)
        for stride in range(1, max(map(len, matrices.values()), default=0) + 1):
            more = {name: rows[name].union(range(0, len(value), stride)) for name, value in matrices.items()}
            if sum(len(more[name]) * value.shape[-1] for name, value in matrices.items()) <= room:
                rows = more
                break
        for name, value in matrices.items():
            self._add(name, value, None if len(rows[name]) == len(value) else sorted(rows[name]))

    def _chain_starts(self, predictions: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str, tuple[int, ...]]]:
        """Yield the cells that readers begin with: the predictions, the best ones first, and each token's largest weights."""
        for prediction in predictions:
            shape = self.walk[prediction["step"]].output.shape
            for rank, best in enumerate(prediction["best"]):
                row, place = best["cell"]
                yield rank, prediction["step"], (*map(int, np.unravel_index(row, shape[:-1])), place)
        for step in filter(is_attention_weights, self.walk.steps):
            for before in np.ndindex(*step.output.shape[:-1]):
                yield 1, step.path, (*before, int(step.output[before].argmax()))

    def _used_rows(self, predicted: set[int]) -> dict[str, set[int]]:
        """Return the rows in use of each table of embeddings, and of matrices and biases as long as a vocabulary.

        A table may also be the matrix at the output. Of a small table, all rows count.
        """
        used: dict[str, set[int]] = {}
        for node in (node for step in self.walk.steps for node in _operations(step.expression)):
            leaves = [each for each in node.arguments if isinstance(each, Leaf)]
            if node.name == "embedding" and len(leaves) == 2:
                ids, table = leaves
                is_small = table.value.numel() <= MAX_VOCABULARY_NUMBERS[self.is_small]
                rows = range(len(table.value)) if is_small else ids.value.flatten().tolist()
                used.setdefault(table.name, set()).update(rows)
            elif node.name == "linear":
                for leaf in leaves[-2:]:
                    if node.shape[-1] >= VOCABULARY or leaf.name in used:
                        used.setdefault(leaf.name, set()).update(predicted)
        return used

    def _predictions(self) -> Iterator[dict[str, Any]]:
        """Yield the best entries of each prediction."""
        for prediction in predictions(self.walk, TOP):
            path = prediction.step.path
            best = [
                {"text": printable(entry.label), "value": entry.value, "cell": [prediction.row, entry.number]}
                for entry in prediction.ranked
            ]
            has_no_pair = prediction.step.explanation.endswith(NO_PAIR)
            label = "(the text has no sentence B)" if has_no_pair else printable(prediction.title)
            yield {"step": path, "name": heading_of(prediction.step), "label": label, "best": best}


def is_attention_weights(step: Step) -> bool:
    """Return True for the attention weights, which the page has of every layer."""
    return step.path.endswith("attention.weights")


def group_and_name(path: str) -> tuple[str, str]:
    """Return the heading under which a step is listed, and its name there.

    >>> group_and_name("encoder.layers.0.attention.dot_products")
    ('Encoder layer 0', 'attention dot products')
    >>> group_and_name("mlm.logits"), group_and_name("pooler")
    (('MLM', 'logits'), ('Pooler', 'output'))
    """
    found = re.match(r"(.*?layers\.\d+|[^.]+)\.?(.*)", path)
    prefix, rest = found.groups() if found else (path, "")
    words = prefix.replace("layers", "layer").replace(".", " ").replace("_", " ")
    heading = words.upper() if len(words) <= 3 else words[0].upper() + words[1:]
    return heading, rest.replace(".", " ").replace("_", " ") or "output"


def heading_of(step: Step) -> str:
    """Return the heading under which a step is listed."""
    is_order = bool(step.axes) and step.axes[-1].labels == LABELS["sop"][1]
    return "SOP" if is_order else group_and_name(step.path)[0]


def _constant_name(value: Tensor) -> str:
    """Describe a tensor that has no name."""
    if value.dtype == torch.bool:
        same = "false" if not value.any() else "true" if value.all() else ""
        return f"mask (not keep), {same} in every cell" if same else "mask (not keep)"
    row = value.flatten()
    if not value.is_floating_point() and torch.equal(row, torch.arange(len(row), device=row.device)):
        return f"{POSITIONS} 0 to {len(row) - 1}"
    if not value.is_floating_point() and len(row) > 1 and _are_positions(row):
        return POSITIONS
    return "numbers of the code"


def _are_positions(row: Tensor) -> bool:
    """Return True for positions that do not count padding: 2, 3, 4, …, and 1 for each token of padding."""
    first = int(row.min())
    counted = row[row != first]
    return len(counted) > 0 and torch.equal(counted, torch.arange(first + 1, first + 1 + len(counted), device=row.device))


def _axis_name(axis: Axis) -> str:
    """Return the name as words; an axis of size 1 that is called "1" has none."""
    return "" if axis.name.isdigit() else axis.name.replace("_", " ")


def _is_wide(value: Tensor) -> bool:
    return value.ndim > 0 and value.shape[-1] >= VOCABULARY


def _operations(node: Node | Any) -> Iterator[Operation]:
    if isinstance(node, Operation):
        yield node
        for argument in node.arguments:
            yield from _operations(argument)


def _is_view(node: Node | None) -> bool:
    """Return True if a step has the numbers of an earlier step in another order."""
    if isinstance(node, Leaf):
        return node.kind == "step"
    return node is not None and (node.name in VIEWS or node.name == "reshape") and _is_view(node.arguments[0])


def _is_leaf(node: object, name: str) -> bool:
    return isinstance(node, Leaf) and node.name == name


def _listed(numbers: Iterable[int], separator: str = ", ") -> str:
    return separator.join(map(str, sorted(numbers)))


def dtype_name(value: Tensor) -> str:
    """Return the name of the type that the numbers of a tensor have in the page."""
    if value.dtype == torch.bool:
        return "bool"
    if value.is_floating_point():
        return "float64" if value.dtype == torch.float64 else "float32"
    return "int32"


def _bytes(value: Tensor) -> bytes:
    kept = value.detach().cpu()
    array = (kept.float() if kept.dtype in (torch.float16, torch.bfloat16) else kept).numpy()
    return np.ascontiguousarray(array, dtype=TYPES[dtype_name(value)]).tobytes()


def _plain(symbol: str) -> str:
    try:
        return plain(symbol) if symbol else ""
    except ValueError:
        return symbol


def _math_tree(element: ElementTree.Element) -> list[Any]:
    """Return an element of MathML as its name, its attributes, and its children or text. The page builds it node by node."""
    children: list[Any] = [element.text] if element.text and element.text.strip() else []
    children += [_math_tree(child) for child in element]
    return [element.tag.rpartition("}")[2], dict(element.attrib), children]
