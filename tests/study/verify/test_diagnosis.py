"""Each check of the diagnosis alone: the mistake that it finds, and what it must not take for one."""

import math

import pytest
import torch
from torch import Tensor, nn

from minibert import Bert
from minibert.equations import layer_norm, relu
from minibert.model.layers import LayerNorm
from minibert.model.linear import ActivatedLinear, Linear
from minibert.study.verify.comparison import compare, difference
from minibert.study.verify.diagnosis import (
    DEFAULT_NAMES,
    _not_finite,
    _run,
    _same_input,
    _wrong_activation,
    _wrong_eps,
    _wrong_linear,
    _wrong_scores,
    _wrong_sum,
    likely_cause,
)
from minibert.study.verify.inputs import without_padding
from tests.model.adapters.networks import CONFIG, inputs
from tests.strategies import normal


class TestDifference:
    def test_numbers(self) -> None:
        """The largest difference, relative to the largest value but to no less than 1, and the cosine."""
        assert difference(torch.tensor([8.0, 0.0]), torch.tensor([8.0, 6.0])) == (6.0, 0.75, pytest.approx(0.8))
        assert difference(torch.tensor([0.5, 0.0]), torch.tensor([0.0, 0.5])) == (0.5, 0.5, 0.0)
        assert difference(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 0.5])) == (0.5, 0.5, 0.0)
        assert difference(torch.ones(2), torch.ones(2)) == (0.0, 0.0, 1.0)

    def test_very_small_numbers_have_a_direction(self) -> None:
        """Only zeros have none."""
        tiny = torch.tensor([1e-6, 0.0], dtype=torch.float64)
        assert difference(tiny, 2 * tiny)[2] == pytest.approx(1.0)

    def test_as_large_as_the_tolerance_is_within_it(self) -> None:
        model = Bert(CONFIG).double()
        stages = {"x": torch.zeros(2, dtype=torch.float64)}
        for size, agrees in ((1e-10, True), (1.01e-10, False)):
            ours = {"x": torch.tensor([0.0, size], dtype=torch.float64)}
            assert compare(stages, ours, inputs(), model).agrees is agrees


def test_values_that_are_not_finite_are_counted() -> None:
    stage = torch.tensor([math.nan, math.inf, -math.inf, 1.0])
    assert _not_finite(stage) == "1 of 4 values are NaN and 2 of 4 values are infinite"
    assert _not_finite(stage[1:]) == "2 of 3 values are infinite"


def test_a_stage_that_no_layer_computes_has_no_cause() -> None:
    """Only for logits it must be the matrix that gives them."""
    model, stages = Bert(CONFIG), {"x": torch.zeros(2), "x.logits": torch.zeros(2)}
    assert likely_cause("x", stages, stages, inputs(), model) is None
    assert "output matrix" in str(likely_cause("x.logits", stages, stages, inputs(), model))


def test_causes_of_stages_inside_cross_attention() -> None:
    """They are those of attention. A stage of a check is never taken from another layer."""
    one, other = {"layers.0.cross_attention.weights": torch.zeros(2)}, {"layers.0.cross_attention.weights": torch.ones(2)}
    cause = likely_cause("layers.0.cross_attention.weights", one, other, {}, Bert(CONFIG))
    assert cause == "the scores agree and the weights do not: the mask, or the axis of the softmax"


def test_the_diagnosis_runs_a_copy_with_explicit_attention() -> None:
    """The user's network keeps its attention and has no hooks. All steps of attention are recorded."""
    model = Bert(CONFIG).set_attention("fused").eval()
    stages, applications = _run(model, inputs())
    assert "layers.0.attention.weights" in stages
    assert {type(each.layer) for each in applications} == {Linear, ActivatedLinear, LayerNorm}
    assert model.layers[0].attention.implementation == "fused"
    assert not any(module._forward_hooks for module in model.modules())


STAGES = {"a": normal(0, 1, 3, 4), "b": normal(1, 1, 3, 4), "heads": normal(2, 1, 2, 3, 2), "c": normal(3, 1, 3, 5)}


class TestInput:
    """The input of a layer is a stage, one that is split into heads, or the sum of two stages."""

    @pytest.mark.parametrize("name", ["a", "b", "c"])
    def test_of_one_stage(self, name: str) -> None:
        reference = {each: 2 * value for each, value in STAGES.items()}
        assert torch.equal(_same_input(STAGES[name], STAGES, reference), reference[name])

    def test_of_heads(self) -> None:
        reference = {name: 2 * value for name, value in STAGES.items()}
        merged = STAGES["heads"].transpose(1, 2).flatten(2)
        assert torch.equal(_same_input(merged, STAGES, reference), 2 * merged)
        both = STAGES["a"] + merged
        assert torch.equal(_same_input(both, STAGES, reference), 2 * STAGES["a"] + 2 * merged)

    def test_stages_that_cannot_be_added_are_no_input(self) -> None:
        stages = {"short": torch.ones(1, 2, 4), "long": torch.ones(1, 5, 4), "row": torch.ones(4)}
        assert _same_input(torch.full((1, 2, 4), 2.0), stages, stages) is None

    def test_of_a_stage_that_the_reference_lacks(self) -> None:
        assert _same_input(STAGES["a"], STAGES, {"b": STAGES["b"]}) is None


LINEAR = nn.Linear(3, 3)


