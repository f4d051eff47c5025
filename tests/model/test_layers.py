"""Tests of the layers: they equal the equations they are composed of, with the residual connections of the paper."""

from typing import TypeVar

import numpy as np
import torch
from hypothesis import given, settings
from torch.autograd import gradcheck

from minibert import BertConfig, record
from minibert.classroom.exercises.networks import FixedDropout, with_fixed_dropout
from minibert.equations import add_and_norm, feed_forward, gelu
from minibert.model.cache import KeyValueCache
from minibert.model.layers import DecoderLayer, EncoderLayer, FeedForward, LayerNorm
from minibert.model.positions import NO_RELATIVE_POSITIONS
from tests import reference
from tests.strategies import normal, seeds

LayerT = TypeVar("LayerT", bound=EncoderLayer)

CONFIG = BertConfig(hidden_size=6, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1, vocab_size=9)


def random_layer(seed: int, pre_norm: bool = False) -> EncoderLayer:
    """Create an encoder layer with all parameters random, in float64 and in evaluation mode."""
    return randomize(EncoderLayer(CONFIG, "explicit", pre_norm), seed)


def randomize(layer: LayerT, seed: int, std: float = 1.0) -> LayerT:
    """Set all parameters to random values; change to float64 and to evaluation mode."""
    torch.manual_seed(seed)
    layer = layer.double().eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return layer


def test_a_new_normalization_changes_no_scale() -> None:
    """Its gain is one and its bias zero."""
    norm = LayerNorm(3, 1e-12)
    assert norm.weight.tolist() == [1, 1, 1]
    assert norm.bias.tolist() == [0, 0, 0]


