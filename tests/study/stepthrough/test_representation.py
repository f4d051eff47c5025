"""What a notebook shows for a step: formula, explanation and numbers, as HTML and as text."""

import math
import re

import pytest
import torch

from minibert.printable import printable
from minibert.study.stepthrough.step import Axis, Step
from tests.fragments import shown

HOSTILE = (
    "<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "&lt;", "</td></table>", "\x00", "\x1b[31m", "\u202eabc",
    "مرحبا", "雨", "🎉", " ", "", "\n", "\ud800", "//example.org", "[b]",
)  # fmt: skip


def step(output: torch.Tensor, *axes: Axis, **others: str) -> Step:
    given = {"formula": r"S = \frac{P}{\sqrt{d_k}}", "symbol": "S", "explanation": "A sentence.", **others}
    return Step("layers.0.attention.scores", output, axes, **given)


def scores(heads: int = 2, tokens: int = 3) -> Step:
    labels = tuple(f"token{number}" for number in range(tokens))
    output = torch.arange(heads * tokens * tokens).reshape(1, heads, tokens, tokens) / 8 - 1
    axes = (Axis("batch", 1), Axis("heads", heads), Axis("queries", tokens, labels), Axis("keys", tokens, labels))
    return step(output, *axes)


def test_html_has_formula_explanation_and_all_numbers() -> None:
    fragment = shown(scores())
    assert "math" in fragment.elements
    assert "A sentence." in fragment.text
    assert "heads 2 × queries 3 × keys 3" in fragment.text
    numbers = [float(text) for text in fragment.texts if re.fullmatch(r"-?\d+(\.\d+)?", text)]
    assert numbers == scores().output.flatten().tolist()
    assert fragment.elements.count("details") == 2
    assert [text for text in fragment.texts if text.startswith("token")] == [*["token0", "token1", "token2"] * 4]


def test_text_has_formula_explanation_and_numbers_of_the_first_matrix() -> None:
    lines = repr(scores()).splitlines()
    assert lines[:4] == ["layers.0.attention.scores", "    S = P/√d_k", "A sentence.", "heads 2 × queries 3 × keys 3"]
    assert lines[-4:] == [
        "        token0  token1  token2",
        "token0      -1  -0.875   -0.75",
        "token1  -0.625    -0.5  -0.375",
        "token2   -0.25  -0.125       0",
    ]


def test_the_strongest_color_belongs_to_the_largest_magnitude_and_the_sign_decides_the_hue() -> None:
    fragment = shown(step(torch.tensor([4.0, -4.0, 1.0, 0.0, -math.inf, math.nan]), Axis("width", 6)))
    colors = re.findall(r"background:rgba\((.*?),([\d.]+)\)", " ".join(fragment.attributes["style"]))
    assert [opacity for _, opacity in colors] == ["0.60", "0.60", "0.15"]  # zero, infinity and NaN have no color
    assert colors[0][0] == colors[2][0] != colors[1][0]
    assert {"-inf", "nan"} <= {*fragment.texts}


@pytest.mark.parametrize("sizes", [(1, 40, 600, 600), (1, 600, 3000), (1, 3, 30000), (70000,)])
def test_the_size_of_the_html_is_bounded(sizes: tuple[int, ...]) -> None:
    names = ("batch", "heads", "queries", "vocabulary")[-len(sizes) :] if len(sizes) > 1 else ("characters",)
    axes = [Axis(name, size, ("word",) * size) for name, size in zip(names, sizes, strict=True)]
    large = step(torch.zeros(sizes), *axes)
    assert shown(large).elements
    assert len(large._repr_html_()) < 400_000
    assert len(repr(large).splitlines()) < 20


def test_heads_that_are_not_shown_are_counted() -> None:
    assert "4 more matrices" in shown(scores(heads=20)).text
    assert "more matrices" not in shown(scores(heads=16)).text


def test_the_largest_entries_of_a_vocabulary_are_shown() -> None:
    """The first entries of a vocabulary are special tokens, which say nothing about a prediction."""
    words = tuple(f"word{number}" for number in range(100))
    probabilities = torch.linspace(0, 0.5, 100)[None]
    fragment = shown(step(probabilities, Axis("positions", 1, ("[MASK]",)), Axis("vocabulary", 100, words)))
    entries = [text for text in fragment.texts if text.startswith("word")]
    assert entries[:2] == ["word99 0.5", "word98 0.4949"]
    assert len(entries) == 8


@pytest.mark.parametrize(
    "output",
    [
        torch.tensor(2.5),
        torch.zeros(0),
        torch.zeros(1, 0, 4),
        torch.zeros(1, 4, 0),
        torch.tensor([[True, False]]),
        torch.tensor([[1, 2**62]]),
        torch.ones(1, 2, 3, dtype=torch.bfloat16),
        torch.ones(1, 2, 2, 3, 4, dtype=torch.float64, requires_grad=True),
        torch.tensor([1e30, 1e-30]),
    ],
    ids=lambda output: f"{[*output.shape]} {output.dtype}",
)
def test_tensors_of_any_shape_and_type(output: torch.Tensor) -> None:
    names = ("batch", *"abcd")[: output.ndim] if output.ndim > 1 else ("width",)[: output.ndim]
    any_step = step(output, *(Axis(name, size) for name, size in zip(names, output.shape, strict=True)))
    assert shown(any_step).text
    assert repr(any_step)


@pytest.mark.parametrize("formula", ["", r"\notacommand{x}", "a & b"])
def test_a_formula_that_cannot_be_converted_is_shown_as_it_is(formula: str) -> None:
    user_step = step(torch.ones(2), Axis("width", 2), formula=formula)
    assert formula in shown(user_step).text
    assert formula in repr(user_step)
    assert formula in user_step.summary


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_tokens_are_text(text: str) -> None:
    """A token is text for the reader, and no HTML, no control sequence, and no change of direction of its neighbors."""
    hostile = step(torch.ones(1, 2), Axis("tokens", 1, (text,)), Axis("classes", 2, (text, "b")), explanation=text)
    fragment = shown(hostile)
    assert text == "" or printable(text) in fragment.texts
    assert {*fragment.elements} == {*shown(step(torch.ones(1, 2), Axis("tokens", 1, ("a",)), Axis("classes", 2))).elements}
    ranked = step(torch.ones(1, 20), Axis("tokens", 1, (text,)), Axis("vocabulary", 20, (text,) * 20))
    assert f"{printable(text)} 1" in shown(ranked).texts
    for shown_text in (repr(hostile), repr(ranked), hostile.summary):
        assert printable(shown_text, lines=True) == shown_text
