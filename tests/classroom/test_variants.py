"""Functions with mistakes in them, or in the functions that they call."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from minibert import equations
from minibert.classroom.mistakes import MISTAKES, source_with, variant_of
from minibert.classroom.mistakes.variants import _callees, called_functions, compiled, source_of
from minibert.equations import masked_lm_loss, multi_head_attention, scaled_dot_product_attention, softmax

NO_EXPONENTIAL, NO_SCALE = MISTAKES["softmax without the exponential"], MISTAKES["no scale"]
QUERY = torch.linspace(-2, 3, 24).reshape(1, 4, 6)


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function as a decorator of a recording or of the type checker does."""

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("softmax", []),
        ("scaled_dot_product_attention", ["observe", "softmax"]),
        ("multi_head_attention", ["split_heads", "scaled_dot_product_attention", "merge_heads", "observe", "softmax"]),
        ("add_and_norm", ["layer_norm", "observe"]),
    ],
)
def test_called_functions(function: str, names: list[str]) -> None:
    """First those that the function calls itself, each once and without its decorators."""
    found = called_functions(wrapped(getattr(equations, function)))
    assert [each.__name__ for each in found] == names
    assert all(each is inspect.unwrap(each) for each in found)


def test_a_function_calls_functions_of_minibert_by_their_names() -> None:
    """Methods, classes and functions of other libraries are none of them."""
    found = _callees.__wrapped__(inspect.unwrap(masked_lm_loss))  # without the cache
    assert [each.__name__ for each in found] == ["reduce_losses", "cross_entropy"]


def test_source_has_no_docstring_and_no_indentation() -> None:
    lines = source_of(wrapped(softmax)).splitlines()
    assert lines[0].startswith("@")
    assert lines[1].startswith("def softmax(")
    assert lines[-1].startswith("    return ")
    assert not any('"""' in line for line in lines)


def test_edits_of_all_mistakes_are_made_in_their_order() -> None:
    """The second mistake may change what the first has written."""
    first = replace(NO_EXPONENTIAL, name="first", edits=(("scores", "numbers"), ("torch.exp(", "torch.exp2(")))
    source = source_of(softmax)
    some = replace(NO_EXPONENTIAL, name="some", edits=(("torch.exp(", "torch.exp2("), ("torch.exp2(", "torch.expm1(")))
    more = replace(NO_EXPONENTIAL, name="more", edits=(("torch.expm1(", "torch.sin("),))
    assert source_with(some, more) == source.replace("torch.exp(", "torch.sin(")
    with pytest.raises(ValueError, match=rf"^first: 'scores' occurs {source.count('scores')} times in the source, not once; "):
        source_with(first)


def test_mistakes_of_one_function_may_name_it_with_decorators() -> None:
    own = replace(NO_SCALE, function=wrapped(NO_SCALE.function))
    assert source_with(own, "mask after the softmax") == source_with("no scale", "mask after the softmax")


def test_error_for_mistakes_of_different_functions_names_them() -> None:
    with pytest.raises(ValueError, match=r"^the mistakes belong to different functions: no scale, pre-norm$"):
        source_with("no scale", "pre-norm")


def wrong_softmax(scores: torch.Tensor) -> torch.Tensor:
    numbers = scores.clamp(min=0) + 1e-9
    return numbers / numbers.sum(dim=-1, keepdim=True)


@pytest.mark.parametrize("decorator", [wrapped, lambda function: function], ids=["decorated", "plain"])
def test_mistake_in_a_called_function(decorator: Callable[..., Any]) -> None:
    """The mistake may be in the function itself, in one that it calls, or in both. The correct functions stay as they are."""
    attention = decorator(scaled_dot_product_attention)
    scores = QUERY @ QUERY.mT
    mistaken = [(NO_EXPONENTIAL,), (NO_SCALE,), (NO_SCALE, NO_EXPONENTIAL), (NO_EXPONENTIAL, NO_SCALE), ()]
    scaled = scores / 6**0.5
    expected = [wrong_softmax(scaled), scores.softmax(-1), wrong_softmax(scores), wrong_softmax(scores), scaled.softmax(-1)]
    for some, weights in zip(mistaken, expected, strict=True):
        assert_close(variant_of(attention, *some)(QUERY, QUERY, QUERY), weights @ QUERY)
    assert_close(softmax(scores), scores.softmax(-1))


def test_mistake_in_a_function_that_a_called_function_calls() -> None:
    heads, one = variant_of(multi_head_attention, NO_EXPONENTIAL), torch.eye(6)
    attention = variant_of(scaled_dot_product_attention, NO_EXPONENTIAL)
    expected = torch.cat([attention(half, half, half) for half in QUERY.split(3, dim=-1)], dim=-1)
    assert_close(heads(QUERY, QUERY, one, one, one, one, 2), expected)


def test_error_for_a_mistake_in_a_function_that_is_never_called() -> None:
    other = MISTAKES["label zero ignored"]
    with pytest.raises(ValueError, match=r"^multi_head_attention does not call the function of .* 'label zero ignored'$"):
        variant_of(multi_head_attention, NO_EXPONENTIAL, other)
    assert variant_of(masked_lm_loss, other)(torch.tensor([[0.0, 9.0]]), torch.tensor([0])) == 0.0


def test_compiled_code_uses_the_names_of_the_module_or_others() -> None:
    """The module is not changed, and an annotation may have a name that does not exist."""
    source = "def softmax(x: Unknown):\n    return torch.zeros(2) + added(x)"
    zero = compiled(softmax, source, {"added": lambda x: x + 1})
    assert zero(2).tolist() == [3.0, 3.0]
    assert zero.__code__.co_filename == "<softmax, edited>"
    assert not hasattr(inspect.getmodule(inspect.unwrap(softmax)), "added")
