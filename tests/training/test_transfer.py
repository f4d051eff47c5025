"""Ways to transfer: frozen parts, gradual unfreezing, layer-wise learning-rate decay, new layers.

Mistakes that these tests detect: dropout in frozen layers; weight decay of frozen parameters; a new pooler that is frozen;
decay in the wrong direction, or shifted by one layer; biases or norms without their factor; norms that keep their values;
factors that are lost inside DistributedDataParallel; layers that join from the bottom, too early, or too late; optimizer
states that differ after resuming.
"""

from functools import partial
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from minibert.model import BertConfig, BertForSequenceClassification, BertForTokenClassification
from minibert.text.batching import batches_by_count
from minibert.text.labeled.examples import Example, LabeledExamples
from minibert.training.checkpoints import Checkpoints
from minibert.training.classification import ClassificationObjective
from minibert.training.optimizer import adamw, warmup_linear
from minibert.training.run import TrainingRun
from minibert.training.transfer import (
    GradualUnfreezing,
    Transfer,
    freeze,
    layer_decay_factors,
    parse_parts,
    part_of,
    parts_of,
    reinitialize,
)
from minibert.training.transfer_options import TransferConfig

CONFIG = BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=12, max_position_embeddings=6
)
PARTS = ["embeddings", 0, 1, 2, "pooler", "head"]
EXAMPLES = LabeledExamples(
    [Example([2, 5 + number % 9, 6 + number % 7, 3], [0] * 4, {"labels": number % 2}) for number in range(8)], pad_id=0, seed=0
)
STEPS_PER_EPOCH = 2


def make_model(new: tuple[str, ...] = ("classifier.weight", "classifier.bias")) -> BertForSequenceClassification:
    torch.manual_seed(0)
    model = BertForSequenceClassification(CONFIG).double()
    model.initialized = new
    return model


def make_run(model: BertForSequenceClassification, epochs: int = 1, unfreezing: GradualUnfreezing | None = None) -> TrainingRun:
    torch.manual_seed(1)
    steps = epochs * STEPS_PER_EPOCH
    return TrainingRun(
        model,
        EXAMPLES,
        ClassificationObjective(),
        batch_sampler=partial(batches_by_count, batch_size=4),
        optimizer=partial(adamw, learning_rate=0.01, weight_decay=0.5),
        schedule=partial(warmup_linear, steps=steps),
        steps=steps,
        start_epoch=None if unfreezing is None else unfreezing.start_epoch,
    )


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def moved_parts(model: BertForSequenceClassification, before: dict[str, Tensor]) -> set:
    return {part_of(model, name) for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}


class TestParts:
    def test_parts_of_a_network(self) -> None:
        parts = parts_of(make_model())
        assert [*parts] == PARTS
        assert len(parts[1]) == 16
        assert sum(map(len, parts.values())) == len([*make_model().parameters()])
        assert [*parts_of(BertForTokenClassification(CONFIG))] == ["embeddings", 0, 1, 2, "head"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("embeddings", ["embeddings"]),
            ("embeddings,0-1", ["embeddings", 0, 1]),
            (" 2 , 0 ", [0, 2]),
            ("0-2", [0, 1, 2]),
            ("1-1,1", [1]),
            ("pooler", ["pooler"]),
            ("encoder", ["embeddings", 0, 1, 2, "pooler"]),
        ],
    )
    def test_lists(self, text: str, expected: list) -> None:
        assert parse_parts(text, PARTS) == expected

    @pytest.mark.parametrize(
        "text", ["3", "0-3", "2-1", "-1", "embedding", "", "0,,1", "0-", "0-1-2", "٣", "99999999999", "layers"]
    )
    def test_a_part_that_does_not_exist_is_an_error_with_the_list_of_parts(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"has no part '.*'; parts: embeddings, pooler, the layers 0-2, or encoder"):
            parse_parts(text, PARTS)

    @pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
    def test_names_inside_wrappers(self, wrapper: str) -> None:
        model = make_model()
        for name, _ in model.named_parameters():
            assert part_of(model, f"{wrapper}{name}") == part_of(model, name)

    def test_the_head_cannot_be_frozen(self) -> None:
        with pytest.raises(ValueError, match="the head is always trained"):
            parse_parts("0,head", PARTS)

    def test_a_network_without_pooler_has_no_such_part(self) -> None:
        with pytest.raises(ValueError, match=r"parts: embeddings, the layers 0-2"):
            parse_parts("pooler", [*parts_of(BertForTokenClassification(CONFIG))])


