"""The registry of equations. Formula, source, differences, tests and lesson come from the docstring of each function."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert import equations
from minibert.display import Shown
from minibert.study.equations.javascript import SCRIPT, javascript_functions

FIELDS = ("Eq", "Source", "Differs", "Steps", "Tests", "Lesson", "Args", "Returns", "Raises")
REPOSITORY = Path(inspect.getfile(equations)).parents[2]


@dataclass(frozen=True, repr=False)
class Equation(Shown):
    """One equation and the function that computes it. A notebook shows it with its code and a worked example."""

    name: str
    purpose: str
    """The purpose in one or two sentences."""
    formula: str
    """LaTeX without the dollar signs."""
    source: str
    """Paper and equation number."""
    differs: str | None
    """Differences between the paper, other implementations and this function."""
    tests: str
    """The tests, as an argument for pytest."""
    lesson: str | None
    """Files of the lessons, such as lessons/02_attention.py, separated by commas."""
    file: str
    """Path relative to the folder that contains the package."""
    line: int
    code: str
    """Source code of the function without its decorators and docstring."""
    example: str
    """Code of the doctest, without prompts and output."""
    javascript: str | None
    """The same function in JavaScript, for the equations that a live page computes."""

    def _text(self) -> str:
        from minibert.study.equations.representation import equation_text

        return equation_text(self)

    def _repr_html_(self) -> str:
        from minibert.study.equations.representation import equation_html

        return equation_html(self)

    @property
    def summary(self) -> str:
        """The name and the formula."""
        from minibert.study.equations.formulas import plain

        return f"{self.name}: {plain(self.formula)}"


def registry() -> dict[str, Equation]:
    """Return all equations by name, in the order of the files and of the lines in them."""
    functions = [getattr(equations, name) for name in equations.__all__]
    entries = [read_equation(function) for function in functions if inspect.isfunction(function)]
    modules = (
        "attention",
        "positions",
        "patches",
        "layers",
        "objectives",
        "replaced_tokens",
        "distillation",
        "optimization",
        "generation",
        "adapters",
    )
    entries.sort(key=lambda equation: (modules.index(Path(equation.file).stem), equation.line))
    return {equation.name: equation for equation in entries}


def read_equation(function: Callable[..., Any]) -> Equation:
    """Parse the docstring of an equation.

    Raises: ValueError that names the function and the field that its docstring lacks.
    """
    function = inspect.unwrap(function)
    text = inspect.getdoc(function) or ""
    fields = docstring_fields(text)
    for required in ("Eq", "Source", "Tests"):
        if required not in fields:
            raise ValueError(f"{function.__qualname__}: the docstring has no line '{required}:'")
    formula = re.fullmatch(r"\$\$(.+)\$\$", fields["Eq"], re.DOTALL)
    if formula is None:
        raise ValueError(f"{function.__qualname__}: the field 'Eq:' must be LaTeX between $$ and $$")
    lines, first = inspect.getsourcelines(function)
    decorators = next(number for number, line in enumerate(lines) if line.startswith("def "))
    return Equation(
        name=function.__name__,
        purpose=" ".join(re.split(rf"^(?:{'|'.join(FIELDS)}):|^>>>", text, maxsplit=1, flags=re.MULTILINE)[0].split()),
        formula=" ".join(formula[1].split()),
        source=fields["Source"],
        differs=fields.get("Differs"),
        tests=fields["Tests"],
        lesson=fields.get("Lesson"),
        file=Path(inspect.getfile(function)).relative_to(REPOSITORY).as_posix(),
        line=first + decorators,
        code=without_docstring("".join(lines[decorators:])),
        example="\n".join(re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE)),
        javascript=javascript_functions().get(function.__name__),
    )


def without_docstring(source: str) -> str:
    """Remove the docstring from the source code of a function."""
    return re.sub(r'\n +r?"""(?:.|\n)*?"""\n', "\n", source, count=1)


def docstring_fields(text: str) -> dict[str, str]:
    """Return the fields of a docstring (`Eq:`, `Source:`, …) by name. An indented line continues the line above."""
    pattern = rf"^({'|'.join(FIELDS)}): *(.*(?:\n +.*)*)"
    return {name: " ".join(value.split()) for name, value in re.findall(pattern, text, re.MULTILINE)}


def markdown(entries: dict[str, Equation]) -> str:
    """Return the page `docs/equations.md`, which lists all equations."""
    lines = [
        "# Equations",
        "",
        "Generated from the docstrings by `minibert equations --markdown`. A test checks that this page is up to date.",
        "",
        "```sh",
        "minibert equations layer_norm                        # one equation: its code, and an example computed step by step",
        'minibert equations softmax --scores "[[1, 2, 3]]"    # with your own numbers: every argument is an option',
        "```",
        "",
        "The example is computed from the code as it is now. If you edit a formula, the command says where its result differs",
        "from the documented one.",
        "",
        "| equation | source | purpose |",
        "|---|---|---|",
    ]
    lines += [f"| [`{e.name}`](#{e.name}) | {e.source} | {e.purpose} |" for e in entries.values()]
    return "\n".join(lines) + "\n\n" + "\n".join(map(markdown_section, entries.values()))


def markdown_section(equation: Equation) -> str:
    """Return the section of one equation in the page."""
    e = equation
    lines = [f"## {e.name}", "", e.purpose, "", f"$${e.formula}$$", "", f"- Source: {e.source}"]
    lines += [f"- Differs: {e.differs}"] if e.differs else []
    lines += [f"- Code: [`{e.file}`](../{e.file}); tests: `pytest {e.tests}`"]
    lines += [f"- In JavaScript: `{SCRIPT.relative_to(REPOSITORY).as_posix()}`"] if e.javascript else []
    files = e.lesson.split(", ") if e.lesson else []
    lines += ["- Lesson: " + ", ".join(f"[`{file}`](../{file})" for file in files)] if files else []
    return "\n".join(lines) + "\n"
