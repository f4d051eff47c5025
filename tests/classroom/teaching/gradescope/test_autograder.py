"""The autograder of Gradescope: the zip as it is unpacked there, and its results."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from datetime import date

import pytest

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.solution import solution
from minibert.classroom.stubs import stub
from minibert.classroom.teaching.course import Assignment, Course
from minibert.classroom.teaching.gradescope import grade as grading
from minibert.classroom.teaching.gradescope.package import SCRIPTS, requirements, write_autograder

pytestmark = pytest.mark.slow

COURSE = Course("Test", "a secret of the tests", (Assignment("softmax", 10.0, date(2000, 1, 1)), Assignment("relu", 5.0)))
RIGHT = {name: solution(EXERCISES[name]) for name in ("softmax", "relu")}
WRONG = "import torch\n\ndef softmax(scores):\n    return torch.exp(scores) / torch.exp(scores).sum()\n"
HOSTILE = """import os

def attack():
    for name in ("results/results.json", "../results/results.json", "../../results/results.json"):
        try:
            open(name, "w").write('{"score": 100}')
        except OSError:
            pass
    os._exit(0)

FACTOR = attack()

def softmax(scores):
    return FACTOR * scores
"""
SUBMISSIONS = {
    "right": {"all.py": "\n\n".join(RIGHT.values())},
    "wrong": {"all.py": WRONG},
    "hostile": {"softmax.py": HOSTILE, "torch.py": HOSTILE, "minibert.py": HOSTILE},
    "empty": {},
    "stub": {"softmax.py": stub(EXERCISES["softmax"])},
    "missing": None,
}
SCORES = {"right": 15.0, "wrong": 1.0, "hostile": 0.0, "empty": 0.0, "stub": 0.0, "missing": 0.0}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The unpacked zip."""
    folder = tmp_path_factory.mktemp("autograder")
    write_autograder(COURSE, folder / "a.zip")
    with zipfile.ZipFile(folder / "a.zip") as archive:
        archive.extractall(folder / "source")
        modes = {each.filename: each.external_attr >> 16 & 0o777 for each in archive.infolist()}
    assert {name for name, mode in modes.items() if mode & 0o111} == set(SCRIPTS)
    return folder / "source"


def submit(folder, kind):
    """Write a submission."""
    if SUBMISSIONS[kind] is not None:
        folder.mkdir(parents=True)
        for name, text in SUBMISSIONS[kind].items():
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def start(source, root, cwd=None, **environment):
    """Start the script as Gradescope does, with all folders in `root`."""
    paths = {"AUTOGRADER_ROOT": str(root), "AUTOGRADER_SOURCE": str(source), "AUTOGRADER_PYTHON": sys.executable}
    return subprocess.Popen(
        ["bash", str(source / "run_autograder")], cwd=cwd, env={**os.environ, **paths, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def results(root):
    return json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))


def fake_python(folder, text):
    path = folder / "python"
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("kind", SUBMISSIONS)
def test_each_kind_of_submission_has_its_points(tmp_path, kind):
    found = grading.grade(COURSE, submit(tmp_path / "submission", kind), "ann@example.org")
    assert found["score"] == SCORES[kind]
    assert [each["max_score"] for each in found["tests"]] == [10.0, 5.0]
    assert sum(each["score"] for each in found["tests"]) == found["score"]
    assert (grading.NOTHING in found["output"]) == (kind in ("empty", "missing"))
    assert "all passed" not in json.dumps(found)


def test_the_script_grades_a_hostile_submission_from_its_own_folder(source, tmp_path):
    """Files named torch.py and minibert.py there are not imported, and what the code writes is no result."""
    submission = submit(tmp_path / "submission", "hostile")
    (submission / "good.py").write_text(RIGHT["relu"], encoding="utf-8")
    process = start(source, tmp_path, cwd=submission)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    found = results(tmp_path)
    assert [each["score"] for each in found["tests"]] == [0.0, 5.0], output
    assert found["execution_time"] > 0


@pytest.mark.parametrize("kind", SUBMISSIONS)
def test_the_script_grades_each_kind_of_submission(source, tmp_path, kind):
    submit(tmp_path / "submission", kind)
    process = start(source, tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert results(tmp_path)["score"] == SCORES[kind], output


@pytest.mark.parametrize("code", ["exit 3", "kill -9 $$", "sleep 60"])
def test_there_are_results_if_grading_crashes_or_does_not_end(source, tmp_path, code):
    submit(tmp_path / "submission", "right")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text('{"score": 100}', encoding="utf-8")
    process = start(source, tmp_path, AUTOGRADER_PYTHON=fake_python(tmp_path, code), AUTOGRADER_SECONDS="0.5")
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert results(tmp_path)["score"] == 0
    assert "could not grade" in results(tmp_path)["output"]


def test_a_crash_discards_what_was_written_before_it(source, tmp_path):
    code = f"""echo '{{"score": 100}}' > {tmp_path}/results/results.json; exit 1"""
    start(source, tmp_path, AUTOGRADER_PYTHON=fake_python(tmp_path, code)).communicate(timeout=60)
    assert results(tmp_path)["score"] == 0


def test_there_are_results_without_python_or_if_the_script_itself_is_ended(source, tmp_path):
    start(source, tmp_path, AUTOGRADER_PYTHON="/no/python").communicate(timeout=60)
    assert results(tmp_path)["score"] == 0
    (tmp_path / "results" / "results.json").unlink()
    process = start(source, tmp_path, AUTOGRADER_PYTHON=fake_python(tmp_path, f"touch {tmp_path}/started; sleep 60"))
    while not (tmp_path / "started").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert results(tmp_path)["score"] == 0


def test_equal_courses_give_equal_zips(source, tmp_path):
    write_autograder(COURSE, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == (source.parent / "a.zip").read_bytes()


def test_the_requirements_are_those_of_minibert():
    names = {each.partition(">")[0] for each in requirements()}
    assert {"torch", "hypothesis", "tyro"} <= names
    assert "pytest" not in names