class TestFreezing:
    def test_frozen_parts_keep_every_bit(self) -> None:
        """With weight decay. The other parts move."""
        model = make_model()
        assert freeze(model, ["embeddings", 0, 1]) == []
        before = copy_of(model)
        assert len([*make_run(model, epochs=3).run()]) == 6
        assert moved_parts(model, before) == {2, "pooler", "head"}

    def test_frozen_parts_have_no_dropout(self) -> None:
        """The output of the frozen layers in a training step is that of evaluation; a layer that is trained has dropout."""
        model = make_model()
        freeze(model, ["embeddings", 0, 1])
        outputs: list[list[Tensor]] = [[], []]
        for number, found in zip((1, 2), outputs, strict=True):
            model.bert.layers[number].register_forward_hook(
                lambda _, inputs, output, found=found: found.append(output.detach())
            )
        run = make_run(model)
        next(run.run())
        model.eval()
        (batch,) = run.last_batches
        model(*batch.inputs)
        torch.testing.assert_close(outputs[0][0], outputs[0][1], rtol=0, atol=0)
        assert not torch.allclose(outputs[1][0], outputs[1][1], atol=0.01)

    def test_a_new_pooler_is_trained_with_a_message(self) -> None:
        model = make_model(("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"))
        assert freeze(model, ["embeddings", 0, 1, 2, "pooler"]) == ["pooler: newly initialized, so it is trained, not frozen"]
        before = copy_of(model)
        list(make_run(model).run())
        assert moved_parts(model, before) == {"pooler", "head"}

    def test_feature_extraction_trains_the_head_alone(self) -> None:
        model = make_model()
        Transfer(model, TransferConfig(feature_extraction=True))
        assert {part_of(model, name) for name, each in model.named_parameters() if each.requires_grad} == {"head"}

    def test_the_optimizer_has_no_frozen_parameters(self) -> None:
        model = make_model()
        freeze(model, ["embeddings", 0, 1, 2, "pooler"])
        groups = adamw(model, learning_rate=0.1).param_groups
        assert sum(len(group["params"]) for group in groups) == 2


class TestLayerDecay:
    def test_value(self) -> None:
        """The head, the pooler and the top layer: 1. Every layer below: times the decay. Embeddings: below layer 0."""
        model = make_model()
        expected = {"embeddings": 0.125, 0: 0.25, 1: 0.5, 2: 1.0, "pooler": 1.0, "head": 1.0}
        factors = layer_decay_factors(model, 0.5)
        assert factors == {name: expected[part_of(model, name)] for name, _ in model.named_parameters()}

    def test_sun_et_al(self) -> None:
        """ξ = 0.95 with 12 layers, numbered from 1 in the paper: layer k has ξ to the power of 12 - k."""
        model = BertForSequenceClassification(BertConfig(**{**vars(CONFIG), "num_hidden_layers": 12}))
        factors = layer_decay_factors(model, 0.95)
        for k in range(1, 13):
            assert factors[f"bert.layers.{k - 1}.attention_norm.bias"] == pytest.approx(0.95 ** (12 - k))

    @pytest.mark.parametrize("wrapper", [None, "module", "_orig_mod"])
    def test_every_parameter_has_its_rate_in_the_optimizer(self, wrapper: str | None) -> None:
        """Also inside DistributedDataParallel and compiled modules, which change the names. Biases and norms have no decay."""
        model = make_model()
        outer = model if wrapper is None else nn.ModuleDict({wrapper: model})
        factors = layer_decay_factors(model, 0.5)
        groups = adamw(outer, 0.1, weight_decay=0.3, learning_rate_factors=factors).param_groups
        found = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
        for name, parameter in model.named_parameters():
            assert found[id(parameter)] == (pytest.approx(0.1 * factors[name]), 0.3 if parameter.ndim > 1 else 0.0)

    def test_it_needs_a_layer_that_is_trained(self) -> None:
        """One is enough."""
        factors = Transfer(make_model(), TransferConfig(freeze="embeddings", layer_decay=0.5)).learning_rate_factors
        assert set(factors.values()) > {1.0, 0.5}
        with pytest.raises(ValueError, match="--layer-decay has no effect: all layers are frozen"):
            Transfer(make_model(), TransferConfig(freeze="encoder", layer_decay=0.5))

    def test_a_decay_of_one_changes_nothing(self) -> None:
        assert set(layer_decay_factors(make_model(), 1.0).values()) == {1.0}


