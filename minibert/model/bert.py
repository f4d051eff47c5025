"""BERT's encoder (Devlin et al. 2019): embeddings, a stack of equal layers, a summary of the whole sequence."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from minibert.kernels import Attention
from minibert.model.config import BertConfig
from minibert.model.inputs import Mask, check_batch, keep_mask
from minibert.model.layers import Embeddings, EncoderLayer
from minibert.model.pretrained import PretrainedBert
from minibert.observe import observe


@dataclass(frozen=True)
class BertOutput:
    """What the encoder says of every token, and of the sequence as a whole (None without a pooler)."""

    last_hidden_state: Float[Tensor, "batch tokens width"]
    pooler_output: Float[Tensor, "batch width"] | None


class Pooler(nn.Module):
    """The sequence in one vector: the first token's, through one more layer (Devlin et al., "C" in figure 1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, hidden: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch width"]:
        return torch.tanh(self.dense(hidden[:, 0]))


class Bert(PretrainedBert):
    """BERT without a head: token ids in, vectors out.

    Args:
        config: the sizes; `minibert.PRESETS` has the published ones.
        attention: "auto", "explicit", "fused" or a function; see `set_attention`.
        pooler: whether there is one; heads that read every token by itself need none.

    >>> from minibert import PRESETS
    >>> bert = Bert(PRESETS["tiny"])
    >>> bert(torch.tensor([[101, 7592, 102]])).last_hidden_state.shape
    torch.Size([1, 3, 128])
    """

    architecture = "BertModel"

    def __init__(self, config: BertConfig, attention: Attention = "auto", pooler: bool = True) -> None:
        super().__init__(config)
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(EncoderLayer(config, attention) for _ in range(config.num_hidden_layers))
        self.pooler = Pooler(config.hidden_size) if pooler else None
        self.recompute = False
        """Whether training keeps the input of each layer alone, and computes what is inside anew on the way back: less memory,
        a third more work (Chen et al. 2016)."""
        self.initialize(self)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
    ) -> BertOutput:
        """As in transformers: without a mask every token is attended to, without segments all are sentence A.

        Raises: ValueError if the sequence is longer than the positions, TypeError for a mask of floats.
        """
        check_batch("input_ids", input_ids)
        tokens, longest = input_ids.shape[1], self.config.max_position_embeddings
        if tokens > longest:
            raise ValueError(f"input_ids has {tokens} tokens, max_position_embeddings is {longest}: cut the text")
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        if position_ids is None:
            position_ids = torch.arange(tokens, device=input_ids.device).unsqueeze(0)
        keep = None if attention_mask is None else keep_mask(attention_mask, input_ids)[:, None, None, :]
        hidden = self.embeddings(input_ids, token_type_ids, position_ids)
        for layer in self.layers:
            hidden = checkpoint(layer, hidden, keep, use_reentrant=False) if self.recompute else layer(hidden, keep)
        return BertOutput(hidden, None if self.pooler is None else observe("pooler", self.pooler(hidden)))
