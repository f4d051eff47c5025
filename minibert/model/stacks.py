"""Stacks of layers: the encoder and the decoder of the 2017 Transformer and of the models built from it."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from minibert.equations import causal_mask
from minibert.kernels import AttentionImplementation, Sequences, select_outputs, unpad
from minibert.kernels import pad as pad_sequences
from minibert.model.cache import AllTokens, KeyValueCache
from minibert.model.config import TextConfig
from minibert.model.inputs import attention_keep
from minibert.model.layers import DecoderLayer, EncoderLayer, LayerNorm
from minibert.model.linear import Dropout
from minibert.model.positions import make_positions
from minibert.observe import is_recording, observe, renamed


class LayerStack(nn.ModuleList):
    """Layers that run one after another. `Bert`, `Encoder` and `Decoder` all use this loop.

    Args:
        layers: layers with parameters of their own.
        depth: number of layers to run; by default one for each. If it is larger, each of `layers` runs several times in a row
            (Lan et al. 2020, section 3.1).
    """

    recompute = False
    """Activation checkpointing: keep only the input of each layer and compute the rest again in the backward pass. This
    saves memory and costs about a third more computation (Chen et al. 2016)."""

    def __init__(self, layers: Iterable[nn.Module], depth: int | None = None) -> None:
        super().__init__(layers)
        self.depth = None if depth == len(self) else depth

    @property
    def passes(self) -> list[nn.Module]:
        """The layers in the order in which they run. A layer that runs several times is there as often."""
        if self.depth is None:
            return [*self]
        # As in transformers, also where the number of layers does not divide the depth.
        return [self[int(number / (self.depth / len(self)))] for number in range(self.depth)]

    def forward(
        self,
        hidden: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "#batch 1 #tokens keys"] | Sequences | None = None,
        *args: Any,
        output_at: Int[Tensor, "sequences outputs"] | None = None,
        **kwargs: Any,
    ) -> Float[Tensor, "outputs_batch outputs width"]:
        """Run all layers; the other arguments are passed to each of them.

        Args:
            output_at: positions of the tokens whose output is wanted, as in `Bert`; by default all. The last layer computes
                no others. This is exact, because nobody reads its other outputs. All tokens of a sequence must have the same
                mask.
        """
        for number, layer in enumerate(passes := self.passes, start=1):
            if output_at is not None and number == len(passes):
                kwargs["cache"] = AllTokens(hidden)
                if isinstance(keep, Sequences):
                    hidden, keep = select_outputs(hidden, keep, output_at)
                else:
                    hidden = hidden.flatten(0, 1).index_select(0, output_at.flatten()).view(*output_at.shape, -1)
            if self.recompute and not is_recording():  # a recording keeps the intermediate tensors anyway
                hidden = checkpoint(layer, hidden, keep, *args, use_reentrant=False, **kwargs)
            else:
                # Of a layer that runs several times, each time is recorded under its own number.
                with renamed(layer, str(number - 1)) if self.depth is not None and is_recording() else nullcontext():
                    hidden = layer(hidden, keep, *args, **kwargs)
        return hidden if output_at is None else hidden.view(*output_at.shape, -1)


class Stack(nn.Module):
    r"""Position encoding, layers and, for pre-norm layers, a final normalization: the base of `Encoder` and `Decoder`.

    Steps:
        embeddings.words (batch tokens width): $$e^w = s\,E_{\mathrm{id}}$$ The row of each token's id in the table of word
            embeddings, times s: √d in the 2017 Transformer, 1 in others.
        embeddings.sum (batch tokens width): $$x = e^w + e^p$$ The sum of word embedding and position vector.
        norm (batch tokens width): $$y = \mathrm{LayerNorm}(x)$$ The final layer normalization of pre-norm layers.
    """

    def __init__(self, config: TextConfig, layers: Iterable[nn.Module], positions: str, pre_norm: bool) -> None:
        super().__init__()
        self.positions = make_positions(
            positions, config.max_position_embeddings, config.hidden_size, config.num_attention_heads
        )
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.layers = LayerStack(layers)
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps) if pre_norm else None

    def embed(self, words: Tensor, positions: Tensor) -> Tensor:
        """Add positions to word embeddings, then apply dropout."""
        embedded = observe("embeddings.sum", self.positions.add(observe("embeddings.words", words), positions))
        dropped: Tensor = self.dropout(embedded)
        return dropped

    def final_norm(self, hidden: Tensor) -> Tensor:
        """Normalize the output of pre-norm layers. Post-norm layers have done so themselves."""
        return hidden if self.norm is None else observe("norm", self.norm(hidden))


class Encoder(Stack):
    """Encoder: every token attends to every token (Vaswani et al. 2017, figure 1, left).

    Args:
        config: sizes, activation function and dropout probabilities.
        depth: number of layers.
        positions: position encoding, one of `config.POSITIONS`.
        pre_norm: normalize the input of each sublayer instead of the sum after it.
        attention: how attention is computed; see `MultiHeadAttention`.
    """

    def __init__(
        self,
        config: TextConfig,
        depth: int,
        positions: str,
        pre_norm: bool = False,
        attention: AttentionImplementation = "auto",
    ) -> None:
        super().__init__(config, (EncoderLayer(config, attention, pre_norm) for _ in range(depth)), positions, pre_norm)

    def forward(
        self, words: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"] | Sequences
    ) -> Float[Tensor, "batch tokens width"]:
        """Encode a batch.

        Args:
            words: word embeddings.
            keep: Boolean mask; True for tokens, False for padding. Or `Sequences`, if the vectors of padding are not read:
                they take no time then.
        """
        positions = torch.arange(words.shape[1], device=words.device)[None]
        if isinstance(keep, Sequences) and self.positions.has_score_bias:
            keep = keep.mask  # a bias has the scores of a rectangle
        attended = attention_keep(keep, words[:, :, 0], None)
        if isinstance(attended, Sequences):
            words, positions = unpad(words, attended), unpad(positions.expand(attended.shape), attended)
        relative = self.positions.relative(positions, positions, words.dtype)
        hidden = self.final_norm(self.layers(self.embed(words, positions), attended, relative))
        return pad_sequences(hidden, attended) if isinstance(attended, Sequences) else hidden


class Decoder(Stack):
    """Decoder: every token attends to itself, to earlier tokens and to the encoder output (the same figure, right).

    Args:
        config, depth, positions, pre_norm, attention: as in `Encoder`.
        cross_attention: False for a decoder without encoder, such as GPT-2.
        skip_padding: do not count padding in the positions of the tokens after it.
    """

    def __init__(
        self,
        config: TextConfig,
        depth: int,
        positions: str,
        pre_norm: bool = False,
        attention: AttentionImplementation = "auto",
        cross_attention: bool = True,
        skip_padding: bool = False,
    ) -> None:
        layer = DecoderLayer if cross_attention else EncoderLayer
        super().__init__(config, (layer(config, attention, pre_norm) for _ in range(depth)), positions, pre_norm)
        self.skip_padding = skip_padding

    def forward(
        self,
        words: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "batch tokens"] | None,
        memory: Float[Tensor, "batch sources width"] | None = None,
        memory_keep: Bool[Tensor, "batch sources"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """Decode a batch.

        Args:
            words: word embeddings; with a `cache`, those of the new tokens only.
            keep: Boolean mask of the same tokens; False for padding. None without padding.
            memory: the encoder output; None for a decoder without encoder.
            memory_keep: Boolean mask of `memory`.
            cache: keys and values of earlier tokens.

        Tests: tests/model/test_stacks.py::TestDecoder
        """
        new = words.shape[1]
        keep = keep if cache is None else cache.add_tokens(new, keep)
        tokens = new if cache is None else cache.tokens
        if keep is not None and self.skip_padding:
            positions = token_positions(keep)
        else:
            positions = torch.arange(tokens, device=words.device)[None]
        mask = decoder_mask(new, tokens, keep, words.device)
        hidden = self.embed(words, positions[:, -new:])
        relative = self.positions.relative(positions[:, -new:], positions, words.dtype)
        sources = {}
        if memory is not None:
            sources = {"memory": memory, "memory_keep": None if memory_keep is None else memory_keep[:, None, None, :]}
        return self.final_norm(self.layers(hidden, mask, relative, cache, **sources))


def decoder_mask(
    new: int, tokens: int, keep: Bool[Tensor, "batch {tokens}"] | None, device: torch.device
) -> Bool[Tensor, "#batch 1 {new} {tokens}"] | None:
    """Return the last `new` rows of `causal_mask(tokens)`, without padding; None if a token may attend to all.

    New tokens may attend to all earlier ones, so that only the square of the new tokens is computed. To generate one token
    after 1,000 others, the whole mask of a million entries would be built. Without a mask, attention is faster too.

    Tests: tests/model/test_stacks.py::TestDecoderMask
    """
    if new == 1 and keep is None and not is_recording():
        return None
    past = pad(causal_mask(new, device), (tokens - new, 0), value=True)[None, None]
    return past if keep is None else past & keep[:, None, None, :]


def token_positions(counted: Bool[Tensor, "batch tokens"]) -> Int[Tensor, "batch tokens"]:
    """Return the position of each token, from 0: the number of counted tokens before it."""
    return (counted.cumsum(dim=1) - 1).clamp(min=0)
