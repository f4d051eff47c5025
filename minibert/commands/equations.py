"""`minibert equations`: the equations of the papers, their code, and worked examples."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from textwrap import indent
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, Suppress, arg

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say, say_code, say_json, say_table, styled

if TYPE_CHECKING:
    from minibert.study.equations.registry import Equation
    from minibert.study.equations.worked_example import Computed, WorkedExample

OWN_OPTIONS = ("--help", "--json", "--no-json", "--markdown", "--no-markdown")


@dataclass(frozen=True)
class Equations:
    """List all equations, or show one with its code and an example, computed step by step.

    With a name, every argument of the equation is an option, and the arguments that are not given are those of the example:
    minibert equations softmax --scores "[[1, 2, 3]]". Sizes are at most 32,768.
    """

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    """Name of an equation, such as softmax. Without a name, all are listed."""
    json: bool = False
    """Print JSON instead of text."""
    markdown: bool = False
    """Print Markdown: the page docs/equations.md, or the section of one equation."""
    arguments: Suppress[Mapping[str, str]] = field(default_factory=dict)
    """Arguments of the equation, as text."""


def separate_arguments(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the arguments of an equation, such as `--query "[[1, 2]]"`, from the other words of the command line."""
    others: list[str] = []
    arguments: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        option, equals, value = word.partition("=")
        if not option.startswith("--") or option in OWN_OPTIONS:
            others.append(word)
            continue
        given = value if equals else next(rest, None)
        if given is None:
            raise UsageError(f"{word}: has no value; {_known_options()}")
        arguments[option.removeprefix("--").replace("-", "_")] = given
    return others, arguments


def _known_options() -> str:
    return 'the options are --json, --markdown, and the arguments of the equation, such as softmax --scores "[[1, 2]]"'


def run(options: Equations) -> int:
    """Print the list, the page, or one equation. Return 1 if its example does not give the documented result."""
    from minibert.study.equations.registry import markdown, markdown_section, registry
    from minibert.study.equations.worked_example import run_example, run_with

    if options.json and options.markdown:
        raise UsageError("--json and --markdown exclude each other: give only one")
    entries = registry()
    if options.name is None:
        if options.arguments:
            raise UsageError(f"--{next(iter(options.arguments))}: give the name of an equation; {_known_options()}")
        if options.markdown:
            say(markdown(entries).removesuffix("\n"))
        elif options.json:
            say_json([asdict(equation) for equation in entries.values()])
        else:
            _show_all(entries)
        return 0
    if options.name not in entries:
        near = difflib.get_close_matches(options.name, entries, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "`minibert equations` lists all equations"
        raise UsageError(f"unknown equation {options.name!r}; {hint}")
    equation = entries[options.name]
    if options.markdown:
        if options.arguments:
            raise UsageError("--markdown has no example: leave out the arguments of the equation")
        say(markdown_section(equation).removesuffix("\n"))
        return 0
    try:
        example = run_with(equation, options.arguments) if options.arguments else run_example(equation)
    except ValueError as error:
        raise UsageError(error) from error
    if options.json:
        say_json(asdict(equation) | {"differences": example.differences, "calls": _calls_as_json(example)})
    else:
        _show_one(equation, example)
    return 1 if example.differences else 0


def _show_all(entries: "dict[str, Equation]") -> None:
    from rich.table import Table

    from minibert.study.equations.formulas import plain

    table = Table(show_lines=True)
    table.add_column("equation", no_wrap=True)
    table.add_column("formula, source, code, tests", overflow="fold")
    for equation in entries.values():
        facts = [equation.source, f"{equation.file}:{equation.line}", equation.tests.rpartition("::")[2], equation.lesson]
        rest = styled("\n".join(fact for fact in facts if fact), "dim")
        table.add_row(styled(equation.name, "bold"), styled(f"{plain(equation.formula)}\n", "") + rest)
    say_table(table)


def _show_one(equation: "Equation", example: "WorkedExample") -> None:
    from minibert import equations
    from minibert.study.equations.formulas import plain
    from minibert.study.equations.javascript import SCRIPT
    from minibert.study.equations.registry import REPOSITORY, without_docstring
    from minibert.study.equations.worked_example import called_functions

    say(styled(equation.name, "bold"), equation.purpose, "", f"    {plain(equation.formula)}", "", f"Source: {equation.source}")
    say(*[f"{name}: {fact}" for name, fact in (("Differs", equation.differs), ("Lesson", equation.lesson)) if fact])
    say(f"Code: {equation.file}:{equation.line}", f"Tests: pytest {equation.tests}", "")
    say_code(equation.code)
    for function in called_functions(getattr(equations, equation.name)).values():
        say_code(without_docstring(inspect.getsource(function)))
    if equation.javascript is not None:
        say(f"The same in JavaScript: {SCRIPT.relative_to(REPOSITORY).as_posix()}", "")
        say_code(equation.javascript, "javascript")
    say(styled("Worked example", "bold"), indent(example.example, "    "))
    for number, call in enumerate(example.calls, start=1):
        suffix = f" (call {number} of {len(example.calls)})" if len(example.calls) > 1 else ""
        for title, values in ((f"Inputs{suffix}", call.inputs), ("Computation", call.steps)):
            say("", styled(title, "bold"))
            for function_name, inside in groupby(values, key=lambda computed: computed.function):
                if function_name:
                    say(styled(f"in {function_name}:", "bold"))
                _show_values(list(inside), "    " if function_name else "")
    if example.differences:
        title = "The results differ from the docstring. Has the code been changed?"
        say("", styled(title, "bold red"), *(f"    {difference}" for difference in example.differences))


def _show_values(values: "list[Computed]", margin: str) -> None:
    """Print each piece of code with its value, and the shape of the value as a comment."""
    for code, group in groupby(values, key=lambda computed: computed.code):
        parts = list(group)
        if parts[0].part:
            say(styled(indent(code, margin), "cyan"))
        for computed in parts:
            title = f"{margin}    {computed.part}" if computed.part else indent(code, margin)
            say(styled(title, "cyan") + styled(f"  # {computed.shape}" if computed.shape else "", "dim"))
            say(indent(computed.numbers, margin + "    "))


def _calls_as_json(example: "WorkedExample") -> list[dict[str, object]]:
    return [
        {part: [_as_json(computed) for computed in getattr(call, part)] for part in ("inputs", "steps")}
        for call in example.calls
    ]


def _as_json(computed: "Computed") -> dict[str, object]:
    from torch import Tensor

    value = computed.value
    facts = {"shape": list(value.shape), "value": value.tolist()} if isinstance(value, Tensor) else {"value": value}
    return {"code": computed.code, "part": computed.part, "function": computed.function, **facts}
