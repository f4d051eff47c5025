"""Positions far from the start, in evaluation mode, in every precision: equal to float64 formulas, to rounding.

float16 has 11 significant bits and bfloat16 has 8: an angle or a distance that is computed in either is wrong by more than
the rounding of the result.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from minibert import GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig
from minibert.model.cache import KeyValueCache
from tests.strategies import normal

WIDTH, HEADS = 48, 3
HEAD_WIDTH = WIDTH // HEADS
UNIT = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11, torch.float32: 2.0**-24, torch.float64: 2.0**-53}
"""Relative error of rounding to the nearest number of each type."""
ANGLE = {torch.bfloat16: 3e-4, torch.float16: 3e-4, torch.float32: 3e-4, torch.float64: 1e-12}
"""Error of an angle of up to 2,000 radians that is computed in at least float32, in radians."""
every_dtype = pytest.mark.parametrize("dtype", UNIT, ids=str)
modes = pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
sides = pytest.mark.parametrize("side", ["encoder", "decoder"])


class Spy:
    """An attention function that keeps its inputs, and returns a cheap output of the right shape and type."""

    def __init__(self) -> None:
        self.query, self.key, self.value, self.bias = [], [], [], []

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        keep: Tensor | None = None,
        dropout: float = 0.0,
        bias: Tensor | None = None,
    ) -> Tensor:
        for keep_mask, tensor in zip((self.query, self.key, self.value, self.bias), (query, key, value, bias), strict=True):
            keep_mask.append(tensor)
        return query


def transformer_of(positions: str, dtype: torch.dtype, training: bool = False) -> tuple[Transformer, Spy]:
    """One layer on either side; no dropout, so that training mode and evaluation mode must agree."""
    spy = Spy()
    config = TransformerConfig(
        vocab_size=11,
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        intermediate_size=8,
        encoder_layers=1,
        decoder_layers=1,
        hidden_dropout_prob=0.0,
        max_position_embeddings=2100,
        positions=positions,
    )
    model = Transformer(config, attention=spy)
    for place, parameter in enumerate(model.parameters()):
        parameter.data = 0.4 * normal(place, *parameter.shape)
    return model.to(dtype).train(training), spy


@torch.no_grad()
def run(model: Transformer, side: str, tokens: int, cache: KeyValueCache | None = None) -> Tensor:
    """One stack of the model, for a sequence of the same token."""
    ids = torch.full((1, tokens), 5)
    if side == "encoder":
        return model.encode(ids)
    return model.decode(ids, torch.zeros(1, 1, WIDTH, dtype=model.words.weight.dtype), cache=cache)


def without_positions(model: Transformer, side: str, part: str) -> Tensor:
    """The query or key, in float64, of the one token that the sequences are made of."""
    weights = dict(model.named_parameters())
    word = model.words.weight[5] * math.sqrt(WIDTH)
    name = f"{side}.layers.0.attention.{part}"
    projected = nn.functional.linear(word, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return projected.detach().double().view(HEADS, 1, HEAD_WIDTH)


def rotated(vectors: Tensor, tokens: int) -> Tensor:
    """Su et al. 2021, equation 34, in complex numbers of float64."""
    frequencies = 10000 ** -(torch.arange(0, HEAD_WIDTH, 2, dtype=torch.float64) / HEAD_WIDTH)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * frequencies
    pairs = torch.view_as_complex(vectors.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(-2)


class TestRotary:
    @modes
    @sides
    @every_dtype
    def test_queries_and_keys_are_rotated_by_exact_angles(self, dtype: torch.dtype, side: str, training: bool) -> None:
        """At positions 0 to 2,000, to the rounding of the type; in evaluation mode as in training mode."""
        model, spy = transformer_of("rotary", dtype, training)
        out = run(model, side, 2001)
        assert out.dtype == dtype
        for part, found in (("query", spy.query[0]), ("key", spy.key[0])):
            assert found.dtype == dtype
            vectors = without_positions(model, side, part)
            expected = rotated(vectors, 2001)
            lengths = vectors.unflatten(-1, (-1, 2)).norm(dim=-1).repeat_interleave(2, dim=-1)
            # the projection, the sine, the cosine, both products and the sum are rounded
            assert ((found[0].double() - expected).abs() / lengths).max() < 6 * UNIT[dtype] + ANGLE[dtype]
        assert spy.value[0].dtype == dtype
        assert (spy.value[0] - spy.value[0][:, :, :1]).abs().max() < 8 * UNIT[dtype] * spy.value[0].abs().max()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_a_new_token_with_a_cache_is_rotated_by_its_position(self, dtype: torch.dtype) -> None:
        """After 1,500 tokens, the next one has the query and the key that it has without a cache."""
        model, spy = transformer_of("rotary", dtype)
        cache = KeyValueCache()
        run(model, "decoder", 1500, cache)
        run(model, "decoder", 1, cache)
        run(model, "decoder", 1501)
        own = [spy.query[0], spy.query[2], spy.query[4]]
        torch.testing.assert_close(own[1][:, :, -1], own[2][:, :, -1], rtol=0, atol=8 * UNIT[dtype] * own[2].abs().max().item())
        keys = [spy.key[2], spy.key[4]]
        torch.testing.assert_close(keys[0], keys[1], rtol=0, atol=8 * UNIT[dtype] * keys[1].abs().max().item())

    def test_cross_attention_is_not_rotated(self) -> None:
        """Its keys are the projected memory."""
        model, spy = transformer_of("rotary", torch.float64)
        weights = dict(model.named_parameters())
        with torch.no_grad():
            out = model(torch.full((1, 400), 5), decoder_input_ids=torch.full((1, 3), 5))
            weight, bias = (weights[f"decoder.layers.0.cross_attention.key.{leaf}"] for leaf in ("weight", "bias"))
            expected = nn.functional.linear(out.encoder_last_hidden_state, weight, bias)
        torch.testing.assert_close(spy.key[2].transpose(1, 2).flatten(-2), expected)


class TestALiBi:
    @modes
    @sides
    @every_dtype
    def test_the_bias_is_the_rounded_distance_times_the_slope(self, dtype: torch.dtype, side: str, training: bool) -> None:
        """For 1,100 tokens; every element is within one rounding of its value in float64."""
        model, spy = transformer_of("alibi", dtype, training)
        out = run(model, side, 1100)
        found = spy.bias[0]
        assert out.dtype == found.dtype == dtype
        places = torch.arange(1100, dtype=torch.float64)
        slopes = 2.0 ** (-8 * torch.arange(1, HEADS + 1, dtype=torch.float64) / HEADS)
        distances = (places[:, None] - places).abs()
        error = (found.double()[0] + slopes[:, None, None] * distances).abs() / (slopes[:, None, None] * distances.clamp(min=1))
        least = {torch.float32: 4 * UNIT[torch.float32], torch.float64: 4 * UNIT[torch.float64]}
        assert error.max() <= least.get(dtype, 1.01 * UNIT[dtype])

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_a_new_token_with_a_cache_has_its_distances(self, dtype: torch.dtype) -> None:
        """After 700 tokens, the bias of the next one is that without a cache."""
        model, spy = transformer_of("alibi", dtype)
        cache = KeyValueCache()
        run(model, "decoder", 700, cache)
        run(model, "decoder", 1, cache)
        run(model, "decoder", 701)
        assert spy.bias[2].shape == (1, HEADS, 1, 701)
        assert torch.equal(spy.bias[2][:, :, 0], spy.bias[4][:, :, -1])

    @every_dtype
    def test_cross_attention_has_no_bias(self, dtype: torch.dtype) -> None:
        """Only the attention of a sequence to itself has one, in both stacks."""
        model, spy = transformer_of("alibi", dtype)
        with torch.no_grad():
            logits = model(torch.full((1, 3), 5), decoder_input_ids=torch.full((1, 2), 5)).logits
        assert [bias is None for bias in spy.bias] == [False, False, True]
        assert logits.dtype == dtype


class TestSinusoidal:
    @modes
    @sides
    @every_dtype
    def test_sines_are_rounded_once(self, dtype: torch.dtype, side: str, training: bool) -> None:
        """At positions 0 to 2,000; words of zero leave the sines alone, and queries that copy their input show them."""
        model, spy = transformer_of("sinusoidal", dtype, training)
        with torch.no_grad():
            model.words.weight.zero_()
            for name, parameter in model.named_parameters():
                if name == f"{side}.layers.0.attention.query.weight":
                    parameter.copy_(torch.eye(WIDTH))
                elif name == f"{side}.layers.0.attention.query.bias":
                    parameter.zero_()
        assert run(model, side, 2001).dtype == dtype
        frequencies = 10000 ** -(torch.arange(0, WIDTH, 2, dtype=torch.float64) / WIDTH)
        angles = torch.arange(2001, dtype=torch.float64)[:, None] * frequencies
        expected = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-2)
        found = spy.query[0][0].transpose(0, 1).flatten(-2)
        assert found.dtype == dtype
        assert (found.double() - expected).abs().max() < 1.01 * UNIT[dtype] + ANGLE[dtype]


class TestLearned:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
    def test_every_position_has_its_own_row_in_half_precision(self, dtype: torch.dtype) -> None:
        """GPT-2 with 600 tokens: the input of the first layer is the row of the position, where words are zero."""
        spy = Spy()
        config = GPT2Config(
            vocab_size=11,
            hidden_size=WIDTH,
            num_attention_heads=HEADS,
            num_hidden_layers=1,
            intermediate_size=8,
            max_position_embeddings=600,
        )
        model = GPT2LMHeadModel(config, attention=spy).to(dtype).eval()
        weights = dict(model.named_parameters())
        with torch.no_grad():
            weights["words.weight"].zero_()
            weights["decoder.layers.0.attention.value.weight"].copy_(torch.eye(WIDTH))
            logits = model(torch.full((1, 600), 5)).logits
        table = weights["decoder.positions.table.weight"].detach()
        expected = nn.functional.layer_norm(table, (WIDTH,), eps=1e-5)
        torch.testing.assert_close(spy.value[0][0].transpose(0, 1).flatten(-2), expected)
        assert logits.dtype == dtype
