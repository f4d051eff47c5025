"""The section on the adversarial review: up to date with its JSON files, and readable whatever they contain."""

import json
from pathlib import Path

from benchmarks.review.page import BEGIN, END, PAGE, RESULTS, section, with_section


def test_section_is_up_to_date() -> None:
    """`python -m benchmarks.review.page` writes it."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_section(page, section()) == page
    assert page.count("An adversarial review") == 1


def test_section_is_replaced_and_nothing_else() -> None:
    """Without a section, it is added at the end."""
    new = f"{BEGIN}\nnew\n{END}\n"
    assert with_section("# Page\n\ntext\n", new) == f"# Page\n\ntext\n\n{new}"
    assert with_section(f"# Page\n\n{BEGIN}\nold\n{END}\n\nafter\n", new) == f"# Page\n\n{new}\nafter\n"
    assert with_section(with_section("# Page\n", new), new) == with_section("# Page\n", new)


def test_notes_are_plain_text(tmp_path: Path) -> None:
    """Neither Markdown nor HTML in a name or note changes the page."""
    row = {"area": "a|b", "kind": "<b>*x*", **dict.fromkeys(RESULTS, 1)}
    report = {"seed": 3, "rows": [row, row], "notes": ["two\nlines <script> `code` [link](x)"]}
    (tmp_path / "hostile_inputs.json").write_text(json.dumps(report), encoding="utf-8")
    text = section(tmp_path)
    assert "| a\\|b | &lt;b&gt;\\*x\\* | 1 | 1 | 1 | 1 | 1 |" in text
    assert "| all | | 2 | 2 | 2 | 2 | 2 |" in text
    assert "In all: 2 cases, 2 equal, 2 refused, 2 differing, 2 crashed." in text
    assert "- two lines &lt;script&gt; \\`code\\` \\[link\\](x)" in text
    assert "`python -m benchmarks.review.hostile_inputs --seed 3`" in text