class TestFeedForward:
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The output equals `equations.feed_forward` with the same parameters."""
        network, x = random_layer(seed).feed_forward, normal(seed, 1, 3, 6)
        inner, outer = network.intermediate, network.output
        expected = feed_forward(x, inner.weight.T, inner.bias, outer.weight.T, outer.bias, gelu)
        torch.testing.assert_close(network(x), expected)

    def test_with_another_output_layer_it_computes_the_same(self) -> None:
        """Adapters replace the linear layers: these get the activations."""
        network, hidden = FeedForward(CONFIG), torch.randn(2, 3, 6, requires_grad=True)
        expected = network(hidden)
        with record() as steps:
            network(hidden)
        seen: list[torch.Tensor] = []
        replaced = torch.nn.Linear(8, 6)
        replaced.load_state_dict(network.output.state_dict())
        replaced.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        network.output = replaced
        torch.testing.assert_close(network(hidden), expected)
        torch.testing.assert_close(seen[0], steps["activation"])


class _Every(torch.nn.Module):
    """A dropout that removes everything in one of its calls."""

    def __init__(self, removed: int) -> None:
        super().__init__()
        self.removed, self.calls = removed, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * (self.calls != self.removed)


class TestEncoderLayer:
    @settings(max_examples=30)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The output equals the formula in loops: each sublayer is followed by a residual sum and normalization."""
        layer, x = random_layer(seed), normal(seed, 3, 6)
        attended = layer.attention(x[None], x[None])[0].detach().numpy()
        gain, bias, final_gain, final_bias, w_1, b_1, w_2, b_2 = (
            p.detach().numpy()
            for part in (
                layer.attention_norm,
                layer.feed_forward_norm,
                layer.feed_forward.intermediate,
                layer.feed_forward.output,
            )
            for p in (part.weight, part.bias)
        )
        out = layer(x[None], None)[0].detach().numpy()
        for token in range(3):
            hidden = reference.layer_norm(x[token].numpy() + attended[token], gain, bias, 1e-12)
            inner = [reference.gelu(z) for z in w_1 @ hidden + b_1]
            expected = reference.layer_norm(hidden + w_2 @ inner + b_2, final_gain, final_bias, 1e-12)
            np.testing.assert_allclose(out[token], expected, atol=1e-6)

    def test_gradient(self) -> None:
        layer = random_layer(0)
        assert gradcheck(lambda x: layer(x, None), normal(0, 1, 2, 6).requires_grad_())

    @given(seeds)
    def test_layer_is_add_and_norm_twice(self, seed: int) -> None:
        """The two sublayers are attention and the feed-forward network."""
        layer, x = random_layer(seed), normal(seed, 1, 3, 6)
        hidden = add_and_norm(x, lambda h: layer.attention(h, h), layer.attention_norm.weight, layer.attention_norm.bias)
        inner, outer = layer.feed_forward.intermediate, layer.feed_forward.output

        def network(h: torch.Tensor) -> torch.Tensor:
            return feed_forward(h, inner.weight.T, inner.bias, outer.weight.T, outer.bias, gelu)

        torch.testing.assert_close(
            layer(x, None), add_and_norm(hidden, network, layer.feed_forward_norm.weight, layer.feed_forward_norm.bias)
        )

    @settings(max_examples=10)
    @given(seeds)
    def test_value_in_training_with_a_mask(self, seed: int) -> None:
        """The output is that of the parts: dropout comes after each sublayer, and the mask is that of attention."""
        layer, x = with_fixed_dropout(random_layer(seed)).train(), normal(seed, 2, 3, 6)
        layer.attention.eval()  # the dropout of attention weights is random
        keep = torch.tensor([[True, True, False], [True, False, True]])[:, None, None]
        hidden = layer.attention_norm(x + FixedDropout()(layer.attention(x, x, keep)))
        expected = layer.feed_forward_norm(hidden + FixedDropout()(layer.feed_forward(hidden)))
        torch.testing.assert_close(layer(x, keep), expected)

    @settings(max_examples=10)
    @given(seeds)
    def test_masked_tokens_have_no_influence(self, seed: int) -> None:
        layer, x = random_layer(seed), normal(seed, 1, 3, 6)
        changed = torch.cat([x[:, :2], x[:, 2:] + 5], dim=1)
        keep = torch.tensor([[[[True, True, False]]]])
        torch.testing.assert_close(layer(changed, keep)[:, :2], layer(x, keep)[:, :2])

    @settings(max_examples=10)
    @given(seeds)
    def test_dropped_sublayers_leave_only_their_input(self, seed: int) -> None:
        """If dropout removes the output of a sublayer, its input is added to nothing, and normalized."""
        x = normal(seed, 1, 3, 6)
        for removed in range(3):
            layer = random_layer(seed)
            hidden = layer.attention_norm(x + float(removed != 1) * layer.attention(x, x))
            expected = layer.feed_forward_norm(hidden + float(removed != 2) * layer.feed_forward(hidden))
            layer.dropout = _Every(removed)
            torch.testing.assert_close(layer(x), expected)

    @given(seeds)
    def test_zero_sublayers_leave_only_normalization(self, seed: int) -> None:
        """If both sublayers return zeros, the output is the normalized input. Gains are 1 and biases are 0."""
        layer, x = random_layer(seed), normal(seed, 1, 3, 6)
        with torch.no_grad():
            for part in (layer.attention.output, layer.feed_forward.output):
                part.weight.zero_()
                part.bias.zero_()
            for norm in (layer.attention_norm, layer.feed_forward_norm):
                norm.weight.fill_(1)
                norm.bias.zero_()
        expected = (x - x.mean(-1, keepdim=True)) / x.var(-1, correction=0, keepdim=True).sqrt()
        torch.testing.assert_close(layer(x, None), expected, rtol=1e-6, atol=1e-6)

    @given(seeds)
    def test_pre_norm_does_not_normalize_the_residual(self, seed: int) -> None:
        """Each sublayer computes x + f(LayerNorm(x)). If both return zeros, the output is the input, not normalized."""
        layer, x = random_layer(seed, pre_norm=True), normal(seed, 1, 3, 6)
        normed = layer.attention_norm(x)
        hidden = x + layer.attention(normed, normed)
        feed_forward_output = layer.feed_forward(layer.feed_forward_norm(hidden))
        torch.testing.assert_close(layer(x), hidden + feed_forward_output)
        with torch.no_grad():
            for part in (layer.attention.output, layer.feed_forward.output):
                part.weight.zero_()
                part.bias.zero_()
        torch.testing.assert_close(layer(x), x)


