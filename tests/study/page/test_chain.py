"""The rows of the weight matrices in a page: those behind the largest terms of its predictions."""

import numpy as np
import pytest
import torch

from minibert.study.page.chain import rows_along_chains
from minibert.study.page.data import PageData
from minibert.study.stepthrough.arithmetic import Cell, cell
from minibert.study.stepthrough.walk import walk
from minibert.study.subject import RANDOM_NETWORKS, random_network, tokenizer_of
from tests.sampling import slow

TEXT = "the cat sat on the [MASK] ."


def steps_of(seed, words=""):
    tokenizer = tokenizer_of([TEXT, words])
    model = random_network(*RANDOM_NETWORKS["tiny"], tokenizer)
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    return walk(model, tokenizer, TEXT)


def largest_leaves(node: Cell):
    """Return the leaves of a cell that a reader can go to who takes the largest term of each sum, and all weights in use."""
    if node.leaf is not None:
        return {(node.leaf.name, node.index): node.leaf}
    parts = node.parts
    if node.operation in ("sum", "mean", "amax", "matmul", "linear"):
        size = (lambda part: part.value) if node.operation == "amax" else (lambda part: abs(part.value))
        products = [part for part in parts if node.operation not in ("matmul", "linear") or part.operation == "mul"]
        parts = [max(products, key=size), *(part for part in parts if part not in products)]
    return {place: leaf for part in parts for place, leaf in largest_leaves(part).items()}


def missing_rows(steps, data, start, generator):
    """Follow the largest terms on one way from a cell to the embeddings. Return the rows that the page does not have."""
    (path, index), missing = start, set()
    while steps[path].expression is not None:
        ways = []
        for (name, place), leaf in largest_leaves(cell(steps[path].expression, index)).items():
            if leaf.kind == "step":
                ways.append((name, place))
            elif leaf.kind == "parameter" and len(place) > 1 and place[0] not in data["tensors"][name].get("rows", [place[0]]):
                missing.add((name, place[0]))
        if not ways:
            break
        path, index = ways[generator.integers(len(ways))]
    assert path.startswith("embeddings.")
    return missing


@pytest.mark.parametrize(("seed", "rank"), [(0, 0), slow(1, 0), slow(2, 1)])
def test_the_largest_terms_lead_from_a_prediction_to_the_embeddings(seed, rank):
    steps = steps_of(seed)
    data = PageData(steps).to_json()
    weight = "layers.0.feed_forward.output.weight"
    assert 0 < len(data["tensors"][weight]["rows"]) < data["tensors"][weight]["shape"][0]
    prediction = data["predictions"][0]
    start = (prediction["step"], tuple(prediction["best"][rank]["cell"]))
    generator = np.random.default_rng(seed)
    assert [missing_rows(steps, data, start, generator) for _ in range(2)] == [set()] * 2


@pytest.mark.slow
def test_a_table_that_is_also_the_output_matrix_has_the_rows_of_the_predictions():
    """Of a vocabulary too large to have all of its rows, and smaller than those that count as wide."""
    words = " ".join(f"w{number}" for number in range(1_000))
    steps = steps_of(0, words)
    data = PageData(steps).to_json()
    rows = data["tensors"]["embeddings.words.weight"]["rows"]
    assert len(rows) < 50
    assert {best["cell"][1] for prediction in data["predictions"] for best in prediction["best"]} <= {*rows}


def test_the_rows_fit_the_room_and_keep_the_first_of_each_matrix():
    steps = steps_of(0)
    weights = {
        leaf.name: leaf.value
        for step in steps.steps
        if step.layer is not None
        for leaf in step.inputs
        if leaf.kind == "parameter" and leaf.value.ndim == 2
    }
    starts = [(0, "mlm.probabilities", (0, 3))]
    for room in (5_000, 20_000):
        rows = rows_along_chains(steps, starts, lambda step: True, weights, room)
        assert rows == rows_along_chains(steps, starts, lambda step: True, weights, room)
        assert sum(len(rows[name]) * value.shape[-1] for name, value in weights.items()) <= room
        assert all(0 in each for each in rows.values())
