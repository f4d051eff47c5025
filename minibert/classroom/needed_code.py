"""The part of a file that one function needs: its imports, the functions that it calls, and its constants.

Other code of the file does not run: unfinished exercises, plots, training loops and downloads cannot spoil a check.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence

STAR = "*"
DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
IMPORT = ast.Import | ast.ImportFrom


def needed_code(tree: ast.Module, lines: Sequence[str], name: str) -> str:
    """Return the text with empty lines in place of statements that a function does not need. Line numbers stay as they are.

    Raises: RecursionError if the code is nested too deeply.
    """
    kept = [""] * len(lines)
    needed = _needed(tree, name)
    future = [node for node in needed if _is_future(node)]
    for node in needed:
        first, last = _lines_of(node)
        kept[first - 1 : last] = lines[first - 1 : last]
    if future and (not kept[0] or _is_future(needed[0])):  # in a notebook, it can stand in a later cell
        for node in future:
            kept[node.lineno - 1 : node.end_lineno] = [""] * (_lines_of(node)[1] - node.lineno + 1)
        kept[0] = "; ".join(map(ast.unparse, future))
    return "\n".join(kept)


def _needed(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements at the top level that a name needs, in their order."""
    fixed = {each for node in tree.body if isinstance(node, DEFINITION | IMPORT) for each in defined_names(node)}
    binds = [{*_bound(node), *(set(_changed(node)) - fixed)} for node in tree.body]
    lines = [range(first, last + 1) for first, last in map(_lines_of, tree.body)]
    needed: dict[int, frozenset[str]] = {}
    waiting = {number for number, node in enumerate(tree.body) if name in binds[number] or _is_future(node)}
    while waiting:
        number = waiting.pop()
        needed[number] = _global_names(ast.unparse(tree.body[number]))
        same_line = {other for other, place in enumerate(lines) if _overlap(place, lines[number])}
        waiting |= {other for other, names in enumerate(binds) if names & needed[number]} | same_line
        waiting -= needed.keys()
    if frozenset().union(*needed.values()) - set(dir(builtins)).union(*binds):  # some names have an unknown origin
        needed |= {number: frozenset() for number, names in enumerate(binds) if STAR in names}
    return [tree.body[number] for number in sorted(needed)]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _lines_of(node: ast.stmt) -> tuple[int, int]:
    """Return the first and the last line of a statement, with its decorators."""
    decorators = [each.lineno for each in getattr(node, "decorator_list", [])]
    return min([node.lineno, *decorators]), node.end_lineno or node.lineno


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a statement defines. Statements inside of it do not count. A star import gives "*"."""
    if isinstance(node, DEFINITION):
        return [node.name]
    if isinstance(node, IMPORT):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]


def imported_modules(code: str) -> set[str]:
    """Return the names of the modules that a piece of code imports at its top level or in its functions."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the variables that a statement gives a value: x for `x = 1`, `x[0] = 1`, `x.weight = 1` and `for x in y:`."""
    if isinstance(node, DEFINITION | IMPORT):
        yield from defined_names(node)
    elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
        if isinstance(node.ctx, ast.Store | ast.Del):
            yield from _root(node)
    elif not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _changed(node: ast.AST) -> Iterator[str]:
    """Yield x for a statement such as `x.append(1)`, which may change it."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        yield from _root(node.value.func)
    elif not isinstance(node, DEFINITION):
        for child in ast.iter_child_nodes(node):
            yield from _changed(child)


def _root(node: ast.AST) -> Iterator[str]:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _global_names(code: str) -> frozenset[str]:
    """Return the names in a piece of code that are not local variables of its functions."""
    return frozenset(_free(symtable.symtable(code, "code", "exec")))


def _free(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (is_module or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _free(child)
