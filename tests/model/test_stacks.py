"""Tests of `Encoder` and `Decoder`: values, masks, positions, the key-value cache, and recomputation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert import (
    BertConfig,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    TransformerConfig,
)
from minibert.equations import causal_mask
from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS, TextConfig
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Decoder, Encoder, LayerStack, decoder_mask
from minibert.observe import record
from tests.strategies import normal, seeds

CONFIG = TextConfig(
    vocab_size=9, hidden_size=6, num_attention_heads=3, intermediate_size=8, hidden_act="relu", layer_norm_eps=1e-5
)
KEEP = torch.tensor([[True, True, True, True], [False, True, True, True]])
MEMORY_KEEP = torch.tensor([[True, True, True], [True, False, True]])


def random_decoder(seed: int, positions: str = "sinusoidal", skip_padding: bool = False) -> Decoder:
    """Create a decoder of two layers with random parameters, in float64 and in evaluation mode."""
    torch.manual_seed(seed)
    decoder = Decoder(CONFIG, 2, positions, skip_padding=skip_padding).double().eval()
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return decoder


def decode_without_masks(decoder: Decoder, words: Tensor, keep: Tensor, memory: Tensor, memory_keep: Tensor) -> Tensor:
    """Compute the output for one sequence without masks.

    Each token attends to a list of the tokens up to itself, and to a list of the memory without padding.
    """
    kept = keep.nonzero().flatten().tolist()
    positions = range(len(kept)) if decoder.skip_padding else kept
    encodings = [[f(position / 10000 ** (2 * i / 6)) for i in range(3) for f in (math.sin, math.cos)] for position in positions]
    hidden = {
        token: words[token] + torch.tensor(encoding, dtype=torch.float64)
        for token, encoding in zip(kept, encodings, strict=True)
    }
    sources = memory[memory_keep]
    for layer in decoder.layers:
        outputs = {}
        for token in kept:
            context = torch.stack([hidden[other] for other in kept if other <= token])
            x = hidden[token][None, None]
            x = layer.attention_norm(x + layer.attention(x, context[None]))
            x = layer.cross_attention_norm(x + layer.cross_attention(x, sources[None]))
            x = layer.feed_forward_norm(x + layer.feed_forward(x))
            outputs[token] = x[0, 0]
        hidden = outputs
    return torch.stack([hidden[token] for token in kept])


class TestDecoder:
    @settings(max_examples=10, deadline=None)
    @given(seeds, st.booleans())
    def test_value(self, seed: int, skip_padding: bool) -> None:
        """The output equals that of single tokens, with padding left out instead of masked.

        The target has padding on the left, and the source in the middle. Padding counts in the positions, or does not.
        """
        decoder = random_decoder(seed, skip_padding=skip_padding)
        words, memory = normal(seed, 2, 4, 6), normal(seed + 1, 2, 3, 6)
        out = decoder(words, KEEP, memory, MEMORY_KEEP)
        for row in range(2):
            expected = decode_without_masks(decoder, words[row], KEEP[row], memory[row], MEMORY_KEEP[row])
            torch.testing.assert_close(out[row][KEEP[row]], expected)

    @settings(max_examples=10, deadline=None)
    @given(seeds, st.lists(st.integers(1, 2), min_size=2, max_size=3))
    def test_value_with_a_cache(self, seed: int, lengths: list[int]) -> None:
        """With a cache and one or two tokens at a time, the output equals that of single tokens too."""
        decoder, memory, cache = random_decoder(seed), normal(seed + 1, 1, 3, 6), KeyValueCache()
        words, keep = normal(seed, 1, sum(lengths), 6), torch.ones(1, sum(lengths), dtype=torch.bool)
        parts = [
            decoder(part, torch.ones(1, part.shape[1], dtype=torch.bool), memory, MEMORY_KEEP[:1], cache)
            for part in words.split(lengths, dim=1)
        ]
        expected = decode_without_masks(decoder, words[0], keep[0], memory[0], MEMORY_KEEP[0])
        torch.testing.assert_close(torch.cat(parts, dim=1)[0], expected)

    @settings(max_examples=10, deadline=None)
    @given(st.sampled_from(POSITIONS), seeds, st.integers(0, 2))
    def test_later_tokens_have_no_influence(self, positions: str, seed: int, t: int) -> None:
        """Changing the tokens after t does not change the outputs up to t, but it changes the next ones."""
        decoder, words, memory = random_decoder(seed, positions), normal(seed, 2, 4, 6), normal(seed + 1, 2, 3, 6)
        changed = torch.cat([words[:, : t + 1], normal(seed + 2, 2, 3 - t, 6)], dim=1)
        one, other = (decoder(x, torch.ones(2, 4, dtype=torch.bool), memory, MEMORY_KEEP) for x in (words, changed))
        torch.testing.assert_close(one[:, : t + 1], other[:, : t + 1], rtol=0, atol=1e-12)
        assert not torch.allclose(one[:, t + 1], other[:, t + 1])

    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_all_earlier_tokens_have_influence_and_masked_ones_have_none(self, seed: int) -> None:
        """The output for the last token has a gradient with respect to exactly the kept tokens and sources."""
        decoder = random_decoder(seed)
        words, memory = normal(seed, 2, 4, 6).requires_grad_(), normal(seed + 1, 2, 3, 6).requires_grad_()
        decoder(words, KEEP, memory, MEMORY_KEEP)[:, -1].square().sum().backward()
        assert torch.equal(words.grad.abs().amax(-1) > 0, KEEP)
        assert torch.equal(memory.grad.abs().amax(-1) > 0, MEMORY_KEEP)

    @settings(max_examples=10, deadline=None)
    @given(st.sampled_from(POSITIONS), seeds, st.booleans())
    def test_cache_does_not_change_the_output(self, positions: str, seed: int, skip_padding: bool) -> None:
        """Decoding token by token with a cache computes the same output as decoding all tokens at once."""
        decoder, words, memory, cache = (
            random_decoder(seed, positions, skip_padding),
            normal(seed, 2, 4, 6),
            normal(seed + 1, 2, 3, 6),
            KeyValueCache(),
        )
        parts = [decoder(words[:, [t]], KEEP[:, [t]], memory, MEMORY_KEEP, cache)[:, 0] for t in range(4)]
        expected = decoder(words, KEEP, memory, MEMORY_KEEP)
        torch.testing.assert_close(torch.stack(parts, dim=1)[KEEP], expected[KEEP])

    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_rotary_positions_and_alibi_depend_on_distances_only(self, seed: int) -> None:
        """Adding 7 to all positions does not change the output. With sinusoidal positions it would."""
        for positions in ("rotary", "alibi"):
            decoder, words, memory = random_decoder(seed, positions), normal(seed, 1, 3, 6), normal(seed + 1, 1, 3, 6)
            keep = torch.ones(1, 3, dtype=torch.bool)
            expected = decoder(words, keep, memory, keep)
            relative = decoder.positions.relative
            decoder.positions.relative = lambda one, other, dtype, f=relative: f(one + 7, other + 7, dtype)
            torch.testing.assert_close(decoder(words, keep, memory, keep), expected)


class TestDecoderMask:
    @given(st.integers(1, 5), st.integers(0, 4), st.booleans(), seeds)
    def test_value(self, new: int, earlier: int, padded: bool, seed: int) -> None:
        """It equals the last rows of the causal mask, without the columns of padding. If nothing is masked, there is none."""
        tokens = earlier + new
        keep = normal(seed, 2, tokens) > 0 if padded else None
        expected = causal_mask(tokens)[-new:] if keep is None else causal_mask(tokens)[-new:] & keep[:, None, None]
        mask = decoder_mask(new, tokens, keep, torch.device("cpu"))
        assert expected.all() if mask is None else torch.equal(mask, expected.view(mask.shape))
        assert (mask is None) == (new == 1 and keep is None)

    def test_a_recording_shows_the_mask(self) -> None:
        with record():
            assert decoder_mask(1, 3, None, torch.device("cpu")).tolist() == [[[[True, True, True]]]]


class TestEncoder:
    @settings(max_examples=8, deadline=None)
    @given(seeds)
    def test_all_kept_tokens_have_influence_and_masked_ones_have_none(self, seed: int) -> None:
        """The output for each token has a gradient with respect to exactly the kept tokens, earlier and later ones."""
        torch.manual_seed(seed)
        encoder = Encoder(CONFIG, 2, "sinusoidal").double().eval()
        for t in range(1, 4):
            words = normal(seed, 2, 4, 6).requires_grad_()
            encoder(words, KEEP)[:, t].square().sum().backward()
            assert torch.equal(words.grad.abs().amax(-1) > 0, KEEP)


SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.3,
}
IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
MODELS = {
    "BertForPreTraining": lambda: BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=2)),
    "Transformer": lambda: Transformer(TransformerConfig(**SIZES, encoder_layers=2, decoder_layers=2)),
    "GPT2LMHeadModel": lambda: GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=2)),
}
every_model = pytest.mark.parametrize("name", MODELS)


def loss_of(model: PretrainedModel) -> Tensor:
    """Compute the loss of a padded batch."""
    labels = {"labels": IDS}
    if isinstance(model, BertForPreTraining):
        labels["next_sentence_label"] = torch.tensor([0, 1])
    loss: Tensor = model(IDS, IDS != 0, **labels).loss
    return loss


class TestRecompute:
    """Activation checkpointing."""

    @every_model
    @pytest.mark.parametrize("attention", ["explicit", "fused"])
    def test_loss_and_gradients_are_unchanged(self, name: str, attention: str) -> None:
        """They are equal bit for bit, in training mode: the recomputation uses the same dropout masks."""
        torch.manual_seed(0)
        model = MODELS[name]().set_attention(attention).train()
        results = []
        for recompute in (False, True):
            model.set_recompute(recompute)
            model.zero_grad()
            torch.manual_seed(1)
            loss = loss_of(model)
            loss.backward()
            results.append((loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())))
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)
        assert not torch.equal(loss_of(model), results[0][0]), "without the same seed, dropout changes the loss"

    @every_model
    def test_layers_are_computed_again_in_the_backward_pass(self, name: str) -> None:
        """Each layer runs once in the forward pass and, with recomputation only, once in the backward pass."""
        model = MODELS[name]().train()
        stacks = [module for module in model.modules() if isinstance(module, LayerStack)]
        layers = [layer for stack in stacks for layer in stack]
        calls: list[nn.Module] = []
        for layer in layers:
            layer.register_forward_pre_hook(lambda layer, inputs: calls.append(layer))
        for recompute in (False, True, False):
            model.set_recompute(recompute)
            calls.clear()
            loss = loss_of(model)
            assert calls == layers
            loss.backward()
            assert [calls.count(layer) for layer in layers] == [2 if recompute else 1] * len(layers)


@pytest.mark.parametrize("stack", [Encoder, Decoder])
def test_a_stack_normalizes_after_the_sum_unless_it_is_told_to_do_so_before(stack: type[LayerStack]) -> None:
    """Normalization before each sublayer needs another one after the last layer."""
    names = [stack(CONFIG, 1, "sinusoidal", *pre_norm).state_dict().keys() for pre_norm in ((), (False,), (True,))]
    assert names[0] == names[1] < names[2]
