"""`minibert equations`: the formulas of the papers, where they stand in the code, and one of them worked out."""

import difflib
import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from minibert.commands.errors import UsageError

if TYPE_CHECKING:
    from minibert.study.equations.registry import Equation
    from minibert.study.equations.worked_example import Computed


@dataclass(frozen=True)
class Equations:
    """Lists the equations; with a name, shows one with its code and a worked example, every number computed."""

    name: Annotated[Positional[str | None], arg(metavar="[NAME]")] = None
    """One of the equations, such as softmax."""
    json: bool = False
    """Print JSON, not a table."""
    markdown: bool = False
    """Print the page docs/equations.md."""


def run(options: Equations) -> int:
    """Prints the list, the page or the one."""
    from minibert.study.equations.registry import markdown, registry

    if options.json and options.markdown:
        raise UsageError("--json and --markdown: give one of them")
    entries = registry()
    if options.name is not None:
        if options.name not in entries:
            near = difflib.get_close_matches(options.name, entries, n=3, cutoff=0.4)
            hint = f"near ones: {', '.join(near)}" if near else "`minibert equations` lists them"
            raise UsageError(f"there is no equation {options.name!r}; {hint}")
        entries = {options.name: entries[options.name]}
    if options.markdown:
        print(markdown(entries), end="")
    elif options.json:
        _print_json(entries, worked=options.name is not None)
    elif options.name is not None:
        _show_one(entries[options.name])
    else:
        _show_all(entries)
    return 0


def _show_all(entries: "dict[str, Equation]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from minibert.study.equations.formulas import plain

    table = Table(show_lines=True)
    table.add_column("equation", no_wrap=True)
    table.add_column("formula, source, code, tests", overflow="fold")
    for equation in entries.values():
        facts = [equation.source, f"{equation.file}:{equation.line}", equation.tests.rpartition("::")[2], equation.lesson]
        rest = Text("\n".join(fact for fact in facts if fact), style="dim")
        table.add_row(Text(equation.name, style="bold"), Text(f"{plain(equation.formula)}\n") + rest)
    Console().print(table)


def _show_one(equation: "Equation") -> None:
    from textwrap import indent

    from rich.console import Console
    from rich.syntax import Syntax
    from rich.text import Text

    from minibert.study.equations.formulas import plain
    from minibert.study.equations.worked_example import work

    console = Console()
    worked = work(equation)

    def say(*parts: str, style: str = "", whole: bool = False) -> None:
        for part in parts:
            console.print(Text(part, style=style), soft_wrap=whole)  # whole: lines that somebody may want to copy

    say(equation.name, style="bold")
    say(equation.purpose, "", f"    {plain(equation.formula)}", "", f"Source: {equation.source}")
    say(*[f"{name}: {fact}" for name, fact in (("Differs", equation.differs), ("Lesson", equation.lesson)) if fact])
    say(f"Code: {equation.file}:{equation.line}", f"Tests: pytest {equation.tests}", "")
    code = Syntax(equation.code, "python", background_color="default").highlight(equation.code)
    console.print(code, soft_wrap=True)
    say("Worked out, number by number", style="bold")
    say(indent(worked.example, "    "), whole=True)
    for number, call in enumerate(worked.calls, start=1):
        which = f", call {number} of {len(worked.calls)}" if len(worked.calls) > 1 else ""
        for title, computed in ((f"What goes in{which}", call.inputs), ("What is computed", call.steps)):
            say("", title, style="bold")
            for one in computed:
                say(one.code, style="cyan", whole=True)
                say(indent(one.numbers, "    "), whole=True)


def _print_json(entries: "dict[str, Equation]", worked: bool) -> None:
    from minibert.study.equations.worked_example import work

    found = []
    for equation in entries.values():
        facts = asdict(equation)
        if worked:
            facts["calls"] = [
                {part: [_as_json(one) for one in getattr(call, part)] for part in ("inputs", "steps")}
                for call in work(equation).calls
            ]
        found.append(facts)
    print(json.dumps(found[0] if worked else found, indent=2, ensure_ascii=False, allow_nan=False))


def _as_json(one: "Computed") -> dict[str, object]:
    """A step; infinities and NaN, for which JSON has no numbers, as strings."""
    value = one.value if isinstance(one.value, int | float) else one.value.tolist()

    def safe(number: object) -> object:
        if isinstance(number, list):
            return [safe(item) for item in number]
        return str(number) if isinstance(number, float) and not math.isfinite(number) else number

    return {"code": one.code, "value": safe(value)}
