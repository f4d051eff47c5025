"""The cells of a notebook for nbgrader, and the files of a course."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.solution import solution
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.nbgrader import CONFIGURATION, LATER, source_notebook, write_assignments

COURSE = Course("Test", "a secret of the tests", (Assignment("softmax", 2.5), Assignment("gelu")))
USUAL = {"schema_version": 3, "grade": False, "locked": False, "solution": False, "task": False}
KEY = "59d0849d31287e90a1150daf3306b725"


def sources(course: Course = COURSE) -> list[str]:
    return ["".join(cell["source"]) for cell in source_notebook(course, course.assignments[0])["cells"]]


def test_the_cells_are_marked() -> None:
    """The task and the test cannot be changed; the function is the solution; the test has the points."""
    cells = source_notebook(COURSE, COURSE.assignments[0])["cells"]
    assert [cell["metadata"].get("nbgrader") for cell in cells] == [
        {**USUAL, "grade_id": "softmax-task", "locked": True},
        None,
        {**USUAL, "grade_id": "softmax-function", "solution": True},
        {**USUAL, "grade_id": "softmax-check", "locked": True, "grade": True, "points": 2.5},
    ]
    assert all(line.endswith("\n") for cell in cells for line in cell["source"][:-1])


def test_the_function_has_the_solution_inside() -> None:
    function = sources()[2]
    inner = "".join(f"    {line}".rstrip() + "\n" for line in solution(EXERCISES["softmax"]).strip().splitlines())
    assert function.startswith("def softmax(scores: Tensor) -> Tensor:\n")
    assert function.endswith(f"    ### BEGIN SOLUTION\n{inner}\n    return softmax(scores=scores)\n    ### END SOLUTION")
    assert "NotImplementedError" not in function


@pytest.mark.parametrize(
    ("course", "arguments"),
    [
        (COURSE, '"softmax", 2.5, key, 2'),
        (replace(COURSE, hidden_seeds=0, files=(Path("/gelu.py"),)), '"softmax", 2.5, key, 0'),
        (
            replace(COURSE, credit={"shape": 0.0, "forward": 1.0, "gradient": 0.0, "edge cases": 0.0}),
            "\"softmax\", 2.5, key, 2, {'shape': 0.0, 'forward': 1.0, 'gradient': 0.0, 'edge cases': 0.0}",
        ),
    ],
)
def test_the_key_of_the_hidden_inputs_is_hidden(course: Course, arguments: str) -> None:
    """It is the same for the same secret, and another one for each exercise."""
    assert sources(course)[3].splitlines() == [
        "from minibert.classroom.teaching.notebook_points import points",
        "",
        'key = ""',
        "### BEGIN HIDDEN TESTS",
        f'key = "{KEY}"',
        "### END HIDDEN TESTS",
        f"points({arguments})",
    ]
    other = "".join(source_notebook(course, course.assignments[1])["cells"][3]["source"])
    assert KEY not in other


def test_all_of_the_test_of_an_own_exercise_is_hidden() -> None:
    course = replace(COURSE, files=(Path("/b/softmax.py"), Path("/c/softmax.py")))
    assert sources(course)[3].splitlines() == [
        LATER,
        "### BEGIN HIDDEN TESTS",
        "from minibert.classroom.teaching.notebook_points import points",
        "from pathlib import Path",
        "from minibert.classroom.teaching.own_exercise import load_exercise",
        "load_exercise(Path('/b/softmax.py'))",
        f'key = "{KEY}"',
        'points("softmax", 2.5, key, 2)',
        "### END HIDDEN TESTS",
    ]


def test_the_files_of_a_course(tmp_path: Path) -> None:
    names = ["nbgrader_config.py", "source/01_softmax/01_softmax.ipynb", "source/02_gelu/02_gelu.ipynb"]
    assert write_assignments(COURSE, tmp_path).written == [tmp_path / name for name in names]
    assert (tmp_path / names[0]).read_text(encoding="utf-8") == CONFIGURATION
    text = (tmp_path / names[1]).read_text(encoding="utf-8")
    assert text == json.dumps(source_notebook(COURSE, COURSE.assignments[0]), indent=1, ensure_ascii=False) + "\n"
