"""Layers upon layers: the encoder, and the decoder, of the 2017 Transformer and of what came from it."""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from minibert.equations import causal_mask
from minibert.kernels import Attention
from minibert.model.cache import KeyValueCache
from minibert.model.config import ModelConfig
from minibert.model.layers import DecoderLayer, EncoderLayer, LayerNorm
from minibert.model.positions import make_positions
from minibert.observe import observe


class Encoder(nn.Module):
    """Tokens that all read from each other, layer by layer (Vaswani et al. 2017, figure 1, on the left).

    Args:
        depth: number of layers.
        positions: how they tell where tokens stand, one of `config.POSITIONS`.
        pre_norm: whether layers normalize what goes in; the stack then ends with one more normalization.
    """

    def __init__(
        self, config: ModelConfig, depth: int, positions: str, pre_norm: bool = False, attention: Attention = "auto"
    ) -> None:
        super().__init__()
        heads, longest = config.num_attention_heads, config.max_position_embeddings
        self.positions = make_positions(positions, longest, config.hidden_size, heads)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(EncoderLayer(config, attention, pre_norm) for _ in range(depth))
        self.norm = LayerNorm(config.hidden_size, config.layer_norm_eps) if pre_norm else None

    def forward(
        self, words: Float[Tensor, "batch tokens width"], keep: Bool[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch tokens width"]:
        """`words` are the embeddings of the tokens; those may be read where `keep` is True."""
        places = _places(keep)
        bias, rotate = self.positions.bias(places, places, words), self.positions.rotate(places)
        hidden = self._embed(words, places)
        for layer in self.layers:
            hidden = layer(hidden, keep[:, None, None, :], bias, rotate)
        return self._finish(hidden)

    def _embed(self, words: Tensor, places: Tensor) -> Tensor:
        hidden = observe("embeddings.sum", self.positions.add(observe("embeddings.words", words), places))
        dropped: Tensor = self.dropout(hidden)
        return dropped

    def _finish(self, hidden: Tensor) -> Tensor:
        return hidden if self.norm is None else observe("norm", self.norm(hidden))


class Decoder(Encoder):
    """Tokens that read from those before them and, if there is one, from an encoder (the same figure, on the right).

    Args:
        cross_attention: whether there is an encoder to read from.
    """

    def __init__(
        self,
        config: ModelConfig,
        depth: int,
        positions: str,
        pre_norm: bool = False,
        attention: Attention = "auto",
        cross_attention: bool = True,
    ) -> None:
        super().__init__(config, 0, positions, pre_norm, attention)
        self.layers = nn.ModuleList(DecoderLayer(config, attention, pre_norm, cross_attention) for _ in range(depth))

    def forward(
        self,
        words: Float[Tensor, "batch tokens width"],
        keep: Bool[Tensor, "batch tokens"],
        memory: Float[Tensor, "batch sources width"] | None = None,
        memory_keep: Bool[Tensor, "batch sources"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch tokens width"]:
        """With a `cache`, `words` are the new tokens alone; they stand behind those so far, and read them too.

        Tests: tests/model/test_stacks.py::TestDecoder
        """
        new = words.shape[1]
        readable = keep if cache is None else cache.note(keep)
        before = causal_mask(readable.shape[1]).to(words.device)[-new:]
        past = before & readable[:, None, None, :]
        places = _places(readable)
        bias, rotate = self.positions.bias(places[:, -new:], places, words), self.positions.rotate(places[:, -new:])
        sources = None if memory_keep is None else memory_keep[:, None, None, :]
        hidden = self._embed(words, places[:, -new:])
        for layer in self.layers:
            hidden = layer(hidden, past, bias, rotate, cache, memory, sources)
        return self._finish(hidden)


def _places(keep: Bool[Tensor, "batch tokens"]) -> Tensor:
    """Where each token stands among those that are none of padding, from 0, wherever the padding is."""
    return (keep.cumsum(dim=1) - 1).clamp(min=0)
