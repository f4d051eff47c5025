"""Variants of functions: their source with mistakes in it, compiled."""

import __future__

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from types import CodeType
from typing import Any

from minibert.classroom.mistakes.catalogue import MISTAKES
from minibert.classroom.mistakes.mistake import Mistake
from minibert.study.equations.registry import without_docstring


def source_with(*mistakes: Mistake | str) -> str:
    """Return the source of a function, without its docstring, with one or several mistakes in it.

    Args:
        mistakes: mistakes of the catalogue or their names, or mistakes of your own.

    Raises: KeyError that lists similar names, for a name that is not in the catalogue; ValueError if no mistake is given, if
        the mistakes belong to different functions, or if one cannot be applied after the others.
    """
    if not mistakes:
        raise ValueError("give at least one mistake")
    function, *others = {inspect.unwrap(mistake.function) for mistake in _entries(mistakes)}
    if others:
        names = ", ".join(mistake.name for mistake in _entries(mistakes))
        raise ValueError(f"the mistakes belong to different functions: {names}")
    source = source_of(function)
    for mistake in _entries(mistakes):
        for right, wrong in mistake.edits:
            if source.count(right) != 1:
                raise ValueError(
                    f"{mistake.name}: {right!r} occurs {source.count(right)} times in the source, not once; "
                    "another mistake may have changed it"
                )
            source = source.replace(right, wrong)
    return source


@cache
def source_of(function: Callable[..., Any]) -> str:
    """Return the source of a function without its docstring."""
    return without_docstring(textwrap.dedent(inspect.getsource(function)))


def variant(*mistakes: Mistake | str) -> Callable[..., Any]:
    """Return the function with the mistakes in it. The functions that it calls stay correct.

    The arguments and errors are those of `source_with`.

    >>> attention = variant("no scale")
    >>> attention(torch.ones(1, 4), torch.tensor([[math.log(3.0)] * 4, [0.0] * 4]), torch.tensor([[82.0], [0.0]]))
    tensor([[81.]])
    """
    source = source_with(*mistakes)
    return compiled(inspect.unwrap(_entries(mistakes)[0].function), source)


def variant_of(function: Callable[..., Any], *mistakes: Mistake) -> Callable[..., Any]:
    """Return `function` with mistakes in it, or in the functions that it calls, such as attention with another softmax.

    A function that is called by a called function may have the mistake too.

    Raises: ValueError as in `source_with`, and for a mistake in a function that is never called.
    """
    correct = inspect.unwrap(function)
    own = [mistake for mistake in mistakes if inspect.unwrap(mistake.function) is correct]
    elsewhere = [mistake for mistake in mistakes if mistake not in own]
    replaced = {}
    for callee in _callees(correct):
        inside = {inspect.unwrap(callee), *called_functions(callee)}
        if concerned := [mistake for mistake in elsewhere if inspect.unwrap(mistake.function) in inside]:
            replaced[callee.__name__] = variant_of(callee, *concerned)
    if unused := [m.name for m in elsewhere if inspect.unwrap(m.function) not in called_functions(correct)]:
        raise ValueError(f"{correct.__qualname__} does not call the function of the mistake {unused[0]!r}")
    source = source_with(*own) if own else source_of(correct)
    return compiled(correct, source, replaced)


@cache
def called_functions(function: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return the functions of minibert that a function calls by name, and those that they call, without their decorators."""
    found: list[Callable[..., Any]] = []
    waiting = [inspect.unwrap(function)]
    while waiting:
        for callee in map(inspect.unwrap, _callees(waiting.pop())):
            if callee not in found:
                found.append(callee)
                waiting.append(callee)
    return tuple(found)


@cache
def _callees(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    module = vars(sys.modules[function.__module__])
    named = [module.get(name) for name in function.__code__.co_names]
    return [f for f in named if inspect.isfunction(f) and f.__module__.startswith("minibert.") and f is not function]


def compiled(function: Callable[..., Any], source: str, replaced: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """Compile `source` as a replacement of `function`, in the module namespace of `function`.

    Args:
        replaced: names of that namespace with another meaning, such as a function with a mistake that `function` calls.
    """
    scope = {**vars(sys.modules[function.__module__]), **(replaced or {})}
    exec(_code(source, f"<{function.__qualname__}, edited>"), scope)
    replacement: Callable[..., Any] = scope[function.__name__]
    return replacement


@lru_cache(1000)
def _code(source: str, name: str) -> CodeType:
    """Return compiled source. Annotations are not evaluated, which would take longer than most calls."""
    code: CodeType = compile(source, name, "exec", __future__.annotations.compiler_flag)
    return code


def _entries(mistakes: Iterable[Mistake | str]) -> list[Mistake]:
    return [MISTAKES[mistake] if isinstance(mistake, str) else mistake for mistake in mistakes]
