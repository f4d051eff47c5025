"""A decoder without an encoder: a language model in GPT-2's layout. Radford et al. 2019."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.equations import IGNORE_INDEX, masked_lm_loss
from minibert.files import write_atomically
from minibert.kernels import Attention
from minibert.model.cache import KeyValueCache
from minibert.model.checkpoints.loading import check_depth, config_file
from minibert.model.checkpoints.names import GPT2
from minibert.model.checkpoints.weights import read_weights
from minibert.model.config import ModelConfig, read_json
from minibert.model.generation import GeneratedSequence, greedy_search, sampler
from minibert.model.inputs import Mask, check_batch, keep_mask
from minibert.model.layers import check_ids
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Decoder
from minibert.observe import observe


@dataclass(frozen=True, kw_only=True)
class GPT2Config(ModelConfig):
    """Everything that decides which tensors a GPT-2 has and how they are combined. The defaults are those of its smallest.

    The fields have the names that they have in all of minibert, to which Hugging Face's GPT2Config maps its own too.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.
    """

    vocab_size: int = 50257
    """Number of pieces."""
    hidden_act: str = "gelu_new"
    """What bends the feed-forward network."""
    max_position_embeddings: int = 1024
    """Longest sequence, in tokens."""
    layer_norm_eps: float = 1e-5
    """What layer normalization adds to the variance."""
    num_hidden_layers: int = 12
    """Number of decoder layers."""

    def save_json(self, path: Path, architecture: str) -> None:
        """Writes a `config.json` as Hugging Face reads it; `architecture` is the name of the model's class there."""
        stored = {
            "model_type": "gpt2",
            "architectures": [architecture],
            **{theirs: getattr(self, ours) for ours, theirs in FIELDS.items()},
            "embd_pdrop": self.hidden_dropout_prob,
        }
        write_atomically(path, json.dumps(stored, indent=2) + "\n")

    @classmethod
    def load_json(cls, path: Path) -> "GPT2Config":
        """Reads a `config.json` of Hugging Face. Raises: ValueError that names the file, if it cannot be run here."""
        stored = read_json(path, SUPPORTED)
        known = {ours: stored[theirs] for ours, theirs in FIELDS.items() if stored.get(theirs) is not None}
        known.setdefault("intermediate_size", 4 * known["hidden_size"] if isinstance(known.get("hidden_size"), int) else 3072)
        try:
            return cls(**known)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}: {error}") from error


FIELDS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
    "intermediate_size": "n_inner",
    "hidden_act": "activation_function",
    "hidden_dropout_prob": "resid_pdrop",
    "attention_probs_dropout_prob": "attn_pdrop",
    "max_position_embeddings": "n_positions",
    "initializer_range": "initializer_range",
    "layer_norm_eps": "layer_norm_epsilon",
    "pad_token_id": "pad_token_id",
    "tie_word_embeddings": "tie_word_embeddings",
}
"""Our names of the fields, and those in a config.json."""
SUPPORTED: dict[str, object] = {
    "model_type": "gpt2",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "quantization_config": None,
}
"""Fields that decide what is computed, and the one value that is computed here."""


@dataclass(frozen=True)
class CausalLMOutput:
    """A score for every piece that could come next, at every token; `loss` is there if labels were given."""

    logits: Float[Tensor, "batch tokens vocabulary"]
    loss: Float[Tensor, ""] | None = None


