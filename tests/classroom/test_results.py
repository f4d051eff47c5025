"""Results and arguments as tensors by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from minibert.classroom.results import Unusable, outputs_of, tensors_in

ONE, TWO = torch.tensor([1.0]), torch.tensor(2)


@dataclass
class Losses:
    total: Tensor
    parts: tuple[Tensor, ...]


@pytest.mark.parametrize(
    ("result", "outputs"),
    [
        (ONE, {"output": ONE}),
        (True, {"output": torch.tensor(True)}),
        (2, {"output": TWO}),
        (0.5, {"output": torch.tensor(0.5, dtype=torch.float64)}),
        (np.float32(0.5), {"output": torch.tensor(0.5)}),
        (np.array([1, 2], dtype=np.int32), {"output": torch.tensor([1, 2], dtype=torch.int32)}),
        (np.array(1j), {"output": torch.tensor(1j, dtype=torch.complex128)}),
        ([0.5, 1], {"output": torch.tensor([0.5, 1.0])}),
        ([[1, 2], (3, 4)], {"output": torch.tensor([[1, 2], [3, 4]])}),
        ([[1, 2], [3]], {"output.0": torch.tensor([1, 2]), "output.1": torch.tensor([3])}),
        ([ONE, 2], {"output.0": ONE, "output.1": TWO}),
        ((ONE, (TWO, ONE)), {"output.0": ONE, "output.1.0": TWO, "output.1.1": ONE}),
        ({"a": ONE, 1: TWO}, {"output.a": ONE, "output.1": TWO}),
        (Losses(TWO, (ONE,)), {"output.total": TWO, "output.parts.0": ONE}),
        ([], {}),
    ],
)
def test_results_become_tensors_by_name(result: Any, outputs: dict[str, Tensor]) -> None:
    """Numbers of Python in a list have single precision, as tensors made of them have."""
    found = outputs_of(result)
    assert [*found] == [*outputs]
    for name, wanted in outputs.items():
        assert (found[name].dtype, found[name].shape) == (wanted.dtype, wanted.shape)
        assert torch.equal(found[name], wanted)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "the function returned None; does it end with `return`?"),
        ("text", "the function returned an object of type str, which has no numbers"),
        (Losses, "the function returned an object of type type, which has no numbers"),
        (np.array(["text"]), "the function returned an object of type ndarray, which has no numbers"),
        ([ONE, {1}], "the function returned an object of type set, which has no numbers"),
    ],
)
def test_a_result_without_numbers_cannot_be_used(result: Any, message: str) -> None:
    with pytest.raises(Unusable) as error:
        outputs_of(result)
    assert str(error.value) == message


def test_an_array_of_a_result_is_a_copy() -> None:
    array = np.zeros(2)
    assert outputs_of(array)["output"].add(1).sum() == 2
    outputs_of(array)["output"].add_(1)
    assert not array.any()


def test_the_tensors_in_arguments_have_the_names_of_their_places() -> None:
    """Numbers and texts are no tensors, and an array shares its memory."""
    layer, array = nn.Linear(2, 1), np.ones(2, dtype=np.float32)
    optimizer = torch.optim.SGD(layer.parameters(), momentum=0.5)
    layer(torch.ones(2)).backward()
    optimizer.step()
    arguments = {"x": ONE, "array": array, "layer": layer, "pair": (TWO, [ONE]), "optimizer": optimizer, "n": 2, "text": "x"}
    found = dict(tensors_in(arguments))
    first, second = optimizer.state.values()
    wanted = {
        "x": ONE,
        "array": torch.from_numpy(array),
        "layer.weight": layer.weight,
        "layer.bias": layer.bias,
        "pair.0": TWO,
        "pair.1.0": ONE,
        "optimizer.0.momentum_buffer": first["momentum_buffer"],
        "optimizer.1.momentum_buffer": second["momentum_buffer"],
    }
    assert [*found] == [*wanted]
    assert all(found[name].data_ptr() == tensor.data_ptr() for name, tensor in wanted.items())
