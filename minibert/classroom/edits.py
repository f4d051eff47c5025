"""Small edits of a correct function, made from its syntax tree: what a learner may have written instead.

The catalogue describes the mistakes that are known. These edits cover the others: a term left out, another operator, another
axis, another constant, two names exchanged, two operations in the other order.
"""

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, pairwise
from typing import Any

from minibert.classroom.mistakes import Mistake
from minibert.classroom.mistakes.variants import source_of

Change = tuple[ast.AST, str, str]
"""A node, the code that replaces it, and the change in words; without words the old and the new code are quoted."""

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "- *",
    ast.Sub: "+ *",
    ast.Mult: "/ @ +",
    ast.Div: "* -",
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
RELATED = """min max|amin amax|argmin argmax|minimum maximum|sin cos|exp exp2 expm1 log|log log2 log10 log1p|tril triu|mean sum amax|\
sum mean|var std|square sqrt abs|sqrt square rsqrt|zeros ones|zeros_like ones_like|softmax log_softmax sigmoid|\
log_softmax softmax logsigmoid|sigmoid tanh|tanh sigmoid erf|erf tanh sigmoid|any all|floor ceil round|cumsum cumprod|\
logsumexp amax sum|rand randn|rand_like randn_like|gelu relu gelu_tanh silu|relu gelu abs|abs square|clamp_min clamp_max|\
reshape view|rsqrt sqrt|append extend|ceil floor|sorted reversed"""
"""Functions that are confused: each line has one function and those written instead, or a pair."""
AXES = (-1, -2, -3, 0, 1)
SMALL = (0.0, 1e-5, 1e-6, 1e-8, 1e-9, 1e-12)
"""Values of eps in use."""
LONGEST_QUOTE = 80


def edits_of(function: Callable[..., Any], caller: Callable[..., Any] | None = None) -> Iterator[Mistake]:
    """Yield all small edits of a function.

    Args:
        caller: the function of the exercise, if it calls `function`.
    """
    function = inspect.unwrap(function)
    place = "" if caller is None or inspect.unwrap(caller) is function else f" in `{function.__name__}`"
    original, tree = source_of(function), ast.parse(_plain(function))
    source = _plain(function)
    groups: dict[str, dict[tuple[int, int, str], str]] = defaultdict(dict)
    for node, new, words in _Changes(tree, source):
        exact = _comparison(node, new, tree, source)
        if phrase := words or exact:
            groups[phrase].setdefault((*_span(node, source), new), exact)
    for first, second in combinations(_parameters(tree), 2):
        exchanged = _exchanged(tree, first, second)
        if exchanged is not None:
            yield _mistake(function, original, exchanged, f"with `{first}` and `{second}` exchanged{place}")
    for phrase, changes in groups.items():
        if edited := _applied(source, [*changes]):
            yield _mistake(function, original, edited, phrase + place)
        if len(changes) > 1:
            for change, exact in changes.items():
                if edited := _applied(source, [change]):
                    words = exact if exact and exact != phrase else f"{phrase}, in one place,"
                    yield _mistake(function, original, edited, f"{words}{place}")


def _mistake(function: Callable[..., Any], source: str, edited: str, phrase: str) -> Mistake:
    message = f"Your numbers are those of the formula {phrase}."
    return Mistake(phrase, function, ((source, edited),), f"The formula is computed {phrase}.", "", "", message=message)


@cache
def _plain(function: Callable[..., Any]) -> str:
    """Return the source of a function without docstring, comments, annotations and observed names."""
    tree = ast.parse(source_of(function))
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    definition.returns = None
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None
    return ast.unparse(_WithoutObserve().visit(tree))


