"""Default values are what the papers and the docstrings say."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from minibert import GPT2LMHeadModel, Transformer
from minibert.model.generation import beam_search

DEFAULTS = [
    (beam_search, {"beams": 4, "alpha": 0.6}),  # Vaswani et al. 2017, section 6.1
    (Transformer.generate, {"beams": 4, "alpha": 0.6, "max_new_tokens": None}),
    (GPT2LMHeadModel.generate, {"temperature": 0.0, "top_k": None, "top_p": None, "max_new_tokens": 20}),  # greedy search
]


@pytest.mark.parametrize(("function", "expected"), DEFAULTS, ids=lambda each: getattr(each, "__qualname__", ""))
def test_defaults_are_those_of_the_documents(function: Callable[..., Any], expected: dict[str, object]) -> None:
    parameters = inspect.signature(inspect.unwrap(function)).parameters
    assert {name: parameters[name].default for name in expected} == expected
