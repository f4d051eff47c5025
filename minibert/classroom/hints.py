"""Hints of three levels: a question, the place, and the line of the reference with a blank."""

import ast
import difflib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from minibert.classroom.exercise import Exercise
from minibert.classroom.mistakes import MISTAKES, Mistake
from minibert.classroom.mistakes.variants import source_of
from minibert.classroom.report import Report
from minibert.classroom.solution import solution_function
from minibert.classroom.stubs import formulas
from minibert.study.equations.formulas import plain
from minibert.study.stepthrough.documentation import documented_steps

BLANK = "____"
COMPUTATIONS = (ast.BinOp, ast.Call, ast.Compare, ast.IfExp, ast.Tuple)
"""Expressions in which a part can be left blank."""


class Level(StrEnum):
    """Level of a hint, from the weakest to the strongest."""

    QUESTION = "question"
    PLACE = "place"
    LINE = "line"


@dataclass(frozen=True)
class Hint:
    """A hint."""

    level: Level
    text: str
    code: str = ""
    """A line of the reference, for the last level."""

    def __str__(self) -> str:
        return f"{self.text} {self.code}" if self.code else self.text


def hints(exercise: Exercise, report: Report | None = None) -> tuple[Hint, ...]:
    """Return the hints of an exercise, the weakest first.

    Args:
        report: the last check, if there was one. The place and the line are then those of the mistake that it names.
    """
    mistake = _mistake(exercise, report)
    code = source_of(inspect.unwrap(mistake.function)) if mistake else solution_function(exercise)
    statement = _Statement.of(code, mistake)
    questions = exercise.questions or (_question(exercise),)
    line = _first_line(statement.with_blank(mistake))
    return (
        *(Hint(Level.QUESTION, question) for question in questions),
        Hint(Level.PLACE, " ".join(filter(None, _place(exercise, code, statement, report)))),
        Hint(Level.LINE, "Fill the blank:" if BLANK in line else "The line of the reference:", line),
    )


def next_hint(exercise: Exercise, given: int, report: Report | None = None) -> Hint:
    """Return the next hint after some were given; after the last one, the last one again."""
    found = hints(exercise, report)
    return found[min(given, len(found) - 1)]


def _question(exercise: Exercise) -> str:
    latex = formulas(exercise)
    parts = f"each part of {plain(latex[0])}" if latex else "each step"
    return f"Which operation of PyTorch computes {parts}, and which shape does its result have?"


def _mistake(exercise: Exercise, report: Report | None) -> Mistake | None:
    """Return the mistake of the catalogue that a report names."""
    named = report.mistake.name if report and report.mistake else ""
    return MISTAKES[named] if named in MISTAKES and MISTAKES[named] in exercise.mistakes else None


def _place(exercise: Exercise, code: str, statement: "_Statement", report: Report | None) -> Iterator[str]:
    mistake = _mistake(exercise, report)
    if report and report.line:
        text = report.line_text.strip()
        yield f"Look at line {report.line} of your code{f', `{text}`' if text else ''}."
    if mistake and (step := documented_steps(inspect.unwrap(mistake.function)).get(statement.step)):
        yield f"The step {statement.step}: {plain(step.formula)}. {step.explanation}"
    elif names := _names_in_order(code):
        yield f"The reference computes, in this order: {', '.join([*names, 'the result'])}."
        yield f"Look at {statement.target}." if report and report.mistake else ""
    elif latex := formulas(exercise):
        yield f"It is one line, the formula itself: {'; '.join(map(plain, latex))}"
    else:
        yield f"The solution has {code.strip().count(chr(10))} lines."


def _names_in_order(code: str) -> list[str]:
    """Return the names of the variables that a function computes, without those that are not used."""
    stored = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name | ast.Attribute))
    assigned = sorted(
        (node for node in stored if isinstance(node.ctx, ast.Store)), key=lambda node: (node.lineno, node.col_offset)
    )
    return [name for name in dict.fromkeys(ast.unparse(node) for node in assigned) if name != "_"]


