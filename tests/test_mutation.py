"""The mutation test: its mutants, the functions that get their code, and what it says of tests that cannot fail."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutation import mutants
from benchmarks.mutation.judge import install
from benchmarks.mutation.mutants import Mutant, mutants_of
from benchmarks.mutation.report import REASONS, reasons, report

CODE = '''
def area(width, height, scale=2.0):
    """Return the area."""
    if width < 0:
        raise ValueError("negative 1")
    total = width * height
    for _ in range(3):
        total += scale
    with no_grad():
        return total.detach()


class Box:
    def inside(self, x):
        return x in self.parts and not self.closed
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file in an equations folder, of which all changes are mutants."""
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    (tmp_path / "minibert/equations").mkdir(parents=True)
    name = "minibert/equations/code.py"
    (tmp_path / name).write_text(CODE, encoding="utf-8")
    mutants.source_of.cache_clear()
    mutants._tree.cache_clear()
    mutants._dump.cache_clear()
    return name


def test_each_kind_of_mistake_is_made(file: str) -> None:
    changes = {mutant.words() for mutant in mutants_of(file, 0)}
    assert changes >= {
        "width < 0 → True",
        "width < 0 → (width <= 0)",
        "width * height → (width / height)",
        "width * height → width",
        "total += scale → pass",
        "no_grad() → __import__('contextlib').nullcontext()",
        "total.detach() → total",
        "x in self.parts → (x not in self.parts)",
        "not self.closed → self.closed",
    }
    assert any(change.startswith("3 → ") for change in changes)
    assert any(change.startswith("2.0 → ") for change in changes)
    assert not [change for change in changes if "negative" in change or "Return the area" in change]


def test_mutants_compile_differ_from_the_code_and_are_the_same_every_time(file: str) -> None:
    found = mutants_of(file, 0)
    assert found == mutants_of(file, 0)
    trees = {ast.dump(ast.parse(mutant.source())) for mutant in found}
    assert ast.dump(ast.parse(CODE)) not in trees
    assert len(found) == len(set(found))


def test_other_code_has_one_mutant_in_each_statement_and_another_seed_makes_others(file: str) -> None:
    other = Path(mutants.ROOT, "minibert/text")
    other.mkdir()
    (other / "code.py").write_text(CODE, encoding="utf-8")
    found = mutants_of("minibert/text/code.py", 0)
    assert len({mutant.line for mutant in found}) == len(found) == 8
    assert any(mutants_of("minibert/text/code.py", seed) != found for seed in range(1, 4))


def test_functions_that_exist_get_the_changed_code(file: str) -> None:
    names: dict[str, object] = {}
    exec(compile(CODE, mutants.ROOT / file, "exec"), names)
    area, kept = names["area"], names["area"]
    functions = {(file, "area"): [area]}
    by_words = {mutant.words(): mutant for mutant in mutants_of(file, 0)}
    names["no_grad"] = __import__("contextlib").nullcontext
    install(by_words["total.detach() → total"], functions)
    assert kept(3, 4) == 18
    other_default = next(mutant for mutant in by_words.values() if mutant.kind == "default")
    install(other_default, functions)
    assert kept.__defaults__ == (float(other_default.new.strip("()")),)
    with pytest.raises(AttributeError):  # the number has no `detach` again
        kept(3, 4)


def test_a_method_can_lose_the_call_of_its_base_class(file: str) -> None:
    """The new code has no name of the code around it, which a function cannot lose."""
    code = "class Box(list):\n    def __init__(self, x):\n        super().__init__([x])\n"
    (mutants.ROOT / file).write_text(code, encoding="utf-8")
    names: dict[str, type] = {}
    exec(compile(code, mutants.ROOT / file, "exec"), names)
    box = names["Box"]
    mutant = next(each for each in mutants_of(file, 0) if each.new == "pass")
    assert box(1) == [1]
    install(mutant, {(file, "Box.__init__"): [box.__init__]})
    assert box(1) == []


