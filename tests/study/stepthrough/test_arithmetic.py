"""Repeating the operations of an expression: whole tensors, and single cells."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from minibert import record
from minibert.observe import observe
from minibert.study.stepthrough.arithmetic import Cell, UnknownOperation, cell, evaluate

X = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ROW, TABLE = X[0, 0], X[1]
IDS = torch.tensor([[2, 0]])
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "add": lambda x: x + ROW,
    "sub": lambda x: 1 - x,
    "mul": lambda x: x * x[:, :1],
    "div": lambda x: x / 3,
    "quotient": lambda x: 2 / x,
    "pow": lambda x: x.abs() ** 0.5 + 10000**x,
    "negative": lambda x: -x,
    "exp and log": lambda x: torch.log(torch.exp(x) + 1),
    "roots": lambda x: torch.sqrt(x.square() + 1) + torch.rsqrt(x.abs() + 1),
    "waves": lambda x: torch.sin(x) + torch.cos(x),
    "activations": lambda x: torch.tanh(x) + torch.erf(x) + torch.sigmoid(x) + torch.relu(x) + F.silu(x),
    "mask": lambda x: x.masked_fill(torch.tensor([True, False, False, True]), 7.0),
    "where": lambda x: torch.where(x > 0, x, 2 * x),
    "sum": lambda x: x.sum(dim=-1),
    "sum over the middle": lambda x: x.sum(1, keepdim=True) + x,
    "sum of all": lambda x: x.sum() + x,
    "mean": lambda x: x - x.mean(dim=-1, keepdim=True),
    "maximum": lambda x: x.amax(dim=0),
    "matmul": lambda x: x @ x.mT,
    "matmul with broadcasting": lambda x: x[None] @ TABLE.mT,
    "linear": lambda x: F.linear(x, TABLE, ROW[:3]),
    "linear without bias": lambda x: F.linear(x, TABLE),
    "reshape": lambda x: x.reshape(3, 8),
    "flatten": lambda x: x.flatten(1),
    "heads": lambda x: x.reshape(2, 3, 2, 2).transpose(-2, -3),
    "unsqueeze": lambda x: x.unsqueeze(-2) + x.unsqueeze(2),
    "stack": lambda x: torch.stack([x, 2 * x], dim=-1),
    "index": lambda x: x[:, 1],
    "every second": lambda x: x[..., 0::2],
    "new axis": lambda x: x[:, None, ..., 1:],
    "rows": lambda x: x[0, [2, 0]],
    "embedding": lambda x: F.embedding(IDS, x[0]),
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_tensors_and_cells_equal_those_of_pytorch(operation: Callable[[Tensor], Tensor]) -> None:
    """The whole tensor and every cell have the value that PyTorch computed."""
    with record(trace={"x": X}) as recording:
        observe("result", operation(X))
    node, expected = recording.origin("result").expression, recording["result"].numpy()
    np.testing.assert_allclose(evaluate(node), expected, rtol=1e-12)
    for index in np.ndindex(expected.shape):
        assert cell(node, index).value == pytest.approx(expected[index], rel=1e-12)


def leaves_of(part: Cell) -> set[tuple[str, tuple[int, ...]]]:
    if part.leaf is not None:
        return {(part.leaf.name, part.index)}
    return {found for each in part.parts for found in leaves_of(each)}


def test_a_cell_names_the_cells_that_it_depends_on() -> None:
    """Exactly those cells of the input have a gradient."""
    x = X.clone().requires_grad_()
    with record(trace={"x": x}) as recording:
        result = observe("result", x @ x.mT / 2)
    result[1, 0, 2].backward()
    depends = {tuple(index) for index in x.grad.nonzero().tolist()}
    assert {index for _, index in leaves_of(cell(recording.origin("result").expression, (1, 0, 2)))} == depends


def test_products_are_listed_with_their_factors() -> None:
    with record(trace={"x": X}) as recording:
        observe("result", F.linear(X, TABLE, ROW[:3]))
    result = cell(recording.origin("result").expression, (1, 2, 0))
    *products, bias = result.parts
    assert result.operation == "linear"
    assert [part.value for part in products] == pytest.approx((X[1, 2] * TABLE[0]).tolist())
    assert [part.parts[0].value for part in products] == X[1, 2].tolist()
    assert bias.value == ROW[0]


def test_an_unknown_operation_is_named() -> None:
    with record(trace={"x": X}) as recording:
        observe("result", torch.cumsum(X, dim=-1))
    node = recording.origin("result").expression
    for attempt in (lambda: evaluate(node), lambda: cell(node, (0, 0, 0))):
        with pytest.raises(UnknownOperation, match="cumsum"):
            attempt()
