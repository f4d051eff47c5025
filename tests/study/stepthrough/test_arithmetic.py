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
from minibert.study.stepthrough.lowering import lowered

X = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ROW, TABLE = X[0, 0], X[1]
MASK = torch.eye(3, dtype=torch.bool)
MASK_OF_X = X > 0.5
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
    "permute": lambda x: x.permute(2, 0, 1) + torch.permute(x, (-1, 0, 1)),
    "permute with a list": lambda x: x.permute([1, 2, 0]).permute(dims=(0, 2, 1)),
    "softmax": lambda x: torch.softmax(x, -1) + F.softmax(x, dim=1),
    "softmax as a method": lambda x: x.softmax(0) * torch.softmax(input=x, dim=2),
    "log softmax": lambda x: torch.log_softmax(x, 1) + torch.logsumexp(x, 1, keepdim=True),
    "einsum of scores": lambda x: torch.einsum("bqd,bkd->bqk", x, x),
    "einsum of a context": lambda x: torch.einsum("bqk,bkd->bdq", x @ x.mT, x),
    "einsum over two axes": lambda x: torch.einsum("bqd,bqd->b", x, x),
    "einsum of all": lambda x: torch.einsum("bqd,bqd->", x, x),
    "einsum with dots": lambda x: torch.einsum("...qd,...kd->...kq", x[:, None], x[None]),
    "einsum without an arrow": lambda x: torch.einsum("bqd, dk", x, TABLE.mT),
    "einsum of one tensor": lambda x: torch.einsum("bqd->dq", x),
    "einsum of three tensors": lambda x: torch.einsum("bqd,bkd,k->bq", x, x, ROW[:3]),
    "einsum without a sum": lambda x: torch.einsum("i,j->ij", x[0, 0], x[0, 1]),
    "vectors": lambda x: x[0, 0] @ ROW + torch.mv(x[1], ROW) + torch.dot(ROW, x[0, 1]),
    "vector from the left": lambda x: x[0, :, 0] @ x[1],
    "batches": lambda x: torch.bmm(x, x.swapaxes(1, 2)) + torch.mm(x[0], x[1].T) @ x[0] @ x[1].t(),
    "keywords": lambda x: torch.matmul(input=x, other=x.transpose(dim0=-2, dim1=-1)).masked_fill(mask=MASK, value=7.0),
    "largest": lambda x: x - x.max(dim=-1, keepdim=True).values + torch.max(x) + torch.max(x, 2 * x),
    "smallest": lambda x: x.min(1, keepdim=True).values + x.amin(dim=-1, keepdim=True) + x.min(),
    "expand": lambda x: x[:, :1].expand(2, 3, 4) + x[:, :1].expand(-1, 3, -1) + x[:, :1].expand_as(x),
    "parts": lambda x: x.split(2, dim=-1)[1] + x.chunk(2, -1)[0] + torch.stack(x.unbind(-1)[:2], -1),
    "parts of different sizes": lambda x: torch.split(x, [1, 3], dim=2)[1],
    "concatenation": lambda x: torch.cat([x, 2 * x], dim=-1) @ torch.cat((x.mT, x.mT), 1),
    "factor of a sum": lambda x: torch.add(x, x, alpha=2) - torch.sub(x, ROW, alpha=3),
    "several axes": lambda x: x.sum(dim=(0, 2)) + x.mean((-1, 0)),
    "variance": lambda x: (
        x.var(-1, keepdim=True) + x.var(dim=1, correction=0, keepdim=True) + x.std(-1, unbiased=False)[..., None]
    ),
    "layer norm": lambda x: F.layer_norm(x, (4,), ROW, ROW, 1e-12) + F.layer_norm(x, x.shape[-1:], eps=1e-3),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "in place": lambda x: (2 * x).div_(3).masked_fill_(MASK_OF_X, 5.0).exp_(),
    "assignment with a mask": lambda x: assigned(2 * x),
    "other names": lambda x: torch.multiply(x, 2).true_divide(3).subtract(1).negative().absolute(),
}


def assigned(x: Tensor) -> Tensor:
    x[MASK_OF_X] = -5.0
    return 3 * x


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_tensors_and_cells_equal_those_of_pytorch(operation: Callable[[Tensor], Tensor]) -> None:
    """The whole tensor and every cell have the value that PyTorch computed."""
    with record(trace={"x": X}) as recording:
        observe("result", operation(X))
    node, expected = lowered(recording.origin("result").expression), recording["result"].numpy()
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