class TestReinitialization:
    @staticmethod
    def pretrained() -> BertForSequenceClassification:
        """A model whose norms and biases are not those of a new one."""
        model = make_model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(3.0)
        return model

    @pytest.mark.parametrize(("layers", "expected"), [(0, {"pooler"}), (1, {2, "pooler"}), (3, {0, 1, 2, "pooler"})])
    def test_the_pooler_and_the_top_layers_are_new(self, layers: int, expected: set) -> None:
        model = self.pretrained()
        before = copy_of(model)
        reinitialize(model, layers)
        assert moved_parts(model, before) == expected
        for name, parameter in model.named_parameters():
            if part_of(model, name) in expected:
                assert not torch.equal(parameter, before[name]), name
                assert model.names.relative(name) in model.initialized

    def test_values_are_those_of_a_new_network(self) -> None:
        """Matrices: a truncated normal distribution. Biases: 0. Gains of the norms: 1."""
        model = self.pretrained()
        reinitialize(model, 1)
        for name, parameter in parts_of(model)[2].items():
            if name.endswith("norm.weight"):
                assert bool((parameter == 1).all()), name
            elif name.endswith("bias"):
                assert bool((parameter == 0).all()), name
            else:
                assert parameter.abs().max() <= 2 * CONFIG.initializer_range, name
                assert parameter.std() > CONFIG.initializer_range / 2, name

    def test_new_layers_are_always_trained(self) -> None:
        model = self.pretrained()
        reinitialize(model, 1)
        assert freeze(model, [0, 1, 2, "pooler"]) == [
            "layer 2: newly initialized, so it is trained, not frozen",
            "pooler: newly initialized, so it is trained, not frozen",
        ]
        assert GradualUnfreezing(model).waiting.keys() == {"embeddings"}

    @pytest.mark.parametrize("layers", [-1, 4])
    def test_more_layers_than_there_are(self, layers: int) -> None:
        with pytest.raises(ValueError, match=f"top {layers} layers again: the network has 3"):
            reinitialize(make_model(), layers)

    def test_every_new_parameter_is_named_once(self) -> None:
        model = make_model(new=("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"))
        reinitialize(model, 0)
        assert model.initialized == ("pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias")

    def test_nothing_to_initialize(self) -> None:
        with pytest.raises(ValueError, match="has no pooler to initialize again"):
            reinitialize(BertForTokenClassification(CONFIG), 0)


class TestGradualUnfreezing:
    @pytest.mark.parametrize(
        ("per_epoch", "expected"),
        [
            (1, [set(), {2}, {2, 1}, {2, 1, 0}, {2, 1, 0, "embeddings"}, {2, 1, 0, "embeddings"}]),
            (2, [set(), {2, 1}, {2, 1, 0, "embeddings"}]),
        ],
    )
    def test_layers_join_from_the_top(self, per_epoch: int, expected: list[set]) -> None:
        """The first epoch moves the head and the pooler only. Before a layer joins, it keeps every bit."""
        model = make_model()
        run = make_run(model, len(expected), GradualUnfreezing(model, per_epoch))
        before = copy_of(model)
        for step in run.run():
            assert moved_parts(model, before) == {"pooler", "head"} | expected[(step.number - 1) // STEPS_PER_EPOCH]

    def test_layers_that_wait_have_no_dropout(self) -> None:
        model = make_model()
        unfreezing = GradualUnfreezing(model)
        unfreezing.start_epoch(1)
        assert [layer.training for layer in model.bert.layers] == [False, False, True]
        assert not model.bert.embeddings.dropout.training
        assert model.dropout.training
        unfreezing.start_epoch(4)
        assert all(module.training for module in model.modules())

    def test_frozen_parts_stay_frozen(self) -> None:
        model = make_model()
        freeze(model, ["embeddings", 1])
        unfreezing = GradualUnfreezing(model)
        assert [*unfreezing.waiting] == [2, 0]
        before = copy_of(model)
        list(make_run(model, 5, unfreezing).run())
        assert moved_parts(model, before) == {0, 2, "pooler", "head"}

    def test_resuming_forgets_the_optimizer_states_of_layers_that_wait_again(self, tmp_path: Path) -> None:
        """For a run that has trained all layers before it goes back to an earlier checkpoint."""
        model = make_model()
        run = make_run(model, 5, GradualUnfreezing(model))
        steps = run.run()
        next(steps)
        expected = set(run.optimizer.state)
        run.save(Checkpoints(tmp_path))
        list(steps)
        assert len(run.optimizer.state) > len(expected)
        run.resume(Checkpoints(tmp_path).newest())
        assert {*run.optimizer.state} == expected
        assert all(parameter.requires_grad for parameter in model.parameters())

    @pytest.mark.parametrize("stop", [1, 2, 3, 4, 7])
    def test_a_resumed_run_ends_bit_for_bit_the_same(self, tmp_path: Path, stop: int) -> None:
        """With dropout; stopped within an epoch and at its end. Layers that wait have no optimizer state."""
        model = make_model()
        whole = make_run(model, 5, GradualUnfreezing(model))
        expected = list(whole.run())
        model = make_model()
        first = make_run(model, 5, GradualUnfreezing(model))
        found = list(islice(first.run(), stop))
        first.save(Checkpoints(tmp_path))
        model = make_model()
        second = make_run(model, 5, GradualUnfreezing(model))
        second.resume(Checkpoints(tmp_path).newest())
        assert [each in first.optimizer.state for each in first.model.parameters()] == [
            each in second.optimizer.state for each in second.model.parameters()
        ]
        found += second.run()
        assert found == expected
        for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
            assert torch.equal(one, other)
