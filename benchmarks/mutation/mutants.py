"""The mutants of a file: the rules of the classroom for small changes, applied to one place of one function at a time."""

import ast
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, groupby, islice
from pathlib import Path

from minibert.classroom import changes
from minibert.classroom.number_changes import other_bound, other_constant, other_defaults
from minibert.classroom.statement_changes import early_end, other_statement, statements_exchanged
from minibert.classroom.syntax import Function, code_of

ROOT = Path(__file__).parents[2]
MOST_OF_A_KIND = 3
"""Number of changes of one kind at one place, such as other numbers for one constant."""
EQUATIONS = "minibert/equations/"
TENSORS = (EQUATIONS, "minibert/kernels/", "minibert/model/")
"""Folders in which a missing `detach`, or one too many, and a formula that ends early, are likely mistakes."""
SYMMETRIC = {"max", "min", "maximum", "minimum", "promote_types", "isclose", "allclose", "equal", "transpose"}
"""Functions whose result does not depend on the order of their arguments."""

GENERIC = {"dict", "list", "set", "tuple", "Counter", "defaultdict", "deque"}
"""Types whose `[...]` is for the type checker."""
REDUNDANT = {"sort": "dim=-1", "topk": "dim=-1", "zip": "strict=True", "to": "non_blocking=True"}
"""Arguments that change no result: a default value, a check, and one that only saves time."""


@dataclass(frozen=True)
class Mutant:
    """A file with one change."""

    file: str
    """Path of the file in the repository."""
    function: str
    """Qualified name of the function around the change: the outermost one."""
    line: int
    """First line of the changed statement."""
    last_line: int
    """Last line of the statement, or of its first part if it contains others."""
    kind: str
    """Name of the rule."""
    start: int
    """Position of the first character that is replaced."""
    end: int
    """Position behind the last one."""
    new: str
    """The new code in this place."""

    def source(self) -> str:
        """Return the source of the changed file."""
        source = source_of(self.file)
        return source[: self.start] + self.new + source[self.end :]

    def words(self) -> str:
        """Return the old and the new code."""
        old = source_of(self.file)[self.start : self.end]
        return f"{' '.join(old.split())} → {' '.join(self.new.split())}"

    def name(self) -> str:
        """Return where the change is, and what it is."""
        return f"{self.file} {self.function} {self.words()}"

    def key(self) -> str:
        """Return a name that is also another one when something else in the file has changed."""
        return f"{self.name()} at {self.start} of {hashlib.sha256(source_of(self.file).encode()).hexdigest()}"

    def is_change(self) -> bool:
        """Return True if the new code can be compiled and is not the old code in another form."""
        try:
            changed = dict(functions_in(ast.parse(self.source())))[self.function]
        except SyntaxError:
            return False
        return ast.dump(changed) != _dump(self.file, self.function)


