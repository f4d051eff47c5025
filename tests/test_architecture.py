"""The structure of the package: direction of imports, documentation of equations, public names, and metadata."""

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
    {"printable", "trace"},
    {"display"},
    {"__version__", "checks", "device", "files", "hub", "observe", "precision", "sandbox", "timing"},
    {"equations"},
    {"kernels"},
    {"model", "text"},
    {"training"},
    {"study"},
    {"classroom"},
    {"docs"},
    {"commands"},
    {"__main__"},
]
"""Modules and subpackages from the lowest floor to the highest. A module imports from its own subpackage and lower floors."""
EQUATIONS = [getattr(equations, name) for name in equations.__all__ if inspect.isfunction(getattr(equations, name))]


def floor_of(part: str) -> int:
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def imports(path: Path) -> set[str]:
    """Return the parts of minibert that a file imports from, at any place in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "minibert" else {f"minibert.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("minibert.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    """A file imports from its own subpackage or from a lower floor; subpackages on one floor are independent."""
    names = path.relative_to(PACKAGE).with_suffix("").parts
    if names == ("__init__",):
        return
    part = names[0]
    for other in imports(path) - {part}:
        assert floor_of(other) < floor_of(part), f"{path} imports from {other}"


def test_only_commands_import_the_command_line_library() -> None:
    for path in PACKAGE.rglob("*.py"):
        if "commands" not in path.parts:
            assert not re.search(r"^\s*(import|from) tyro", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda equation: equation.__name__)
def test_equations_are_documented_and_tested(equation) -> None:
    """The docstring has a formula, a source with its year, a doctest and tests: of values, of gradients, of properties."""
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


def test_page_of_equations_is_up_to_date() -> None:
    """The page can be generated with `minibert equations --markdown > docs/equations.md`."""
    assert (PACKAGE.parent / "docs/equations.md").read_text(encoding="utf-8") == markdown(registry())


def test_public_names_exist() -> None:
    for name in minibert.__all__:
        assert getattr(minibert, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Brt'"):
        _ = minibert.Brt


def test_import_minibert_is_fast() -> None:
    """`import minibert` imports no large library."""
    code = "import sys, minibert; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "minibert" in modules
    assert {"torch", "numpy", "tokenizers", "jaxtyping"}.isdisjoint(modules)


def test_public_names_import_no_optional_libraries() -> None:
    """All public names together import neither matplotlib, datasets, transformers nor the command-line libraries."""
    code = "import sys, minibert; [getattr(minibert, name) for name in minibert.__all__]; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"matplotlib", "datasets", "transformers", "tyro", "rich", "torch._dynamo"}.isdisjoint(modules)


def test_citation_has_the_version_of_the_package() -> None:
    """CITATION.cff and `minibert.__version__` must agree; pyproject.toml reads the version from the package."""
    citation = (PACKAGE.parent / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {minibert.__version__}\n" in citation


def test_shapes_of_arrays_name_a_class() -> None:
    """`NDArray[…]` is an alias that is no class from numpy 2.5 on: jaxtyping would raise an error at the import."""
    for path in PACKAGE.rglob("*.py"):
        assert not re.search(r"\b(Float|Int|Bool|Shaped|Num)\[NDArray", path.read_text(encoding="utf-8")), path
