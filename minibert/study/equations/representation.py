"""The text and the HTML that a notebook shows for an equation: its formula, its code, and a worked example."""

from collections.abc import Iterator
from html import escape
from textwrap import indent

from minibert.study.equations.formulas import mathml, plain
from minibert.study.equations.registry import Equation
from minibert.study.equations.worked_example import Computed, run_example


def equation_text(equation: Equation) -> str:
    """Return an equation as text, without the numbers of the example."""
    parts = [equation.name, equation.purpose, indent(plain(equation.formula), "    "), "\n".join(_facts(equation))]
    return "\n\n".join([*parts, equation.code.rstrip(), indent(equation.example, ">>> ")])


def equation_html(equation: Equation) -> str:
    """Return an equation as HTML. Its example is computed now, with every intermediate value."""
    parts = [f"<p><b>{escape(equation.name)}</b>: {escape(equation.purpose)}</p>", mathml(equation.formula)]
    parts += [f"<p>{'<br>'.join(map(escape, _facts(equation)))}</p>", f"<pre>{escape(equation.code.rstrip())}</pre>"]
    parts += [f"<p><b>Worked example</b></p>\n<pre>{escape(equation.example)}</pre>"]
    for call in run_example(equation).calls:
        for title, values in (("Inputs", call.inputs), ("Computation", call.steps)):
            rows = "\n".join(map(_value_html, values))
            parts.append(f"<details open><summary>{title}</summary>\n<dl>\n{rows}\n</dl></details>" if values else "")
    return "\n".join(part for part in parts if part)


def _facts(equation: Equation) -> Iterator[str]:
    yield f"Source: {equation.source}"
    if equation.differs:
        yield f"Differs: {equation.differs}"
    if equation.lesson:
        yield f"Lesson: {equation.lesson}"
    yield f"Code: {equation.file}:{equation.line}"
    yield f"Tests: pytest {equation.tests}"


def _value_html(computed: Computed) -> str:
    """Return a term of a definition list: the code, its shape, and its value."""
    place = " ".join(part for part in (computed.part, f"in {computed.function}" if computed.function else "") if part)
    facts = ", ".join(fact for fact in (place, computed.shape) if fact)
    return f"<dt><code>{escape(computed.code)}</code> {escape(facts)}</dt><dd><pre>{escape(computed.numbers)}</pre></dd>"
