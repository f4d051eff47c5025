"""The operations behind recorded tensors."""

import math

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from minibert import record
from minibert.equations import layer_norm, scaled_dot_product_attention, softmax
from minibert.observe import observe
from minibert.trace import Leaf, Node, Operation, leaves


def text(node: object) -> str:
    """Write an expression as code."""
    if isinstance(node, Leaf):
        return node.name or node.kind
    if isinstance(node, Operation):
        return f"{node.name}({', '.join(text(argument) for argument in node.arguments)})"
    return f"{node:g}" if isinstance(node, float) else str(node)


def expression(path: str, recording) -> Node:
    return recording.origin(path).expression


def test_operations_lead_back_to_the_last_recorded_tensors() -> None:
    """The scores are made from the dot products, and these from query and key."""
    query, key = torch.randn(2, 4), torch.randn(3, 4)
    with record(trace={"query": query, "key": key}) as recording:
        scaled_dot_product_attention(query, key, torch.randn(3, 2))
    assert text(expression("dot_products", recording)) == "matmul(query, transpose(key, -2, -1))"
    assert text(expression("scores", recording)) == "div(dot_products, 2)"
    assert text(expression("context", recording)) == "matmul(weights, constant)"
    assert text(expression("weights", recording)) == (
        "div(exp(sub(scores, amax(scores))), sum(exp(sub(scores, amax(scores)))))"
    )


def test_operations_know_the_equation_that_ran_them() -> None:
    """The softmax inside attention belongs to `softmax`, the product with the values to attention."""
    x = torch.randn(2, 4)
    with record(trace=True) as recording:
        scaled_dot_product_attention(x, x, x)
        observe("plain", x * 2)
    assert expression("weights", recording).equation == "softmax"
    assert expression("context", recording).equation == "scaled_dot_product_attention"
    assert expression("plain", recording).equation is None


def test_origin_names_the_function_that_observes() -> None:
    with record(trace=True) as recording:
        layer_norm(torch.randn(2, 4), torch.ones(4), torch.zeros(4))
    origin = recording.origin("variance")
    assert (origin.module, origin.function) == ("minibert.equations.layers", "layer_norm")


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = observe("hidden", self.linear(x))
        return observe("output", observe("same", hidden.tanh()))


def test_parameters_have_their_names() -> None:
    layer, x = Layer(), torch.randn(1, 3)
    with torch.no_grad(), record(layer, trace={"x": x}) as recording:
        layer(x)
    assert text(expression("hidden", recording)) == "linear(x, linear.weight, linear.bias)"
    assert [leaf.kind for leaf in leaves(expression("hidden", recording))] == ["input", "parameter", "parameter"]


def test_a_tensor_with_two_names_leads_to_its_first_name() -> None:
    layer = Layer()
    with torch.no_grad(), record(layer, trace=True) as recording:
        layer(torch.randn(1, 3))
        recording.add("after", recording["output"] + 1)
    assert text(expression("output", recording)) == "same"
    assert text(expression("after", recording)) == "add(same, 1)"


def test_reversed_and_in_place_operations() -> None:
    """`2 ** x` and `1 / x` keep the order of their arguments, `masked_fill_` is the same as `masked_fill`."""
    x = torch.tensor([1.0, 2.0])
    with record(trace={"x": x}) as recording:
        observe("power", 2**x)
        observe("quotient", 1 / x)
        observe("difference", 3 - x)
        observe("filled", (x + 0).masked_fill_(torch.tensor([True, False]), -math.inf))
    assert text(expression("power", recording)) == "pow(2, x)"
    assert text(expression("filled", recording)).startswith("masked_fill(add(x, 0), constant")
    assert recording["difference"].tolist() == [2.0, 1.0]
    assert text(expression("difference", recording)) == "sub(3, x)"
    assert text(expression("quotient", recording)) in ("div(1, x)", "mul(reciprocal(x), 1)")


def test_changes_of_type_are_no_operations() -> None:
    x = torch.randn(2, 4, dtype=torch.float16)
    with record(trace={"x": x}) as recording:
        observe("weights", softmax(x))
    assert "to(" not in text(expression("weights", recording))
    assert leaves(expression("weights", recording))[0].name == "x"


def test_dropout_in_training_is_an_operation_and_in_evaluation_is_none() -> None:
    x = torch.ones(4)
    for training, expected in ((True, "dropout(x)"), (False, "x")):
        with record(trace={"x": x}) as recording:
            observe("dropped", nn.functional.dropout(x, 0.5, training))
        assert text(expression("dropped", recording)) == expected


def test_gradients_and_operations_can_be_recorded_together() -> None:
    layer = Layer()
    with record(layer, gradients=True, trace=True) as recording:
        layer(torch.randn(1, 3)).sum().backward()
    assert recording.gradient("hidden").shape == (1, 3)
    assert text(expression("same", recording)) == "tanh(hidden)"


def test_a_recording_without_a_trace_has_no_operations() -> None:
    with record() as recording:
        observe("x", torch.ones(1))
    with pytest.raises(RuntimeError, match="trace=True"):
        recording.origin("x")


def test_unknown_paths_are_named() -> None:
    with record(trace=True) as recording:
        observe("scores", torch.ones(1))
    with pytest.raises(KeyError, match="scores"):
        recording.origin("score")


def test_a_sharded_model_cannot_be_traced() -> None:
    """FSDP computes with other tensors than the parameters. A recording without operations is possible."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        layer = nn.Linear(2, 2)
        fully_shard(layer, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(ValueError, match="a sharded model"), record(layer, trace=True):
            pass
        with torch.no_grad(), record(layer):
            layer(torch.ones(2))
    finally:
        distributed.destroy_process_group()
