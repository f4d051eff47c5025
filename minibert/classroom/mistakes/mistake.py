"""A mistake: a small edit of the source of a correct function."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minibert.study.equations.registry import docstring_fields, without_docstring


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
    function: Callable[..., Any]
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


def source_with(*mistakes: Mistake) -> str:
    """Return the source of a function, without its docstring, with one or several mistakes in it.

    Raises: ValueError if no mistake is given, if the mistakes belong to different functions, or if one cannot be applied
        after the others.
    """
    if not mistakes:
        raise ValueError("give at least one mistake")
    (function, *others) = {inspect.unwrap(mistake.function) for mistake in mistakes}
    if others:
        raise ValueError(f"the mistakes belong to different functions: {', '.join(mistake.name for mistake in mistakes)}")
    source = without_docstring(textwrap.dedent(inspect.getsource(function)))
    for mistake in mistakes:
        for right, wrong in mistake.edits:
            if source.count(right) != 1:
                raise ValueError(
                    f"{mistake.name}: {right!r} occurs {source.count(right)} times in the source, not once; "
                    "another mistake may have changed it"
                )
            source = source.replace(right, wrong)
    return source


def variant(*mistakes: Mistake) -> Callable[..., Any]:
    """Return the function with the mistakes in it. The functions that it calls stay correct.

    Raises: ValueError as `source_with` does.
    """
    function = inspect.unwrap(mistakes[0].function)
    return compiled(function, source_with(*mistakes))


def compiled(function: Callable[..., Any], source: str) -> Callable[..., Any]:
    """Compile `source` as a replacement of `function`, in the module namespace of `function`."""
    scope = dict(vars(sys.modules[function.__module__]))
    exec(compile(source, f"<{function.__qualname__}, edited>", "exec"), scope)
    replacement: Callable[..., Any] = scope[function.__name__]
    return replacement
