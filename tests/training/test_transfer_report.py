"""Reports of what a run trains, and of what has moved."""

from itertools import islice

import pytest
import torch

from minibert.training.transfer import GradualUnfreezing, Transfer, freeze, reinitialize
from minibert.training.transfer_options import TransferConfig
from minibert.training.transfer_report import (
    TransferReport,
    describe_moved,
    describe_parts,
    describe_trained,
    describe_unfreezing,
    fingerprints,
)
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

    def test_a_frozen_encoder_and_the_share_of_the_rest(self) -> None:
        model = make_model()
        freeze(model, ["embeddings", 0, 1, 2, "pooler"])
        head, total = 8 * 2 + 2, sum(parameter.numel() for parameter in model.parameters())
        first, _, modes = describe_trained(model)
        assert first.startswith(f"18 of {total:,} parameters are trained ({head / total:.1%}). Trained: head; frozen: ")
        assert modes == "In evaluation mode, without dropout: encoder."


class TestBefore:
    def test_all_of_a_run_with_unfreezing_and_decay(self) -> None:
        """The first epoch trains the head alone. Two epochs are too few."""
        transfer = Transfer(make_model(), TransferConfig(unfreeze_per_epoch=1, layer_decay=0.5))
        lines = TransferReport(transfer, epochs=2).before()
        assert lines[0].endswith("Trained: pooler, head; frozen: embeddings, layers 0-2.")
        assert lines[-3:] == [
            "Gradual unfreezing, 1 in each epoch after the first: layer 2, layer 1, layer 0, embeddings.",
            "In 2 epochs, these are never trained: embeddings, layers 0-1. It takes 5 epochs.",
            "Learning rates: times 0.5 for each layer below the top layer, down to 0.12.",
        ]
        assert (
            TransferReport(transfer, epochs=2)
            .before(2)[0]
            .endswith("Trained: layers 1-2, pooler, head; frozen: embeddings, layer 0.")
        )

    def test_an_ordinary_run(self) -> None:
        transfer = Transfer(make_model(), TransferConfig())
        assert TransferReport(transfer, epochs=2).before() == describe_trained(transfer.model)

    @pytest.mark.parametrize(("per_epoch", "needed"), [(1, 5), (2, 3), (3, 3), (4, 2)])
    def test_enough_epochs(self, per_epoch: int, needed: int) -> None:
        unfreezing = GradualUnfreezing(make_model(), per_epoch)
        assert unfreezing.epochs == needed
        assert len(describe_unfreezing(unfreezing, needed)) == 1
        assert len(describe_unfreezing(unfreezing, needed - 0.5)) == 1  # the last epoch is not whole
        assert len(describe_unfreezing(unfreezing, needed - 1)) == 2


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
