"""Lessons: each runs, the numbers in its text are computed, and the code that it shows is that of minibert."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import minibert
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.lesson_files import Lesson, lessons, notebook
from minibert.study.equations.registry import registry

LESSONS = {lesson.name: lesson for lesson in lessons()}
SECONDS = 120
"""Time limit of a lesson on a busy machine. Alone, it takes at most a minute on two cores."""
RUN_AS_NOTEBOOK = ("01",)
"""Lessons that every run of the tests also runs as notebooks."""
SMALL = 20
"""Whole numbers up to this one are words: three heads, lesson 10."""
YEARS = range(1900, 2100)
NUMBER = re.compile(r"(?<![\w.,^{])\d[\d,]*(?:\.\d+)?(?![\w^])")
NOT_COMPUTED = re.compile(
    r"\$\$.*?\$\$|\$[^$]+\$|`[^`]+`|\]\([^)]*\)|<[^>]+>|(?:sections?|equations?|footnotes?|lessons?) [\d.]+", re.DOTALL
)
"""Parts of a text whose numbers are not results: formulas, code, addresses, tags, and places in a paper."""


def cells(lesson: Lesson, kind: str) -> list[str]:
    pytest.importorskip("jupytext", reason="jupytext is not installed (pip install minibert[lessons])")
    return [cell.source for cell in notebook(lesson).cells if cell.cell_type == kind]


def numbers(text: str) -> set[str]:
    return {match.replace(",", "") for match in NUMBER.findall(text)}


def computed(number: str, output: set[str]) -> bool:
    """Return True if a number was printed, or is one of the printed numbers, rounded."""
    digits = len(number.partition(".")[2])
    return number in output or any(f"{float(other):.{digits}f}" == number for other in output)


@cache
def output_of(name: str) -> str:
    command = [sys.executable, str(LESSONS[name].path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


every_lesson = pytest.mark.parametrize("name", LESSONS)


@pytest.mark.slow
@every_lesson
def test_a_lesson_runs_and_the_numbers_in_its_text_are_printed_or_in_its_code(name: str) -> None:
    printed = numbers(output_of(name)) | numbers("\n".join(cells(LESSONS[name], "code")))
    for text in cells(LESSONS[name], "markdown"):
        for number in numbers(NOT_COMPUTED.sub(" ", text)):
            if "." not in number and (int(number) <= SMALL or int(number) in YEARS):
                continue
            assert computed(number, printed), f"{number} is not computed: {text}"


@every_lesson
def test_the_code_of_minibert_is_not_copied(name: str) -> None:
    defined = re.findall(r"^ *(?:def|class) (\w+)", LESSONS[name].source, re.MULTILINE)
    assert not {*defined} & {*registry(), *minibert.__all__}
    assert "# ```python" not in LESSONS[name].source


@every_lesson
def test_a_lesson_has_all_its_parts(name: str) -> None:
    lesson = LESSONS[name]
    assert lesson.question.endswith("?")
    assert 2 <= len(lesson.exercises) <= 5
    assert {*lesson.exercises} <= {*EXERCISES}
    for part in ("show_code(", "show_figure(", 'tags=["prediction"]', "**Change it.**", "## Further reading", "assert"):
        assert part in lesson.source, part


@every_lesson
def test_a_notebook_has_stubs_and_checks_and_is_always_the_same(name: str) -> None:
    text = "\n".join(cells(LESSONS[name], "code"))
    assert '\nexercise("' not in text
    for exercise in LESSONS[name].exercises:
        assert f"check({exercise})" in text
    assert text.count("raise NotImplementedError") == len(LESSONS[name].exercises)
    assert json.dumps(notebook(LESSONS[name])) == json.dumps(notebook(LESSONS[name]))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name[:2] in RUN_AS_NOTEBOOK else pytest.mark.slow) for name in LESSONS]
)
def test_a_students_notebook_runs_and_its_checks_find_empty_stubs(name: str, tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed (pip install minibert[lessons])")
    document = notebook(LESSONS[name])
    nbclient.NotebookClient(document, timeout=SECONDS, resources={"metadata": {"path": str(tmp_path)}}).execute()
    checks = [cell for cell in document.cells if cell.source.startswith("from minibert.classroom import check")]
    assert len(checks) == len(LESSONS[name].exercises)
    for cell in checks:
        assert "empty stub" in json.dumps(cell.outputs)


@pytest.mark.parametrize("name", registry())
def test_every_equation_has_a_lesson_that_computes_it(name: str) -> None:
    """Its docstring names the lesson, and the lesson computes it, shows its code or has its exercise."""
    files = registry()[name].lesson.split(", ")
    sources = [lesson.source for lesson in LESSONS.values() if f"lessons/{lesson.path.name}" in files]
    assert len(sources) == len(files)
    for source in sources:
        assert re.search(rf"equations\.{name}\b|exercise\(\"{name}\"\)|import .*\b{name}\b", source)


def test_no_two_lessons_have_the_same_number() -> None:
    assert [lesson.number for lesson in LESSONS.values()] == sorted({lesson.number for lesson in LESSONS.values()})


@every_lesson
def test_a_lesson_folds_the_code_of_its_own_exercises_only(name: str) -> None:
    names = {inspect.unwrap(exercise.reference).__qualname__: exercise.name for exercise in EXERCISES.values()}
    for call in ast.walk(ast.parse(LESSONS[name].source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "show_code":
            folded = "folded=False" not in ast.unparse(call)
            shown = [names.get(ast.unparse(function).removeprefix("equations.")) for function in call.args]
            for exercise in filter(None, shown):
                assert folded == (exercise in LESSONS[name].exercises), exercise
