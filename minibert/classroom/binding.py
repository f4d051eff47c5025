"""A call with the parameters of the reference, of a function whose parameters may have other names or another order."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from minibert.classroom.results import Unusable

REQUIRED = inspect.Parameter.empty
"""The default of a parameter that has none."""


def call(function: Callable[..., Any], arguments: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Call a function with arguments whose names are those of the reference.

    Parameters with the same name get their argument by name, in any order. The others are paired in order. An argument
    with the default value of the reference may be missing in the function.

    Args:
        defaults: all parameters of the reference, in order, with their default values or `REQUIRED`.

    Raises: Unusable for an argument that the function has no parameter for, and all that the function raises.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions of C extensions have no signature
        return function(*arguments.values())
    own = paired(signature, defaults)
    given: dict[str, Any] = {own[name]: value for name, value in arguments.items() if name in own}
    rest = {name: value for name, value in arguments.items() if name not in own and not _is_default(value, defaults[name])}
    kinds = {parameter.kind: name for name, parameter in signature.parameters.items()}
    if rest and inspect.Parameter.VAR_KEYWORD in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        given[kinds[inspect.Parameter.VAR_KEYWORD]] = rest
    elif rest and inspect.Parameter.VAR_POSITIONAL in kinds:
        unnamed = [name for name in defaults if name not in own]
        count = max(number for number, name in enumerate(unnamed, start=1) if name in rest)
        given[kinds[inspect.Parameter.VAR_POSITIONAL]] = tuple(arguments.get(name, defaults[name]) for name in unnamed[:count])
    elif rest:
        has = ", ".join(signature.parameters) or "none"
        raise Unusable(f"the function has no parameter for {', '.join(rest)}; its parameters: {has}")
    bound = inspect.BoundArguments(signature, {name: given[name] for name in signature.parameters if name in given})
    return function(*bound.args, **bound.kwargs)


def paired(signature: inspect.Signature, defaults: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameter of the function for each parameter of the reference that has one."""
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    own = [name for name, parameter in signature.parameters.items() if parameter.kind not in variable]
    others = [name for name in own if name not in defaults]
    unpaired = [name for name in defaults if name not in own]
    return {name: name for name in defaults if name in own} | dict(zip(unpaired, others, strict=False))


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (
        isinstance(value, bool | int | float | str) and type(value) is type(default) and value == default
    )
