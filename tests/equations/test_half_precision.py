"""Calls of the equations that compute in single precision."""

import pytest
import torch

from minibert.equations import layer_norm, softmax
from minibert.precision import in_single_precision

HIDDEN = torch.tensor([[1.0, 2.0]], dtype=torch.float16)


def test_the_result_has_the_data_type_of_the_first_parameter_in_any_order_of_the_arguments() -> None:
    gain, bias = torch.ones(2), torch.zeros(2)
    expected = layer_norm(HIDDEN, gain, bias, 1e-5)
    assert expected.dtype is torch.float16
    found = layer_norm(eps=1e-5, bias=bias, gain=gain, hidden=HIDDEN)
    assert found.dtype is torch.float16
    assert torch.equal(found, expected)


def test_a_call_without_its_first_argument_has_the_error_of_the_equation() -> None:
    def double(scores: torch.Tensor) -> torch.Tensor:
        return 2 * scores.exp()

    with pytest.raises(TypeError, match="scores"):
        softmax()
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'scores'"):
        in_single_precision(double)()
    with pytest.raises(AttributeError, match="'list' object has no attribute 'exp'"):
        in_single_precision(double)([1.0])
