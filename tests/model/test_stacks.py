"""The decoder: who sees whom, and that a cache changes nothing but the time."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS, ModelConfig
from minibert.model.stacks import Decoder, Encoder
from tests.strategies import normal, seeds

CONFIG = ModelConfig(
    vocab_size=9, hidden_size=6, num_attention_heads=3, intermediate_size=8, hidden_act="relu", layer_norm_eps=1e-5
)
KEEP = torch.tensor([[True, True, True, True], [False, True, True, True]])
MEMORY_KEEP = torch.tensor([[True, True, True], [True, False, True]])


def decoder_of(seed: int, positions: str = "sinusoidal") -> Decoder:
    """Two layers with random parameters, in float64, in evaluation."""
    torch.manual_seed(seed)
    decoder = Decoder(CONFIG, 2, positions).double().eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return decoder


def by_hand(decoder: Decoder, words: Tensor, keep: Tensor, memory: Tensor, memory_keep: Tensor) -> Tensor:
    """One sequence, layer by layer: each token alone reads a list of those before it, and a list of the memory's."""
    there = keep.nonzero().flatten().tolist()
    sines = [[f(place / 10000 ** (2 * i / 6)) for i in range(3) for f in (math.sin, math.cos)] for place in range(len(there))]
    hidden = {token: words[token] + torch.tensor(sine, dtype=torch.float64) for token, sine in zip(there, sines, strict=True)}
    sources = memory[memory_keep]
    for layer in decoder.layers:
        after = {}
        for token in there:
            past = torch.stack([hidden[other] for other in there if other <= token])
            x = hidden[token][None, None]
            x = layer.attention_norm(x + layer.attention(x, past[None]))
            x = layer.cross_attention_norm(x + layer.cross_attention(x, sources[None]))
            x = layer.norm(x + layer.feed_forward(x))
            after[token] = x[0, 0]
        hidden = after
    return torch.stack([hidden[token] for token in there])


class TestDecoder:
    @settings(max_examples=10, deadline=None)
    @given(seeds)
    def test_value(self, seed: int) -> None:
        """Equals tokens one at a time, with what is hidden left out and not masked: padding in front, sources with a gap."""
        decoder, words, memory = decoder_of(seed), normal(seed, 2, 4, 6), normal(seed + 1, 2, 3, 6)
        out = decoder(words, KEEP, memory, MEMORY_KEEP)
        for row in range(2):
            expected = by_hand(decoder, words[row], KEEP[row], memory[row], MEMORY_KEEP[row])
            torch.testing.assert_close(out[row][KEEP[row]], expected)

    @settings(max_examples=10, deadline=None)
    @given(seeds, st.lists(st.integers(1, 2), min_size=2, max_size=3))
    def test_value_with_a_cache(self, seed: int, cuts: list[int]) -> None:
        """Some tokens at a time, it equals the tokens one at a time as well."""
        decoder, memory, cache = decoder_of(seed), normal(seed + 1, 1, 3, 6), KeyValueCache()
        words, keep = normal(seed, 1, sum(cuts), 6), torch.ones(1, sum(cuts), dtype=torch.bool)
        parts = [
            decoder(part, torch.ones(1, part.shape[1], dtype=torch.bool), memory, MEMORY_KEEP[:1], cache)
            for part in words.split(cuts, dim=1)
        ]
        expected = by_hand(decoder, words[0], keep[0], memory[0], MEMORY_KEEP[0])
        torch.testing.assert_close(torch.cat(parts, dim=1)[0], expected)

    @settings(max_examples=10, deadline=None)
    @given(st.sampled_from(POSITIONS), seeds, st.integers(0, 2))
    def test_nobody_sees_what_follows(self, positions: str, seed: int, t: int) -> None:
        """What stands after t changes nothing up to t; what stands at t does."""
        decoder, words, memory = decoder_of(seed, positions), normal(seed, 2, 4, 6), normal(seed + 1, 2, 3, 6)
        changed = torch.cat([words[:, : t + 1], normal(seed + 2, 2, 3 - t, 6)], dim=1)
        one, other = (decoder(x, torch.ones(2, 4, dtype=torch.bool), memory, MEMORY_KEEP) for x in (words, changed))
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])

    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_everything_before_is_seen_and_what_is_hidden_is_not(self, seed: int) -> None:
        """The last token's gradient reaches every token and every source that may be read, and no other."""
        decoder = decoder_of(seed)
        words, memory = normal(seed, 2, 4, 6).requires_grad_(), normal(seed + 1, 2, 3, 6).requires_grad_()
        decoder(words, KEEP, memory, MEMORY_KEEP)[:, -1].square().sum().backward()
        assert torch.equal(words.grad.abs().amax(-1) > 0, KEEP)
        assert torch.equal(memory.grad.abs().amax(-1) > 0, MEMORY_KEEP)

    @settings(max_examples=10, deadline=None)
    @given(st.sampled_from(POSITIONS), seeds)
    def test_a_cache_changes_nothing(self, positions: str, seed: int) -> None:
        """Token by token it is what it is at once."""
        decoder, words, memory, cache = (
            decoder_of(seed, positions),
            normal(seed, 2, 4, 6),
            normal(seed + 1, 2, 3, 6),
            KeyValueCache(),
        )
        parts = [decoder(words[:, [t]], KEEP[:, [t]], memory, MEMORY_KEEP, cache)[:, 0] for t in range(4)]
        whole = decoder(words, KEEP, memory, MEMORY_KEEP)
        torch.testing.assert_close(torch.stack(parts, dim=1)[KEEP], whole[KEEP])

    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_only_distances_count_for_rotary_positions_and_alibi(self, seed: int) -> None:
        """Padding in front moves all places by one, and nothing comes out otherwise; with sines as they stand, it would."""
        for positions in ("rotary", "alibi"):
            decoder, words, memory = decoder_of(seed, positions), normal(seed, 1, 3, 6), normal(seed + 1, 1, 3, 6)
            everything = torch.ones(1, 3, dtype=torch.bool)
            here = decoder(words, everything, memory, everything)
            relative = decoder.positions.relative
            decoder.positions.relative = lambda one, other, dtype, f=relative: f(one + 7, other + 7, dtype)
            torch.testing.assert_close(decoder(words, everything, memory, everything), here)


class TestEncoder:
    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_everybody_sees_everybody_who_is_there(self, seed: int) -> None:
        """The gradient of any token reaches all that are kept, before and behind it."""
        torch.manual_seed(seed)
        encoder = Encoder(CONFIG, 2, "sinusoidal").double().eval()
        for t in range(1, 4):
            words = normal(seed, 2, 4, 6).requires_grad_()
            encoder(words, KEEP)[:, t].square().sum().backward()
            assert torch.equal(words.grad.abs().amax(-1) > 0, KEEP)
