"""The solution that is shown: the reference, in the words of the stub."""

import ast
import functools
import math
import re

import pytest
import torch
from torch import Tensor, nn

from minibert.classroom import solution as solutions
from minibert.classroom.exercise import Case, Exercise
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.imports import names_in
from minibert.classroom.reduction import Reduction
from minibert.classroom.stubs import stub
from minibert.observe import observe

solution = functools.cache(solutions.solution)
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda exercise: exercise.name)


@every_exercise
def test_a_solution_has_the_signature_of_the_stub(exercise) -> None:
    definitions = [
        next(node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == exercise.name)
        for code in (solution(exercise), stub(exercise))
    ]
    shown, given = [(ast.unparse(each.args), ast.unparse(each.returns) if each.returns else "") for each in definitions]
    assert shown == given
    assert not [each for each in map(ast.unparse, definitions[0].decorator_list) if not each.startswith("torch.")]


@every_exercise
def test_a_solution_has_nothing_that_only_minibert_needs(exercise) -> None:
    """It has no names of steps, checks of arguments and conversions, and no attribute of `self` that the stub does not list."""
    code = solution(exercise)
    assert not {"observe", "at_least_float32", "in_single_precision", "relative_positions", "cache"} & names_in(code)
    assert "jaxtyping" not in code
    assert "raise" not in code
    assert not [name for name in names_in(code) if name.lstrip("_").startswith("check")]
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    for name in {node.attr for node in nodes if ast.unparse(node.value) == "self"}:
        assert re.search(rf"self\.{name}\b", stub(exercise))


@every_exercise
def test_a_solution_says_what_each_function_of_minibert_is(exercise) -> None:
    tree = ast.parse(code := solution(exercise))
    imported = [node for node in tree.body if isinstance(node, ast.ImportFrom) and str(node.module).startswith("minibert")]
    for name in [alias.name for node in imported for alias in node.names if not alias.name.isupper()]:
        assert f"\n# {name}: " in code


def test_comments_stay() -> None:
    assert "# the same mask for every head" in solution(EXERCISES["multi_head_attention"])
    assert "# One number decides between all three cases" in solution(EXERCISES["mask_tokens"])


def double(x: Tensor, times: int, shift: Tensor | None = None) -> Tensor:
    if shift is not None:
        x = x + shift
    return 2**times * x


def everything(x: Tensor, mode: str = "one", shift: Tensor | None = None, size: int = 3) -> Tensor:
    """Has one line of each kind."""
    if size < 1:
        raise ValueError("size")
    product = 3 * observe("sum", x + math.pi)  # a name of a step inside of a product
    first = double(product, 1, shift)
    # two powers
    second = double(product, times=2)
    if mode == "one":
        result = first + second
    elif mode == "two":
        result = double(first, 3, first)
    else:
        result = second
    size = size + 1
    label = "a" if mode == "one" else "b"
    print(label)
    return observe("result", result)


def test_arguments_become_constants() -> None:
    reduction = Reduction()
    reduction.add(everything, {"mode": "one", "shift": None, "size": 3}, "mine")
    assert (
        "\n\n".join(reduction.functions.values())
        == """\
def double(x: Tensor, times: int) -> Tensor:
    return 2**times * x

def double_2(x: Tensor, times: int, shift: Tensor | None = None) -> Tensor:
    if shift is not None:
        x = x + shift
    return 2**times * x

def mine(x: Tensor, size: int = 3) -> Tensor:
    product = 3 * (x + math.pi)
    first = double(product, 1)
    # two powers
    second = double_2(product, times=2)
    result = first + second
    size = size + 1
    label = 'a'
    print(label)
    return result"""
    )


class Layer(nn.Module):
    """A layer with a switch that is off, a setting, and a method."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = None
        self.scaled = False
        self.factor = 2

    def forward(self, x: Tensor) -> Tensor:
        x = self.map(x, self.scaled)
        return x if self.norm is None else self.norm(x)

    def map(self, x: Tensor, scaled: bool) -> Tensor:
        return self.factor * self.linear(x) if scaled else self.linear(x)


def test_methods_become_functions_and_switches_that_are_off_disappear() -> None:
    exercise = Exercise("layer", Layer.forward, (Case("a", lambda draw: {"self": Layer(), "x": torch.zeros(1, 2)}),))
    assert (
        solution(exercise).partition("\n\n\n")[2]
        == """\
def map(self, x: Tensor) -> Tensor:
    return self.linear(x)


def layer(self, x: Tensor) -> Tensor:
    x = map(self, x)
    return x
"""
    )


def test_a_solution_without_imports_begins_with_its_code() -> None:
    exercise = Exercise("power", double, (Case("a", lambda draw: {"x": 2, "times": 3}),))
    assert solution(exercise).startswith("from torch import Tensor\n\n\ndef power(x: Tensor, times: int) -> Tensor:\n")
    exercise = Exercise("one", one, (Case("a", dict),))
    assert solution(exercise) == "def one():\n    return 1\n"


def one():
    return 1


def test_a_note_is_the_number_of_an_exercise_or_the_first_line_of_a_docstring() -> None:
    """A constant has no note. A name that was chosen in the import is the name in the note."""
    number = [*EXERCISES].index("softmax") + 1
    lines = [
        "import math",
        "from torch import Tensor",
        "from minibert.classroom.counterexample import LARGEST_NUMBER, HypothesisDraw",
        "from minibert.equations import softmax, softmax as sm",
    ]
    assert [*solutions._notes(lines)] == [
        "# HypothesisDraw: Small whole numbers that Hypothesis chooses and makes simpler.",
        f"# softmax: exercise {number}",
        f"# sm: exercise {number}",
    ]
    first = next(iter(EXERCISES.values()))
    assert [*solutions._notes([f"from {first.reference.__module__} import {first.name}"])] == [f"# {first.name}: exercise 1"]
