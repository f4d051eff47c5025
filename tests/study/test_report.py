"""Figures and the page: self-contained, escaped, and showing the numbers they were given."""

import re
from pathlib import Path

import pytest
import torch

from minibert.study import figures as plots
from minibert.study import report
from minibert.study.fill_mask import Guess


def drawings() -> dict[str, plots.Draw]:
    """One of each."""
    return {
        "loss": plots.losses([1, 2, 3], [9.0, 7.0, 6.0], [(1, 9.0), (3, 6.1)], {"ln V": 9.0, "unigram entropy": 6.5}),
        "attention": plots.attention(torch.eye(3), ["[CLS]", "$x_1$ 机", "<b>"], "Attention"),
        "transfer": plots.transfer({"pretrained": [0.5, 0.7], "from scratch": [0.3, 0.4]}, 0.125, "most frequent class"),
    }


@pytest.mark.parametrize("name", drawings())
def test_a_figure_is_a_picture_and_an_svg(tmp_path: Path, name: str) -> None:
    made = plots.figure(drawings()[name])
    plots.save_png(made, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert plots.svg(made).startswith("<svg")


def test_the_figures_show_the_numbers() -> None:
    """Held-out points, landmarks, weights, bars and dots are those that were given."""
    loss, attention, transfer = plots.figure(*drawings().values()).axes
    assert loss.lines[1].get_xydata().tolist() == [[1, 9.0], [3, 6.1]]
    assert [text.get_text() for text in loss.texts] == ["ln V: 9.00", "unigram entropy: 6.50"]
    assert attention.images[0].get_array().tolist() == torch.eye(3).tolist()
    assert [label.get_text() for label in attention.get_xticklabels()] in (
        ["[CLS]", "$x_1$ 机", "<b>"],
        ["[CLS]", "$x_1$ U+673A", "<b>"],  # no installed font has the sign: its number stands for it
    )
    assert [round(bar.get_height(), 6) for bar in transfer.patches] == [0.6, 0.35]
    assert transfer.lines[0].get_ydata().tolist() == [0.5, 0.7]


def page() -> str:
    examples = [("a <b>[MASK]</b> & c", "x<", [Guess("x<", 0.5), Guess('"', 0.25)])]
    return report.page(
        "a <title>",
        [
            report.table(("<th>",), [("<td>",)]),
            report.text_section("<h>", "<p> & so on"),
            report.guesses_table(examples),
            *(report.figure_section("<f>", plots.figure(draw), "<c>") for draw in drawings().values()),
        ],
    )


def test_text_cannot_become_markup() -> None:
    html = page()
    for text in ("<title> ", "<b>", "<td>,", "<p> &", "<h>", "<f>", "<c>", "x<"):
        assert f">{text}" not in html
    assert "a &lt;b&gt;[MASK]&lt;/b&gt; &amp; c" in html
    assert "<mark>x&lt; 50%</mark>, &quot; 25%" in html


def test_the_page_loads_nothing_from_outside() -> None:
    """No script, no link, no address but the names of the SVG name spaces; and every inner reference is there."""
    html = page()
    assert not re.search(r"<script|<link|@import|src=|url\((?!#)", html)
    without_name_spaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "http" not in without_name_spaces
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids
