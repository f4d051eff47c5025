"""Formula, axes and explanation of a step, from the docstring of the function that observes it."""

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minibert.equations import scaled_dot_product_attention
from minibert.study.equations.registry import docstring_fields
from minibert.trace import Origin

ENTRY = r"([\w.]+) \(([\w* ]*)\): \$\$(.+?)\$\$ ?"
"""One entry of the field `Steps:`: name, axes and formula, which the explanation follows."""


@dataclass(frozen=True)
class StepText:
    """An entry of the field `Steps:` of a docstring."""

    formula: str
    """LaTeX without the dollar signs, such as "S = P / \\sqrt{d_k}"."""
    axes: tuple[str, ...]
    """Names of the axes. `*batch` stands for any number of axes."""
    explanation: str
    """One sentence or two."""

    @property
    def symbol(self) -> str:
        """The left side of the formula."""
        return re.split(r"\s=\s", self.formula, maxsplit=1)[0].removesuffix("_{ij}")


def documented_step(origin: Origin, path: str) -> StepText | None:
    """Return the documentation of a step; None if no docstring describes it, as in a function of a user.

    Args:
        path: path of the step, which ends with the name that was given to `observe`.
    """
    for documented in _documented(origin):
        entries = documented_steps(documented)
        for name, text in entries.items():
            if path == name or path.endswith(f".{name}"):
                return text
    return None


@functools.cache
def documented_steps(documented: Any) -> dict[str, StepText]:
    """Return the entries of the field `Steps:` of a function or class, by the name of the step."""
    field = docstring_fields(inspect.getdoc(documented) or "").get("Steps", "")
    parts = re.split(ENTRY, field)[1:]
    rows = zip(parts[0::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
    return {name: StepText(formula, tuple(axes.split()), text.strip()) for name, axes, formula, text in rows}


def _documented(origin: Origin) -> Iterator[Any]:
    """Yield the function that observed a step, then its class and the classes that this one is derived from.

    A user's own attention function has the steps of the equation.
    """
    found: Any = sys.modules.get(origin.module)
    for name in origin.function.split("."):
        found = getattr(found, name, None)
        if inspect.isclass(found):
            yield from (each for each in found.__mro__ if each.__module__ != "builtins")
    if found is not None:
        yield inspect.unwrap(found)
    if not origin.module.startswith("minibert."):
        yield inspect.unwrap(scaled_dot_product_attention)