def _first_line(code: str) -> str:
    return code.strip().partition("\n")[0]


@dataclass(frozen=True)
class _Statement:
    """A statement of a function."""

    code: str
    node: ast.stmt

    @classmethod
    def of(cls, code: str, mistake: Mistake | None) -> "_Statement":
        """Return the statement that a mistake changes; without a mistake, the last one, which computes the result."""
        body = ast.parse(code).body[0]
        inner = [
            node for node in ast.walk(body) if isinstance(node, ast.stmt) and node is not body and not hasattr(node, "body")
        ]
        computed = [
            node for node in inner if isinstance(getattr(node, "value", None), COMPUTATIONS) and not isinstance(node, ast.Expr)
        ]
        last = max(computed or inner, key=lambda node: (isinstance(node, ast.Return), node.lineno))
        if mistake:
            line = code[: code.index(mistake.edits[0][0])].count("\n") + 1
            line += len(mistake.edits[0][0]) - len(mistake.edits[0][0].lstrip("\n"))
            last = next((node for node in inner if node.lineno <= line <= (node.end_lineno or 0)), last)
        return cls(ast.get_source_segment(code, last) or "", last)

    @property
    def step(self) -> str:
        """The name of the step that is observed here; empty if there is none."""
        found = re.search(r'observe\("(\w+)"', self.code)
        return found[1] if found else ""

    @property
    def target(self) -> str:
        """The variable that is computed here, or "the result"."""
        return ast.unparse(self.node.targets[0]) if isinstance(self.node, ast.Assign) else "the result"

    def with_blank(self, mistake: Mistake | None) -> str:
        """Return the statement with a blank in place of the part that the mistake changes, or of a part of the result."""
        for right, blanked in _blanked(*mistake.edits[0]) if mistake else ():
            code = _without_observe(self.code.replace(right, blanked, 1))
            if BLANK in code and "observe(" not in code:
                return (
                    re.sub(rf"(?<=[\w)\]]){BLANK}|{BLANK}(?=\w)", lambda found: f" {BLANK} ", code).replace("  ", " ").rstrip()
                )
        node = ast.parse(_without_observe(self.code)).body[0]
        value = getattr(node, "value", None)
        if isinstance(value, ast.BinOp):
            value.right = ast.Name(BLANK)
        elif isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            value.func.attr = BLANK
        elif isinstance(value, ast.Call):
            value.func = ast.Name(BLANK)
        elif isinstance(value, ast.Compare):
            value.comparators = [ast.Name(BLANK)]
        elif isinstance(value, ast.IfExp):
            value.body = ast.Name(BLANK)
        elif isinstance(value, ast.Tuple):
            value.elts[0] = ast.Name(BLANK)
        return ast.unparse(node)


def _blanked(right: str, wrong: str) -> Iterator[tuple[str, str]]:
    """Yield the right code with blanks where the wrong code differs: with several blanks, then with one."""
    tokens = [re.findall(r"\w+|\s+|.", code) for code in (right, wrong)]
    changes = difflib.SequenceMatcher(a=tokens[0], b=tokens[1], autojunk=False).get_opcodes()
    parts = ["".join(tokens[0][start:end]) if kind == "equal" else BLANK for kind, start, end, _, _ in changes if end > start]
    yield right, "".join(parts)
    first, last = (
        "".join(tokens[0][start:end]) if kind == "equal" else "" for kind, start, end, *_ in (changes[0], changes[-1])
    )
    yield right, first + BLANK + last


class _Unobserved(ast.NodeTransformer):
    """Replace `observe(name, x)` by x."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        return node.args[1] if isinstance(node.func, ast.Name) and node.func.id == "observe" else node


def _without_observe(code: str) -> str:
    """Return a statement without the calls of `observe`; empty if it is no Python, as with a blank for an operator."""
    try:
        return ast.unparse(_Unobserved().visit(ast.parse(code)))
    except SyntaxError:
        return ""
