"""The rules for small changes of a syntax tree: what a learner may write instead of an expression or a statement."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from minibert.classroom import edit_wording as wording
from minibert.classroom.number_changes import other_bound, other_constant, other_defaults, other_size_of_number, other_term
from minibert.classroom.statement_changes import early_end, other_statement, statements_exchanged
from minibert.classroom.syntax import Change, Function, code_of, symbol

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


def changes_in(tree: ast.Module) -> Iterator[Change]:
    """Yield the changes of the function in a module: parts left out first, then other operators, functions and so on."""
    function = Function(tree)
    rules = (
        left_out,
        other_statement,
        other_operator,
        other_function,
        parentheses_left_out,
        other_order,
        other_constant,
        other_name,
        other_bound,
        early_end,
        other_size_of_number,
        other_term,
    )
    for rule in rules:
        for node in function.nodes:
            yield from rule(node, function)
    yield from statements_exchanged(function)
    yield from other_defaults(function)


@cache
def related() -> dict[str, dict[str, None]]:
    """Return the functions that may be written instead of each one, each once."""
    table: dict[str, dict[str, None]] = defaultdict(dict)
    for names in RELATED.strip().replace("\n", " | ").split("|"):
        first, *others = names.split()
        table[first] |= dict.fromkeys(others)
        if len(others) == 1:
            table[others[0]][first] = None
    return table


def left_out(node: ast.AST, function: Function) -> Iterator[Change]:
    match node:
        case ast.BinOp(left, op, right):
            sign = symbol(op)
            yield node, code_of(left), wording.left_out(f"{sign} {code_of(right)}")
            if not isinstance(op, ast.Pow):
                yield node, code_of(right), wording.left_out(f"{code_of(left)} {sign}")
        case ast.UnaryOp(op, operand) if not isinstance(operand, ast.Constant):
            yield node, code_of(operand), wording.sign_left_out(symbol(op), ast.unparse(operand))
        case ast.Call(ast.Attribute(receiver, name)) if not function.is_module(receiver):
            ending = ast.unparse(node)[len(code_of(receiver)) :]
            yield node, code_of(receiver), wording.left_out(ending)
        case ast.Call(func, [first, *_]) if not isinstance(first, ast.Starred):
            yield node, code_of(first), wording.left_out(ast.unparse(func))
        case ast.Subscript(value, _) if isinstance(node.ctx, ast.Load):
            yield node, code_of(value), wording.PART_LEFT_OUT
        case ast.Attribute(value, "mT" | "T" | "mH" as name):
            yield node, code_of(value), wording.left_out(f".{name}")
        case ast.IfExp(_, body, other):
            yield node, code_of(body), wording.PART_LEFT_OUT
            yield node, code_of(other), wording.PART_LEFT_OUT
        case ast.BoolOp(_, values):
            for value in values:
                yield node, code_of(value), wording.PART_LEFT_OUT
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            rest = [each for each in node.keywords if each is not keyword]
            shorter = ast.Call(node.func, node.args, rest)
            yield node, ast.unparse(shorter), wording.keyword_left_out(keyword)


def other_operator(node: ast.AST, function: Function) -> Iterator[Change]:
    match node:
        case ast.BinOp(left, op, right):
            for sign in OPERATORS.get(type(op), "").split():
                yield node, f"({code_of(left)} {sign} {code_of(right)})", wording.other_operator(sign, symbol(op))
            if isinstance(op, ast.MatMult) and not isinstance(right, ast.Attribute):
                yield right, f"{code_of(right)}.mT", wording.TRANSPOSED
            if isinstance(op, ast.Sub | ast.Div | ast.MatMult | ast.Pow):
                yield node, f"({code_of(right)} {symbol(op)} {code_of(left)})", wording.SIDES_EXCHANGED
        case ast.Compare(left, [op], [right]):
            for sign in ("is not",) if isinstance(op, ast.Is) else OPERATORS.get(type(op), "").split():
                words = wording.other_operator(sign, symbol(op))
                yield node, f"({code_of(left)} {sign} {code_of(right)})", words


def other_function(node: ast.AST, function: Function) -> Iterator[Change]:
    match node:
        case ast.Call(ast.Attribute(receiver, name) as method):
            for other in related()[name]:
                yield method, f"{code_of(receiver)}.{other}", wording.other_function(other, name)
        case ast.Call(ast.Name(name) as plain):
            yield from ((plain, other, wording.other_function(other, name)) for other in related()[name])
    match node:
        case ast.Call(ast.Name("softmax" | "log_softmax" as name), [first]):
            yield node, f"{name}({code_of(first)}.mT).mT", wording.softmax_over_another_axis(name)
        case ast.Call(called, [*_, _, _] as arguments):
            for number in range(len(arguments) - 1):
                swapped = [*arguments]
                swapped[number], swapped[number + 1] = swapped[number + 1], swapped[number]
                yield node, ast.unparse(ast.Call(called, swapped, node.keywords)), wording.ARGUMENTS_EXCHANGED
    match node:
        case ast.Call(ast.Attribute(ast.Name("self"), name), [argument]):
            x, module = code_of(argument), f"self.{name}"
            plain_norm = f"nn.functional.layer_norm({x}, {x}.shape[-1:], eps={module}.eps)"
            yield node, plain_norm, wording.gain_and_bias_left_out(module)
            yield node, f"({x} @ {module}.weight + {module}.bias)", wording.weight_not_transposed(module)


def parentheses_left_out(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield an operation without the parentheses of an operand, such as a * b + c for a * (b + c)."""
    match node:
        case ast.BinOp(first, _, last) | ast.Compare(first, _, [last]):
            pass
        case ast.UnaryOp(_, last):
            first = last
        case ast.Attribute(first) | ast.Subscript(first):
            last = first
        case _:
            return
    code, opening, closing = (ast.unparse(each) for each in (node, first, last))
    if code.startswith(f"({opening})"):
        yield node, opening + code.removeprefix(f"({opening})"), wording.PARENTHESES_LEFT_OUT
    if code.endswith(f"({closing})"):
        yield node, code.removesuffix(f"({closing})") + closing, wording.PARENTHESES_LEFT_OUT


