"""Assignments for nbgrader: valid notebooks, in which the solution has all points and the stub has none."""

import json
import re
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient

from minibert.classroom.checking import check
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.teaching import notebook_points
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.nbgrader import source_notebook, write_assignments

pytestmark = pytest.mark.slow

COURSE = Course("Test", "a secret of the tests", (Assignment("softmax", 10.0), Assignment("encoder_layer", 7.5)))
KEYS = {"schema_version", "grade", "locked", "solution", "task", "grade_id", "points"}
SOLUTION = re.compile(r"( *)### BEGIN SOLUTION.*?### END SOLUTION", re.DOTALL)
HIDDEN = re.compile(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", re.DOTALL)


def notebook(name="softmax", course=COURSE):
    return source_notebook(course, course.assignment(name))


def sources(content):
    return ["".join(cell["source"]) for cell in content["cells"]]


def students_version(content):
    """Do what `nbgrader generate_assignment` does: replace solutions, and remove hidden tests."""
    changed = json.loads(json.dumps(content))
    for cell in changed["cells"]:
        text = SOLUTION.sub(r"\1# YOUR CODE HERE\n\1raise NotImplementedError()", "".join(cell["source"]))
        cell["source"] = HIDDEN.sub("", text)
    return changed


@pytest.mark.parametrize("name", ["softmax", "encoder_layer"])
def test_notebooks_are_valid_and_have_the_metadata_of_nbgrader(name):
    content = notebook(name)
    nbformat.validate(content)
    marked = [cell["metadata"]["nbgrader"] for cell in content["cells"] if "nbgrader" in cell["metadata"]]
    assert all(set(each) <= KEYS and each["schema_version"] == 3 for each in marked)
    assert all(re.fullmatch(r"[a-zA-Z0-9_\-]+", each["grade_id"]) for each in marked)
    assert [(each["solution"], each["grade"], each["locked"]) for each in marked] == [
        (False, False, True), (True, False, False), (False, True, True),
    ]  # fmt: skip
    assert marked[-1]["points"] == COURSE.assignment(name).points


def test_the_students_version_has_no_solution_and_no_key():
    text = json.dumps(students_version(notebook()))
    assert "exponentials" in json.dumps(notebook())
    assert "exponentials" not in text
    assert 'key = \\"\\"\\npoints(' in text
    assert COURSE.secret not in json.dumps(notebook())
    function = sources(students_version(notebook()))[2]
    scope = {}
    exec("import torch\nfrom torch import Tensor\n" + function, scope)
    assert check(scope["softmax"], EXERCISES["softmax"]).verdict == "not started"


@pytest.mark.parametrize("name", ["softmax", "causal_mask", "encoder_layer", "greedy_decoding", "lora"])
def test_the_solution_is_correct(name):
    course = replace(COURSE, assignments=(Assignment(name),))
    _, imports, function, _ = sources(notebook(name, course))
    scope = {}
    exec(f"{imports}\n{function}", scope)
    report = check(scope[name], EXERCISES[name])
    assert (report.passed, report.warnings) == (True, [])


def test_the_solution_has_all_points_and_the_stub_has_none():
    """In one kernel, with the students' test cell and with that of the teacher."""
    content, given = notebook(), students_version(notebook())
    content["cells"] += [given["cells"][2], given["cells"][3], *json.loads(json.dumps(content["cells"][3:]))]
    for number, cell in enumerate(content["cells"]):
        cell["id"] = f"cell-{number}"
    executed = nbformat.reads(json.dumps(content), as_version=4)
    NotebookClient(executed, timeout=300, kernel_name="python3").execute()
    outputs = [cell["outputs"] for cell in executed["cells"] if cell["source"].endswith(", key, 2)")]
    assert [each[-1]["data"]["text/plain"] for each in outputs] == ["10.0", "0.0", "0.0"]
    assert [each[-1]["output_type"] for each in outputs] == ["execute_result"] * 3
    assert outputs[0][0]["data"]["text/plain"] == "softmax: visible checks passed, 10 of 10 points"
    assert not any(output.get("name") == "stderr" for each in outputs for output in each)  # nbgrader would give no points


@pytest.mark.parametrize(("code", "points"), [
    ("def softmax(x):\n    e = x.exp()\n    return e / e.sum()", 1.0), ("from minibert.equations import softmax", 0.0),
    ("import os\nA = os._exit(0)\ndef softmax(x):\n    return A * x", 0.0), ("", 0.0), ("def softmax(x:", 0.0),
])  # fmt: skip
def test_other_functions_have_the_points_of_grading(code, points):
    cells = ["", "%matplotlib inline", code, 'points("softmax", 10.0, key, 2)']
    _, result, earned = notebook_points.grade_cells(cells, "softmax", 10.0, "a key", 2, None)
    assert earned == points
    assert "passed" not in result


def test_points_are_never_more_than_those_of_the_exercise():
    """nbgrader refuses such points."""
    code = "import torch\ndef softmax(x):\n    return torch.softmax(x, -1)"
    assert notebook_points.grade_cells([code], "softmax", 0.666, "", 0, None)[2] <= 0.666


def test_points_outside_of_a_notebook_say_what_to_do():
    with pytest.raises(RuntimeError, match="minibert check"):
        notebook_points.points("softmax", 10.0)


def test_own_exercises_are_tested_after_submission_only(tmp_path):
    own = tmp_path / "softmax.py"
    test = sources(notebook(course=replace(COURSE, files=(own,))))[3]
    given = sources(students_version(notebook(course=replace(COURSE, files=(own,)))))[3]
    assert f"load_exercise(Path({str(own)!r}))" in test
    assert given.strip().startswith("#")
    assert "load_exercise" not in given


def test_other_shares_of_the_points_are_in_the_test_cell():
    credit = {"shape": 0.25, "forward": 0.75, "gradient": 0.0, "edge cases": 0.0}
    assert str(credit) in sources(notebook(course=replace(COURSE, credit=credit)))[3]


def test_changed_files_are_kept(tmp_path):
    first = write_assignments(COURSE, tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in first.written) == [
        "nbgrader_config.py",
        "source/01_softmax/01_softmax.ipynb",
        "source/02_encoder_layer/02_encoder_layer.ipynb",
    ]
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    again = write_assignments(COURSE, tmp_path)
    assert (again.written, [path.name for path in again.kept]) == ([], ["nbgrader_config.py"])
