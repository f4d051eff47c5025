"""The syntax tree of one function: its names, and the code of its expressions."""

import ast
from functools import cached_property

from minibert.classroom.edit_wording import Wording

Change = tuple[ast.AST, str, Wording]
"""A node, the code that replaces it, and the change in words."""


class Function:
    """The function in a module."""

    def __init__(self, tree: ast.Module) -> None:
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        self.definition = definition

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the body, without the numbers that belong to a minus sign."""
        nodes = [node for root in self.definition.body for node in ast.walk(root)]
        negated = [node.operand for node in nodes if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)]
        return [node for node in nodes if node not in negated]

    @cached_property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        arguments = self.definition.args
        return [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]

    @cached_property
    def stored(self) -> dict[str, int]:
        """Names that the function gives a value, and the first line where it does."""
        names = (node for node in ast.walk(self.definition) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        lines: dict[str, int] = {}
        for name in names:
            lines[name.id] = min(name.lineno, lines.get(name.id, name.lineno))
        return lines

    @cached_property
    def submodules(self) -> list[str]:
        """Modules that are called with one input, such as "self.query", in alphabetical order, without dropout."""
        called = [ast.unparse(node.func) for node in self.nodes if isinstance(node, ast.Call) and len(node.args) == 1]
        return sorted({name for name in called if name.startswith("self.") and name != "self.dropout"})

    def is_module(self, node: ast.AST) -> bool:
        """Return True for a module, such as `torch` or `self.output`: a name that the function does not define."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and root.id not in {*self.stored, *self.parameters} - {"self"}

    def subject(self, call: ast.Call) -> ast.expr | None:
        """Return the tensor that a call computes from: x in `f(x)`, in `torch.f(x)` and in `x.f()`."""
        if isinstance(call.func, ast.Attribute) and not self.is_module(call.func.value):
            return call.func.value
        return call.args[0] if call.args else None

    def on(self, argument: str, call: ast.Call) -> str:
        """Return the code of a call with another first argument or receiver."""
        subject = self.subject(call)
        others = [ast.unparse(each) for each in (*call.args, *call.keywords) if each is not subject]
        if subject in call.args:
            return f"{ast.unparse(call.func)}({', '.join([argument, *others])})"
        assert isinstance(call.func, ast.Attribute)
        return f"{argument}.{call.func.attr}({', '.join(others)})"


def code_of(node: ast.AST) -> str:
    """Return the code of an expression, in parentheses if it has several parts."""
    text = ast.unparse(node)
    several = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda)
    return f"({text})" if several else text


def symbol(operator: ast.AST) -> str:
    """Return an operator or a comparison as it is written."""
    one = ast.Constant(1)
    if isinstance(operator, ast.unaryop):
        return ast.unparse(ast.UnaryOp(operator, ast.Name("x"))).removesuffix("x").strip()
    if isinstance(operator, ast.operator):
        return ast.unparse(ast.BinOp(one, operator, one)).strip("1 ")
    if isinstance(operator, ast.cmpop):
        return ast.unparse(ast.Compare(one, [operator], [one])).strip("1 ")
    raise TypeError(f"{operator} is no operator")
