"""Feature extraction: the output of a frozen encoder is computed once for every text, and the head is trained on it."""

import os
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from minibert.kernels import Sequences
from minibert.model.bert import Bert, BertOutput
from minibert.model.heads import BertWithHead
from minibert.model.inputs import Mask
from minibert.model.modes import evaluation_mode
from minibert.text.labeled.examples import Example, sorted_batches
from minibert.training.distributed import Processes, is_sharded

FEATURE_TOKENS = 4096
"""Tokens of a batch of texts whose features are computed, including padding."""
MEMORY_SHARE = 0.5
"""Largest share of the memory of this machine that features may take."""


class CachedBert(Bert):
    """A frozen encoder that keeps its output for every text. The pooler is computed each time, so it can be trained.

    It consists of the modules of another encoder, under the same names, so it is saved and exported as that encoder.

    Args:
        bert: the encoder. Its embeddings and layers are frozen.
        first_token_only: keep the output of the first token alone, for heads that need no other.
        keeps_padding: keep the output of the padding, too, for heads that compare all tokens of a row. It does not depend on
            the number of padding tokens, to which no token attends.
    """

    def __init__(self, bert: Bert, first_token_only: bool, keeps_padding: bool) -> None:
        nn.Module.__init__(self)
        self.config, self.first_token_only, self.keeps_padding = bert.config, first_token_only, keeps_padding
        self.embeddings, self.projection = bert.embeddings, bert.projection
        self.layers, self.pooler = bert.layers, bert.pooler
        self.features: dict[bytes, Tensor] = {}
        """Output of the last layer for each text, (tokens, hidden_size), by the text's token ids and segments."""

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | Sequences | None = None,
        token_type_ids: Int[Tensor, "batch tokens"] | None = None,
        position_ids: Int[Tensor, "*#batch tokens"] | None = None,
        output_at: Int[Tensor, "batch outputs"] | None = None,
    ) -> BertOutput:
        """Look up a batch. Texts that are not known yet are computed first. Padding is on the right.

        A head that needs the first token only asks for it with `output_at`; nothing else is kept for such a head.
        """
        if position_ids is not None:
            return super().forward(input_ids, attention_mask, token_type_ids, position_ids, output_at)
        if isinstance(attention_mask, Sequences):
            attention_mask = attention_mask.mask
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        keys, tokens = text_keys(input_ids, attention_mask, token_type_ids), input_ids.shape[1]
        needed = tokens if self.keeps_padding else 1
        unknown = {key: position for position, key in enumerate(keys) if len(self.features.get(key, ())) < needed}
        if unknown:
            ids, keep, segments = (each[[*unknown.values()]] for each in (input_ids, attention_mask, token_type_ids))
            mask = keep if self.keeps_padding else Sequences.of(keep.bool())
            with torch.no_grad(), evaluation_mode(self):
                computed = super().forward(ids, mask, segments).last_hidden_state
            for (key, position), hidden in zip(unknown.items(), computed.cpu(), strict=True):
                length = 1 if self.first_token_only else max(needed, int(attention_mask[position].sum()))
                self.features[key] = hidden[:length].clone()
        hidden = pad_sequence([self.features[key][:tokens] for key in keys], batch_first=True).to(input_ids.device)
        return BertOutput(hidden, None if self.pooler is None else self.pooler(hidden))


def text_keys(
    input_ids: Int[Tensor, "batch tokens"], attention_mask: Mask, token_type_ids: Int[Tensor, "batch tokens"]
) -> list[bytes]:
    """Return the token ids and segments of each text, without padding, as bytes."""
    rows, keep = torch.stack([input_ids, token_type_ids], dim=1).cpu().numpy(), attention_mask.bool().cpu().numpy()
    return [row[:, mask].tobytes() for row, mask in zip(rows, keep, strict=True)]


def cache_features(model: BertWithHead, examples: Sequence[Example], pad_id: int, processes: Processes) -> str:
    """Replace the encoder of a network by one that has computed all examples. Return a message that says so.

    The features do not depend on the order in which a run uses the examples, so a run can be resumed bit for bit.

    Raises: ValueError if the features do not fit into the memory, and for a sharded model.
    """
    if is_sharded(model):
        raise ValueError("--feature-extraction is not for a sharded model: use ddp")
    lengths, keeps_padding = [len(example.input_ids) for example in examples], examples[0].shares_padding
    length = max(lengths) if keeps_padding else 0
    tokens = len(examples) if model.first_token_only else sum(max(length, each) for each in lengths)
    size = tokens * model.config.hidden_size * next(model.parameters()).element_size()
    if size > (limit := MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")):
        raise ValueError(
            f"the features of all texts need {size / 1e9:,.0f} GB, more than {MEMORY_SHARE:.0%} of the memory here "
            f"({limit / 1e9:,.0f} GB): use --freeze encoder, which computes them in every epoch"
        )
    model.bert = CachedBert(model.bert, model.first_token_only, keeps_padding)
    for _, batch in sorted_batches(examples, pad_id, FEATURE_TOKENS, length):
        model.bert(*batch.to(processes.device).inputs)
    return f"The encoder has computed {len(examples):,} texts once. Their features take {size / 1e6:,.1f} MB of memory."
