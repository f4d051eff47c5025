"""The house stands: imports go down only, equations are documented, and what is public is there."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minibert
from minibert import equations
from minibert.study.equations.registry import markdown, read_equation, registry
from tests.mistake_detection import is_value_test, load

PACKAGE = Path(minibert.__file__).parent
FLOORS: list[set[str]] = [
    {"__version__", "files", "hub", "observe"},
    {"equations"},
    {"kernels"},
    {"model", "text"},
    {"training"},
    {"study"},
    {"classroom"},
    {"commands"},
    {"__main__"},
]
EQUATIONS = [getattr(equations, name) for name in equations.__all__ if inspect.isfunction(getattr(equations, name))]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> set[str]:
    """The rooms of minibert that a file imports from, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "minibert" else {f"minibert.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("minibert.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    """To the same room or a lower floor; neighbors on a floor do not know each other."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts == ("__init__",):
        return
    room = parts[0]
    for other in imports(path) - {room}:
        assert floor_of(other) < floor_of(room), f"{path} imports from {other}"


def test_only_commands_know_the_command_line_library() -> None:
    for path in PACKAGE.rglob("*.py"):
        if "commands" not in path.parts:
            assert not re.search(r"^\s*(import|from) tyro", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.__name__)
def test_an_equation_says_what_it_is_and_is_proven(equation) -> None:
    """Formula, source with its year, a worked number; and a class of tests: values, gradients, theorems."""
    entry = read_equation(equation)
    assert re.search(r"\d{4}", entry.source)
    assert ">>>" in inspect.getdoc(equation)
    path, _, name = entry.tests.partition("::")
    tests = {test: method for test, method in vars(getattr(load(path), name)).items() if test.startswith("test_")}
    assert any(test.startswith("test_value") for test in tests), "no value test"
    assert any(not is_value_test(test) and hasattr(method, "hypothesis") for test, method in tests.items()), "no property test"
    inputs = [str(parameter.annotation) for parameter in inspect.signature(inspect.unwrap(equation)).parameters.values()]
    if any("Float" in annotation for annotation in inputs):
        assert any(test.startswith("test_gradient") for test in tests), "no gradient test"


def test_the_page_of_equations_is_true() -> None:
    """Written anew by `minibert equations --markdown > docs/equations.md`."""
    assert (PACKAGE.parent / "docs/equations.md").read_text(encoding="utf-8") == markdown(registry())


def test_public_names_are_there() -> None:
    for name in minibert.__all__:
        assert getattr(minibert, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Brt'"):
        _ = minibert.Brt


def test_import_minibert_is_quick() -> None:
    """Nothing is loaded before it is asked for, so it is never slower than importing torch."""
    code = "import sys, minibert; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "minibert" in modules
    assert {"torch", "numpy", "tokenizers", "jaxtyping"}.isdisjoint(modules)


def test_loading_every_public_name_brings_no_heavy_company() -> None:
    """With all of the public names loaded: neither figures nor data sets nor transformers."""
    code = "import sys, minibert; [getattr(minibert, name) for name in minibert.__all__]; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"matplotlib", "datasets", "transformers", "tyro", "rich", "torch._dynamo"}.isdisjoint(modules)
