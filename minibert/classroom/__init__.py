"""Exercises to write the functions of minibert again, a check that names the mistake, and a catalogue of typical mistakes.

In a notebook:

    from minibert.classroom import check

    check(softmax)    # a function of yours; displays what is wrong with it
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minibert.classroom.report import Report

__all__ = ["check"]


def check(function: Any, exercise: str | None = None) -> "Report":
    """Check a function of yours in this process. The report has `passed`, `mistake` and `message`, and displays itself.

    If no exercise has the name, the report lists similar names.

    Code that does not end, or that ends Python, ends this process too. `minibert check` has limits.

    Args:
        function: the function.
        exercise: name of the exercise, if the function has another name.
    """
    from minibert.classroom.file_check import check_own_function

    return check_own_function(function, exercise)
