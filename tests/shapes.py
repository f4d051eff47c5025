"""The checks of annotations in tests: shapes by jaxtyping, all other types by beartype alone, which is much faster."""

import sys
from functools import wraps
from inspect import isfunction
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, install_import_hook

check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
"""The type checker: beartype, with an int accepted for a float as in PEP 484."""
jaxtyped = jaxtyping.jaxtyped
__name__ = "jaxtyping.shapes"  # minibert leaves out the frames of jaxtyping where it names the caller of a function
sys.modules[__name__] = sys.modules["tests.shapes"]  # torch.compile imports the module of a frame


def install() -> None:
    """Check the annotations of minibert from its import on."""
    jaxtyping.jaxtyped = checked  # what the import hook calls for every function and class
    install_import_hook("minibert", "tests.shapes.check")


def checked(*arguments: Any, **options: Any) -> Any:
    """Return a decorator that checks the annotations of a function, or of a dataclass. Other uses are those of jaxtyping."""
    if arguments:
        return jaxtyped(*arguments, **options)

    def decorate(function: Any) -> Any:
        if isfunction(function) and "return" not in function.__annotations__:
            return function  # a kernel, which Triton compiles from its source
        if not isfunction(function) or any(map(has_shape, function.__annotations__.values())):
            return jaxtyped(**options)(function)
        with_checks = check(function)

        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return (function if jaxtyping.config.jaxtyping_disable else with_checks)(*args, **kwargs)

        return wrapped

    return decorate


def has_shape(annotation: Any) -> bool:
    """Return True for an annotation such as `Float[Tensor, "rows columns"]`, alone or within another one."""
    if isinstance(annotation, str):  # not evaluated yet
        return True
    if isinstance(annotation, list):
        return any(map(has_shape, annotation))
    is_array = isinstance(annotation, type) and issubclass(annotation, AbstractArray)
    return is_array or any(map(has_shape, get_args(annotation)))
