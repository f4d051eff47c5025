"""The arithmetic of a cell as text: every displayed number is a recorded one, and the displayed arithmetic is right."""

import math
import re

import numpy as np
import pytest
import torch

from minibert.study import walk
from minibert.study.stepthrough.calculation import Calculation, Listing, calculation, cell_name, number
from minibert.study.stepthrough.step import TextStep, Walk
from tests.sampling import slow
from tests.study.stepthrough.test_walk import NETWORKS, PAIR, TEXT, TOKENIZER, adapted

FUNCTIONS = {name: getattr(math, name) for name in ("exp", "sqrt", "erf", "tanh", "sin", "cos")} | {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0.0),
    "abs": abs,
    "inf": math.inf,
}


def computed(text: str) -> float:
    """Compute the displayed arithmetic of numbers."""
    for shown, meaning in (("×", "*"), ("^", "**"), ("√", "sqrt"), ("²", "**2")):
        text = text.replace(shown, meaning)
    return float(eval(text, {"__builtins__": {}}, FUNCTIONS))


def check_listing(listing: Listing) -> None:
    sizes = [abs(term.value) for term in listing.terms]
    if listing.name.startswith("largest"):
        assert listing.terms[0].value == listing.value
        return
    assert sizes == sorted(sizes, reverse=True)
    total = listing.terms[-1].total / (len(sizes) if listing.name.startswith("mean") else 1)
    assert total == pytest.approx(listing.value, rel=1e-6, abs=1e-9)
    for term in listing.terms[:3]:
        assert computed(term.numbers) == pytest.approx(term.value, rel=1e-3, abs=1e-5)


def check(steps: Walk) -> None:
    """At sampled cells of every step, the result is the recorded number, and follows from the displayed ones."""
    generator = np.random.default_rng(0)
    for step in steps.values():
        index = tuple(int(generator.integers(size)) for size in step.output.shape)
        found = calculation(steps, step, index)
        recorded = float(step.output[index])
        assert found.result == recorded or math.isnan(recorded)
        if isinstance(step, TextStep):
            continue
        assert found.lines[0].startswith(f"{cell_name(step, index)} = "), step.path
        assert not any("cannot be shown" in note for note in found.notes), step.path
        for listing in found.listings:
            check_listing(listing)
        if len(found.lines) > 1 and math.isfinite(recorded):
            assert computed(found.lines[1].partition("=")[2]) == pytest.approx(recorded, rel=1e-3, abs=1e-4), step.path


@pytest.mark.parametrize(
    "name",
    [
        "BertForPreTraining",
        "quick_gelu",
        "silu",
        "GPT-2",
        slow("Transformer, rotary, pre-norm"),
        slow("Transformer, alibi, post-norm"),
    ],
)
def test_the_displayed_arithmetic_gives_the_recorded_number(name: str) -> None:
    check(walk(NETWORKS[name](), TOKENIZER, TEXT, PAIR))


def test_an_adapter() -> None:
    check(walk(adapted(), TOKENIZER, TEXT))


def example(path: str, *index: int, dtype: torch.dtype = torch.float32) -> tuple[Walk, Calculation]:
    steps = walk(NETWORKS["BertForPreTraining"]().to(dtype), TOKENIZER, TEXT)
    return steps, calculation(steps, steps[path], (0, *index))


def test_a_dot_product_lists_its_products() -> None:
    steps, found = example("layers.0.attention.dot_products", 1, 2, 3)
    query, key = (steps[f"layers.0.attention.{name}"].output[0, 1] for name in ("query", "key"))
    products = {f"Q[1,2,{k}] × K[1,3,{k}]": float(query[2, k].double() * key[3, k].double()) for k in range(6)}
    assert {term.symbols: term.value for term in found.listings[0].terms} == pytest.approx(products)
    assert found.lines == ("P[1,2,3] = sum of products",)


def test_a_softmax_has_exponentials_and_their_sum() -> None:
    steps, found = example("layers.0.attention.weights", 0, 2, 3)
    scores = steps["layers.0.attention.masked_scores"].output[0, 0, 2].double()
    largest, total = found.listings
    assert found.lines[0] == "A[0,2,3] = exp(M[0,2,3] - largest) / sum"
    assert largest.value == scores.max()
    assert total.value == pytest.approx(float((scores - scores.max()).exp().sum()))
    assert {term.label for term in total.terms} == {*TOKENIZER.encode(TEXT).tokens}
    assert "Masked: no." in found.notes


def test_layer_normalization_has_mean_and_variance() -> None:
    steps, found = example("embeddings.output", 2, 3)
    mean, variance = (float(steps[f"embeddings.norm.{name}"].output[0, 2, 0]) for name in ("mean", "variance"))
    assert re.fullmatch(r"x\[2,3\] = \(e\[2,3\] - μ\[2,0\]\) / √\(σ²\[2,0\] \+ 1e-12\) × .*", found.lines[0])
    assert number(mean) in found.lines[1]
    assert number(variance) in found.lines[1]


def test_a_view_changes_the_place_only() -> None:
    assert example("layers.0.attention.merged", 2, 7)[1].notes == ("Copied from C[1,2,1]: only the place changes.",)


def test_a_masked_score_says_so() -> None:
    steps = walk(NETWORKS["GPT-2"](), TOKENIZER, TEXT)
    found = calculation(steps, steps["decoder.layers.0.attention.masked_scores"], (0, 0, 1, 2))
    assert found.result == -math.inf
    assert found.notes[0] == "Masked: yes. The number is replaced by -inf."


def test_rounding_of_half_precision_is_explained() -> None:
    _, found = example("mlm.linear", 2, 3, dtype=torch.bfloat16)
    assert any(note.startswith("The model computed in bfloat16 and rounded") for note in found.notes)


def test_a_number_without_computation_says_so() -> None:
    steps, _ = example("pooler", 0)
    step = steps["pooler"]
    object.__setattr__(step, "expression", None)
    assert calculation(steps, step, (0, 0)).notes == ("No computation was recorded for this number.",)
