"""A step of a forward pass, and the list of all steps."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from minibert.display import Shown
from minibert.observe import Recording, similar_paths
from minibert.printable import printable
from minibert.trace import Leaf, Node, leaves

MAX_TITLE = 100
"""Maximum number of characters of the text in the summary of a walk."""


def layer_of(path: str) -> int | None:
    """Return the number of the layer of a step; None outside of the layers."""
    numbers = [int(part) for part in path.split(".") if part.isdigit()]
    return numbers[0] if numbers else None


@dataclass(frozen=True)
class Axis:
    """One axis of the output of a step."""

    name: str
    """Such as "queries"; see the legend in `minibert/__init__.py`."""
    size: int
    labels: tuple[str, ...] | None = field(default=None, repr=False)
    """The token, class or piece of each entry; None for entries that have only a number."""


@dataclass(frozen=True, eq=False, repr=False)
class Step(Shown):
    """One step: a recorded tensor, its formula, and the tensors that it was computed from."""

    path: str
    """Such as "layers.0.attention.scores"."""
    output: Tensor
    axes: tuple[Axis, ...]
    formula: str = ""
    """LaTeX, such as "S = \\frac{P}{\\sqrt{d_k}}"; empty if no docstring has one."""
    symbol: str = ""
    """The left side of the formula: the name of the step in the formulas of other steps."""
    explanation: str = ""
    """One sentence or two."""
    expression: Node | None = None
    """The operations from the inputs to the output; None for a step that is not computed with tensors."""
    equation: str | None = None
    """The equation (`minibert equations NAME`) that computed the output, if one did."""
    code: str = ""
    """File and line of the step in the code."""
    aliases: tuple[str, ...] = ()
    """Other paths of the same tensor."""

    def _text(self) -> str:
        from minibert.study.stepthrough.representation import step_text

        return step_text(self)

    def _repr_html_(self) -> str:
        from minibert.study.stepthrough.representation import step_html

        return step_html(self)

    @property
    def summary(self) -> str:
        """The path, the formula and the axes in one line."""
        from minibert.study.stepthrough.representation import step_line

        return step_line(self)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def layer(self) -> int | None:
        """The number of the layer; None outside of the layers."""
        return layer_of(self.path)

    @property
    def inputs(self) -> tuple[Leaf, ...]:
        """The steps, parameters, inputs of the model and constants that the output was computed from."""
        return () if self.expression is None else tuple(leaves(self.expression))


@dataclass(frozen=True, eq=False, repr=False)
class TextStep(Step):
    """A step from text to token ids. Each entry of `entries` belongs to the entry of `output` at the same place."""

    entries: tuple[str, ...] = ()
    """The characters, or the pieces."""
    sources: tuple[tuple[int, int], ...] | None = None
    """For each entry, the range of entries of the step before that it was made from; None for the first step."""


@dataclass(frozen=True)
class Failure:
    """The error that ended a forward pass."""

    path: str
    """Path of the module that failed, such as "layers.0.attention"."""
    error: str
    """Type and message of the exception."""
    code: str
    """File and line of the user's code."""
    line: str
    """The text of that line."""
    operation: str = ""
    """Name of the operation that raised the exception, or that gave the first NaN; empty if none did."""
    arguments: tuple[str, ...] = ()
    """Its arguments with their shapes, such as "query (1, 2, 9, 64)"."""

    def __str__(self) -> str:
        shapes = f"\n{self.operation}: {', '.join(self.arguments)}" if self.operation else ""
        return f"The forward pass failed in {self.path or 'the model'}, at {self.code}: {self.line}{shapes}\n{self.error}"


@dataclass(frozen=True, eq=False, repr=False)
class Walk(Shown, Mapping[str, Step]):
    """All steps of a forward pass, in order, by path. A notebook shows their page."""

    title: str
    """The text, and what was run on it."""
    steps: tuple[Step, ...]
    recording: Recording
    failure: Failure | None = None
    """The error that ended the forward pass after the last step, if it failed."""

    @property
    def summary(self) -> str:
        """The text and the number of steps."""
        text = self.title if len(self.title) <= MAX_TITLE else f"{self.title[:MAX_TITLE]}…"
        end = "" if self.failure is None else f", then the forward pass failed in {self.failure.path or 'the model'}"
        return printable(f"Walk of {text!r}: {len(self)} steps{end}")

    def _text(self) -> str:
        from minibert.study.stepthrough.notebook import walk_text

        return walk_text(self)

    def _repr_html_(self) -> str:
        from minibert.study.stepthrough.notebook import walk_html

        return walk_html(self)

    def __getitem__(self, path: str) -> Step:
        """Return a step. Raises: KeyError that lists similar paths, if there is none."""
        if path not in self._by_path:
            raise KeyError(f"there is no step {path!r}. Similar paths: {', '.join(similar_paths(path, [*self._by_path]))}")
        return self._by_path[path]

    def __contains__(self, path: object) -> bool:
        return path in self._by_path

    def __iter__(self) -> Iterator[str]:
        return (step.path for step in self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def _by_path(self) -> dict[str, Step]:
        return {path: step for step in self.steps for path in (step.path, *step.aliases)}
