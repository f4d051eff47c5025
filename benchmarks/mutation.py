"""Mutation testing of the equations: small changes to the code must make a test fail.

    python benchmarks/mutation.py            all equations; prints a table and writes mutation.json and mutation.md
    python benchmarks/mutation.py softmax    one equation

Each mutant changes one operator, comparison, number, Boolean, call, keyword argument or assignment of an equation. The tests of
that equation run against it, with 20 examples for each property test. A mutant that passes all tests has survived: either it is
equivalent, and EXPLAINED gives the reason, or a test is missing.
"""

import ast
import copy
import inspect
import json
import multiprocessing
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

import conftest  # noqa: E402, F401 - installs the shape checks, as under pytest
from minibert import equations  # noqa: E402
from minibert.classroom.mistakes import compiled  # noqa: E402
from minibert.equations import objectives  # noqa: E402
from minibert.study.equations.registry import registry, without_docstring  # noqa: E402
from tests.mistake_detection import FAILURES, few_examples, replaced, tests_at  # noqa: E402

SECONDS = 60
"""Time limit for the tests of one mutant. A mutant that exceeds it counts as detected."""

OPERATORS: dict[type, list[type]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.Pow: [ast.Mult],
    ast.Mod: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
}
NAMES = {"min": "max", "max": "min", "sin": "cos", "cos": "sin", "maximum": "minimum", "exp": "log", "amax": "amin"}
NAMES |= {
    "sum": "mean",
    "mean": "sum",
    "tril": "triu",
    "sqrt": "square",
    "square": "sqrt",
    "zeros_like": "ones_like",
    "new_zeros": "new_ones",
}

SYMMETRIC = {"max", "min", "maximum", "transpose", "promote_types"}
"""Functions whose result does not depend on the order of their two arguments."""

DEVICE = "equivalent on the CPU; with inputs on a CUDA device it raises an error, which the tests marked `cuda` detect"
CANCELS = "the maximum cancels, and so does its gradient"
LAST = "the last axis is the default of this function"
STABLE = "the order matters for equal logits only, and sorting on the CPU is stable in any case"
FIRST = "the initial value is multiplied by e^-∞ = 0 in the first block"
EXPLAINED = {
    ("softmax", "scores.detach()  →  scores"): CANCELS,
    ("online_softmax_attention", "scores.detach()  →  scores"): CANCELS,
    ("online_softmax_attention", "64  →  65"): "the block size does not change the result",
    ("online_softmax_attention", "64  →  128"): "the block size does not change the result",
    ("online_softmax_attention", "torch.zeros_like(row_max)  →  torch.ones_like(row_max)"): FIRST,
    ("online_softmax_attention", "0.0  →  1.0"): "every finite number works: e^(-∞ - 1) is 0 too",
    ("online_softmax_attention", "1.0  →  2.0"): "the numerator is 0 there",
    ("padding_mask", "torch.arange(tokens, device=lengths.device)  →  torch.arange(tokens)"): DEVICE,
    (
        "sinusoidal_positions",
        "torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device)  →  "
        "torch.arange(0, width, 2, dtype=positions.dtype)",
    ): DEVICE,
    (
        "rotary_positions",
        "torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device)  →  "
        "torch.arange(0, width, 2, dtype=positions.dtype)",
    ): DEVICE,
    (
        "alibi_bias",
        "torch.arange(1, heads + 1, dtype=query_positions.dtype, device=query_positions.device)  →  "
        "torch.arange(1, heads + 1, dtype=query_positions.dtype)",
    ): DEVICE,
    (
        "top_k_filter",
        "logits.topk(min(k, logits.shape[-1]), dim=-1)  →  logits.topk(min(k, logits.shape[-1]))",
    ): LAST,
    (
        "top_p_filter",
        "logits.sort(dim=-1, descending=True, stable=True)  →  logits.sort(descending=True, stable=True)",
    ): LAST,
    (
        "top_p_filter",
        "logits.sort(dim=-1, descending=True, stable=True)  →  logits.sort(dim=-1, descending=True)",
    ): STABLE,
    ("top_p_filter", "True  →  False"): STABLE,
    ("top_p_filter", "torch.zeros_like(removed)  →  torch.ones_like(removed)"): "every element is overwritten",
}
"""The reason why no test can detect a mutant, by equation and change."""


