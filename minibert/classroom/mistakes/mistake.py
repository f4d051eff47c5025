"""A mistake is a small edit of a right function: what the learner reads is what the tests run."""

import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from minibert.study.equations.registry import docstring_fields, without_docstring


class Kind(StrEnum):
    """What a variant is."""

    BUG = "bug"
    """It computes something else than the paper says."""
    CONVENTION = "other convention"
    """It computes something else, and so do codes that are in use: right there, wrong here."""
    UNSAFE = "unsafe numerics"
    """The same in exact arithmetic; wrong, infinite or NaN in the numbers that computers have."""
    EQUIVALENT = "equivalent"
    """The same, written otherwise: no test may object."""


Edits = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mistake:
    """One way to write a function wrong (or otherwise)."""

    name: str
    function: Callable[..., Any]
    """The right one."""
    edits: Edits
    """Pieces of its source, each there exactly once, and what stands in their place."""
    description: str
    """What is done, in a sentence."""
    consequence: str
    """Why it matters, or why it does not."""
    seen_in: str
    """Who wrote it so, or where learners do."""
    kind: Kind = Kind.BUG

    @property
    def tests(self) -> list[str]:
        """What to give to pytest to run the tests of the right function: the line `Tests:` of its docstring, or its class's."""
        owner = getattr(inspect.getmodule(self.function), self.function.__qualname__.partition(".")[0])
        for documented in (self.function, owner):
            if "Tests" in (fields := docstring_fields(inspect.getdoc(documented) or "")):
                return [test.strip() for test in fields["Tests"].split(",")]
        raise ValueError(f"{self.function.__qualname__}: neither its docstring nor its class's has a line 'Tests:'")


def source_with(*mistakes: Mistake) -> str:
    """The source of a function, without docstring, with one or several mistakes in it.

    Raises: ValueError if they are not of the same function, or stand in each other's way.
    """
    if not mistakes:
        raise ValueError("give at least one mistake")
    (function, *others) = {inspect.unwrap(mistake.function) for mistake in mistakes}
    if others:
        raise ValueError(f"not of one function: {', '.join(mistake.name for mistake in mistakes)}")
    source = without_docstring(textwrap.dedent(inspect.getsource(function)))
    for mistake in mistakes:
        for right, wrong in mistake.edits:
            if source.count(right) != 1:
                raise ValueError(
                    f"{mistake.name}: {right!r} is there {source.count(right)} times, not once; is another edit there?"
                )
            source = source.replace(right, wrong)
    return source


def variant(*mistakes: Mistake) -> Callable[..., Any]:
    """The function with the mistakes in it; all else that it calls is right. Raises: ValueError as `source_with` does."""
    function = inspect.unwrap(mistakes[0].function)
    return compiled(function, source_with(*mistakes))


def compiled(function: Callable[..., Any], source: str) -> Callable[..., Any]:
    """Another body for `function`, which sees what `function` sees."""
    scope = dict(vars(sys.modules[function.__module__]))
    exec(compile(source, f"<{function.__qualname__}, edited>", "exec"), scope)
    made: Callable[..., Any] = scope[function.__name__]
    return made
