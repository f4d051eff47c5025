"""`minibert equations`: the equations of the papers, their code, and worked examples."""

import difflib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError
from minibert.commands.terminal import say, say_json, say_table, styled

if TYPE_CHECKING:
    from minibert.study.equations.registry import Equation
    from minibert.study.equations.worked_example import Computed


@dataclass(frozen=True)
class Equations:
    """List all equations, or show one with its code and a worked example."""

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    """Name of an equation, such as softmax. Without a name, all are listed."""
    json: bool = False
    """Print JSON instead of a table."""
    markdown: bool = False
    """Print the Markdown page docs/equations.md."""


def run(options: Equations) -> int:
    """Print the list, the page, or one equation."""
    from minibert.study.equations.registry import markdown, registry

    if options.json and options.markdown:
        raise UsageError("--json and --markdown exclude each other: give only one")
    entries = registry()
    if options.name is not None:
        if options.name not in entries:
            near = difflib.get_close_matches(options.name, entries, n=3, cutoff=0.4)
            hint = f"did you mean {', '.join(near)}?" if near else "`minibert equations` lists all equations"
            raise UsageError(f"unknown equation {options.name!r}; {hint}")
        entries = {options.name: entries[options.name]}
    if options.markdown:
        say(markdown(entries).removesuffix("\n"))
    elif options.json:
        _print_json(entries, with_example=options.name is not None)
    elif options.name is not None:
        _show_one(entries[options.name])
    else:
        _show_all(entries)
    return 0


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


def _show_one(equation: "Equation") -> None:
    from textwrap import indent

    from rich.syntax import Syntax

    from minibert.study.equations.formulas import plain
    from minibert.study.equations.worked_example import run_example

    example = run_example(equation)

    def show(*lines: str, style: str = "") -> None:
        say(*(styled(line, style) for line in lines))

    show(equation.name, style="bold")
    show(equation.purpose, "", f"    {plain(equation.formula)}", "", f"Source: {equation.source}")
    show(*[f"{name}: {fact}" for name, fact in (("Differs", equation.differs), ("Lesson", equation.lesson)) if fact])
    show(f"Code: {equation.file}:{equation.line}", f"Tests: pytest {equation.tests}", "")
    code = Syntax(equation.code, "python", background_color="default").highlight(equation.code)
    say(code)
    show("Worked example", style="bold")
    show(indent(example.example, "    "))
    for number, call in enumerate(example.calls, start=1):
        suffix = f" (call {number} of {len(example.calls)})" if len(example.calls) > 1 else ""
        for title, values in ((f"Inputs{suffix}", call.inputs), ("Computation", call.steps)):
            show("", title, style="bold")
            for computed in values:
                show(computed.code, style="cyan")
                show(indent(computed.numbers, "    "))


def _print_json(entries: "dict[str, Equation]", with_example: bool) -> None:
    from minibert.study.equations.worked_example import run_example

    output = []
    for equation in entries.values():
        facts = asdict(equation)
        if with_example:
            facts["calls"] = [
                {part: [_as_json(computed) for computed in getattr(call, part)] for part in ("inputs", "steps")}
                for call in run_example(equation).calls
            ]
        output.append(facts)
    say_json(output[0] if with_example else output)


def _as_json(computed: "Computed") -> dict[str, object]:
    from torch import Tensor

    return {"code": computed.code, "value": computed.value.tolist() if isinstance(computed.value, Tensor) else computed.value}
