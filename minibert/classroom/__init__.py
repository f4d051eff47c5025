"""Exercises to write the functions of minibert again, a check that names the mistake, and a catalogue of typical mistakes.

In a notebook:

    from minibert.classroom import check

    check(softmax)    # a function of yours; displays what is wrong with it
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minibert.classroom.report import Report

__all__ = ["check"]


def check(function: Callable[..., Any], exercise: str | None = None) -> "Report":
    """Check a function of yours in this process. The report has `passed`, `mistake` and `message`, and displays itself.

    Code that does not end, or that ends Python, ends this process too. `minibert check` has limits.

    Args:
        function: the function.
        exercise: name of the exercise, if the function has another name.

    Raises: ValueError that lists similar names if there is no such exercise, TypeError if `function` is not a function.
    """
    from minibert.classroom.file_check import check_own_function

    return check_own_function(function, exercise)
