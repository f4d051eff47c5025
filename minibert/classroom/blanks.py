"""The statement of a function that a mistake changes, with a blank in place of what the mistake changes."""

import ast
import difflib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from minibert.classroom.mistakes import Mistake

BLANK = "____"
MOST_BLANKS = 2
COMPUTATIONS = (ast.BinOp, ast.Call, ast.Compare, ast.IfExp, ast.Tuple)
"""Expressions in which a part can be left blank."""
WORD = r"\b(?:\d[\d.]*(?:e[-+]?\d+)?|[^\W\d]\w*)"
TOKEN = re.compile(rf"{WORD}|\*\*|//|[<>=!]=|\s+|.")
OBSERVED = re.compile(r'\bobserve\(\s*"\w+",\s*')
ASSIGNED = re.compile(r"\s*(?:[-+*/@%&|^]|//|\*\*)?=(?!=)")
"""Follows a variable or a keyword that gets a value."""
Span = tuple[int, int]
"""Beginning and end of a piece of text."""


@dataclass(frozen=True)
class Statement:
    """A statement of a function, or a line such as `for start in range(…):` that begins several."""

    code: str
    node: ast.stmt | None = None
    changed: tuple[Span, ...] = ()
    """The pieces that a mistake changes."""
    removed: str = ""
    """The code that the mistake removes, or replaces, with the keyword of an argument, such as "dim=-1"."""
    only_removes: bool = False
    """True if the mistake writes nothing instead."""

    @classmethod
    def of_mistake(cls, code: str, mistake: Mistake) -> "Statement":
        """Return the first statement of a function's code that a mistake changes.

        For a new line that changes a variable, such as `keep = ~keep`, it is the first statement that uses the variable.
        """
        right, wrong = mistake.edits[0]
        start = code.index(right)
        if changed := _changed_variable(right, wrong):
            use = re.compile(rf"\b{changed}\b").search(code, start + len(right))
            if use is not None:
                node, (begin, end) = _statement_at(code, use.start())
                return cls(code[begin:end], node, ((use.start() - begin, use.end() - begin),), changed)
        ones, others = TOKEN.findall(right.replace("\n", " ")), TOKEN.findall(wrong.replace("\n", " "))
        ends = [0]
        for token in ones:
            ends.append(ends[-1] + len(token))
        changes = [
            (start + ends[first], start + ends[last])
            for kind, first, last, _, _ in difflib.SequenceMatcher(None, ones, others, autojunk=False).get_opcodes()
            if kind != "equal"
        ]
        place = min(changes[0][0], start + max(len(right.rstrip()) - 1, 0))
        node, (begin, end) = _statement_at(code, place)
        inside = [(max(one, begin) - begin, min(other, end) - begin) for one, other in changes if begin <= one <= end]
        spans = dict.fromkeys(span if span[1] > span[0] else _word_before(code[begin:end], span[0]) for span in inside)
        removed = " ".join(code[_keyword_before(code, one) : other] for one, other in changes)
        return cls(code[begin:end], node, tuple(spans), removed, wrong in right)

    @classmethod
    def of_result(cls, code: str) -> "Statement":
        """Return the last statement, which computes the result."""
        inner = _simple_statements(code)
        computed = [
            node for node in inner if isinstance(getattr(node, "value", None), COMPUTATIONS) and not isinstance(node, ast.Expr)
        ]
        last = max(computed or inner, key=lambda node: (isinstance(node, ast.Return), node.lineno))
        return cls(ast.get_source_segment(code, last) or "", last)

    @property
    def step(self) -> str:
        """The name of the step that is observed here; empty if there is none."""
        found = re.search(r'observe\(\s*"(\w+)"', self.code)
        return found[1] if found else ""

    @property
    def computes(self) -> bool:
        """True if a value is computed here; False for calls such as `optimizer.step()`, and for the beginning of a loop."""
        return self.node is not None and not isinstance(self.node, ast.Expr)

    @property
    def target(self) -> str:
        """The variable that is computed here, "the result", or the line as code."""
        if isinstance(self.node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            target = self.node.targets[0] if isinstance(self.node, ast.Assign) else self.node.target
            return f"`{ast.unparse(target)}`"
        return "the result" if isinstance(self.node, ast.Return) else f"the line `{self.code}`"

    def with_blank(self) -> str:
        """Return the statement on one line with blanks for what the mistake changes, or else for a part of the result."""
        for spans in (self.changed, [(self.changed[0][0], self.changed[-1][1])] if self.changed else []):
            line = self._blanked(spans) if len(spans) <= MOST_BLANKS else ""
            is_all = re.fullmatch(rf"(?:return |[^=]+ [^ ]?= )?{BLANK}" if self.node else BLANK, line)
            if BLANK in line and "observe(" not in line and not is_all:
                return line
        return _with_blank_part(_one_line(self.code)) if self.node else _one_line(self.code)

    def _blanked(self, spans: Sequence[Span]) -> str:
        """Return the statement with blanks; empty if a blank would have only one of two brackets."""
        code = self.code
        for begin, end in reversed(spans):
            if not _is_balanced(code[begin:end]):
                return ""
            code = code[:begin] + BLANK + code[end:]
        apart = re.sub(rf"(?<=[\w)\]]){BLANK}|{BLANK}(?=\w)", f" {BLANK} ", code)
        return _one_line(apart) if spans else ""


def _simple_statements(code: str) -> list[ast.stmt]:
    body = ast.parse(code).body[0]
    return [node for node in ast.walk(body) if isinstance(node, ast.stmt) and node is not body and not hasattr(node, "body")]


def _changed_variable(right: str, wrong: str) -> str:
    """Return the variable that an edit changes in a line of its own; empty if it does anything else."""
    inserted = re.fullmatch(rf"{re.escape(right)} *(\w+) = .*\n", wrong) if right.endswith("\n") else None
    return inserted[1] if inserted else ""


def _statement_at(code: str, place: int) -> tuple[ast.stmt | None, Span]:
    """Return the statement at a place of the code, or else the line."""
    line = code[:place].count("\n") + 1
    starts = [0]
    for each in code.split("\n"):
        starts.append(starts[-1] + len(each) + 1)
    for node in _simple_statements(code):
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            segment = ast.get_source_segment(code, node) or ""
            begin = code.index(segment, starts[node.lineno - 1])
            return node, (begin, begin + len(segment))
    text = code.split("\n")[line - 1]
    begin = starts[line - 1] + len(text) - len(text.lstrip())
    return None, (begin, begin + len(text.strip()))


def _word_before(code: str, place: int) -> Span:
    """Return the name or number before a place at which a mistake adds code; the first one after it if there is none.

    Variables that get a value are left out, and so are `return`, `observe` and text in quotes.
    """
    found = re.finditer(rf"\"\w*\"|(?!(?:return|observe)\b){WORD}", code)
    words = [each.span() for each in found if each[0][0] != '"' and not ASSIGNED.match(code, each.end())]
    return next((span for span in reversed(words) if span[1] <= place), words[0] if words else (place, place))


def _keyword_before(code: str, place: int) -> int:
    """Return where the keyword of the number at a place begins, such as "dim=" in "dim=-1"; else the place."""
    keyword = re.search(r"\w+=-?$", code[:place])
    return keyword.start() if keyword else place


def _is_balanced(code: str) -> bool:
    """Return True if every bracket of a piece of code is closed in it."""
    depths = [0, *itertools.accumulate((char in "([{") - (char in ")]}") for char in code)]
    return min(depths) == depths[-1] == 0


def _one_line(code: str) -> str:
    """Return a statement on one line, without the names of steps."""
    while found := OBSERVED.search(code):
        depths = itertools.accumulate((char in "([{") - (char in ")]}") for char in code[found.end() :])
        end = found.end() + next(place for place, depth in enumerate(depths) if depth < 0)
        code = code[: found.start()] + code[found.end() : end].rstrip().removesuffix(",") + code[end + 1 :]
    line = re.sub(r"\s+", " ", code).strip().removesuffix(",")
    return re.sub(r",? (?=[)\]])", "", re.sub(r"(?<=[(\[]) ", "", line))


def _with_blank_part(code: str) -> str:
    """Return a statement with a blank in place of a part of its value."""
    node = ast.parse(code).body[0]
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
