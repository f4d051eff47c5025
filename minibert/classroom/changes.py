"""The rules for small changes of a syntax tree: what a learner may write instead of an expression or a statement."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from minibert.classroom import edit_wording as wording
from minibert.classroom.edit_wording import Wording

Change = tuple[ast.AST, str, Wording]
"""A node, the code that replaces it, and the change in words."""

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "- *",
    ast.Sub: "+ *",
    ast.Mult: "/ @ +",
    ast.Div: "* - //",
    ast.MatMult: "* +",
    ast.Pow: "* /",
    ast.FloorDiv: "/ %",
    ast.Mod: "// /",
    ast.BitAnd: "| ^",
    ast.BitOr: "& ^",
    ast.Lt: "<= > >=",
    ast.LtE: "< > >=",
    ast.Gt: ">= < <=",
    ast.GtE: "> < <=",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
}
"""The operators that may be written instead of one."""
RELATED = """
min max | amin amax | argmin argmax | minimum maximum | sin cos | exp exp2 expm1 log | log log2 log10 log1p | tril triu
mean sum amax | sum mean | var std | square sqrt abs | sqrt square rsqrt | zeros ones | zeros_like ones_like
softmax log_softmax sigmoid | log_softmax softmax logsigmoid | sigmoid tanh | tanh sigmoid erf | erf tanh sigmoid | any all
floor ceil round | cumsum cumprod | logsumexp amax sum | rand randn | rand_like randn_like | gelu relu gelu_tanh silu
relu gelu abs | abs square | clamp_min clamp_max | reshape view | append extend | sorted reversed
"""
"""Functions that are confused: a function and those written instead of it, or a pair."""
AXES = (-1, -2, -3, 0, 1)
SMALL = (0.0, 1e-5, 1e-6, 1e-8, 1e-9, 1e-12)
"""Values of eps in use."""


def changes_in(tree: ast.Module) -> Iterator[Change]:
    """Yield the changes of the function in a module: parts left out first, then other operators, functions and so on."""
    return _Rules(tree).all()


def parameters_of(tree: ast.Module) -> list[str]:
    """Return the names of the parameters of the function in a module."""
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    return [argument.arg for argument in (*definition.args.args, *definition.args.kwonlyargs)]


def submodules_in(tree: ast.Module) -> list[str]:
    """Return the modules that a function calls with one input, such as "self.query", in alphabetical order, without dropout."""
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 1]
    return sorted({name for name in called if name.startswith("self.") and name != "self.dropout"})


class _Rules:
    """The changes of the expressions and statements of a function."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        self.definition = definition
        self.related: dict[str, list[str]] = defaultdict(list)
        for names in RELATED.strip().replace("\n", " | ").split("|"):
            first, *others = names.split()
            self.related[first] += others
            if len(others) == 1:
                self.related[others[0]].append(first)

    def all(self) -> Iterator[Change]:
        nodes = [node for root in self.definition.body for node in ast.walk(root)]
        negated = [node.operand for node in nodes if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)]
        nodes = [node for node in nodes if node not in negated]
        for rule in (
            self.left_out,
            self.other_statement,
            self.other_operator,
            self.other_function,
            self.other_order,
            self.other_constant,
            self.other_name,
        ):
            for node in nodes:
                yield from rule(node)
        yield from self.statements_exchanged()

    def code(self, node: ast.AST) -> str:
        """Return the code of an expression, in parentheses if it has several parts."""
        text = ast.unparse(node)
        several = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Lambda)
        return f"({text})" if several else text

    def left_out(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.BinOp(left, op, right):
                sign = _symbol(op)
                yield node, self.code(left), wording.left_out(f"{sign} {self.code(right)}")
                if not isinstance(op, ast.Pow):
                    yield node, self.code(right), wording.left_out(f"{self.code(left)} {sign}")
            case ast.UnaryOp(op, operand) if not isinstance(operand, ast.Constant):
                yield node, self.code(operand), wording.sign_left_out(_symbol(op), ast.unparse(operand))
            case ast.Call(ast.Attribute(receiver, name)) if not self.is_module(receiver):
                ending = ast.unparse(node)[len(self.code(receiver)) :]
                yield node, self.code(receiver), wording.left_out(ending)
            case ast.Call(func, [first, *_]) if not isinstance(first, ast.Starred):
                yield node, self.code(first), wording.left_out(ast.unparse(func))
            case ast.Subscript(value, _) if isinstance(node.ctx, ast.Load):
                yield node, self.code(value), wording.PART_LEFT_OUT
            case ast.Attribute(value, "mT" | "T" | "mH" as name):
                yield node, self.code(value), wording.left_out(f".{name}")
            case ast.IfExp(_, body, other):
                yield node, self.code(body), wording.PART_LEFT_OUT
                yield node, self.code(other), wording.PART_LEFT_OUT
            case ast.BoolOp(_, values):
                for value in values:
                    yield node, self.code(value), wording.PART_LEFT_OUT
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                rest = [each for each in node.keywords if each is not keyword]
                shorter = ast.Call(node.func, node.args, rest)
                yield node, ast.unparse(shorter), wording.keyword_left_out(keyword)

    def other_operator(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.BinOp(left, op, right):
                for sign in OPERATORS.get(type(op), "").split():
                    yield node, f"({self.code(left)} {sign} {self.code(right)})", wording.other_operator(sign, _symbol(op))
                if isinstance(op, ast.MatMult) and not isinstance(right, ast.Attribute):
                    yield right, f"{self.code(right)}.mT", wording.TRANSPOSED
                if isinstance(op, ast.Sub | ast.Div | ast.MatMult | ast.Pow):
                    yield node, f"({self.code(right)} {_symbol(op)} {self.code(left)})", wording.SIDES_EXCHANGED
            case ast.Compare(left, [op], [right]):
                for sign in ("is not",) if isinstance(op, ast.Is) else OPERATORS.get(type(op), "").split():
                    words = wording.other_operator(sign, _comparison_symbol(op))
                    yield node, f"({self.code(left)} {sign} {self.code(right)})", words

    def other_function(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.Call(ast.Attribute(receiver, name) as method):
                for other in self.related[name]:
                    yield method, f"{self.code(receiver)}.{other}", wording.other_function(other, name)
            case ast.Call(ast.Name(name) as function):
                yield from ((function, other, wording.other_function(other, name)) for other in self.related[name])
        match node:
            case ast.Call(ast.Name("softmax" | "log_softmax" as name), [first]):
                yield node, f"{name}({self.code(first)}.mT).mT", wording.softmax_over_another_axis(name)
            case ast.Call(called, [*_, _, _] as arguments):
                for number in range(len(arguments) - 1):
                    swapped = [*arguments]
                    swapped[number], swapped[number + 1] = swapped[number + 1], swapped[number]
                    yield node, ast.unparse(ast.Call(called, swapped, node.keywords)), wording.ARGUMENTS_EXCHANGED
        match node:
            case ast.Call(ast.Attribute(ast.Name("self"), name), [argument]):
                x, module = self.code(argument), f"self.{name}"
                plain_norm = f"nn.functional.layer_norm({x}, {x}.shape[-1:], eps={module}.eps)"
                yield node, plain_norm, wording.gain_and_bias_left_out(module)
                yield node, f"({x} @ {module}.weight + {module}.bias)", wording.weight_not_transposed(module)

    def other_order(self, node: ast.AST) -> Iterator[Change]:
        """Yield two operations in the other order, such as g(f(x)) for f(g(x)), f(x) + y for f(x + y), or ax + y for x + ay."""
        match node:
            case ast.Call(ast.Attribute(ast.Call(ast.Attribute(receiver)) as inner)) if not self.is_module(receiver):
                yield node, self.on(self.on(self.code(receiver), node), inner), wording.OTHER_ORDER
            case ast.Call(ast.Attribute(ast.Call(_, [argument, *_]) as inner)):
                yield node, self.on(self.on(self.code(argument), node), inner), wording.OTHER_ORDER
            case ast.Call(_, [ast.Call() as inner, *_]) if (subject := self.subject(inner)) is not None:
                yield node, self.on(self.on(self.code(subject), node), inner), wording.OTHER_ORDER
            case ast.BinOp(ast.BinOp(first, op, second), other, third):
                code = f"({self.code(first)} {_symbol(op)} ({self.code(second)} {_symbol(other)} {self.code(third)}))"
                yield node, code, wording.OTHER_ORDER
            case ast.BinOp(first, op, ast.BinOp(second, other, third)):
                code = f"(({self.code(first)} {_symbol(op)} {self.code(second)}) {_symbol(other)} {self.code(third)})"
                yield node, code, wording.OTHER_ORDER
        match node:
            case ast.BinOp(first, ast.Add() | ast.Sub() as op, ast.BinOp(factor, ast.Mult(), second)):
                code = f"({self.code(factor)} * {self.code(first)} {_symbol(op)} {self.code(second)})"
                yield node, code, wording.FACTOR_MOVED
            case ast.BinOp(ast.BinOp(factor, ast.Mult(), first), ast.Add() | ast.Sub() as op, second):
                code = f"({self.code(first)} {_symbol(op)} {self.code(factor)} * {self.code(second)})"
                yield node, code, wording.FACTOR_MOVED
        match node:
            case ast.Call() if isinstance(term := self.subject(node), ast.BinOp):
                one, sign, two = self.code(term.left), _symbol(term.op), self.code(term.right)
                yield node, f"({self.on(one, node)} {sign} {two})", wording.OTHER_ORDER
                yield node, f"({one} {sign} {self.on(two, node)})", wording.OTHER_ORDER
            case ast.BinOp(ast.Call() as call, op, right) if (subject := self.subject(call)) is not None:
                yield node, self.on(f"({self.code(subject)} {_symbol(op)} {self.code(right)})", call), wording.OTHER_ORDER
            case ast.BinOp(ast.BinOp(ast.Call() as call, inner_op, middle), op, right) if (
                subject := self.subject(call)
            ) is not None:
                product = f"({self.code(subject)} {_symbol(inner_op)} {self.code(middle)})"
                yield node, self.on(f"({product} {_symbol(op)} {self.code(right)})", call), wording.OTHER_ORDER
            case ast.BinOp(left, op, ast.Call() as call) if (subject := self.subject(call)) is not None:
                yield node, self.on(f"({self.code(left)} {_symbol(op)} {self.code(subject)})", call), wording.OTHER_ORDER

    def on(self, argument: str, call: ast.Call) -> str:
        """Return the code of a call with another first argument or receiver."""
        subject = self.subject(call)
        others = [ast.unparse(each) for each in (*call.args, *call.keywords) if each is not subject]
        if subject in call.args:
            return f"{ast.unparse(call.func)}({', '.join([argument, *others])})"
        assert isinstance(call.func, ast.Attribute)
        return f"{argument}.{call.func.attr}({', '.join(others)})"

    def other_constant(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, ast.keyword):
            for value, new, _ in self.other_constant(node.value):
                yield value, new, wording.other_keyword(node.arg or "", new.strip("()"), ast.unparse(node.value))
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            for value, new, _ in self.other_constant(node.slice):
                yield value, new, wording.other_size(new, ast.unparse(node.slice))
        match node:
            case ast.Constant(constant):
                others = _other_numbers(constant)
            case ast.UnaryOp(ast.USub(), ast.Constant(int(constant) | float(constant))):
                others = _other_numbers(-constant)
            case ast.UnaryOp(ast.USub(), ast.Attribute(_, "inf")):
                others = [0.0, -1.0, 1.0, 1e-9]
            case _:
                return
        for other in others:
            code = repr(other) if isinstance(other, bool) or other >= 0 else f"({other})"
            yield node, code, wording.other_number(repr(other), ast.unparse(node))

    def other_name(self, node: ast.AST) -> Iterator[Change]:
        """Yield other arguments and local names for a name, and one more or less for the bounds of ranges and slices."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            names = [each for each in ast.walk(self.definition) if isinstance(each, ast.Name)]
            earlier = (each.id for each in names if isinstance(each.ctx, ast.Store) and each.lineno < node.lineno)
            local = [*parameters_of(self.tree), *earlier]
            if node.id in local:
                others = dict.fromkeys(name for name in local if name != node.id)
                yield from ((node, name, wording.other_name(name, node.id)) for name in others)
        match node:
            case ast.Call(ast.Attribute(ast.Name("self")) as called):
                module = ast.unparse(called)
                others = dict.fromkeys(name for name in submodules_in(self.tree) if name != module)
                yield from ((called, name, wording.other_name(name, module)) for name in others)
        bounds: list[ast.expr | None] = []
        match node:
            case ast.Call(ast.Name("range") | ast.Attribute(_, "arange"), arguments):
                bounds = [*arguments]
            case ast.Slice(lower, upper):
                bounds = [lower, upper]
        for bound in bounds:
            if bound is not None and not isinstance(bound, ast.Constant):
                yield bound, f"{self.code(bound)} - 1", wording.OFF_BY_ONE
                yield bound, f"{self.code(bound)} + 1", wording.OFF_BY_ONE

    def other_statement(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.If(test):
                yield test, "True", wording.condition_left_out(ast.unparse(test))
                yield test, "False", wording.branch_left_out(ast.unparse(test))
            case ast.AugAssign() | ast.Expr():
                yield node, "pass", wording.left_out(ast.unparse(node))
            case ast.Assign([ast.Name(name)], value):
                if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(value)):
                    yield node, "pass", wording.left_out(ast.unparse(node))
                if not isinstance(value, ast.Constant):
                    yield value, f"{self.code(value)}.detach()", wording.detached(name)

    def statements_exchanged(self) -> Iterator[Change]:
        simple = ast.Assign | ast.AugAssign | ast.Expr
        blocks = [each for each in ast.walk(self.definition) if isinstance(each, ast.FunctionDef | ast.If | ast.For | ast.With)]
        for first, second in (two for block in blocks for two in pairwise(block.body)):
            if isinstance(first, simple) and isinstance(second, simple):
                both = ast.copy_location(ast.Pass(), first)
                both.end_lineno, both.end_col_offset = second.end_lineno, second.end_col_offset
                codes = ast.unparse(second), ast.unparse(first)
                yield both, f"\n{' ' * first.col_offset}".join(codes), wording.statements_exchanged(*codes)

    def subject(self, call: ast.Call) -> ast.expr | None:
        """Return the tensor that a call computes from: x in `f(x)`, in `torch.f(x)` and in `x.f()`."""
        if isinstance(call.func, ast.Attribute) and not self.is_module(call.func.value):
            return call.func.value
        return call.args[0] if call.args else None

    def is_module(self, node: ast.AST) -> bool:
        """Return True for a module, such as `torch` or `self.output`: a name that the function does not define."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        stored = {each.id for each in ast.walk(self.tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        return isinstance(root, ast.Name) and root.id not in {*stored, *parameters_of(self.tree)} - {"self"}


def _other_numbers(value: object) -> list[int | float]:
    """Return numbers that may be written instead of one, such as another axis, one more or less, or another eps."""
    others: list[int | float] = []
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, int):
        others = [*AXES, value + 1, value - 1, 2 * value, -value]
    elif isinstance(value, float):
        others = [*SMALL, 1.0, 2 * value, value / 2, -value, 10 * value, value / 10]
    return [other for other in dict.fromkeys(others) if other != value]


def _symbol(operator: ast.AST) -> str:
    """Return an operator as it is written."""
    one = ast.Constant(1)
    if isinstance(operator, ast.unaryop):
        return ast.unparse(ast.UnaryOp(operator, ast.Name("x"))).removesuffix("x").strip()
    if isinstance(operator, ast.operator):
        return ast.unparse(ast.BinOp(one, operator, one)).strip("1 ")
    raise TypeError(f"{operator} is no operator")


def _comparison_symbol(operator: ast.cmpop) -> str:
    """Return a comparison as it is written."""
    return ast.unparse(ast.Compare(ast.Constant(1), [operator], [ast.Constant(1)])).strip("1 ")
