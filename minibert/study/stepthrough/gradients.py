"""The gradient of every step and parameter as a step, from the loss back."""

from collections.abc import Iterator, Mapping, Sequence

from tokenizers import Tokenizer
from torch import Tensor

from minibert.observe import Recording
from minibert.study.fill_mask import piece_of
from minibert.study.stepthrough.algebra import Value, add, as_node
from minibert.study.stepthrough.arithmetic import UnknownOperation
from minibert.study.stepthrough.derivatives import contributions
from minibert.study.stepthrough.latex import latex
from minibert.study.stepthrough.step import Axis, Step
from minibert.study.stepthrough.symbols import GRADIENT, D, leaf_symbol, parameter_symbols
from minibert.study.stepthrough.truth import Labels
from minibert.trace import Leaf, Operation, operations

LOSS = "loss"
"""Path of the step of the loss."""
NOTES = {
    "softmax": "The weights of a row always sum to one, so the gradients of its scores sum to zero.",
    "cross_entropy": "It is the predicted probability, minus one at the label.",
    "binary_cross_entropy": "It is the predicted probability minus the true one.",
    "embedding": "Each row adds up the gradients of the tokens that use it.",
}
"""A second sentence for the gradient that comes back through an equation."""


class Gradients:
    """Makes the steps from the loss back, which are the forward steps in reverse order."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        forward: Sequence[Step],
        recording: Recording,
        gradients: Mapping[str, Tensor],
        targets: Labels,
    ) -> None:
        self.forward = [step for step in forward if step.path in recording]
        tensors = {step.path: recording[step.path] for step in self.forward}
        self.recorded = {path: tensor.grad for path, tensor in tensors.items() if tensor.grad is not None}
        self.recording, self.parameters = recording, gradients
        self.wanted = {*self.recorded, *gradients} - {LOSS}
        self.rows = _rows(self.forward, targets)
        self.symbols = {step.path: step.symbol for step in forward} | parameter_symbols(self.forward)
        self.tokenizer = tokenizer
        self.found: dict[str, Value] = {}
        self.users: dict[str, list[Step]] = {}
        self.unknown: dict[str, str] = {}
        """Names of gradients that come back through an operation without a known derivative, and the reason."""

    def steps(self) -> Iterator[Step]:
        """Return the gradients, from that of the scores to those of the embeddings."""
        first_user: dict[str, Step] = {}
        for step in reversed(self.forward):
            for leaf in step.inputs:
                if leaf.kind == "parameter":
                    first_user[leaf.name] = step
        for step in reversed(self.forward):
            if step.path != LOSS and step.path not in self.recorded:
                continue
            if step.path != LOSS:
                yield self._step(step.path, self.recorded[step.path], step.axes, step.aliases)
            self._go_back(step)
            for leaf in step.inputs:
                if leaf.name in self.parameters and first_user[leaf.name] is step:
                    yield self._parameter_step(leaf)

    def _go_back(self, step: Step) -> None:
        """Add what comes back through one step to the gradients of its inputs."""
        expression = self.recording.origin(step.path).expression
        gradient = 1.0 if step.path == LOSS else Leaf("step", f"{GRADIENT}{step.path}", self.recorded[step.path])
        names = {leaf.name for leaf in step.inputs} & self.wanted
        for name in names:
            self.users.setdefault(name, []).append(step)
        try:
            output = Leaf("step", step.path, step.output)
            parts = contributions(expression, output, gradient, self.wanted, self.rows)
        except UnknownOperation as error:
            self.unknown |= dict.fromkeys(names, str(error))
            return
        for name, part in parts.items():
            self.found[name] = add(self.found[name], part) if name in self.found else part

    def _parameter_step(self, leaf: Leaf) -> Step:
        gradient = self.shown_rows(leaf.name, self.parameters[leaf.name])
        if leaf.name in self.rows:
            labels = tuple(self._row_label(leaf, row) for row in self.rows[leaf.name])
            axes: tuple[Axis, ...] = (Axis("rows", len(labels), labels), Axis("width", gradient.shape[1]))
        else:
            names = ("width",) if gradient.ndim == 1 else ("outputs", "inputs") if gradient.ndim == 2 else ()
            axes = tuple(Axis(names[axis] if names else f"axis {axis}", size) for axis, size in enumerate(gradient.shape))
        return self._step(leaf.name, gradient, axes, ())

    def shown_rows(self, name: str, value: Tensor) -> Tensor:
        """Return the rows of an embedding matrix that are shown, or the whole parameter."""
        return value[[*self.rows[name]]] if name in self.rows else value

    def _row_label(self, leaf: Leaf, row: int) -> str:
        """Return the piece of a row of the word embeddings, or the number of the row of another table."""
        tables = (node for step in self.users[leaf.name] for node in _embeddings(step.expression))
        of_text = any(node.arguments[1] is leaf and node.arguments[0].name.endswith(".ids") for node in tables)
        return piece_of(self.tokenizer, row) if of_text else str(row)

    def _step(self, name: str, gradient: Tensor, axes: tuple[Axis, ...], aliases: Sequence[str]) -> Step:
        users = self.users.get(name, [])
        expression = None if name in self.unknown or name not in self.found else as_node(self.found[name])
        symbol = D + self.symbols[name]
        return Step(
            path=f"{GRADIENT}{name}",
            output=gradient.detach(),
            axes=axes,
            formula="" if expression is None else f"{symbol} = {latex(expression, self._symbol)}",
            symbol=symbol,
            explanation=self._explanation(name, users),
            expression=expression,
            aliases=tuple(f"{GRADIENT}{alias}" for alias in aliases),
        )

    def _symbol(self, leaf: Leaf) -> str:
        return leaf_symbol(leaf, self.symbols)

    def _explanation(self, name: str, users: Sequence[Step]) -> str:
        came = ", ".join(user.path for user in users)
        sentences = [f"The gradient of {name}: how fast the loss grows with each of its numbers. It comes back from {came}."]
        if len(users) > 1:
            sentences.append("What comes back from each of these steps is added up.")
        expressions = (self.recording.origin(user.path).expression for user in users)
        equations = {node.equation or node.name for expression in expressions for node in operations(expression)}
        sentences += [note for equation, note in NOTES.items() if equation in equations]
        if name in self.rows:
            sentences.append("The rows of the tokens in the text are shown.")
        elif self.symbols[name].startswith("W"):
            sentences.append("W has one row for each output, as PyTorch stores it.")
        if name in self.unknown:
            sentences.append(f"It has no formula here: {self.unknown[name]}.")
        return " ".join(sentences)


def _rows(forward: Sequence[Step], targets: Labels) -> dict[str, list[int]]:
    """Return, for each embedding matrix, the rows of the tokens in the text, and of the labels if it computes the scores."""
    rows: dict[str, set[int]] = {}
    for step in forward:
        for node in _embeddings(step.expression):
            rows.setdefault(node.arguments[1].name, set()).update(node.arguments[0].value.flatten().tolist())
    for step in forward:
        for node in operations(step.expression):
            if node.name == "linear" and isinstance(node.arguments[1], Leaf) and node.arguments[1].name in rows:
                labeled = targets["labels"].flatten().tolist()
                rows[node.arguments[1].name] |= {label for label in labeled if label >= 0}
    return {name: sorted(numbers) for name, numbers in rows.items()}


def _embeddings(node: object) -> Iterator[Operation]:
    return (each for each in operations(node) if each.name == "embedding" and isinstance(each.arguments[1], Leaf))
