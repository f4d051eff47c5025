"""Bottleneck adapters: their place in the layer, near-identity at the start, what is trained, saving and loading."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import load, record
from minibert.equations import bottleneck_adapter, gelu
from minibert.model.adapters import Bottleneck, load_adapter
from minibert.model.adapters.bottleneck import AdaptedLinear
from tests.model.adapters.networks import HEADS, base_checkpoint, move, new_network, outputs
from tests.strategies import seeds, tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")


class TestAdaptedLinear:
    @given(tensors(axes=2, smallest=0), st.integers(1, 3), seeds)
    def test_value(self, x: Tensor, size: int, seed: int) -> None:
        """The layer computes the linear map, then the equation."""
        torch.manual_seed(seed)
        adapted = AdaptedLinear(nn.Linear(x.shape[-1], 4).double(), size, std=0.5)
        down, up = adapted.bottleneck_down, adapted.bottleneck_up
        hidden = nn.functional.linear(x, adapted.weight, adapted.bias)
        expected = bottleneck_adapter(hidden, down.weight.mT, down.bias, up.weight.mT, up.bias, gelu)
        torch.testing.assert_close(adapted(x), expected)

    @given(tensors(axes=2), st.integers(1, 3), seeds)
    def test_close_to_the_linear_map_at_the_start(self, x: Tensor, size: int, seed: int) -> None:
        """With a standard deviation of 0.01, cut off at two, each feature has at most 0.02 of each input, and back."""
        torch.manual_seed(seed)
        adapted = AdaptedLinear(nn.Linear(x.shape[-1], 4).double(), size, std=0.01)
        hidden = nn.functional.linear(x, adapted.weight, adapted.bias)
        limit = size * 0.02 * 0.02 * hidden.abs().sum(-1, keepdim=True)
        assert ((adapted(x) - hidden).abs() <= limit).all()
        assert not torch.equal(adapted(x), hidden)

    def test_initial_weights_are_normal_and_cut_off_at_two_standard_deviations(self) -> None:
        """On both sides."""
        torch.manual_seed(0)
        adapted = AdaptedLinear(nn.Linear(3, 100), 100, std=0.5)
        for projection in (adapted.bottleneck_down, adapted.bottleneck_up):
            weight = projection.weight
            assert -1.0 <= weight.min() < -0.9
            assert 0.9 < weight.max() <= 1.0

    def test_layer_without_a_bias_has_none(self) -> None:
        assert AdaptedLinear(nn.Linear(3, 4, bias=False), 2, std=0.5).bias is None


def test_place_in_the_layer(tmp_path: Path) -> None:
    """Figure 2: after the projection of each sublayer, before the residual connection and layer normalization."""
    model = new_network(base_checkpoint(tmp_path))
    Bottleneck(size=2).apply(model)
    move(model)
    with record(model) as recording:
        outputs(model)
    layer = model.bert.layers[0]
    for sublayer, before, after in (
        ("attention", "embeddings.output", "layers.0.attention_residual"),
        ("feed_forward", "layers.0.attention_norm", None),
    ):
        adapted = layer.attention.output if sublayer == "attention" else layer.feed_forward.output
        path = "layers.0.attention.output" if sublayer == "attention" else "layers.0.feed_forward"
        source = recording["layers.0.attention.context"] if sublayer == "attention" else recording["layers.0.activation"]
        if sublayer == "attention":
            source = source.transpose(1, 2).flatten(2)
        hidden = nn.functional.linear(source, adapted.weight, adapted.bias)
        down, up = adapted.bottleneck_down, adapted.bottleneck_up
        expected = hidden + up(gelu(down(hidden)))
        torch.testing.assert_close(recording[path], expected)
        summed = recording[before] + expected
        if after is None:
            torch.testing.assert_close(recording["layers.0.output"], layer.feed_forward_norm(summed))
        else:
            torch.testing.assert_close(recording[after], summed)


def test_near_identity_at_initialization(tmp_path: Path) -> None:
    """The logits hardly change, and with a smaller standard deviation, less."""
    base = base_checkpoint(tmp_path)
    plain = outputs(new_network(base))[0]
    for std, tolerance in ((0.01, 0.02), (0.001, 0.0002)):
        model = new_network(base)
        Bottleneck(size=4, initial_std=std).apply(model)
        torch.testing.assert_close(outputs(model)[0], plain, atol=tolerance, rtol=0)


def test_trained_parameters(tmp_path: Path) -> None:
    """Two adapters in each layer, all layer normalizations, the new pooler and head."""
    model = new_network(base_checkpoint(tmp_path))
    names = [name.removeprefix("bert.") for name in Bottleneck(size=2).apply(model)]
    adapters = [name for name in names if "bottleneck" in name]
    assert len(adapters) == 3 * 2 * 4
    assert sum("norm" in name for name in names) == 2 * (1 + 3 * 2)
    assert [name for name in names if "bottleneck" not in name and "norm" not in name] == [
        f"{module}.{leaf}" for module in ("pooler.dense", "classifier") for leaf in ("weight", "bias")
    ]
    per_layer = sum(p.numel() for name, p in model.named_parameters() if "layers.0" in name and "bottleneck" in name)
    assert per_layer == 2 * (2 * 8 * 2 + 8 + 2)  # 2md + d + m for each adapter (Houlsby et al., section 2.1)


@pytest.mark.parametrize("head", HEADS)
def test_saved_and_loaded_exactly(head: str, tmp_path: Path) -> None:
    """Together with the base model, or onto a network; the base model is not written again."""
    base = base_checkpoint(tmp_path)
    model = new_network(base, head)
    Bottleneck(size=2).apply(model)
    move(model)
    model.save_pretrained(tmp_path / "run")
    other = new_network(base, head)
    load_adapter(other, tmp_path / "run/adapter")
    for again in (load(tmp_path / "run"), load(tmp_path / "run/adapter"), other):
        for one, two in zip(outputs(model), outputs(again), strict=True):
            assert torch.equal(one, two)
        assert again.adapter_parameters == model.adapter_parameters
        assert again.config == model.config or again is other
    assert sum(file.stat().st_size for file in (tmp_path / "run").rglob("*")) < (base / "model.safetensors").stat().st_size


def test_transformers_does_not_load_a_model_without_its_adapters(tmp_path: Path) -> None:
    """It would compute something else, without an error."""
    transformers = pytest.importorskip("transformers")
    model = new_network(base_checkpoint(tmp_path))
    Bottleneck(size=2).apply(model)
    model.save_pretrained(tmp_path / "run")
    for folder in (tmp_path / "run", tmp_path / "run/adapter"):
        with pytest.raises((OSError, ValueError)):
            transformers.AutoModelForSequenceClassification.from_pretrained(folder)


@pytest.mark.parametrize(("settings", "message"), [({"size": 0}, "size must be"), ({"initial_std": 1.0}, "initial_std must")])
def test_settings_outside_their_range(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bottleneck(**settings)  # type: ignore[arg-type]
