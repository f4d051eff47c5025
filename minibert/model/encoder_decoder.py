"""An encoder with a decoder: the passes and the generation that the Transformer of 2017 and T5 share."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from minibert import kernels
from minibert.checks import can_check_values, check_tensor
from minibert.equations import IGNORE_INDEX, length_penalty, masked_lm_loss
from minibert.kernels import Sequences, linear_label_smoothing_loss, worthwhile_sequences
from minibert.model.cache import KeyValueCache
from minibert.model.generation import GeneratedSequence, beam_search, check_beam_search, check_max_new_tokens, greedy_search
from minibert.model.inputs import check_batch, check_ids, keep_mask
from minibert.model.outputs import ModelOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Decoder, Encoder
from minibert.model.t5_config import T5Config
from minibert.model.transformer_config import TransformerConfig
from minibert.observe import is_recording, observe

SourceMask = Bool[Tensor, "batch sources"] | Integer[Tensor, "batch sources"]
TargetMask = Bool[Tensor, "batch targets"] | Integer[Tensor, "batch targets"]
"""Attention masks of the source and the target; see `inputs.Mask`."""


@dataclass(frozen=True, repr=False)
class Seq2SeqLMOutput(ModelOutput):
    """Output of an `EncoderDecoder`: at each target token, a score for every possible next piece."""

    logits: Float[Tensor, "batch targets vocabulary"]
    encoder_last_hidden_state: Float[Tensor, "batch sources width"]
    loss: Float[Tensor, ""] | None = None
    """Mean loss in nats, if labels were passed."""


@dataclass(frozen=True, repr=False)
class Seq2SeqLMSums(ModelOutput):
    """Output of an `EncoderDecoder` for training: sums over the labels, in place of the scores."""

    loss_sum: Float[Tensor, ""]
    """Sum of the losses of all labels, in nats."""
    correct: Int[Tensor, ""]
    """Number of correct predictions."""


def shift_right(labels: Int[Tensor, "batch targets"], start: int, padding: int) -> Int[Tensor, "batch targets"]:
    """Return the decoder input for `labels`: at each position the previous label, and `start` at the first.

    Source: Vaswani et al. 2017, section 3.1 ("output embeddings are offset by one position").
    Tests: tests/model/test_transformer.py::TestShiftRight

    >>> shift_right(torch.tensor([[7, 8, 3], [9, 3, -100]]), start=2, padding=0)
    tensor([[2, 7, 8],
            [2, 9, 3]])
    """
    first = torch.full_like(labels[:, :1], start)
    shifted = torch.cat([first, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, padding)


def source_mask(attention_mask: SourceMask | Sequences | None) -> SourceMask | None:
    """Return the mask of a source; None if it is known that there is no padding, because attention is faster without a mask."""
    if isinstance(attention_mask, Sequences):
        return None if attention_mask.are_full else attention_mask.mask
    return attention_mask


class EncoderDecoder(PretrainedModel):
    r"""The base of `Transformer` and of T5: the passes of an encoder and a decoder, and generation.

    Steps:
        logits (batch tokens vocabulary): $$z = x E^\top$$ The score of each piece of the vocabulary as the next token.
    """

    head = "seq2seq"
    tied: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ["output.weight", "encoder.words.weight", "decoder.words.weight"], "words.weight"
    )
    depth_fields: ClassVar[Mapping[str, str]] = {"encoder.layers": "encoder_layers", "decoder.layers": "decoder_layers"}
    config: TransformerConfig | T5Config
    words: nn.Embedding
    encoder: Encoder
    decoder: Decoder

    @property
    def output_matrix(self) -> Tensor:
        """The matrix of the output layer: the word embeddings."""
        return self.words.weight

    def forward(
        self,
        input_ids: Int[Tensor, "batch sources"],
        attention_mask: SourceMask | Sequences | None = None,
        decoder_input_ids: Int[Tensor, "batch targets"] | None = None,
        decoder_attention_mask: TargetMask | None = None,
        labels: Int[Tensor, "batch targets"] | None = None,
        label_smoothing: float | None = None,
    ) -> Seq2SeqLMOutput | Seq2SeqLMSums:
        """Predict the next target token at every position. The arguments are those of transformers.

        Args:
            attention_mask: 1 or True for tokens of the source, 0 or False for padding. Default: no padding. Or `Sequences`,
                if the vectors of padding are not read: they take no time then.
            decoder_input_ids: the decoder input. Default: the labels, shifted right.
            labels: the expected token at each target position, -100 for none.
            label_smoothing: for training: the output is `Seq2SeqLMSums` with smoothed labels, and the scores of the
                vocabulary are never stored. By default the loss is the mean, without label smoothing.

        Raises: ValueError for an empty source, a different number of sources and targets, more tokens than learned
            positions, and if there is no decoder input.
        """
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("the decoder has no input: pass decoder_input_ids or labels")
            check_batch("labels", labels)
            decoder_input_ids = shift_right(labels, self.config.decoder_start_token_id, self.config.pad_token_id)
        memory = self.encode(input_ids, attention_mask)
        if len(decoder_input_ids) != len(input_ids):
            raise ValueError(f"there are {len(input_ids)} sources but {len(decoder_input_ids)} targets")
        if label_smoothing is not None:
            if labels is None:
                raise ValueError("label_smoothing is for the loss: pass labels")
            check_tensor("labels", labels, torch.int64, shape=decoder_input_ids.shape)
            hidden = self._decode(decoder_input_ids, memory, attention_mask, decoder_attention_mask).flatten(0, 1)
            weight = self.output_matrix
            zeros = weight.new_zeros(len(weight))  # the output has no bias
            return Seq2SeqLMSums(*linear_label_smoothing_loss(hidden, weight, zeros, labels.flatten(), label_smoothing))
        logits = self.decode(decoder_input_ids, memory, attention_mask, decoder_attention_mask)
        return Seq2SeqLMOutput(logits, memory, None if labels is None else masked_lm_loss(logits, labels))

    def encode(
        self, input_ids: Int[Tensor, "batch sources"], attention_mask: SourceMask | Sequences | None = None
    ) -> Float[Tensor, "batch sources width"]:
        """Encode the source; the arguments are those of `forward`. Raises: ValueError for an empty one."""
        self._check(input_ids, "input_ids")
        sequences = attention_mask if isinstance(attention_mask, Sequences) else None
        keep = keep_mask(source_mask(attention_mask), input_ids)
        if can_check_values(keep) and (empty := (~keep.any(dim=1)).nonzero()).numel():
            raise ValueError(f"source {int(empty[0])} of the batch is empty")
        memory: Tensor = self.encoder(self._embed(input_ids), sequences or keep)
        return memory

    def decode(
        self,
        decoder_input_ids: Int[Tensor, "batch targets"],
        memory: Float[Tensor, "batch sources width"],
        attention_mask: SourceMask | Sequences | None = None,
        decoder_attention_mask: TargetMask | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch targets vocabulary"]:
        """Compute the scores of the next token at each target position. With a cache, pass the new target tokens only."""
        hidden = self._decode(decoder_input_ids, memory, attention_mask, decoder_attention_mask, cache)
        return observe("logits", kernels.linear(hidden, self.output_matrix))

    def _decode(
        self,
        decoder_input_ids: Tensor,
        memory: Tensor,
        attention_mask: Tensor | Sequences | None,
        decoder_attention_mask: Tensor | None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Compute the hidden states of the decoder."""
        self._check(decoder_input_ids, "decoder_input_ids", 0 if cache is None else cache.tokens)
        keep = decoder_attention_mask
        mask = source_mask(attention_mask)
        hidden: Tensor = self.decoder(
            self._embed(decoder_input_ids),
            None if keep is None else keep_mask(keep, decoder_input_ids, "decoder_attention_mask"),
            memory,
            keep_mask(mask, memory[:, :, 0]) if mask is not None or is_recording() else None,
            cache,
        )
        return hidden

    @torch.no_grad()
    def generate(
        self,
        input_ids: Int[Tensor, "batch sources"],
        attention_mask: SourceMask | None = None,
        beams: int = 4,
        alpha: float = 0.6,
        max_new_tokens: int | None = None,
        penalty: Callable[[int, float], float] = length_penalty,
    ) -> list[GeneratedSequence]:
        """Generate a target for each source by beam search.

        Args:
            beams: number of hypotheses; 1 is greedy search.
            alpha: exponent of the length penalty; 0 is none.
            max_new_tokens: default: for each source 50 more than its own tokens (Vaswani et al., section 6.1), up to the
                number of learned positions.
            penalty: function of length and α; that of transformers is `lambda length, alpha: length**alpha`.

        Raises: ValueError for `beams` or `alpha` outside its range, for more tokens than learned positions, and as `forward`.
        """
        check_beam_search(beams, alpha)
        self._check(input_ids, "input_ids")
        keep = keep_mask(attention_mask, input_ids)
        sequences = None if keep.is_meta else worthwhile_sequences(keep)  # the host counts the tokens
        memory = self.encode(input_ids, sequences or keep)
        free_positions = self.config.max_position_embeddings if self.config.positions == "learned" else sys.maxsize
        limits: int | Tensor = (keep.sum(dim=1) + 50).clamp(max=free_positions)
        if max_new_tokens is not None:
            check_max_new_tokens(max_new_tokens, free_positions)
            limits = max_new_tokens

        has_padding = sequences is None or not sequences.are_full  # without padding, attention is faster without a mask

        def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
            # Later steps read the keys and values of the memory in the cache, and need only its shape.
            sources = memory[rows] if cache.tokens == 0 else memory[:1].expand(len(rows), -1, -1)
            return self.decode(tokens, sources, keep[rows] if has_padding else None, cache=cache)[:, -1]

        start = torch.full((len(input_ids), 1), self.config.decoder_start_token_id, device=input_ids.device)
        if beams == 1:
            return greedy_search(step, start, self.config.eos_token_id, limits)
        return beam_search(step, start, self.config.eos_token_id, limits, beams, alpha, penalty)

    def _check(self, ids: Tensor, name: str, before: int = 0) -> None:
        check_batch(name, ids)
        check_ids(name, ids, self.words, "vocab_size")
        tokens, max_length = before + ids.shape[1], self.config.max_position_embeddings
        if self.config.positions == "learned" and tokens > max_length:
            raise ValueError(f"{name} has {tokens} tokens, max_position_embeddings is {max_length}: truncate the text")

    def _embed(self, ids: Tensor) -> Tensor:
        words: Tensor = self.words(ids)
        return words