class GPT2LMHeadModel(PretrainedModel):
    """The decoder of the 2017 Transformer alone, with normalization before the sublayers and learned positions.

    Args:
        config: the sizes.
        attention: "auto", "explicit", "fused" or a function; see `set_attention`.

    Source: Radford et al. 2019, section 2.3.
    Differs: where a batch is padded, a token's place is counted among those that are none of padding, whichever side it is on.
        transformers' `generate` does so, its `forward` counts all.

    >>> model = GPT2LMHeadModel(GPT2Config(hidden_size=48, num_attention_heads=3, num_hidden_layers=2, vocab_size=100))
    >>> model(torch.tensor([[5, 6, 7]])).logits.shape
    torch.Size([1, 3, 100])
    """

    architecture = "GPT2LMHeadModel"
    names = GPT2
    config: GPT2Config

    def __init__(self, config: GPT2Config, attention: Attention = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.decoder = Decoder(
            config, config.num_hidden_layers, "learned", pre_norm=True, attention=attention, cross_attention=False
        )
        self.output = None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialize(self)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", "feed_forward.weight")):  # as many are added up as there are layers
                nn.init.normal_(parameter, std=config.initializer_range / (2 * config.num_hidden_layers) ** 0.5)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        labels: Int[Tensor, "batch tokens"] | None = None,
        cache: KeyValueCache | None = None,
    ) -> CausalLMOutput:
        """Args:
            labels: as in transformers the tokens themselves, -100 where nothing is to be foretold; they are moved here.
            cache: what is kept of the tokens before; then `input_ids` and the mask are of the new ones alone.

        Raises: ValueError if there are more tokens than positions, or other labels than tokens.
        """
        check_batch("input_ids", input_ids)
        tokens, longest = input_ids.shape[1] + (0 if cache is None else cache.tokens), self.config.max_position_embeddings
        if tokens > longest:
            raise ValueError(f"there are {tokens} tokens, max_position_embeddings is {longest}: cut the text")
        check_ids("input_ids", input_ids, self.words, "vocab_size")
        hidden = self.decoder(self.words(input_ids), keep_mask(attention_mask, input_ids), cache=cache)
        table = self.words.weight if self.output is None else self.output.weight
        logits = observe("logits", nn.functional.linear(hidden, table))
        if labels is None:
            return CausalLMOutput(logits)
        if labels.shape != input_ids.shape:
            raise ValueError(f"labels is {tuple(labels.shape)}, but the tokens are {tuple(input_ids.shape)}")
        following = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], IGNORE_INDEX)], dim=1)
        return CausalLMOutput(logits, masked_lm_loss(logits, following))

    @torch.no_grad()
    def generate(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        max_new_tokens: int = 20,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        end: int | None = None,
    ) -> list[GeneratedSequence]:
        """Goes on with each text, for `max_new_tokens` or up to the token `end`.

        Args:
            attention_mask: 0 for padding, which stands before shorter texts.
            temperature, top_k, top_p, seed: see `model.generation.sampler`; 0 takes the most likely token.

        Raises: ValueError if a text is empty, or ends with padding.
        """
        check_batch("input_ids", input_ids)
        keep = keep_mask(attention_mask, input_ids)
        if not input_ids.shape[1] or not keep[:, -1].all():
            raise ValueError("a text is empty, or ends with padding: put the padding before it")

        def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
            logits: Tensor = self(tokens, keep if cache.keep is None else None, cache=cache).logits
            return logits[:, -1]

        return greedy_search(step, input_ids, end, max_new_tokens, sampler(temperature, top_k, top_p, seed))

    @classmethod
    def read_config(cls, source: str | Path) -> GPT2Config:
        """The configuration of a checkpoint. Raises: FileNotFoundError if it has none, ValueError if it cannot be run here."""
        return GPT2Config.load_json(config_file(source))

    @classmethod
    def read(cls, source: str | Path) -> tuple[dict[str, Tensor], GPT2Config, Path]:
        config = cls.read_config(source)
        tensors, path = read_weights(source)
        found = {name: tensor for name, tensor in GPT2.read(tensors).items() if not name.endswith(CAUSAL_MASKS)}
        check_depth(found, "decoder.layers", config.num_hidden_layers, path)
        if config.tie_word_embeddings:
            found.pop("output.weight", None)
        return found, config, path


CAUSAL_MASKS = (".attn.bias", ".attn.masked_bias")
"""Endings of what older checkpoints hold that is no parameter."""