def other_order(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield two operations in the other order, such as g(f(x)) for f(g(x)), f(x) + y for f(x + y), or ax + y for x + ay."""
    match node:
        case ast.Call(ast.Attribute(ast.Call(ast.Attribute(receiver)) as inner)) if not function.is_module(receiver):
            yield node, function.on(function.on(code_of(receiver), node), inner), wording.OTHER_ORDER
        case ast.Call(ast.Attribute(ast.Call(_, [argument, *_]) as inner)):
            yield node, function.on(function.on(code_of(argument), node), inner), wording.OTHER_ORDER
        case ast.Call(_, [ast.Call() as inner, *_]) if (subject := function.subject(inner)) is not None:
            yield node, function.on(function.on(code_of(subject), node), inner), wording.OTHER_ORDER
        case ast.BinOp(ast.BinOp(first, op, second), other, third):
            code = f"({code_of(first)} {symbol(op)} ({code_of(second)} {symbol(other)} {code_of(third)}))"
            yield node, code, wording.OTHER_ORDER
        case ast.BinOp(first, op, ast.BinOp(second, other, third)):
            code = f"(({code_of(first)} {symbol(op)} {code_of(second)}) {symbol(other)} {code_of(third)})"
            yield node, code, wording.OTHER_ORDER
    match node:
        case ast.BinOp(first, ast.Add() | ast.Sub() as op, ast.BinOp(factor, ast.Mult(), second)):
            code = f"({code_of(factor)} * {code_of(first)} {symbol(op)} {code_of(second)})"
            yield node, code, wording.FACTOR_MOVED
        case ast.BinOp(ast.BinOp(factor, ast.Mult(), first), ast.Add() | ast.Sub() as op, second):
            code = f"({code_of(first)} {symbol(op)} {code_of(factor)} * {code_of(second)})"
            yield node, code, wording.FACTOR_MOVED
    match node:
        case ast.Call() if isinstance(term := function.subject(node), ast.BinOp):
            one, sign, two = code_of(term.left), symbol(term.op), code_of(term.right)
            yield node, f"({function.on(one, node)} {sign} {two})", wording.OTHER_ORDER
            yield node, f"({one} {sign} {function.on(two, node)})", wording.OTHER_ORDER
        case ast.BinOp(ast.Call() as call, op, right) if (subject := function.subject(call)) is not None:
            yield node, function.on(f"({code_of(subject)} {symbol(op)} {code_of(right)})", call), wording.OTHER_ORDER
        case ast.BinOp(ast.BinOp(ast.Call() as call, inner_op, middle), op, right) if (
            subject := function.subject(call)
        ) is not None:
            product = f"({code_of(subject)} {symbol(inner_op)} {code_of(middle)})"
            yield node, function.on(f"({product} {symbol(op)} {code_of(right)})", call), wording.OTHER_ORDER
        case ast.BinOp(left, op, ast.Call() as call) if (subject := function.subject(call)) is not None:
            yield node, function.on(f"({code_of(left)} {symbol(op)} {code_of(subject)})", call), wording.OTHER_ORDER


def other_name(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield other arguments and local names for a name, and other modules for a module."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        earlier = (name for name, line in function.stored.items() if line < node.lineno)
        local = [*function.parameters, *earlier]
        if node.id in local:
            others = dict.fromkeys(name for name in local if name != node.id)
            yield from ((node, name, wording.other_name(name, node.id)) for name in others)
    match node:
        case ast.Call(ast.Attribute(ast.Name("self")) as called):
            module = ast.unparse(called)
            others = dict.fromkeys(name for name in function.submodules if name != module)
            yield from ((called, name, wording.other_name(name, module)) for name in others)
