"""The embeddings of BERT and its family."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.model.config import BertConfig
from minibert.model.inputs import check_ids
from minibert.model.layers import LayerNorm
from minibert.model.linear import Dropout
from minibert.observe import observe


class BertEmbeddings(nn.Module):
    r"""Word, position and segment embeddings, summed and normalized (Devlin et al. 2019, figure 2).

    As in transformers, the embedding of the padding piece has no gradient here. If the masked-LM head uses the word
    embeddings, it has a gradient there.

    Steps:
        words (batch tokens width): $$e^w = E^{\mathrm{word}}_{\mathrm{id}}$$ The row of each token's id in the table of word
            embeddings.
        positions (batch tokens width): $$e^p = E^{\mathrm{position}}_t$$ The row of each position in the table of position
            embeddings.
        segments (batch tokens width): $$e^s = E^{\mathrm{segment}}_s$$ The row of each token's segment: 0 for sentence A,
            1 for B.
        sum (batch tokens width): $$e = e^w + e^p + e^s$$ The sum of the three embeddings of each token.
        output (batch tokens width): $$x = \mathrm{LayerNorm}(e)$$ Layer normalization of each token's vector, before
            dropout.
    Tests: tests/model/test_embeddings.py::TestBertEmbeddings
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, padding = config.embedding_width, None if config.counts_padding else config.pad_token_id
        self.words = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.positions = nn.Embedding(config.max_position_embeddings, width, padding_idx=padding)
        self.segments = nn.Embedding(config.type_vocab_size, width) if config.has_segments else NoSegments(width)
        self.norm = LayerNorm(width, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        token_type_ids: Int[Tensor, "batch tokens"],
        position_ids: Int[Tensor, "*#batch tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        """Embed a batch. Raises: ValueError for an id outside its table."""
        check_ids("input_ids", input_ids, self.words, "vocab_size")
        check_ids("position_ids", position_ids, self.positions, "max_position_embeddings")
        check_ids("token_type_ids", token_type_ids, self.segments, "type_vocab_size")
        words = observe("words", self.words(input_ids))
        positions = observe("positions", self.positions(position_ids))
        segments = observe("segments", self.segments(token_type_ids))
        output = observe("output", self.norm(observe("sum", words + positions + segments)))
        dropped: Tensor = self.dropout(output)
        return dropped


class NoSegments(nn.Module):
    """In place of segment embeddings, if a network has none: zeros, for every segment."""

    num_embeddings = 2**31
    """Number of segments that `check_ids` accepts: all, because they are ignored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, token_type_ids: Int[Tensor, "*batch tokens"]) -> Float[Tensor, "*batch tokens {self.width}"]:
        return torch.zeros((), device=token_type_ids.device).expand(*token_type_ids.shape, self.width)
