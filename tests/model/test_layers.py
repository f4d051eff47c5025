"""One encoder layer is its equations, put together as the paper says."""

from typing import TypeVar

import numpy as np
import torch
from hypothesis import given, settings
from torch.autograd import gradcheck

from minibert import BertConfig
from minibert.equations import add_and_norm, feed_forward, gelu
from minibert.model.layers import DecoderLayer, EncoderLayer
from tests import reference
from tests.strategies import normal, seeds

Layer = TypeVar("Layer", bound=EncoderLayer)

CONFIG = BertConfig(hidden_size=6, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1, vocab_size=9)


def layer_of(seed: int, pre_norm: bool = False) -> EncoderLayer:
    """Random parameters everywhere, in float64, in evaluation."""
    return randomised(EncoderLayer(CONFIG, "explicit", pre_norm), seed)


def randomised(layer: Layer, seed: int, std: float = 1.0) -> Layer:
    torch.manual_seed(seed)
    layer = layer.double().eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return layer


class TestFeedForward:
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """It computes `equations.feed_forward` with its parameters."""
        network, x = layer_of(seed).feed_forward, normal(seed, 1, 3, 6)
        inner, outer = network.intermediate, network.output
        expected = feed_forward(x, inner.weight.T, inner.bias, outer.weight.T, outer.bias, gelu)
        torch.testing.assert_close(network(x), expected)


class TestEncoderLayer:
    @settings(max_examples=30)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """Equals the loops: attention's result is added, the sum normalized; then the same with the feed-forward network."""
        layer, x = layer_of(seed), normal(seed, 3, 6)
        read = layer.attention(x[None], x[None])[0].detach().numpy()
        gain, bias, final_gain, final_bias, w_1, b_1, w_2, b_2 = (
            p.detach().numpy()
            for part in (layer.attention_norm, layer.norm, layer.feed_forward.intermediate, layer.feed_forward.output)
            for p in (part.weight, part.bias)
        )
        out = layer(x[None], None)[0].detach().numpy()
        for token in range(3):
            hidden = reference.layer_norm(x[token].numpy() + read[token], gain, bias, 1e-12)
            inner = [reference.gelu(z) for z in w_1 @ hidden + b_1]
            expected = reference.layer_norm(hidden + w_2 @ inner + b_2, final_gain, final_bias, 1e-12)
            np.testing.assert_allclose(out[token], expected, atol=1e-6)

    def test_gradient(self) -> None:
        """With respect to the tokens."""
        layer = layer_of(0)
        assert gradcheck(lambda x: layer(x, None), normal(0, 1, 2, 6).requires_grad_())

    @given(seeds)
    def test_it_is_add_and_norm_twice(self, seed: int) -> None:
        """Around attention, and around the feed-forward network."""
        layer, x = layer_of(seed), normal(seed, 1, 3, 6)
        hidden = add_and_norm(x, lambda h: layer.attention(h, h), layer.attention_norm.weight, layer.attention_norm.bias)
        inner, outer = layer.feed_forward.intermediate, layer.feed_forward.output

        def network(h: torch.Tensor) -> torch.Tensor:
            return feed_forward(h, inner.weight.T, inner.bias, outer.weight.T, outer.bias, gelu)

        torch.testing.assert_close(layer(x, None), add_and_norm(hidden, network, layer.norm.weight, layer.norm.bias))

    @given(seeds)
    def test_a_layer_that_finds_nothing_only_normalizes(self, seed: int) -> None:
        """With zeros for both last maps, and no gain or bias, the tokens come out normalized, and not forgotten."""
        layer, x = layer_of(seed), normal(seed, 1, 3, 6)
        with torch.no_grad():
            for part in (layer.attention.output, layer.feed_forward.output):
                part.weight.zero_()
                part.bias.zero_()
            for norm in (layer.attention_norm, layer.norm):
                norm.weight.fill_(1)
                norm.bias.zero_()
        expected = (x - x.mean(-1, keepdim=True)) / x.var(-1, correction=0, keepdim=True).sqrt()
        torch.testing.assert_close(layer(x, None), expected, rtol=1e-6, atol=1e-6)

    @given(seeds)
    def test_pre_norm_leaves_what_goes_in_as_it_is(self, seed: int) -> None:
        """x + f(LayerNorm(x)), twice; with zeros for both last maps the tokens come out as they went in, not normalized."""
        layer, x = layer_of(seed, pre_norm=True), normal(seed, 1, 3, 6)
        normed = layer.attention_norm(x)
        hidden = x + layer.attention(normed, normed)
        feed_forward_output = layer.feed_forward(layer.norm(hidden))
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
        """Equals its parts: reading each other, then the memory, then thinking; each time added and normalized."""
        layer = randomised(DecoderLayer(CONFIG, "explicit"), seed)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        keep, memory_keep = torch.ones(3, 3, dtype=torch.bool).tril()[None, None], torch.tensor([[[[True, False, True, True]]]])
        hidden = layer.attention_norm(x + layer.attention(x, x, keep))
        hidden = layer.cross_attention_norm(hidden + layer.cross_attention(hidden, memory[:, [0, 2, 3]]))
        expected = layer.norm(hidden + layer.feed_forward(hidden))
        torch.testing.assert_close(layer(x, keep, memory=memory, memory_keep=memory_keep), expected)

    def test_gradient(self) -> None:
        """With respect to the tokens, and to the memory."""
        layer = randomised(DecoderLayer(CONFIG, "explicit"), 0)
        leaves = [normal(0, 1, 2, 6).requires_grad_(), normal(1, 1, 3, 6).requires_grad_()]
        assert gradcheck(lambda x, memory: layer(x, memory=memory), leaves)

    @given(seeds)
    def test_the_memory_matters_and_only_where_it_may_be_read(self, seed: int) -> None:
        """What is changed there changes the output, unless it is hidden. (A sharp softmax reads one place: small weights.)"""
        layer = randomised(DecoderLayer(CONFIG, "explicit"), seed, std=0.3)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        keep = torch.tensor([[[[True, False, True, True]]]])
        before = layer(x, memory=memory, memory_keep=keep)
        for place in range(4):
            changed = memory.clone()
            changed[:, place] += normal(seed + 2, 6)
            same = torch.allclose(layer(x, memory=changed, memory_keep=keep), before, rtol=0, atol=1e-12)
            assert same == (place == 1)

    @given(seeds)
    def test_a_memory_in_which_nothing_is_found_does_not_make_it_forget(self, seed: int) -> None:
        """With zeros for the last map of cross-attention, other tokens still come out otherwise."""
        layer = randomised(DecoderLayer(CONFIG, "explicit"), seed)
        with torch.no_grad():
            for parameter in layer.cross_attention.output.parameters():
                parameter.zero_()
        one, other = (layer(normal(seed + n, 1, 3, 6), memory=normal(seed, 1, 4, 6)) for n in (1, 2))
        assert not torch.allclose(one, other)

    @given(seeds)
    def test_the_order_of_the_memory_does_not_matter(self, seed: int) -> None:
        """Attention has no order of its own."""
        layer = randomised(DecoderLayer(CONFIG, "explicit"), seed)
        x, memory = normal(seed, 1, 3, 6), normal(seed + 1, 1, 4, 6)
        torch.testing.assert_close(layer(x, memory=memory), layer(x, memory=memory.flip(1)))