class TestDecoderLayer:
    @settings(max_examples=30)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """The output equals that of its parts: self-attention, cross-attention, feed-forward network.

        Each is followed by a residual sum and normalization. Masked memory is left out instead of masked.
        """
        layer = randomize(DecoderLayer(CONFIG, "explicit"), seed)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        keep, memory_keep = torch.ones(3, 3, dtype=torch.bool).tril()[None, None], torch.tensor([[[[True, False, True, True]]]])
        hidden = layer.attention_norm(x + layer.attention(x, x, keep))
        hidden = layer.cross_attention_norm(hidden + layer.cross_attention(hidden, memory[:, [0, 2, 3]]))
        expected = layer.feed_forward_norm(hidden + layer.feed_forward(hidden))
        torch.testing.assert_close(layer(x, keep, memory=memory, memory_keep=memory_keep), expected)

    def test_gradient(self) -> None:
        """Gradients with respect to the tokens and the memory."""
        layer = randomize(DecoderLayer(CONFIG, "explicit"), 0)
        leaves = [normal(0, 1, 2, 6).requires_grad_(), normal(1, 1, 3, 6).requires_grad_()]
        assert gradcheck(lambda x, memory: layer(x, memory=memory), leaves)

    @settings(max_examples=10)
    @given(seeds)
    def test_value_in_training_with_masks(self, seed: int) -> None:
        """Dropout comes after each of the three sublayers."""
        layer = with_fixed_dropout(randomize(DecoderLayer(CONFIG, "explicit"), seed)).train()
        layer.attention.eval()
        layer.cross_attention.eval()
        x, memory, drop = normal(seed, 2, 3, 6), normal(seed + 1, 2, 4, 6), FixedDropout()
        keep, memory_keep = torch.ones(3, 3, dtype=torch.bool).tril()[None, None], torch.arange(4)[None, None, None] < 3
        hidden = layer.attention_norm(x + drop(layer.attention(x, x, keep)))
        hidden = layer.cross_attention_norm(
            hidden + drop(layer.cross_attention(hidden, memory, memory_keep.expand(2, 1, 1, 4)))
        )
        expected = layer.feed_forward_norm(hidden + drop(layer.feed_forward(hidden)))
        torch.testing.assert_close(layer(x, keep, memory=memory, memory_keep=memory_keep.expand(2, 1, 1, 4)), expected)

    @settings(max_examples=10)
    @given(seeds)
    def test_layer_is_an_encoder_layer_with_cross_attention_in_between(self, seed: int) -> None:
        """Each part is an addition and a normalization. A sublayer whose dropout removes everything leaves only these."""
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        keep = torch.ones(3, 3, dtype=torch.bool).tril()[None, None]
        for removed in range(4):
            layer = randomize(DecoderLayer(CONFIG, "explicit"), seed)
            kept = [float(number != removed) for number in (1, 2, 3)]
            hidden = layer.attention_norm(x + kept[0] * layer.attention(x, x, keep))
            hidden = layer.cross_attention_norm(hidden + kept[1] * layer.cross_attention(hidden, memory))
            expected = layer.feed_forward_norm(hidden + kept[2] * layer.feed_forward(hidden))
            layer.dropout = _Every(removed)
            torch.testing.assert_close(layer(x, keep, memory=memory), expected)

    @given(seeds)
    def test_memory_has_influence_only_where_it_is_not_masked(self, seed: int) -> None:
        """Changing a vector of the memory changes the output, unless it is masked.

        The weights are small: with large ones, softmax would attend to a single position.
        """
        layer = randomize(DecoderLayer(CONFIG, "explicit"), seed, std=0.3)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        keep = torch.tensor([[[[True, False, True, True]]]])
        before = layer(x, memory=memory, memory_keep=keep)
        for position in range(4):
            changed = memory.clone()
            changed[:, position] += normal(seed + 2, 6)
            unchanged = torch.allclose(layer(x, memory=changed, memory_keep=keep), before, rtol=0, atol=1e-12)
            assert unchanged == (position == 1)

    @given(seeds)
    def test_cross_attention_has_a_residual_connection(self, seed: int) -> None:
        """If cross-attention returns zeros, the output still depends on the tokens, through the residual connection."""
        layer = randomize(DecoderLayer(CONFIG, "explicit"), seed)
        with torch.no_grad():
            for parameter in layer.cross_attention.output.parameters():
                parameter.zero_()
        one, other = (layer(normal(seed + n, 1, 3, 6), memory=normal(seed, 1, 4, 6)) for n in (1, 2))
        assert not torch.allclose(one, other)

    @given(seeds)
    def test_order_of_the_memory_has_no_influence(self, seed: int) -> None:
        layer = randomize(DecoderLayer(CONFIG, "explicit"), seed)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        torch.testing.assert_close(layer(x, memory=memory), layer(x, memory=memory.flip(1)))


def test_self_attention_has_the_same_gradient_with_a_new_cache() -> None:
    layer = random_layer(0)
    gradients = []
    for cache in (None, KeyValueCache()):
        x = normal(1, 1, 3, 6).requires_grad_()
        layer.self_attend(x, None, NO_RELATIVE_POSITIONS, cache).square().sum().backward()
        gradients.append(x.grad)
    assert gradients[0].any()
    torch.testing.assert_close(*gradients)