def mutants(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Yield every mutant of a syntax tree, with a description of the change."""
    for index, node in enumerate(ast.walk(tree)):
        for change in changes(node):
            mutant = copy.deepcopy(tree)
            before = ast.unparse(node)
            target = next(other for number, other in enumerate(ast.walk(mutant)) if number == index)
            replacement = change(target)
            if replacement is not None:
                mutant = Replace(target, replacement).visit(mutant)
            after = ast.unparse(replacement or target)
            line = getattr(node, "lineno", 0)
            yield f"{line}: {before}  →  {after}", ast.fix_missing_locations(mutant)


def reason(name: str, change: str) -> str | None:
    """Return the reason why no test can detect a change, or None."""
    return EXPLAINED.get((name, change.partition(": ")[2]))


class Replace(ast.NodeTransformer):
    """Replace one node of a syntax tree by another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


Change = Callable[[Any], ast.AST | None]


def changes(node: ast.AST) -> list[Change]:
    """Return the possible changes to a node. Each one either modifies the node or returns a replacement."""
    found: list[Change] = []
    match node:
        case ast.BinOp(op=op):
            found += [lambda n, new=new: setattr(n, "op", new()) for new in OPERATORS.get(type(op), [])]
        case ast.Compare(ops=[op]):
            found += [lambda n, new=new: setattr(n, "ops", [new()]) for new in OPERATORS.get(type(op), [])]
        case ast.UnaryOp():
            found += [lambda n: n.operand]
        case ast.Constant(value=bool(value)):
            found += [lambda n, value=value: setattr(n, "value", not value)]
        case ast.Constant(value=int(value) | float(value)):
            found += [lambda n, value=value: setattr(n, "value", value + 1)]
            found += [lambda n, value=value: setattr(n, "value", value * 2)] if value else []
        case ast.Call(func=ast.Attribute(attr=name)) if name in NAMES:
            found += [lambda n, name=name: setattr(n.func, "attr", NAMES[name])]
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            found += [lambda n, name=name: setattr(n.func, "id", NAMES[name])]
        case ast.Attribute(attr="mT"):
            found += [lambda n: n.value]
        case ast.If():
            found += [lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))]
        case ast.IfExp():
            found += [lambda n: n.body, lambda n: n.orelse]
    if isinstance(node, ast.Call) and not _is(node, "observe"):
        if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
            found += [lambda n: n.func.value]  # remove the call
        if len(node.args) == 2 and not node.keywords and ast.unparse(node.func).rpartition(".")[2] not in SYMMETRIC:
            found += [lambda n: setattr(n, "args", n.args[::-1])]
        found += [lambda n, k=k: n.keywords.pop(k) and None for k in range(len(node.keywords))]
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        found += [lambda n: ast.Pass()]
    return found


def _is(node: ast.Call, name: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == name


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in {"torch", "math", "F"}


def tree_of(function: Callable[..., Any]) -> ast.Module:
    """Return the syntax tree of a function without its docstring and annotations."""
    source = without_docstring(textwrap.dedent(inspect.getsource(function)))
    tree = ast.parse(source)
    definition = tree.body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.returns, definition.decorator_list = None, []
    for argument in definition.args.args:
        argument.annotation = None
    return tree


def functions() -> dict[str, tuple[Callable[..., Any], list[str]]]:
    """Return every equation with its tests, and the reduction that three losses share."""
    found = {name: (inspect.unwrap(getattr(equations, name)), [entry.tests]) for name, entry in registry().items()}
    shared = [node for name in ("masked_lm_loss", "next_sentence_loss", "label_smoothing_loss") for node in found[name][1]]
    return found | {"reduce_losses": (inspect.unwrap(objectives.reduce_losses), shared)}


def first_failing_test(task: tuple[str, int]) -> tuple[str, str, str | None]:
    """Run the tests against one mutant. Return the equation, the change, and the first test that fails, or None."""
    name, number = task
    torch.set_num_threads(1)
    function, tests = functions()[name]
    change, tree = list(mutants(tree_of(function)))[number]
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(SECONDS)
    try:
        mutant = compiled(function, ast.unparse(tree))
        with replaced(function, mutant, tests), few_examples(tests, 20):
            for node in tests:
                for test, run in tests_at(node).items():
                    try:
                        run()
                    except FAILURES:
                        return name, change, test
    except SyntaxError:
        return name, change, "does not compile"
    except TimeLimit:
        return name, change, f"longer than {SECONDS} s"
    finally:
        signal.alarm(0)
    return name, change, None


class TimeLimit(BaseException):
    """Raised when the tests of a mutant run too long. It is not an Exception, so that no test catches it."""


def _stop(*_: object) -> None:
    raise TimeLimit


def main(wanted: list[str]) -> int:
    """Print and write the results. Return 1 if a mutant survived without an explanation."""
    began = time.monotonic()
    chosen = {name: pair for name, pair in functions().items() if not wanted or name in wanted}
    if not chosen:
        sys.exit(f"no equation is named {wanted[0]!r}; `minibert equations` lists the names")
    numbers = {name: len(list(mutants(tree_of(function)))) for name, (function, _) in chosen.items()}
    tasks = [(name, number) for name, count in numbers.items() for number in range(count)]
    with multiprocessing.get_context("spawn").Pool() as pool:
        results = pool.map(first_failing_test, tasks, chunksize=4)
    page = report(results)
    print(page)
    print(f"{time.monotonic() - began:.0f} s")
    if not wanted:
        here = Path(__file__)
        here.with_suffix(".md").write_text(page, encoding="utf-8")
        rows = [{"equation": name, "mutation": change, "detected_by": test} for name, change, test in results]
        here.with_suffix(".json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return any(test is None and reason(name, change) is None for name, change, test in results)


def report(results: list[tuple[str, str, str | None]]) -> str:
    """Return a table of equations, and all surviving mutants with their reasons."""
    total, detected = Counter(name for name, _, _ in results), Counter(name for name, _, test in results if test)
    survivors = [(name, change) for name, change, test in results if test is None]
    share = sum(detected.values()) / len(results)
    lines = ["# Mutation testing of the equations", "", "Generated by `python benchmarks/mutation.py`.", ""]
    lines += [f"{len(results)} mutants, {sum(detected.values())} detected by the tests: **{share:.1%}**.", ""]
    lines += ["| equation | mutants | detected |", "|---|--:|--:|"]
    lines += [f"| {name} | {count} | {detected[name]} |" for name, count in total.items()]
    lines += ["", "## Surviving mutants", ""]
    for name, change in survivors:
        lines += [f"- `{name}`, line {change}: {reason(name, change) or '**not explained**'}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
