"""Figures and HTML reports: self-contained, escaped, and with the numbers that they receive."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from minibert.study import figures, report
from minibert.study.drawing import Draw, figure, save, svg
from minibert.study.fill_mask import Prediction
from minibert.study.plots.attention import attention_head


def charts() -> dict[str, Draw]:
    """One chart of each kind."""
    return {
        "loss": figures.loss_curves([1, 2, 3], [9.0, 7.0, 6.0], [(1, 9.0), (3, 6.1)], {"ln V": 9.0, "unigram entropy": 6.5}),
        "attention": partial(attention_head, weights=torch.eye(3), queries=["[CLS]", "$x_1$ 机", "<b>"], title="Attention"),
        "transfer": figures.learning_curves(
            {"pretrained": {2: [0.5, 0.7], 8: [0.8]}, "from scratch": {2: [0.3, 0.4], 8: [0.5]}},
            "Accuracy",
            "labels",
            "accuracy",
            {"most frequent class": 0.125},
        ),
    }


@pytest.mark.parametrize("name", charts())
def test_a_figure_is_written_as_png_and_as_svg(tmp_path: Path, name: str) -> None:
    fig = figure(charts()[name])
    save(fig, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert svg(fig).startswith("<svg")


def test_the_figures_show_their_data() -> None:
    """Validation points, baselines, attention weights, means and dots equal the data."""
    loss, attention, _, transfer = figure(*charts().values()).axes
    assert loss.lines[1].get_xydata().tolist() == [[1, 9.0], [3, 6.1]]
    assert [text.get_text() for text in loss.texts] == ["ln V: 9.00", "unigram entropy: 6.50"]
    assert attention.images[0].get_array().tolist() == torch.eye(3).tolist()
    assert [label.get_text() for label in attention.get_xticklabels()] in (
        ["[CLS]", "$x_1$ 机", "<b>"],
        ["[CLS]", "$x_1$ U+673A", "<b>"],  # without a font for the character: its code point
    )
    mean, first, second, scratch, *_, baseline = transfer.lines
    assert mean.get_xydata().tolist() == [[2, pytest.approx(0.6)], [8, 0.8]]
    assert first.get_xydata().tolist() == [[2, 0.5], [2, 0.7]]
    assert second.get_xydata().tolist() == [[8, 0.8]]
    assert scratch.get_ydata().tolist() == [pytest.approx(0.35), 0.5]
    assert list(baseline.get_ydata()) == [0.125, 0.125]


def page() -> str:
    examples = [("a <b>[MASK]</b> & c", "x<", [Prediction("x<", 0.5), Prediction('"', 0.25)])]
    return report.page(
        "a <title>",
        [
            report.table(("<th>",), [("<td>",)]),
            report.text_section("<h>", "<p> & so on"),
            report.predictions_table(examples),
            *(report.figure_section("<f>", figure(draw), "<c>") for draw in charts().values()),
        ],
    )


def test_text_is_escaped() -> None:
    html = page()
    for text in ("<title> ", "<b>", "<td>,", "<p> &", "<h>", "<f>", "<c>", "x<"):
        assert f">{text}" not in html
    assert "a &lt;b&gt;[MASK]&lt;/b&gt; &amp; c" in html
    assert "<mark>x&lt; 50%</mark>, &quot; 25%" in html


def test_the_page_loads_nothing_from_outside() -> None:
    """No script, no link, no address except the XML namespaces of SVG. Every reference has its target in the page."""
    html = page()
    assert not re.search(r"<script|<link|@import|src=|url\((?!#)", html)
    without_namespaces = re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)
    assert "http" not in without_namespaces
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids
