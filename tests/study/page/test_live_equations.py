"""The equations in JavaScript have the names, the arguments and the values of those in Python."""

import base64
import inspect
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert import equations
from minibert.study.equations.javascript import javascript_functions
from minibert.study.equations.registry import registry
from minibert.text.wordpiece_encoding import split_word
from tests.study.page.packing import unpacked

pytestmark = pytest.mark.slow

FUNCTIONS = {name: code for name, code in javascript_functions().items() if name != "split_word"}
LAYOUTS = [(), (1,), (2,), (2, 3)]


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return 2 * torch.randn(shape, generator=generator)


def mask(generator: torch.Generator, *shape: int) -> Tensor:
    """Return a random mask. Some queries may attend to nothing."""
    return torch.rand(shape, generator=generator) < 0.6


def draw(name: str, seed: int) -> list[Any]:
    """Draw the arguments of an equation, with axes of size 1 among them."""
    g = torch.Generator().manual_seed(seed)
    tokens, keys, width, heads = (int(torch.randint(1, 7, (), generator=g)) for _ in range(4))
    batch = LAYOUTS[seed % len(LAYOUTS)]
    gain, bias = normal(g, width), normal(g, width)
    match name:
        case "softmax" | "relu" | "gelu" | "gelu_tanh":
            return [normal(g, *batch, tokens, width)]
        case "causal_mask":
            return [tokens]
        case "padding_mask":
            return [torch.randint(0, tokens + 1, (keys,), generator=g), tokens]
        case "scaled_dot_product_attention":
            keep = None if seed % 3 == 0 else mask(g, *((1,) * len(batch)), tokens, keys)
            return [normal(g, *batch, tokens, width), normal(g, *batch, keys, width), normal(g, *batch, keys, heads), keep]
        case "split_heads":
            return [normal(g, *batch, tokens, heads * width), heads]
        case "merge_heads":
            return [normal(g, *batch, heads, tokens, width)]
        case "multi_head_attention":
            inner, projections = 2 * heads, [normal(g, width, 2 * heads) for _ in range(3)]
            queries_from, keys_from = normal(g, *batch, tokens, width), normal(g, *batch, keys, width)
            keep = None if seed % 3 == 0 else mask(g, *((1,) * len(batch)), tokens, keys)
            return [queries_from, keys_from, *projections, normal(g, inner, width), heads, keep]
        case "learned_positions":
            return [normal(g, 9, width), torch.randint(0, 9, (tokens,), generator=g)]
        case "positions_without_padding":
            return [torch.randint(0, 3, (tokens,), generator=g), 1]
        case "layer_norm":
            return [normal(g, *batch, tokens, width), gain, bias, 1e-5]
        case "add_and_norm":
            return [normal(g, *batch, tokens, width), equations.relu, gain, bias, 1e-5]
        case _:
            first, second = normal(g, width, 2 * keys), normal(g, 2 * keys, width)
            return [normal(g, *batch, tokens, width), first, normal(g, 2 * keys), second, bias, equations.gelu]


def for_javascript(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist() if value.dtype == torch.int64 else {"shape": [*value.shape], "data": value.flatten().tolist()}
    return {"function": value.__name__} if callable(value) else value


CALLS = """calls => {
  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const read = (value) => (!isObject(value) ? value : "function" in value ? eval(value.function) : tensorOf(value));
  const tensor = (result) => (Array.isArray(result) ? tensorOf({ shape: [result.length], data: result }) : result);
  return calls.map(([name, values]) => packed(tensor(eval(name)(...values.map(read)))));
}"""


def test_values(live):
    """Every equation equals the one in Python, over random shapes, broadcast masks, and queries without keys."""
    calls = [(name, draw(name, seed)) for name in FUNCTIONS for seed in range(24)]
    results = live(CALLS, [[name, [*map(for_javascript, values)]] for name, values in calls])
    for (name, values), result in zip(calls, results, strict=True):
        expected = getattr(equations, name)(*values).float()
        torch.testing.assert_close(unpacked(result), expected, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_those_of_python(name):
    """The first arguments are those of Python, in their order. What follows has a default."""
    head = re.search(r"function \w+\((.*?)\) \{\n", FUNCTIONS[name], re.DOTALL)
    assert head is not None
    found = re.findall(r"(\w+)(?: = [^,\[\]]+| = \[.*?\])?(?:,|$)", head[1].replace("\n", ""))
    expected = [*inspect.signature(getattr(equations, name)).parameters]
    common = min(len(found), len(expected))
    assert found[:common] == expected[:common]
    assert all(parameter in ("dropout", "bias", "device") for parameter in expected[common:])


def test_functions_are_in_the_order_of_the_registry():
    assert [*FUNCTIONS] == [name for name in registry() if name in FUNCTIONS]
    assert len(FUNCTIONS) == 15


WORDS = ["", "unaffable", "unaffablex", "aff", "un##aff", "猫un", "x" * 101, "un" + "aff" * 33, "un" + "aff" * 32]


@pytest.mark.parametrize("word", WORDS)
def test_words_are_split_as_in_python(live, word):
    vocabulary = ["un", "unaf", "##aff", "##able", "猫", "##un", "x", "##x"]
    script = "([word, vocabulary]) => split_word(word, new Set(vocabulary))"
    assert live(script, [word, vocabulary]) == [*split_word(word, vocabulary)]


def test_half_precision_is_decoded_exactly(live):
    """All 63,488 finite numbers of half precision, among them the subnormal ones and both zeros."""
    halves = np.arange(2**16, dtype="<u2")
    halves = halves[np.isfinite(halves.view("<f2"))]
    values = live(
        "text => [...decodeFloat16(text)].map((value) => (Object.is(value, -0) ? '-0' : value))",
        base64.b64encode(halves.tobytes()).decode(),
    )
    found = np.array([-0.0 if value == "-0" else value for value in values])
    expected = halves.view("<f2").astype(np.float64)
    assert np.array_equal(found, expected)
    assert np.array_equal(np.signbit(found), np.signbit(expected))
