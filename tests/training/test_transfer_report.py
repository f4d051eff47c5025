"""Reports of what a run trains, and of what has moved."""

from itertools import islice

import pytest
import torch

from minibert.training.transfer import freeze, reinitialize
from minibert.training.transfer_report import describe_moved, describe_parts, describe_trained, fingerprints
from tests.training.test_transfer import make_model, make_run


class TestTrained:
    def test_full_fine_tuning(self) -> None:
        model = make_model()
        total = sum(parameter.numel() for parameter in model.parameters())
        assert describe_trained(model) == [
            f"{total:,} of {total:,} parameters are trained (100.0%). Trained: embeddings, layers 0-2, pooler, head.",
            "Newly initialized, and trained: head.",
        ]

    def test_frozen_parts_and_their_modules(self) -> None:
        model = make_model()
        freeze(model, ["embeddings", 0, 1])
        first, _, modes = describe_trained(model)
        assert first.endswith("Trained: layer 2, pooler, head; frozen: embeddings, layers 0-1.")
        assert modes == "In evaluation mode, without dropout: embeddings, layers.0-1."

    def test_partly_trained_parts(self) -> None:
        """Biases alone: the matrices of the embeddings are frozen modules; a layer with a bias has dropout."""
        model = make_model()
        for name, parameter in model.bert.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
        first, _, modes = describe_trained(model)
        assert first.endswith("Trained: head; partly trained: embeddings, layers 0-2, pooler.")
        assert modes.endswith(": embeddings.words, embeddings.positions, embeddings.segments.")

    def test_new_parts(self) -> None:
        model = make_model()
        reinitialize(model, 1)
        assert "Newly initialized, and trained: layer 2, pooler, head." in describe_trained(model)


def test_parts_in_other_orders() -> None:
    assert describe_parts([3, 1, "head", 2, 7]) == "layers 1-3, layer 7, head"
    assert describe_parts(["head"]) == "head"


class TestMoved:
    def test_parts_that_moved(self) -> None:
        model = make_model()
        freeze(model, ["embeddings", 0])
        before = fingerprints(model.state_dict())
        list(islice(make_run(model).run(), 1))
        assert describe_moved(model, before, fingerprints(model.state_dict())) == [
            "Moved: 36 of 57 parameter tensors: layers 1-2, pooler, head."
        ]

    def test_a_trained_parameter_that_has_not_moved_is_named(self) -> None:
        model = make_model()
        before = fingerprints(model.state_dict())
        with torch.no_grad():
            model.classifier.bias.add_(1e-12)
        moved, fault = describe_moved(model, before, fingerprints(model.state_dict()))
        assert moved == "Moved: 1 of 57 parameter tensors: head."
        assert fault.startswith("Trained, but not moved: embeddings.words.weight, ")

    def test_a_frozen_parameter_that_has_moved_is_named(self) -> None:
        model = make_model()
        freeze(model, [0, 1])
        before = fingerprints(model.state_dict())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(-1.0)  # also a sign of zero is a difference
        *_, fault = describe_moved(model, before, fingerprints(model.state_dict()))
        assert fault.startswith("Frozen, but moved: layers.0-1.attention.query.weight, ")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
def test_fingerprints_are_those_of_the_bytes(dtype: torch.dtype) -> None:
    """Every type and shape; a view has the fingerprint of its copy."""
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    prints = fingerprints({"module.a": tensor.mT, "b": tensor.mT.contiguous(), "c": tensor, "d": tensor[0, 0], "e": tensor[:0]})
    assert prints["a"] == prints["b"] != prints["c"]
    assert len({*prints.values()}) == 4
