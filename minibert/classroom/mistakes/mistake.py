"""A mistake: a small edit of the source of a correct function."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from minibert.study.equations.registry import docstring_fields


class Kind(StrEnum):
    """Kind of a variant."""

    BUG = "bug"
    """The result differs from the paper."""
    CONVENTION = "other convention"
    """The result differs, as in other code in use: correct there, wrong here."""
    UNSAFE = "unsafe numerics"
    """Equal in exact arithmetic; wrong, infinite or NaN in floating-point arithmetic."""
    EQUIVALENT = "equivalent"
    """The same result, computed in another way. No test may fail."""


Edits = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mistake:
    """A variant of a function: a mistake, or an equivalent form."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    """The correct function."""
    edits: Edits
    """Pairs of a piece of its source, which must occur exactly once, and the replacement."""
    description: str
    """The change, in one sentence."""
    consequence: str
    """The effect of the change."""
    seen_in: str
    """Code or people known for this variant."""
    kind: Kind = Kind.BUG
    message: str = ""
    """The mistake in one or two sentences for the learner who made it, such as "You left out √d_k."."""

    @property
    def tests(self) -> list[str]:
        """Pytest ids of the tests of the correct function, from the line `Tests:` of its docstring or of its class's docstring.

        Raises: ValueError if neither docstring has such a line.
        """
        owner = getattr(inspect.getmodule(self.function), self.function.__qualname__.partition(".")[0])
        for documented in (self.function, owner):
            if "Tests" in (fields := docstring_fields(inspect.getdoc(documented) or "")):
                return [test.strip() for test in fields["Tests"].split(",")]
        raise ValueError(
            f"{self.function.__qualname__}: its docstring and its class's docstring have no line 'Tests:'; add one"
        )
