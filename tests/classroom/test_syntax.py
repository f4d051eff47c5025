"""The names and the expressions of one function."""

import ast

import pytest

from minibert.classroom.syntax import Function, code_of, symbol

CODE = """
def f(self, x, n, *, flag=True):
    y = -1 + self.query(x)
    for i in range(n):
        z: int = i
        y = self.dropout(y) + self.key(x) + self.key(y) + self.two(x, y) + torch.exp(x)
    return y
"""
FUNCTION = Function(ast.parse(CODE))


def expression(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def test_the_names_of_a_function() -> None:
    assert FUNCTION.parameters == ["self", "x", "n", "flag"]
    assert FUNCTION.stored == {"y": 3, "i": 4, "z": 5}
    assert FUNCTION.submodules == ["self.key", "self.query"]


def test_the_nodes_are_those_of_the_body_with_negative_numbers_as_one() -> None:
    nodes = Function(ast.parse("def f(x=3):\n    return -1 + -x")).nodes
    assert [ast.unparse(node) for node in nodes if isinstance(node, ast.expr)] == ["-1 + -x", "-1", "-x", "x"]


@pytest.mark.parametrize(
    ("code", "is_module"),
    [("torch", True), ("torch.nn", True), ("self.query", True), ("x", False), ("y.T", False), ("i", False), ("f(x)", False)],
)
def test_a_module_is_a_name_that_the_function_does_not_define(code: str, is_module: bool) -> None:
    assert FUNCTION.is_module(expression(code)) is is_module


@pytest.mark.parametrize(
    ("call", "subject", "on"),
    [
        ("torch.softmax(x, n, dim=-1)", "x", "torch.softmax(z + 1, n, dim=-1)"),
        ("x.softmax(n, dim=-1)", "x", "z + 1.softmax(n, dim=-1)"),
        ("f(x + 1, n)", "x + 1", "f(z + 1, n)"),
        ("self.query(x)", "x", "self.query(z + 1)"),
        ("(x + y).sum()", "x + y", "z + 1.sum()"),
    ],
)
def test_the_subject_of_a_call_is_its_receiver_or_first_argument(call: str, subject: str, on: str) -> None:
    node = expression(call)
    assert isinstance(node, ast.Call)
    assert ast.unparse(FUNCTION.subject(node)) == subject
    assert FUNCTION.on("z + 1", node) == on


def test_a_call_without_arguments_has_no_subject() -> None:
    node = expression("torch.rand()")
    assert isinstance(node, ast.Call)
    assert FUNCTION.subject(node) is None


@pytest.mark.parametrize(
    ("code", "in_parentheses"),
    [
        ("x", False), ("f(x)", False), ("x[0]", False), ("x.y", False), ("(x, y)", False),
        ("x + 1", True), ("-x", True), ("x < y", True), ("x and y", True), ("x if y else z", True), ("lambda: x", True),
    ],
)  # fmt: skip
def test_an_expression_with_several_parts_is_in_parentheses(code: str, in_parentheses: bool) -> None:
    assert code_of(expression(code)) == (f"({code})" if in_parentheses else code)


def test_operators_as_they_are_written() -> None:
    operators = [
        ast.USub(), ast.Not(), ast.Invert(), ast.Add(), ast.MatMult(), ast.Pow(), ast.FloorDiv(), ast.Lt(), ast.NotEq(),
        ast.IsNot(), ast.NotIn(),
    ]  # fmt: skip
    assert [symbol(each) for each in operators] == ["-", "not", "~", "+", "@", "**", "//", "<", "!=", "is not", "not in"]
    with pytest.raises(TypeError, match="is no operator"):
        symbol(ast.And())
