"""The rules for other statements: left out, in another order, an early end, a condition that is always or never true."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from minibert.classroom import edit_wording as wording
from minibert.classroom.syntax import Change, Function, code_of


def other_statement(node: ast.AST, function: Function) -> Iterator[Change]:
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
                yield value, f"{code_of(value)}.detach()", wording.detached(name)


def statements_exchanged(function: Function) -> Iterator[Change]:
    simple = ast.Assign | ast.AugAssign | ast.Expr
    blocks = [each for each in ast.walk(function.definition) if isinstance(each, ast.FunctionDef | ast.If | ast.For | ast.With)]
    for first, second in (two for block in blocks for two in pairwise(block.body)):
        if isinstance(first, simple) and isinstance(second, simple):
            both = ast.copy_location(ast.Pass(), first)
            both.end_lineno, both.end_col_offset = second.end_lineno, second.end_col_offset
            codes = ast.unparse(second), ast.unparse(first)
            yield both, f"\n{' ' * first.col_offset}".join(codes), wording.statements_exchanged(*codes)


def early_end(node: ast.AST, function: Function) -> Iterator[Change]:
    """Yield a result that is returned too early, and loops without their first, their last, or their later rounds."""
    match node:
        case ast.Assign([ast.Name(name)]):
            yield node, f"{ast.unparse(node)}\n{' ' * node.col_offset}return {name}", wording.returned_early(ast.unparse(node))
        case ast.For(ast.Name(target), rounds) if target != "_":
            last, loop = node.body[-1], f"for {target} in {ast.unparse(rounds)}"
            yield rounds, f"list({ast.unparse(rounds)})[1:]", wording.rounds_left_out("first", loop)
            yield rounds, f"list({ast.unparse(rounds)})[:-1]", wording.rounds_left_out("last", loop)
            if isinstance(last, ast.Assign | ast.AugAssign | ast.Expr):
                indent = " " * last.col_offset
                yield last, f"{ast.unparse(last)}\n{indent}break", wording.ended_after_the_first_round(loop)
