"""The points of an exercise in a test cell of nbgrader: `points` is the last expression of the cell.

The functions are read from the cells that were executed, and run in a sandbox: what a notebook does to its own process, such as
replacing functions of minibert, does not change what its functions compute.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minibert.classroom.teaching.grading import Graded


def points(name: str, most: float, key: str = "", hidden: int = 0, credit: Mapping[str, float] | None = None) -> float:
    """Check the function of this notebook, display what is wrong with it, and return its points.

    Args:
        name: name of the exercise, which is that of the function.
        most: points for a correct function.
        key: key of the hidden inputs; without it, only the visible inputs are used.
        hidden: number of hidden inputs of each kind.
        credit: share of the points for each part; None for the usual ones.

    Raises: RuntimeError outside of a notebook.
    """
    with contextlib.redirect_stderr(io.StringIO()):  # nbgrader gives no points to a cell that writes a warning
        from IPython import get_ipython
        from IPython.display import display

        notebook = get_ipython()
        if notebook is None:
            raise RuntimeError("points is for test cells in a notebook; `minibert check` checks a file")
        graded, result, earned = grade_cells(notebook.history_manager.input_hist_raw, name, most, key, hidden, credit)
    points_text = f"{name}: {result}, {earned:g} of {most:g} points"
    display({"text/plain": points_text}, raw=True)  # type: ignore[no-untyped-call]
    if graded.report and not graded.report.passed:
        display(graded.report)  # type: ignore[no-untyped-call]
    return earned


def grade_cells(
    cells: Sequence[str], name: str, most: float, key: str, hidden: int, credit: Mapping[str, float] | None
) -> "tuple[Graded, str, float]":
    """Return the graded function of a notebook, the result in a few words, and the points."""
    import json
    import tempfile
    from pathlib import Path

    from minibert.classroom.teaching.course import DEFAULT_CREDIT, Assignment, Course
    from minibert.classroom.teaching.feedback import result_of
    from minibert.classroom.teaching.grading import grade_submission
    from minibert.classroom.teaching.submissions import read_submission

    course = Course("", key, (Assignment(name, most),), hidden, credit or DEFAULT_CREDIT)
    visible = Course("", key, course.assignments, 0, course.credit)
    with tempfile.TemporaryDirectory() as folder:
        content = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
        (Path(folder) / f"{name}.ipynb").write_text(json.dumps(content), encoding="utf-8")
        [graded] = grade_submission(course if key else visible, read_submission(Path(folder), ""))
    return graded, result_of(course, graded), min(graded.points(course), most)