class TestLinear:
    def cause(self, after: Tensor, linear: nn.Linear | None = None) -> str:
        before = normal(0, 4, 3)
        return _wrong_linear(before, after, linear or LINEAR, DEFAULT_NAMES)

    def test_causes(self) -> None:
        before, weight, bias = normal(0, 4, 3), LINEAR.weight.double().detach(), LINEAR.bias.double().detach()
        assert self.cause(before @ weight.T + bias + 1e-5) == "the weight or the bias differs slightly"
        assert self.cause(before @ weight + bias) == "the weight is transposed"
        assert self.cause(before @ weight.T) == "the bias is missing in transformers"
        assert self.cause(before @ weight.T + bias + 1) == "the weight or the bias differs"

    def test_a_layer_without_a_bias(self) -> None:
        linear = nn.Linear(3, 3, bias=False)
        before, weight = normal(0, 4, 3), linear.weight.double().detach()
        assert self.cause(before @ weight.T + 1e-5, linear) == "the weight or the bias differs slightly"
        assert self.cause(before @ weight, linear) == "the weight is transposed"


class TestEps:
    def cause(self, theirs: float, ours: float, noise: float = 0.0) -> str | None:
        norm = LayerNorm(4, ours).double()
        nn.init.normal_(norm.weight)
        before = 1e-3 * normal(0, 5, 4)
        after = layer_norm(before, norm.weight, norm.bias, theirs)
        return _wrong_eps(before, after + noise, norm.float(), DEFAULT_NAMES)

    def test_another_eps_is_named(self) -> None:
        assert self.cause(1e-6, 1e-12) == "the eps of layer normalization: 1e-06 in transformers, 1e-12 in minibert"
        assert self.cause(1e-12, 1e-3) == "the eps of layer normalization: 1e-12 in transformers, 0.001 in minibert"

    def test_the_same_eps_is_no_cause(self) -> None:
        assert self.cause(1e-6, 1e-6) is None
        assert self.cause(1e-6, 1e-6, noise=1e-3) is None

    def test_a_difference_that_another_eps_hardly_makes_smaller_is_no_cause(self) -> None:
        assert self.cause(1e-6, 1e-5, noise=10.0) is None


def test_activation_functions() -> None:
    before = normal(0, 3, 4)
    cause = _wrong_activation(before, relu(before), "gelu", DEFAULT_NAMES)
    assert cause == "the activation function: relu in transformers, gelu in minibert"
    assert _wrong_activation(before, relu(before), "relu", DEFAULT_NAMES) is None
    assert _wrong_activation(before, 2 * before, "gelu", DEFAULT_NAMES) is None


SCORES = normal(0, 1, 1, 3, 4)


class TestScores:
    def cause(self, expected: Tensor, masked: Tensor | None = None) -> str:
        return _wrong_scores(expected, SCORES, SCORES if masked is None else masked, DEFAULT_NAMES)

    @pytest.mark.parametrize("scale", [2.0, -0.125])
    def test_scale(self, scale: float) -> None:
        cause = self.cause(scale * SCORES)
        assert cause == f"the scale: the scores of transformers are {scale:.4g} times as large"

    def test_scale_of_small_scores(self) -> None:
        small = 1e-5 * SCORES
        cause = _wrong_scores(2 * small, small, small, DEFAULT_NAMES)
        assert cause == "the scale: the scores of transformers are 2 times as large"

    def test_scale_with_rounding(self) -> None:
        """The mean of the ratios is shown."""
        noise = 1 + 5e-4 * torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
        assert self.cause(2 * SCORES * noise) == "the scale: the scores of transformers are 2 times as large"

    def test_other_scores(self) -> None:
        assert self.cause(SCORES.flip(-1)) == "the product of queries and keys"

    def test_masked_keys(self) -> None:
        masked = torch.zeros_like(SCORES, dtype=torch.bool)
        masked[..., -1] = True
        expected = SCORES.masked_fill(masked, torch.finfo(torch.float32).min)
        assert self.cause(expected) == "the mask: transformers masks keys that minibert does not"
        ours = SCORES.masked_fill(masked, -math.inf)
        assert self.cause(3 * SCORES.masked_fill(masked, -1e5), ours).startswith("the scale: ")

    def test_zeros_have_no_ratio(self) -> None:
        assert _wrong_scores(torch.ones(1, 2), torch.zeros(1, 2), torch.zeros(1, 2), DEFAULT_NAMES) == (
            "the product of queries and keys"
        )


@pytest.mark.parametrize(
    ("difference", "separate", "cause"),
    [
        (1e-7, False, "rounding: the checkpoint has a position table in single precision"),
        (1e-7, True, "an embedding is missing, or added twice"),
        (1.0, False, "the position embeddings, the position ids, or the scale of the word embeddings"),
    ],
)
def test_sums_of_embeddings(difference: float, separate: bool, cause: str) -> None:
    one = normal(0, 2, 3)
    assert _wrong_sum(one, one + difference, separate).startswith(cause)


def test_only_tokens_that_are_not_padding_are_compared() -> None:
    """In stages with heads and without, and in those that all rows of a batch share, such as positions."""
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    arguments = {"attention_mask": mask}
    hidden = torch.arange(6.0).view(2, 3, 1)
    assert without_padding(hidden, arguments).flatten().tolist() == [0, 1, 2, 3]
    heads = torch.arange(24.0).view(2, 2, 3, 2)
    assert torch.equal(without_padding(heads, arguments), heads.movedim(2, 1)[mask.bool()])
    shared = torch.arange(3.0).view(1, 3, 1)
    assert without_padding(shared, arguments).flatten().tolist() == [0, 1, 2, 0]
    assert without_padding(torch.ones(2, 5), arguments).shape == (2, 5)


def test_a_difference_of_shapes_is_the_first_cause() -> None:
    cause = likely_cause("x", {"x": torch.zeros(2)}, {"x": torch.full((3,), math.nan)}, inputs(), Bert(CONFIG))
    assert cause == "the shapes differ: (2,) in transformers, (3,) in minibert"
