"""The documented steps of a layer in the order of its code, with the names of their inputs in place of the letter x."""

import ast
import dataclasses
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from minibert.classroom.exercise import Exercise
from minibert.classroom.reduced_reference import reduced
from minibert.classroom.reduction import TRANSPARENT
from minibert.study.stepthrough.documentation import StepText, documented_steps

INPUT = re.compile(r"(?<![\\\w{^])x(?!\w)")
"""The letter that stands for the input of a step in the docstring of a layer."""


def steps(exercise: Exercise) -> dict[str, StepText]:
    """Return the steps that the code of an exercise observes. The x in their formulas is an argument or the step before."""
    documented = {name: step for each in _documented(exercise) for name, step in documented_steps(each).items()}
    if not documented:
        return {}
    observed = reduced(exercise, {name: place for name, place in TRANSPARENT.items() if name != "observe"})
    inputs = _Inputs(documented, {name: _symbol(name) for name in exercise.parameters if name != "self"})
    inputs.visit(ast.parse(observed.functions[exercise.name]))
    return inputs.steps


def _symbol(name: str) -> str:
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


def _documented(exercise: Exercise) -> Iterator[Any]:
    """Yield the reference, and, if it is a method, the classes that describe its steps."""
    reference = exercise.reference
    owner: Any = sys.modules[reference.__module__]
    for name in reference.__qualname__.partition(".<locals>")[0].split(".")[:-1]:
        owner = getattr(owner, name)
    yield from owner.__mro__[-2::-1] if inspect.isclass(owner) else ()
    yield reference


class _Inputs(ast.NodeVisitor):
    """Follows the symbol of each variable from statement to statement."""

    def __init__(self, documented: dict[str, StepText], symbols: dict[str, str]) -> None:
        self.documented, self.symbols = documented, symbols
        self.steps: dict[str, StepText] = {}

    def visit_Assign(self, node: ast.Assign) -> None:
        target, value = node.targets[0], node.value
        pairs: Iterable[tuple[ast.expr, ast.expr]] = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=True)
        for each, assigned in pairs:
            symbol = self.symbol(assigned)
            self.symbols.update({name.id: symbol for name in ast.walk(each) if isinstance(name, ast.Name) and symbol})

    def visit_Return(self, node: ast.Return) -> None:
        if node.value:
            self.symbol(node.value)

    def symbol(self, node: ast.AST) -> str:
        """Return the symbol of the first input of an expression, or of the step that it is; empty if there is none."""
        if isinstance(node, ast.Name):
            return self.symbols.get(node.id, "")
        found = list(filter(None, map(self.symbol, ast.iter_child_nodes(node))))
        first = found[0] if found else ""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "observe"):
            return first
        name = ast.literal_eval(node.args[0])
        if name not in self.documented:
            return first
        step = self.documented[name]
        left, equals, right = step.formula.partition("=")
        right = re.sub(r"(?<=\}) (?=[A-Z])", r"\\, ", INPUT.sub(lambda _: first, right))  # a space in a product of words
        self.steps.pop(name, None)  # of two branches, the last one has all steps before it
        self.steps[name] = dataclasses.replace(step, formula=left + equals + right)
        return step.symbol
