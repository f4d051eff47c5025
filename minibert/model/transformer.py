"""The Transformer of 2017: an encoder that reads a source, a decoder that writes a target. Vaswani et al. 2017."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX, length_penalty, masked_lm_loss, sinusoidal_positions
from minibert.kernels import Attention
from minibert.model.cache import KeyValueCache
from minibert.model.checkpoints import names
from minibert.model.checkpoints.loading import check_depth, config_file
from minibert.model.checkpoints.weights import read_weights
from minibert.model.generation import GeneratedSequence, beam_search, greedy_search
from minibert.model.inputs import check_batch, keep_mask
from minibert.model.layers import check_ids
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Decoder, Encoder
from minibert.model.transformer_config import TransformerConfig
from minibert.observe import observe

SourceMask = Bool[Tensor, "batch sources"] | Int[Tensor, "batch sources"]
TargetMask = Bool[Tensor, "batch targets"] | Int[Tensor, "batch targets"]
"""As `masks.Mask`, of the source and of the target."""


@dataclass(frozen=True)
class Seq2SeqLMOutput:
    """A score for every piece at every token of the target; `loss` is there if labels were given."""

    logits: Float[Tensor, "batch targets vocabulary"]
    encoder_last_hidden_state: Float[Tensor, "batch sources width"]
    loss: Float[Tensor, ""] | None = None


def shift_right(labels: Int[Tensor, "batch targets"], start: int, padding: int) -> Int[Tensor, "batch targets"]:
    """What the decoder is given to foretell `labels`: at each place the one before it, and `start` at the first.

    Source: Vaswani et al. 2017, section 3.1 ("output embeddings are offset by one position").
    Tests: tests/model/test_transformer.py::TestShiftedRight

    >>> shifted_right(torch.tensor([[7, 8, 3], [9, 3, -100]]), start=2, padding=0)
    tensor([[2, 7, 8],
            [2, 9, 3]])
    """
    first = torch.full_like(labels[:, :1], start)
    shifted = torch.cat([first, labels[:, :-1]], dim=1)
    return shifted.masked_fill(shifted == IGNORE_INDEX, padding)


class Transformer(PretrainedModel):
    """The encoder-decoder of Vaswani et al. 2017: token ids of a source and of a target in, scores of what comes next out.

    One table of vectors stands for the pieces of source, target and output (section 3.4); on the way in they are multiplied
    by √d_model.

    Args:
        config: the sizes; `TRANSFORMERS` has the published ones.
        attention: "auto", "explicit", "fused" or a function; see `set_attention`.

    Differs: `config.pre_norm` puts normalization before the sublayers, as tensor2tensor came to do (`DecoderLayer`). The
        weights start as PyTorch's `nn.Transformer` does (Glorot and Bengio 2010), the table with a variance of 1/d_model, as in
        tensor2tensor; the paper does not say.

    >>> from minibert import TRANSFORMERS
    >>> model = Transformer(TRANSFORMERS["tiny"])
    >>> model(torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([[2, 8]])).logits.shape
    torch.Size([1, 2, 37000])
    """

    architecture = "MarianMTModel"
    names = names.MARIAN
    config: TransformerConfig

    def __init__(self, config: TransformerConfig, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.encoder = Encoder(config, config.encoder_layers, config.positions, config.pre_norm, attention)
        self.decoder = Decoder(config, config.decoder_layers, config.positions, config.pre_norm, attention)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=config.hidden_size**-0.5)

    def forward(
        self,
        input_ids: Int[Tensor, "batch sources"],
        attention_mask: SourceMask | None = None,
        decoder_input_ids: Int[Tensor, "batch targets"] | None = None,
        decoder_attention_mask: TargetMask | None = None,
        labels: Int[Tensor, "batch targets"] | None = None,
    ) -> Seq2SeqLMOutput:
        """As transformers' MarianMT: the decoder is given `decoder_input_ids`, or the labels shifted by one.

        Args:
            labels: what is to come at each place of the target, -100 where nothing is. Their mean loss is without label
                smoothing, which is training's.

        Raises: ValueError for an empty source, another number of targets, or more tokens than learned positions; and without
            anything for the decoder.
        """
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("the decoder has nothing to read: give decoder_input_ids, or labels")
            check_batch("labels", labels)
            decoder_input_ids = shift_right(labels, self.config.decoder_start_token_id, self.config.pad_token_id)
        memory = self.encode(input_ids, attention_mask)
        if len(decoder_input_ids) != len(input_ids):
            raise ValueError(f"there are {len(input_ids)} sources, and {len(decoder_input_ids)} targets")
        logits = self.decode(decoder_input_ids, memory, attention_mask, decoder_attention_mask)
        return Seq2SeqLMOutput(logits, memory, None if labels is None else masked_lm_loss(logits, labels))

    def encode(
        self, input_ids: Int[Tensor, "batch sources"], attention_mask: SourceMask | None = None
    ) -> Float[Tensor, "batch sources width"]:
        """The source, read. Raises: ValueError for one that is empty."""
        self._check(input_ids, "input_ids")
        keep = keep_mask(attention_mask, input_ids)
        if not torch.compiler.is_compiling() and input_ids.device.type == "cpu" and not keep.any(dim=1).all():
            raise ValueError(f"source {int((~keep.any(dim=1)).nonzero()[0])} of the batch is empty: there is nothing to read")
        memory: Tensor = self.encoder(self._embedded(input_ids), keep)
        return memory

    def decode(
        self,
        decoder_input_ids: Int[Tensor, "batch targets"],
        memory: Float[Tensor, "batch sources width"],
        attention_mask: SourceMask | None = None,
        decoder_attention_mask: TargetMask | None = None,
        cache: KeyValueCache | None = None,
    ) -> Float[Tensor, "batch targets vocabulary"]:
        """What comes next at each place of the target. With a cache, only the new tokens of the target are given."""
        self._check(decoder_input_ids, "decoder_input_ids", 0 if cache is None else cache.tokens)
        hidden = self.decoder(
            self._embedded(decoder_input_ids),
            keep_mask(decoder_attention_mask, decoder_input_ids),
            memory,
            keep_mask(attention_mask, memory[:, :, 0]),
            cache,
        )
        return observe("logits", nn.functional.linear(hidden, self.words.weight))

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
        """The best target that is found for each source.

        Args:
            beams: how many are followed side by side; 1 is greedy search.
            alpha: of the length penalty; 0 is none.
            max_new_tokens: None for 50 more than the longest source has (Vaswani et al., section 6.1), as far as learned
                positions reach.
            penalty: of length and α; transformers' is `lambda length, alpha: length**alpha`.

        Raises: ValueError for less than one beam, and as `forward`.
        """
        if beams < 1:
            raise ValueError(f"beams is {beams}: it must be at least 1")
        memory, keep = self.encode(input_ids, attention_mask), keep_mask(attention_mask, input_ids)
        most = input_ids.shape[1] + 50 if max_new_tokens is None else max_new_tokens
        if max_new_tokens is None and self.config.positions == "learned":
            most = min(most, self.config.max_position_embeddings)

        def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
            return self.decode(tokens, memory[rows], keep[rows], cache=cache)[:, -1]

        start = torch.full((len(input_ids), 1), self.config.decoder_start_token_id, device=input_ids.device)
        if beams == 1:
            return greedy_search(step, start, self.config.eos_token_id, most)
        return beam_search(step, start, self.config.eos_token_id, most, beams, alpha, penalty)

    def save_pretrained(self, directory: str | Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Writes `config.json` and `model.safetensors`; transformers loads them as a MarianMT where that computes the same.

        Its own table of sines has another order of columns. So ours is written as well, and taken; but transformers leaves it
        out when it saves such a model again.
        """
        weights = dict(self.state_dict() if state_dict is None else state_dict)
        if self.config.is_marian and self.config.positions == "sinusoidal":
            table = _sines(self.config).to(weights["words.weight"].dtype)
            weights |= {f"{side}.positions.table.weight": table.clone() for side in ("encoder", "decoder")}
        super().save_pretrained(directory, weights)

    @classmethod
    def read(cls, source: str | Path) -> tuple[dict[str, Tensor], TransformerConfig, Path]:
        config = TransformerConfig.load_json(config_file(source))
        tensors, path = read_weights(source)
        if (bias := tensors.get("final_logits_bias")) is not None and bias.any():
            raise ValueError(f"{path}: final_logits_bias is not zero, which is not supported")
        found = names.MARIAN.read({name: tensor for name, tensor in tensors.items() if name not in COPIES})
        check_depth(found, "encoder.layers", config.encoder_layers, path)
        check_depth(found, "decoder.layers", config.decoder_layers, path)
        tables = [f"{side}.positions.table.weight" for side in ("encoder", "decoder")]
        if config.positions == "sinusoidal":
            found = {name: tensor for name, tensor in found.items() if name not in tables}
        elif config.positions == "learned" and not any(table in found for table in tables):
            waves = _sines(config)
            found |= {table: torch.cat([waves[:, 0::2], waves[:, 1::2]], dim=1) for table in tables}  # as transformers has them
        return found, config, path

    def _check(self, ids: Tensor, name: str, before: int = 0) -> None:
        check_batch(name, ids)
        check_ids(name, ids, self.words, "vocab_size")
        tokens, longest = before + ids.shape[1], self.config.max_position_embeddings
        if self.config.positions == "learned" and tokens > longest:
            raise ValueError(f"{name} has {tokens} tokens, max_position_embeddings is {longest}: cut the text")

    def _embedded(self, ids: Tensor) -> Tensor:
        words: Tensor = self.words(ids) * math.sqrt(self.config.hidden_size)
        return words


def _sines(config: TransformerConfig) -> Tensor:
    places = torch.arange(config.max_position_embeddings, dtype=torch.float64)
    return sinusoidal_positions(places, config.hidden_size).float()


COPIES = {"lm_head.weight", "final_logits_bias", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"}
"""What a MarianMT's file may hold besides: the one table under other names, and a bias of zeros."""
