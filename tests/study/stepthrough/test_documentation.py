"""The field `Steps:` of docstrings: every recorded tensor has a formula, axes and an explanation."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import minibert
from minibert.study.equations.formulas import mathml, plain
from minibert.study.stepthrough.documentation import StepText, documented_steps
from minibert.study.stepthrough.predictions import ENDINGS

PACKAGE = Path(minibert.__file__).parent
LEGEND = {
    name.strip()
    for names in re.findall(r"^    ([\w, ]+?)  +\S", minibert.__doc__ or "", re.MULTILINE)
    for name in names.split(",")
}
"""Names of axes that the docstring of the package explains."""


class Observations(ast.NodeVisitor):
    """Collects the calls of `observe` in a file, with the function and class around each."""

    def __init__(self) -> None:
        self.around: list[str] = []
        self.found: list[tuple[str, str]] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id == "observe":
            assert isinstance(node.args[0], ast.Constant), "the name of a step must be written in the call"
            self.found.append((".".join(self.around), node.args[0].value))
        self.generic_visit(node)

    def _inside(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        self.around.append(node.name)
        self.generic_visit(node)
        self.around.pop()


def observations() -> Iterator[tuple[str, str, str]]:
    """Yield module, function and name of every call of `observe` in the equations and networks."""
    for path in sorted([*(PACKAGE / "equations").rglob("*.py"), *(PACKAGE / "model").rglob("*.py")]):
        visitor = Observations()
        visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
        module = ".".join(("minibert", *path.relative_to(PACKAGE).with_suffix("").parts))
        yield from ((module, function, name) for function, name in visitor.found)


def documentation(module: str, function: str) -> dict[str, StepText]:
    """Return the entries that describe the steps of a function: its own, and those of its class and of the derived ones."""
    found: Any = import_module(module)
    entries: dict[str, StepText] = {}
    for name in function.split("."):
        found = getattr(found, name)
        classes = [found, *found.__mro__[1:-1], *found.__subclasses__()] if isinstance(found, type) else [found]
        for each in classes:
            entries |= documented_steps(each)
    return entries


OBSERVED = [*observations()]
ENTRIES = {
    f"{module}.{function}: {name}": text
    for module, function, _ in OBSERVED
    for name, text in documentation(module, function).items()
}
ENTRIES |= {f"{ending.__name__} {name}": text for ending in ENDINGS.values() for name, text in documented_steps(ending).items()}
every_entry = pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)


@pytest.mark.parametrize(("module", "function", "name"), OBSERVED, ids=" ".join)
def test_every_observed_tensor_is_documented(module: str, function: str, name: str) -> None:
    assert any(entry == name or entry.endswith(f".{name}") for entry in documentation(module, function)), (
        f"the docstring of {module}.{function} has no entry {name!r} in its field `Steps:`"
    )


@every_entry
def test_the_formula_converts_to_mathml_and_to_text(entry: StepText) -> None:
    assert mathml(entry.formula).startswith("<math")
    assert plain(entry.formula)
    assert plain(entry.symbol)


@every_entry
def test_the_explanation_is_one_sentence_or_two(entry: StepText) -> None:
    assert re.match(r"[A-Z]", entry.explanation)
    assert entry.explanation.endswith(".")
    assert 1 <= len(re.findall(r"\.(?: |$)", entry.explanation)) <= 2


@every_entry
def test_the_names_of_the_axes_are_in_the_legend_of_the_package(entry: StepText) -> None:
    assert {*entry.axes} - {"*batch", "1"} <= LEGEND