@cache
def source_of(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse(source_of(file))


@cache
def _dump(file: str, function: str) -> str:
    return ast.dump(dict(functions_in(_tree(file)))[function])


Found = tuple[ast.AST, str]
"""A node, and the code that replaces it."""


def context_left_out(node: ast.AST, function: Function) -> Iterator[Found]:
    """Yield `with` without its context, such as `torch.no_grad()`."""
    if isinstance(node, ast.withitem) and node.optional_vars is None:
        yield node.context_expr, "__import__('contextlib').nullcontext()"


def other_membership(node: ast.AST, function: Function) -> Iterator[Found]:
    match node:
        case ast.Compare(left, [ast.In()], [right]):
            yield node, f"({code_of(left)} not in {code_of(right)})"
        case ast.Compare(left, [ast.NotIn()], [right]):
            yield node, f"({code_of(left)} in {code_of(right)})"


RULES = {
    "left out": changes.left_out,
    "statement": other_statement,
    "operator": changes.other_operator,
    "membership": other_membership,
    "function": changes.other_function,
    "constant": other_constant,
    "bound": other_bound,
    "early end": early_end,
    "parentheses": changes.parentheses_left_out,
    "context": context_left_out,
}
"""The rules for a node, by the kind of mistake."""


def mutants_of(file: str, seed: int) -> list[Mutant]:
    """Return the mutants of a file: all for an equation, and a random one for each statement of other code."""
    of_statements: dict[tuple[int, int], dict[str, list[Mutant]]] = defaultdict(lambda: defaultdict(list))
    for mutant in dict.fromkeys(_candidates(file)):
        of_statements[mutant.line, mutant.last_line][mutant.kind].append(mutant)
    source = source_of(file).splitlines()
    found: list[Mutant] = []
    for (first, last), kinds in of_statements.items():
        statement = "".join(source[first - 1 : last]).strip()  # so that changes elsewhere in the file make no other mutants
        generator = random.Random(f"{seed} {file} {statement}")
        for each in kinds.values():
            generator.shuffle(each)
        order = sorted(kinds, key=lambda kind: generator.random())
        candidates = (mutant for kind in order for mutant in kinds[kind] if mutant.is_change())
        found += candidates if file.startswith(EQUATIONS) else islice(candidates, 1)
    return sorted(found, key=lambda each: (each.start, each.end, each.new))


def _candidates(file: str) -> Iterator[Mutant]:
    lines = [line.encode() for line in source_of(file).splitlines(keepends=True)]
    starts = [0, *accumulate(len(line.decode()) for line in lines)]

    def place(row: int, column: int) -> int:
        return starts[row - 1] + len(lines[row - 1][:column].decode())

    for qualified, definition in functions_in(_tree(file)):
        function = Function(ast.Module([definition], []))
        for kind, node, new, statement in _changes(function, _statements(definition), file.startswith(TENSORS)):
            start = place(node.lineno, node.col_offset)  # type: ignore[attr-defined]
            end = place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
            yield Mutant(file, qualified, statement.lineno, _end_of_head(statement), kind, start, end, new)


def _changes(
    function: Function, statements: dict[ast.AST, ast.stmt], of_tensors: bool
) -> Iterator[tuple[str, ast.AST, str, ast.stmt]]:
    """Yield kind, node, new code and statement of each change."""
    ignored = {value for node in function.nodes for value in _checks(node)}
    for kind, rule in RULES.items():
        for node in function.nodes:
            statement = statements.get(node)
            if statement is None or _has_no_effect(statement):
                continue
            changes_here = [(place, new) for place, new, *_ in rule(node, function) if place not in ignored]
            found = [each for each in changes_here if not _is_equivalent(*each)]
            if not of_tensors:
                found = [each for each in found if not each[1].endswith(".detach()") and " return " not in each[1]]
            yield from ((kind, place, new, statement) for place, new in _some(found))
    for both, new, _ in statements_exchanged(function):
        first = next(each for each in statements.values() if each.lineno == both.lineno)  # type: ignore[attr-defined]
        if _order_matters(new):
            yield "order", both, new, first
    of_defaults = [(value, new) for value, new, _ in other_defaults(function)]
    yield from (("default", value, new, function.definition) for value, new in _some(of_defaults))


def _some(found: list[Found]) -> Iterator[Found]:
    """Yield some of the changes at each place, the same every time."""
    for place, group in groupby(found, key=lambda each: each[0]):
        changes_here = [*group]
        some = random.Random(ast.dump(place)).sample(changes_here, min(MOST_OF_A_KIND, len(changes_here)))
        yield from (each for each in changes_here if each in some)


def functions_in(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the outermost functions and the methods of a file with their qualified names."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.FunctionDef(name) if not any(ast.unparse(each) == "overload" for each in node.decorator_list):
                yield prefix + name, node
            case ast.ClassDef(name):
                yield from functions_in(node, f"{prefix}{name}.")
            case ast.If() | ast.Try():
                yield from functions_in(node, prefix)


def _statements(definition: ast.FunctionDef) -> dict[ast.AST, ast.stmt]:
    """Return the innermost statement of each node of a function's body."""
    found: dict[ast.AST, ast.stmt] = {}

    def visit(node: ast.AST, statement: ast.stmt) -> None:
        statement = node if isinstance(node, ast.stmt) else statement
        found[node] = statement
        for field, children in ast.iter_fields(node):
            if field not in ("annotation", "returns"):  # not computed, or not by the function
                for child in children if isinstance(children, list) else [children]:
                    if isinstance(child, ast.AST):
                        visit(child, statement)

    for statement in definition.body:
        visit(statement, statement)
    return found


def _end_of_head(statement: ast.stmt) -> int:
    """Return the last line of a statement before the statements inside it; of a function, the last line of all."""
    if isinstance(statement, ast.FunctionDef):
        return statement.end_lineno or statement.lineno
    body = getattr(statement, "body", None)
    inside = body[0].lineno - 1 if isinstance(body, list) and body else statement.end_lineno
    return max(statement.lineno, inside or 0)


def _has_no_effect(statement: ast.stmt) -> bool:
    """Return True for a docstring, an error message, or an assertion for the type checker."""
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_text or isinstance(statement, ast.Raise | ast.Assert | ast.Pass | ast.Import | ast.ImportFrom)


def _is_equivalent(place: ast.AST, new: str) -> bool:
    """Return True if a change cannot change a result: an order that does not matter, a default value, or no gradient."""
    if new.endswith(".detach()") and _has_no_gradient(place):
        return True
    match place:
        case ast.Slice(ast.Constant(0), upper, step):
            return new == ast.unparse(ast.Slice(None, upper, step))
        case ast.Call(ast.Name(name) | ast.Attribute(_, name), arguments) if name in SYMMETRIC:
            exchanged = ast.parse(new, mode="eval").body
            same = isinstance(exchanged, ast.Call) and len(exchanged.args) == len(arguments)
            return same and sorted(map(ast.dump, exchanged.args)) == sorted(map(ast.dump, arguments))
        case ast.Call(ast.Name(name) | ast.Attribute(_, name) as called, arguments, keywords) if name in REDUNDANT:
            others = [each for each in keywords if ast.unparse(each) != REDUNDANT[name]]
            return len(others) < len(keywords) and new == ast.unparse(ast.Call(called, arguments, others))
        case ast.Subscript(ast.Name(name)) if name in GENERIC:
            return new == name
        case ast.Call(ast.Name("observe"), [_, _]) | ast.Call(ast.Name("cast"), [_, _]):
            return True
    return False


def _checks(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the arguments of a call that change no result, whatever their value is."""
    match node:
        case ast.Call(ast.Name("zip" | "to" as name) | ast.Attribute(_, "zip" | "to" as name), _, keywords):
            yield from (each.value for each in keywords if ast.unparse(each) == REDUNDANT[name])


def _has_no_gradient(value: ast.AST) -> bool:
    """Return True for a comparison, and for a tensor that is made from no other."""
    names = {node.attr for node in ast.walk(value) if isinstance(node, ast.Attribute)}
    is_comparison = any(isinstance(node, ast.Compare) for node in ast.walk(value)) and not names
    return is_comparison or bool(names & {"arange", "zeros_like", "new_full", "new_zeros", "bincount", "ones"})


def _order_matters(exchanged: str) -> bool:
    """Return True if one of two statements gives a value to a name that the other uses."""
    second, first = (ast.parse(line.strip()) for line in exchanged.split("\n", 1))
    stored, used = [], []
    for each in (first, second):
        own = {node.id for part in ast.walk(each) if isinstance(part, ast.comprehension) for node in _names(part.target)}
        names = [node for node in _names(each) if node.id not in own]
        stored.append({node.id for node in names if isinstance(node.ctx, ast.Store)})
        used.append({node.id for node in names if isinstance(node.ctx, ast.Load)})
    return bool(stored[0] & (used[1] | stored[1]) or stored[1] & used[0])


def _names(node: ast.AST) -> Iterator[ast.Name]:
    yield from (each for each in ast.walk(node) if isinstance(each, ast.Name))


def defaults_of(mutant: Mutant) -> tuple[list[str], dict[str, str]]:
    """Return the default values of the changed function, by position and by name, as code."""
    definitions = dict(functions_in(ast.parse(mutant.source())))
    arguments = definitions[mutant.function].args
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [ast.unparse(each) for each in arguments.defaults], {
        parameter.arg: ast.unparse(each) for parameter, each in named if each is not None
    }
