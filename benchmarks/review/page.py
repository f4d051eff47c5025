"""Write the section "An adversarial review" of docs/agreement.md: the tables of all JSON files in this folder.

    python -m benchmarks.review.page

The section is between two comments. `benchmarks/agreement.py`, which writes the page, writes this section, too.
"""

import html
import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "agreement.md"
BEGIN, END = "<!-- begin: benchmarks/review/page.py -->", "<!-- end: benchmarks/review/page.py -->"
OUTCOMES = ("equal", "refused", "differing", "crashed")
RESULTS = ("cases", *OUTCOMES)
"""The columns of a table that are numbers."""
INTRODUCTION = """## An adversarial review

The programs in `benchmarks/review` try to break minibert. Each case has one of four results: minibert computes the same as the
reference, or does its work (*equal*); it refuses with the right reason (*refused*); it does something else (*differing*); or it
fails in any other way (*crashed*)."""


def section(folder: Path = HERE) -> str:
    """Return the section with the tables of all JSON files in a folder."""
    files = sorted(folder.glob("*.json"))
    reports = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    totals = sums([row for report in reports.values() for row in report["rows"]])
    total = "In all: " + ", ".join(f"{totals[result]:,} {result}" for result in RESULTS) + "."
    return "\n\n".join([BEGIN, INTRODUCTION, total, *map(table, reports, reports.values()), END]) + "\n"


def sums(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the sum of each column of numbers."""
    return {result: sum(row[result] for row in rows) for result in RESULTS}


def table(name: str, report: dict[str, Any]) -> str:
    """Return the table of one program, and its notes."""
    rows, totals = report["rows"], sums(report["rows"])
    lines = [
        f"### {name.replace('_', ' ').capitalize()}",
        "",
        f"`python -m benchmarks.review.{name} --seed {report['seed']}`",
        "",
        f"| area | kind | {' | '.join(RESULTS)} |",
        f"|---|---|{'--:|' * len(RESULTS)}",
        *(f"| {cell(row['area'])} | {cell(row['kind'])} | {' | '.join(str(row[each]) for each in RESULTS)} |" for row in rows),
        f"| all | | {' | '.join(str(totals[each]) for each in RESULTS)} |",
    ]
    notes = [f"- {cell(note)}" for note in report.get("notes", [])]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def cell(text: str) -> str:
    """Return text as one line that has no meaning in Markdown or HTML."""
    line = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]|#" else letter for letter in line)


def with_section(page: str, new: str) -> str:
    """Return the page with a new section in place of the old one, or at its end if it has none."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2].lstrip("\n")
    return f"{before.rstrip()}\n\n{new}" + (f"\n{after}" if after else "")


def main() -> None:
    """Write the section."""
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), section()), encoding="utf-8")


if __name__ == "__main__":
    main()