class _WithoutObserve(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[1] if isinstance(node.func, ast.Name) and node.func.id == "observe" else node


def _parameters(tree: ast.Module) -> list[str]:
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    return [argument.arg for argument in (*definition.args.args, *definition.args.kwonlyargs)]


def _exchanged(tree: ast.Module, first: str, second: str) -> str | None:
    """Return the source with two names exchanged in the body of the function."""
    names = {first: second, second: first}

    class Exchange(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            return ast.copy_location(ast.Name(names.get(node.id, node.id), node.ctx), node)

    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not {first, second} <= used:
        return None
    copied = ast.parse(ast.unparse(tree))
    definition = copied.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = [Exchange().visit(statement) for statement in definition.body]
    return ast.unparse(copied)


def _span(node: ast.AST, source: str) -> tuple[int, int]:
    """Return the positions of the first character of a node, and of the one behind the last."""
    lines = source.splitlines(keepends=True)
    ends = [(node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)]  # type: ignore[attr-defined]
    start, end = (sum(map(len, lines[: row - 1])) + len(lines[row - 1].encode()[:column].decode()) for row, column in ends)
    return start, end


def _applied(source: str, changes: list[tuple[int, int, str]]) -> str | None:
    """Return the source with the changes, or None if they overlap, do not compile, or change nothing."""
    before = source
    changes = sorted(changes)
    if any(one[1] > other[0] for one, other in pairwise(changes)):
        return None
    for start, end, new in reversed(changes):
        source = source[:start] + new + source[end:]
    try:
        ast.parse(source)
    except SyntaxError:
        return None
    return source if source != before else None


def _comparison(node: ast.AST, new: str, tree: ast.Module, source: str) -> str:
    """Return the words "with `…` instead of `…`". A short piece is quoted with the expression around it."""
    quotes = ("", "")
    for around in _expressions_around(node, tree):
        start, end = _span(node, source)
        first, last = _span(around, source)
        wider = _quote(source[first:last]), _quote(source[first:start] + new + source[end:last])
        if quotes[0] and max(map(len, wider)) > LONGEST_QUOTE:
            break
        quotes = wider
        if not isinstance(around, ast.Constant | ast.Name | ast.UnaryOp | ast.Attribute):
            break
    old, changed = quotes
    if not old or not changed or old == changed:
        return ""
    return f"with `{_shortened(changed)}` instead of `{_shortened(old)}`"


def _expressions_around(node: ast.AST, tree: ast.Module) -> list[ast.expr]:
    """Return a node and the expressions that contain it, from the smallest."""
    start, end = _position(node)
    around = [each for each in ast.walk(tree) if isinstance(each, ast.expr) and _position(each)[0] <= start]
    return sorted((each for each in around if _position(each)[1] >= end), key=lambda each: len(ast.unparse(each)))


def _position(node: ast.AST) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]


def _quote(code: str) -> str:
    """Return code in its normal form, or nothing if it is no expression."""
    try:
        return ast.unparse(ast.parse(code.strip(), mode="eval"))
    except SyntaxError:
        return ""


def _shortened(code: str) -> str:
    return textwrap.shorten(code, LONGEST_QUOTE, placeholder=" …")


class _Changes:
    """Iterates over the changes of the expressions and statements of a function."""

    def __init__(self, tree: ast.Module, source: str) -> None:
        self.tree, self.source = tree, source
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        self.definition = definition
        self.related: dict[str, list[str]] = defaultdict(list)
        for line in RELATED.split("|"):
            first, *others = line.split()
            self.related[first] += others
            if len(others) == 1 and first not in self.related[others[0]]:
                self.related[others[0]].append(first)

    def __iter__(self) -> Iterator[Change]:
        roots: list[ast.AST] = [*self.definition.body, *self.definition.args.defaults, *self.definition.args.kw_defaults]  # type: ignore[list-item]
        nodes = [node for root in roots if root is not None for node in ast.walk(root)]
        negated = {id(node.operand) for node in nodes if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)}
        nodes = [node for node in nodes if id(node) not in negated]
        for rule in (
            self.left_out,
            self.other_operator,
            self.other_function,
            self.other_order,
            self.other_constant,
            self.other_name,
            self.other_statement,
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
                yield node, self.code(left), f"without `{sign} {_shortened(self.code(right))}`"
                if not isinstance(op, ast.Pow):
                    yield node, self.code(right), f"without `{_shortened(self.code(left))} {sign}`"
            case ast.UnaryOp(op, operand) if not isinstance(operand, ast.Constant):
                yield node, self.code(operand), f"without the `{_symbol(op)}` before `{_shortened(ast.unparse(operand))}`"
            case ast.Call(ast.Attribute(receiver, name)) if not self.is_module(receiver):
                ending = ast.unparse(node)[len(ast.unparse(receiver)) :]
                yield node, self.code(receiver), f"without `{_shortened(ending)}`"
            case ast.Call(func, [first, *_]) if not isinstance(first, ast.Starred):
                yield node, self.code(first), f"without `{ast.unparse(func)}`"
            case ast.Subscript(value, _) if isinstance(node.ctx, ast.Load):
                yield node, self.code(value), ""
            case ast.Attribute(value, "mT" | "T" | "mH" as name):
                yield node, self.code(value), f"without `.{name}`"
            case ast.IfExp(_, body, other):
                yield node, self.code(body), ""
                yield node, self.code(other), ""
            case ast.BoolOp(_, values):
                for value in values:
                    yield node, self.code(value), ""
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                rest = [each for each in node.keywords if each is not keyword]
                shorter = ast.Call(node.func, node.args, rest)
                yield node, ast.unparse(shorter), f"without `{ast.unparse(keyword)}`"

    def other_operator(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.BinOp(left, op, right):
                for sign in OPERATORS.get(type(op), "").split():
                    yield node, f"({self.code(left)} {sign} {self.code(right)})", ""
                if isinstance(op, ast.Sub | ast.Div | ast.MatMult | ast.Pow):
                    yield node, f"({self.code(right)} {_symbol(op)} {self.code(left)})", ""
            case ast.Compare(left, [op], [right]):
                for sign in ("is not",) if isinstance(op, ast.Is) else OPERATORS.get(type(op), "").split():
                    yield node, f"({self.code(left)} {sign} {self.code(right)})", ""

    def other_function(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.Call(ast.Attribute(receiver, name) as func):
                for other in self.related[name]:
                    yield func, f"{self.code(receiver)}.{other}", ""
            case ast.Call(ast.Name(name) as func, [first]) if name in ("softmax", "log_softmax"):
                yield node, f"{name}({self.code(first)}.mT).mT", f"with `{name}` over the wrong axis"
        match node:
            case ast.Call(ast.Name(name) as func):
                for other in self.related[name]:
                    yield func, other, ""
            case ast.Call(func, [*_, _, _] as arguments):
                for number in range(len(arguments) - 1):
                    swapped = [*arguments]
                    swapped[number], swapped[number + 1] = swapped[number + 1], swapped[number]
                    yield node, ast.unparse(ast.Call(func, swapped, node.keywords)), ""

    def other_order(self, node: ast.AST) -> Iterator[Change]:
        """Yield f(g(x)) as g(f(x)), f(x + y) as f(x) + y, f(x) + y as f(x + y), (x + y) * z as x + y * z, and the like."""
        match node:
            case ast.Call(ast.Attribute(ast.Call(ast.Attribute(receiver)) as inner)) if not self.is_module(receiver):
                yield node, self.on(self.on(self.code(receiver), node), inner), ""
            case ast.Call(ast.Attribute(ast.Call(_, [argument, *_]) as inner)):
                yield node, self.on(self.on(self.code(argument), node), inner), ""
            case ast.Call(_, [ast.Call() as inner, *_]) if _subject(inner) is not None:
                yield node, self.on(self.on(self.code(_subject(inner)), node), inner), ""  # type: ignore[arg-type]
            case ast.BinOp(ast.BinOp(first, op, second), other, third):
                code = f"({self.code(first)} {_symbol(op)} ({self.code(second)} {_symbol(other)} {self.code(third)}))"
                yield node, code, ""
            case ast.BinOp(first, op, ast.BinOp(second, other, third)):
                code = f"(({self.code(first)} {_symbol(op)} {self.code(second)}) {_symbol(other)} {self.code(third)})"
                yield node, code, ""
        match node:
            case ast.Call() if isinstance(inner := _subject(node), ast.BinOp):
                sign, left, right = _symbol(inner.op), self.code(inner.left), self.code(inner.right)
                yield node, f"({self.on(left, node)} {sign} {right})", ""
                yield node, f"({left} {sign} {self.on(right, node)})", ""
            case ast.BinOp(ast.Call() as call, op, right) if (subject := _subject(call)) is not None:
                yield node, self.on(f"({self.code(subject)} {_symbol(op)} {self.code(right)})", call), ""
            case ast.BinOp(left, op, ast.Call() as call) if (subject := _subject(call)) is not None:
                yield node, self.on(f"({self.code(left)} {_symbol(op)} {self.code(subject)})", call), ""

    def on(self, argument: str, call: ast.Call) -> str:
        """Return the code of a call with another first argument or receiver."""
        subject = _subject(call)
        others = [ast.unparse(each) for each in (*call.args, *call.keywords) if each is not subject]
        if subject in call.args:
            return f"{ast.unparse(call.func)}({', '.join([argument, *others])})"
        assert isinstance(call.func, ast.Attribute)
        return f"{argument}.{call.func.attr}({', '.join(others)})"

    def other_constant(self, node: ast.AST) -> Iterator[Change]:
        if isinstance(node, ast.keyword):
            for value, new, _ in self.other_constant(node.value):
                yield value, new, f"with `{node.arg}={new.strip('()')}` instead of `{ast.unparse(node)}`"
        match node:
            case ast.UnaryOp(ast.USub(), ast.Constant(int(value))):
                others: list[Any] = [*AXES, value, -value - 1]
                value = -value
            case ast.Constant(bool(value)):
                others = [not value]
            case ast.Constant(int(value)):
                others = [*AXES, value + 1, value - 1, 2 * value, -value]
            case ast.Constant(float(value)):
                others = [*SMALL, 1.0, 2 * value, value / 2, -value, 10 * value, value / 10]
            case ast.UnaryOp(ast.USub(), ast.Attribute(_, "inf")):
                others, value = [0.0, -1.0, 1e-9], None
            case _:
                return
        for other in dict.fromkeys(others):
            if other != value or isinstance(other, bool) != isinstance(value, bool):
                yield node, f"({other})" if not isinstance(other, bool) and other < 0 else repr(other), ""

    def other_name(self, node: ast.AST) -> Iterator[Change]:
        """Yield other arguments and local names for a name, and one more or less for the bounds of ranges and slices."""
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            local = [*_parameters(self.tree)]
            for each in ast.walk(self.definition):
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and each.lineno < node.lineno:
                    local.append(each.id)
            if node.id in local:
                for name in dict.fromkeys(local):
                    if name != node.id:
                        yield node, name, ""
        bounds: list[ast.expr | None] = []
        match node:
            case ast.Call(ast.Name("range") | ast.Attribute(_, "arange"), arguments):
                bounds = [*arguments]
            case ast.Slice(lower, upper):
                bounds = [lower, upper]
        for bound in bounds:
            if bound is not None and not isinstance(bound, ast.Constant):
                yield bound, f"{self.code(bound)} - 1", ""
                yield bound, f"{self.code(bound)} + 1", ""

    def other_statement(self, node: ast.AST) -> Iterator[Change]:
        match node:
            case ast.If(test):
                yield test, "True", f"without the condition `{_shortened(ast.unparse(test))}`"
                yield test, "False", f"without the code for `if {_shortened(ast.unparse(test))}`"
            case ast.AugAssign() | ast.Expr():
                yield node, "pass", f"without `{_shortened(ast.unparse(node))}`"
            case ast.Assign([ast.Name(name)], value):
                if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(value)):
                    yield node, "pass", f"without `{_shortened(ast.unparse(node))}`"
                if not isinstance(value, ast.Constant):
                    yield value, f"{self.code(value)}.detach()", f"with `{name}` detached from the graph"

    def statements_exchanged(self) -> Iterator[Change]:
        for block in ast.walk(self.definition):
            for first, second in pairwise(getattr(block, "body", None) or []) if not isinstance(block, ast.Lambda | ast.IfExp) else ():
                simple = ast.Assign | ast.AugAssign | ast.Expr
                if isinstance(first, simple) and isinstance(second, simple):
                    whole = ast.copy_location(ast.Pass(), first)
                    whole.end_lineno, whole.end_col_offset = second.end_lineno, second.end_col_offset
                    code = f"{ast.unparse(second)}\n{' ' * first.col_offset}{ast.unparse(first)}"
                    quotes = (_shortened(ast.unparse(each)) for each in (second, first))
                    yield whole, code, "with `{}` before `{}`".format(*quotes)

    def is_module(self, node: ast.AST) -> bool:
        """Return True for the name of a module, such as `torch`: a name that the function does not define."""
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        stored = {each.id for each in ast.walk(self.tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        return isinstance(root, ast.Name) and root.id not in stored | {*_parameters(self.tree)}


def _subject(call: ast.Call) -> ast.expr | None:
    """Return the tensor that a call computes from: x in `f(x)` and in `x.f()`."""
    if call.args and isinstance(call.func, ast.Name):
        return call.args[0]
    if isinstance(call.func, ast.Attribute):
        root: ast.expr = call.func.value
        if isinstance(root, ast.Name) and root.id in ("torch", "math", "F", "nn"):
            return call.args[0] if call.args else None
        return root
    return None


def _symbol(operator: ast.AST) -> str:
    """Return an operator as it is written."""
    one = ast.Constant(1)
    if isinstance(operator, ast.unaryop):
        return ast.unparse(ast.UnaryOp(operator, ast.Name("x"))).removesuffix("x").strip()
    if isinstance(operator, ast.operator):
        return ast.unparse(ast.BinOp(one, operator, one)).strip("1 ")
    raise TypeError(f"{operator} is no operator")
