"""Every number that the page shows is the recorded one, and every calculation is that of the arithmetic in Python."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from minibert import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
)
from minibert.model.config import BertConfig
from minibert.observe import observe
from minibert.study.stepthrough.arithmetic import Cell, cell
from minibert.study.stepthrough.backward import backward_walk
from minibert.study.stepthrough.step import Step, Walk
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import random_network, tokenizer_of
from tests.sampling import sampled

pytestmark = pytest.mark.slow

TEXT, PAIR = "The cat sat on the [MASK] .", "It was 中文 !"
TOKENIZER = tokenizer_of([TEXT, PAIR])
SIZES = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 20}
BERT = BertConfig(**SIZES, num_hidden_layers=1, max_position_embeddings=40)
NETWORKS = {
    "GPT-2": (GPT2LMHeadModel, GPT2Config(**SIZES, num_hidden_layers=1)),
    "question answering": (BertForQuestionAnswering, BERT),
    "tagging, silu": (BertForTokenClassification, replace(BERT, hidden_act="silu")),
    **{
        f"Transformer, {positions}": (
            Transformer,
            TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, positions=positions),
        )
        for positions in ("sinusoidal", "rotary")
    },
}
CONTRACTIONS = {"matmul", "linear", "sum", "mean", "amax"}
SHOWN = """() => {
  const all = (root, selector) => [...root.querySelectorAll(selector)];
  const number = (cell) => ({ text: cell.textContent, value: cell.dataset.value ?? null });
  const result = document.getElementById("result");
  return {
    step: document.querySelector("#steps [aria-current]").dataset.step,
    result: { ...number(result), computed: result.dataset.computed ?? null },
    matrix: all(document, "#matrix td[data-row]").map((c) => [Number(c.dataset.row), Number(c.dataset.column), number(c)]),
    isCalculated: !document.getElementById("numbers").hidden,
    tables: all(document, "#terms table").map((table) => all(table, "tbody tr").map((row) => ({
      name: row.querySelector("th").textContent,
      cells: all(row, "td").map(number),
    }))),
  };
}"""


def read(text: str) -> tuple[float, float]:
    """Return a number of the page and half a unit of its last digit."""
    if text in ("true", "false"):
        return float(text == "true"), 0
    if "∞" in text:
        return math.inf if text != "−∞" else -math.inf, 0
    plain = text.replace("−", "-").replace("+", "")
    digits, _, exponent = plain.partition("e")
    decimals = len(digits.partition(".")[2])
    return float(plain), 0.5 * 10.0 ** (int(exponent or 0) - decimals)


def agrees(shown: dict[str, Any], value: float) -> bool:
    """Return True if the shown text is the number, to its digits, and the exact number behind it is the number itself."""
    number, rounding = read(shown["text"])
    exact = value if shown["value"] is None else float(shown["value"])
    close = math.isclose(exact, value, rel_tol=1e-9, abs_tol=1e-12) or exact == value
    if value == 0 or math.isinf(value):
        return number == value and close
    is_integer = "." not in shown["text"] and "e" not in shown["text"]
    return close and abs(number - value) <= (1e-12 if is_integer and value == round(value) else rounding * (1 + 1e-9))


def contractions(part: Cell) -> Iterator[Cell]:
    """Return the sums, means and maxima that a number needs, as the page lists them: of the terms, those of the first."""
    if part.operation in CONTRACTIONS:
        yield part
    for inner in part.parts[:1] if part.operation in CONTRACTIONS else part.parts:
        yield from contractions(inner)


def different(parts: Iterator[Cell]) -> list[Cell]:
    """Return each contraction once. Zero and minus zero differ."""
    found: dict[Any, Cell] = {}
    for part in parts:
        found.setdefault((part.operation, tuple(repr(term.value) for term in part.parts)), part)
    return [*found.values()]


def check_terms(lines: list[dict[str, Any]], part: Cell) -> None:
    """The terms, the largest first, with their factors and a running sum that ends at the result."""
    is_product, is_maximum = part.operation in ("matmul", "linear"), part.operation == "amax"
    terms = [term for term in part.parts if not is_product or term.operation == "mul"]
    total, sizes = 0.0, []
    for line in lines:
        place = re.search(r"(\d+)$", line["name"])
        if place is None or line["name"].startswith("divided"):
            break
        term = terms[int(place[1])]
        *factors, product = line["cells"] if is_maximum else line["cells"][:-1]
        assert agrees(product, term.value), line
        if is_product:
            assert all(agrees(shown, factor.value) for shown, factor in zip(factors, term.parts, strict=True)), line
        sizes.append(term.value if is_maximum else abs(term.value))
        total += term.value
        assert is_maximum or agrees(line["cells"][-1], total), line
    assert sizes
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == max(term.value if is_maximum else abs(term.value) for term in terms)
    if not is_maximum:
        assert float(lines[-1]["cells"][-1]["value"]) == pytest.approx(part.value, rel=1e-9, abs=1e-12)


def check_step(tab: Any, step: Step, generator: np.random.Generator) -> bool:
    """Check the matrix, the result and the calculation of one cell. Return whether the cell has terms."""
    shape = step.output.shape
    index = tuple(int(generator.integers(size)) for size in shape)
    slice_ = int(np.ravel_multi_index(index[:-2], shape[:-2])) if len(shape) > 2 else 0
    row, column = (0, 0, *index)[-2:]
    tab.show(step=step.path, slice=slice_, cell=f"{row},{column}")
    shown = tab.page.evaluate(SHOWN)
    if step.expression is not None and not shown["isCalculated"]:  # the page says where it has all numbers
        assert "to stay small" in tab.text("#omitted")
        tab.page.click("#omitted a")
        shown = tab.page.evaluate(SHOWN)
        column = tab.where()["cursor"][1]
        index = (*index[:-1], column)
    assert shown["step"] == step.path
    matrix = step.output.reshape(-1, *(1, 1, *shape)[-2:])[slice_]
    assert [row, column] in [place for *place, _ in shown["matrix"]]
    for *place, number in shown["matrix"]:
        assert agrees(number, matrix[tuple(place)].item()), (step.path, place, number)
    value = step.output[index].item()
    assert shown["result"]["text"] in ("true", "false") or np.float32(read(shown["result"]["text"])[0]) == np.float32(value)
    assert float(shown["result"]["value"]) == value
    if step.expression is None:
        return False
    calculated = cell(step.expression, index)
    assert shown["isCalculated"], step.path
    assert float(shown["result"]["computed"]) == pytest.approx(calculated.value, rel=1e-9, abs=1e-12), step.path
    expected = different(contractions(calculated))
    assert len(shown["tables"]) == len(expected), step.path
    for lines, part in zip(shown["tables"], expected, strict=True):
        check_terms(lines, part)
    return len(expected) > 0


def check_page(tab: Any, steps: Walk) -> None:
    """Check a cell of every kind of step. Layers have the same kinds."""
    generator = np.random.default_rng(0)
    kinds = {re.sub(r"\d+", "N", step.path): step for step in steps.steps}
    with_terms = [check_step(tab, step, generator) for step in kinds.values()]
    assert sum(with_terms) > 5


def test_numbers_of_every_step(tab, tiny, steps):
    tab.open(tiny)
    check_page(tab, steps)


@pytest.mark.parametrize("name", sampled(NETWORKS, 4))
def test_numbers_of_every_network(tab, write, name):
    kind, config = NETWORKS[name]
    steps = walk(random_network(kind, config, TOKENIZER), TOKENIZER, TEXT, None if kind is GPT2LMHeadModel else PAIR)
    tab.open(write(steps))
    check_page(tab, steps)


def attention_of_a_learner(query, key, value, keep=None, dropout=0.0):
    dot_products = observe("dot_products", torch.einsum("bhqd,bhkd->bhqk", query, key))
    scores = observe("scores", (query @ key.permute(0, 1, 3, 2)).div(query.shape[-1] ** 0.5).permute(1, 0, 2, 3))
    weights = observe("weights", torch.softmax(scores, dim=-1).permute(1, 0, 2, 3))
    observe("smooth", torch.log_softmax(weights, -2) + torch.max(dot_products, weights))
    return torch.einsum("...qk,...kd->...qd", weights, torch.cat(value.chunk(2, -1), -1))


def test_numbers_of_a_learners_attention(tab, write):
    """Operations of PyTorch that minibert does not use have their arithmetic, too."""
    model = random_network(BertForTokenClassification, BERT, TOKENIZER).set_attention(attention_of_a_learner)
    steps = walk(model, TOKENIZER, TEXT)
    assert steps.failure is None
    tab.open(write(steps))
    for name in ("dot_products", "scores", "weights", "smooth", "context"):
        step = steps[f"layers.0.attention.{name}"]
        check_step(tab, step, np.random.default_rng(1))


@pytest.mark.slow
def test_numbers_of_a_backward_pass(tab, write):
    config = replace(BERT, id2label={0: "bad", 1: "good"})
    steps = backward_walk(random_network(BertForSequenceClassification, config, TOKENIZER), TOKENIZER, TEXT, truth=["good"])
    tab.open(write(steps))
    check_page(tab, steps)


def test_labels_of_rows_and_columns(tab, tiny, steps):
    """The tokens stand at their rows and columns, and the cells of an input are named by them."""
    tab.open(tiny, step="layers.0.attention.weights", cell="3,5")
    tokens = [*steps["layers.0.attention.weights"].axes[-1].labels]
    headers = "cells => cells.map((cell) => cell.querySelector('span').textContent)"
    assert tab.page.locator("#matrix tbody th").evaluate_all(headers) == tokens
    assert tab.page.locator("#matrix thead th").evaluate_all(headers) == tokens
    assert tab.text("[data-input='layers.0.attention.masked_scores'] .cells").startswith("head 0, query 3 sat, key 5 the")


def test_formula_of_a_cell_has_its_numbers(tab, tiny, steps):
    """A score is the dot product divided by the square root of the width of a head."""
    tab.open(tiny, step="layers.0.attention.scores", slice=1, cell="3,5")
    product = steps["layers.0.attention.dot_products"].output[0, 1, 3, 5].item()
    parts = tab.page.locator("#numbers mfrac").first.evaluate("f => [...f.children].map((part) => part.textContent)")
    assert read(parts[0])[0] == pytest.approx(product, rel=1e-4)
    assert parts[1] == "8"


@pytest.mark.parametrize(
    ("step", "letters"),
    [
        ("embeddings.output", "gb"),
        ("layers.0.attention.query", ["WQ", "bQ"]),
        ("embeddings.words", "E"),
        ("layers.1.attention_norm", "gb"),
    ],
)
def test_parameters_have_the_letter_of_their_role(tab, tiny, step, letters):
    """Those of the formulas: gain and bias of a normalization, weights and bias of a linear map, rows of an embedding."""
    tab.open(tiny, step=step)
    shown = tab.text("#details")
    assert re.findall(r"([A-Za-z]+) = [\w.]+\.(?:weight|bias)\b", shown) == [*letters]


def test_columns_are_sorted_by_a_row(tab, tiny, steps):
    tab.open(tiny, step="layers.0.attention.weights", cell="3,5")
    tab.page.click("#sort")
    row = tab.page.evaluate(SHOWN)["matrix"]
    values = [float(number["value"]) for r, _, number in row if r == 3]
    assert values == sorted(steps["layers.0.attention.weights"].output[0, 0, 3].tolist(), reverse=True)


def test_colors_follow_sign_and_size(tab, tiny, steps):
    tab.open(tiny, step="layers.0.attention.scores", cell="0,0")
    scores = steps["layers.0.attention.scores"].output[0, 0]
    largest = scores.abs().max()
    for r, c in ((0, 0), (3, 5), (8, 8)):
        shown = tab.cell(r, c)
        assert shown.get_attribute("data-sign") == ("negative" if scores[r, c] < 0 else "positive")
        heat = float(shown.evaluate("cell => cell.style.getPropertyValue('--heat')"))
        assert heat == pytest.approx((scores[r, c].abs() / largest).item(), abs=0.006)
        assert shown.text_content().startswith("−" if scores[r, c] < 0 else "+")
