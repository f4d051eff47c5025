"""Every equation of the house as its docstring tells it: formula, source, where it differs, where it is tested and taught."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert import equations

FIELDS = ("Eq", "Source", "Differs", "Tests", "Lesson", "Args", "Returns", "Raises")
REPOSITORY = Path(inspect.getfile(equations)).parents[2]


@dataclass(frozen=True)
class Equation:
    """One formula, one function."""

    name: str
    purpose: str
    """What it is for, in a sentence or two."""
    formula: str
    """In LaTeX, without the dollars."""
    source: str
    """Paper and equation."""
    differs: str | None
    """How codes and papers differ from it, and where it differs from them."""
    tests: str
    """What to give to pytest to run its tests."""
    lesson: str | None
    file: str
    """Relative to the folder that minibert lies in."""
    line: int
    code: str
    """The function without its docstring."""
    example: str
    """The doctest's lines, without prompts and without what they print."""


def registry() -> dict[str, Equation]:
    """All equations by name, in the order of the files and of the lines in them."""
    functions = [getattr(equations, name) for name in equations.__all__]
    found = [read_equation(function) for function in functions if inspect.isfunction(function)]
    rooms = ("attention", "positions", "layers", "objectives", "optimization", "generation")
    found.sort(key=lambda equation: (rooms.index(Path(equation.file).stem), equation.line))
    return {equation.name: equation for equation in found}


def read_equation(function: Callable[..., Any]) -> Equation:
    """Takes a function's docstring apart. Raises: ValueError that names the function and what its docstring lacks."""
    function = inspect.unwrap(function)
    text = inspect.getdoc(function) or ""
    fields = docstring_fields(text)
    for needed in ("Eq", "Source", "Tests"):
        if needed not in fields:
            raise ValueError(f"{function.__qualname__}: the docstring has no line '{needed}:'")
    formula = re.fullmatch(r"\$\$(.+)\$\$", fields["Eq"], re.DOTALL)
    if formula is None:
        raise ValueError(f"{function.__qualname__}: 'Eq:' is not LaTeX between $$ and $$")
    lines, first = inspect.getsourcelines(function)
    return Equation(
        name=function.__name__,
        purpose=" ".join(re.split(rf"^(?:{'|'.join(FIELDS)}):|^>>>", text, maxsplit=1, flags=re.MULTILINE)[0].split()),
        formula=" ".join(formula[1].split()),
        source=fields["Source"],
        differs=fields.get("Differs"),
        tests=fields["Tests"],
        lesson=fields.get("Lesson"),
        file=Path(inspect.getfile(function)).relative_to(REPOSITORY).as_posix(),
        line=first,
        code=without_docstring("".join(lines)),
        example="\n".join(re.findall(r"^(?:>>>|\.\.\.) ?(.*)$", text, re.MULTILINE)),
    )


def without_docstring(source: str) -> str:
    """The source of a function as it would be read aloud: no explanation, only what is computed."""
    return re.sub(r'\n +r?"""(?:.|\n)*?"""\n', "\n", source, count=1)


def docstring_fields(text: str) -> dict[str, str]:
    """What stands behind `Eq:`, `Source:` and so on; indented lines belong to the line above."""
    pattern = rf"^({'|'.join(FIELDS)}): *(.*(?:\n +.*)*)"
    return {name: " ".join(value.split()) for name, value in re.findall(pattern, text, re.MULTILINE)}


def markdown(entries: dict[str, Equation]) -> str:
    """All equations as one page, for `docs/equations.md`."""
    lines = [
        "# The equations",
        "",
        "Made from the docstrings by `minibert equations --markdown`; a test keeps it true.",
        "",
        "| equation | source | what it is for |",
        "|---|---|---|",
    ]
    lines += [f"| [`{e.name}`](#{e.name}) | {e.source} | {e.purpose} |" for e in entries.values()]
    for e in entries.values():
        lines += ["", f"## {e.name}", "", e.purpose, "", f"$${e.formula}$$", "", f"- Source: {e.source}"]
        lines += [f"- Differs: {e.differs}"] if e.differs else []
        lines += [f"- Code: [`{e.file}`](../{e.file}); tests: `pytest {e.tests}`"]
        lines += [f"- Lesson: {e.lesson}"] if e.lesson else []
    return "\n".join(lines) + "\n"