GUARDED = """
import os, shutil, sys
from pathlib import Path
from benchmarks.mutation.guard import stay_in
inside, outside, repository = map(Path, sys.argv[1:])
stay_in(inside)
(inside / "new").mkdir()
(inside / "new/file").write_text("x")
(inside / "new/file").rename(inside / "moved")
shutil.rmtree(inside / "new")
(outside / "new").write_text("tests may write files, but not delete them")
for change in (
    lambda: shutil.rmtree(outside),
    lambda: shutil.rmtree(inside / ".."),
    lambda: (outside / "kept").unlink(),
    lambda: (inside / "moved").rename(outside / "kept"),
    lambda: (outside / "folder").rmdir(),
    lambda: (repository / "README.md").open("a"),
    lambda: (repository / "new").write_text("x"),
):
    try:
        change()
    except PermissionError as error:
        assert "a mutant may not" in str(error)
    else:
        sys.exit("it changes a file")
"""


def test_a_mutant_can_delete_in_its_folder_only(tmp_path: Path) -> None:
    """Code that deletes a run's old checkpoints is one change away from deleting the folder around them."""
    for name in ("inside", "outside/folder"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside/kept").write_text("x")
    command = [sys.executable, "-c", GUARDED, tmp_path / "inside", tmp_path / "outside", mutants.ROOT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=mutants.ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outside/kept").read_text() == "x"
    assert not (mutants.ROOT / "new").exists()


def test_a_default_value_that_is_left_out_is_no_change() -> None:
    """The last axis is the default of `sort`."""
    file = "minibert/equations/generation.py"
    assert ".sort(dim=-1, descending=True, stable=True)" in mutants.source_of(file)
    changes = {mutant.new for mutant in mutants_of(file, 0) if mutant.new.startswith("logits.sort(")}
    assert changes == {"logits.sort(dim=-1, stable=True)", "logits.sort(dim=-1, descending=True)"}


def test_a_mutant_without_a_reason_is_shown() -> None:
    mutant = mutants_of("minibert/equations/layers.py", 0)[0]
    page = report([(mutant, {"test": None}), (mutant, {"test": "tests/a.py::test_b"})], 1.0, "python -m a")
    assert "| equations | 2 | 1 | 50.0% | 0 |" in page
    assert "no reason is given" in page
    assert "Generated by `python -m a`." in page


@pytest.mark.slow
def test_reasons_are_about_code_that_exists() -> None:
    """A reason is kept only as long as its mutant can be made."""
    by_file: dict[str, set[str]] = {}
    for name in reasons():
        file = name.split()[0]
        if file not in by_file:
            by_file[file] = {mutant.name() for mutant in mutants_of(file, 0)}
        assert name in by_file[file], f"{REASONS.name}: {name}"


@pytest.mark.slow
def test_a_sample_is_judged(tmp_path: Path) -> None:
    """The whole program: the tests of a file notice at least 90% of its mutants, and the tests of another file do not."""
    command = [sys.executable, "-m", "benchmarks.mutation", "minibert/equations/layers.py", "--sample", "20", "--jobs", "1"]
    done = subprocess.run(
        [*command, "--tests", "tests/equations/test_layers.py", "--folder", tmp_path, "--at-least", "0.9"],
        capture_output=True,
        text=True,
        cwd=mutants.ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(results) == 20
    again = [*command, "--tests", "tests/equations/test_positions.py", "--at-least", "0.9", "--sample", "20"]
    assert subprocess.run(again, capture_output=True, cwd=mutants.ROOT).returncode == 1


def test_mutant_is_named_by_its_code(file: str) -> None:
    start = CODE.index("width * height")
    mutant = Mutant(file, "area", 7, 7, "operator", start, start + 14, "(width + height)")
    assert mutant.name() == f"{file} area width * height → (width + height)"
