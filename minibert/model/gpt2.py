"""GPT-2: a decoder without an encoder (Radford et al. 2019)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert import kernels
from minibert.checks import check_tensor
from minibert.equations import IGNORE_INDEX, masked_lm_loss
from minibert.equations.objectives import check_labels
from minibert.kernels import AttentionImplementation, linear_cross_entropy
from minibert.model.cache import KeyValueCache
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import TOKEN_ID, ModelConfig, TextConfig
from minibert.model.generation import (
    GeneratedSequence,
    beam_hypotheses,
    check_beam_search,
    check_max_new_tokens,
    greedy_search,
    sampler,
)
from minibert.model.inputs import Mask, check_batch, check_ids, keep_mask
from minibert.model.linear import Linear
from minibert.model.outputs import ModelOutput
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Decoder
from minibert.observe import observe

END_OF_TEXT = 50256
"""Id of <|endoftext|> in the published models, and in a config.json without `eos_token_id`."""


@dataclass(frozen=True, kw_only=True)
class GPT2Config(TextConfig):
    """Configuration of a GPT-2. The defaults are those of the smallest published one.

    The fields have the same names as in all configs of minibert. Hugging Face's GPT2Config accepts these names too.

    Raises: ValueError for values that do not fit each other, TypeError for values of the wrong type.
    """

    model_types = ("gpt2",)
    hub_names: ClassVar[Mapping[str, str]] = {
        "hidden_size": "n_embd",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "intermediate_size": "n_inner",
        "hidden_act": "activation_function",
        "hidden_dropout_prob": "resid_pdrop",
        "attention_probs_dropout_prob": "attn_pdrop",
        "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
    }
    supported: ClassVar[Mapping[str, object]] = {
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
        "quantization_config": None,
    }

    vocab_size: int = 50257
    """Number of pieces."""
    hidden_act: str = "gelu_new"
    """Activation function of the feed-forward network."""
    max_position_embeddings: int = 1024
    """Maximum length of a sequence, in tokens."""
    layer_norm_eps: float = 1e-5
    """Epsilon added to the variance in layer normalization."""
    num_hidden_layers: int = 12
    """Number of decoder layers."""
    pad_token_id: int | None = None
    """GPT-2 has no padding piece. That of a loaded config.json is one of `other_token_ids`."""
    eos_token_id: int | None = None
    """Id of the piece between two documents, <|endoftext|>, after which generation ends; None for a model without one."""

    @classmethod
    def read_fields(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in super().read_fields(stored).items() if value is not None}
        known.pop("pad_token_id", None)  # files have any number, such as -1
        vocabulary, end = known.get("vocab_size", cls.vocab_size), stored.get("eos_token_id", END_OF_TEXT)
        # A model of a small vocabulary often has a file with the number of the published models.
        has_end = type(end) is type(vocabulary) is int and 0 <= end < vocabulary
        known["eos_token_id"] = end if has_end else None
        ids = {name: value for name, value in stored.items() if name.endswith(TOKEN_ID)}
        known["other_token_ids"] = dict.fromkeys(("bos_token_id", "eos_token_id"), END_OF_TEXT) | ids
        width = known.get("hidden_size", cls.hidden_size)
        if isinstance(width, int):
            known.setdefault("intermediate_size", 4 * width)
        return known

    def hub_fields(self) -> dict[str, Any]:
        return {"bos_token_id": self.eos_token_id, **super().hub_fields(), "embd_pdrop": self.hidden_dropout_prob}


@dataclass(frozen=True, repr=False)
class CausalLMOutput(ModelOutput):
    """Output of `GPT2LMHeadModel`: at each token, a score for every possible next piece."""

    logits: Float[Tensor, "batch tokens vocabulary"]
    loss: Float[Tensor, ""] | None = None
    """Mean loss in nats, if labels were passed."""


@dataclass(frozen=True, repr=False)
class CausalLMSums(ModelOutput):
    """Output of `GPT2LMHeadModel` for `next_tokens`: sums over all targets, in place of the logits."""

    loss_sum: Float[Tensor, ""]
    """Sum of the losses, in nats."""
    correct: Int[Tensor, ""]
    """Number of correct predictions."""


CAUSAL_MASKS = (".attn.bias", ".attn.masked_bias")
"""Ends of the names of buffers in older checkpoints."""


class GPT2LMHeadModel(PretrainedModel):
    r"""GPT-2 with its language-modeling head: a decoder alone, with pre-norm layers and learned positions.

    Args:
        config: the sizes.
        attention: "auto", "explicit", "fused", "triton" or a function; see `set_attention`.

    Source: Radford et al. 2019, section 2.3.
    Differs: padding is never counted in the position of a token. In transformers this holds for `generate` only; its
        `forward` counts padding.
    Steps:
        logits (batch tokens vocabulary): $$z = x E^\top$$ The score of each piece of the vocabulary as the next token.

    >>> model = GPT2LMHeadModel(GPT2Config(hidden_size=48, num_attention_heads=3, num_hidden_layers=2, vocab_size=100))
    >>> model(torch.tensor([[5, 6, 7]])).logits.shape
    torch.Size([1, 3, 100])
    """

    architecture = "GPT2LMHeadModel"
    head = "lm"
    config_class = GPT2Config
    config: GPT2Config
    names = NameTable(
        {
            "words": "wte",
            "decoder.positions.table": "wpe",
            "decoder.layers.N.attention_norm": "h.N.ln_1",
            " + ".join(f"decoder.layers.N.attention.{part}" for part in ("query", "key", "value")): "h.N.attn.c_attn",
            "decoder.layers.N.attention.output": "h.N.attn.c_proj",
            "decoder.layers.N.feed_forward_norm": "h.N.ln_2",
            "decoder.layers.N.feed_forward.intermediate": "h.N.mlp.c_fc",
            "decoder.layers.N.feed_forward.output": "h.N.mlp.c_proj",
            "decoder.norm": "ln_f",
            "output": "lm_head",
        },
        their_prefix="transformer.",
        outside_base_model=("output",),
        transposed=frozenset({"h.N.attn.c_attn", "h.N.attn.c_proj", "h.N.mlp.c_fc", "h.N.mlp.c_proj"}),
    )
    tied: ClassVar[Mapping[str, str]] = {"output.weight": "words.weight"}
    depth_fields: ClassVar[Mapping[str, str]] = {"decoder.layers": "num_hidden_layers"}
    reference_stages: ClassVar[Mapping[str, str]] = {
        "decoder.embeddings.words": "wte",
        "decoder.embeddings.sum": "<drop",
        "decoder.layers.N.attention_norm": "h.N.ln_1",
        "decoder.layers.N.attention.output": "h.N.attn.c_proj",
        "decoder.layers.N.attention_residual": "<h.N.ln_2",
        "decoder.layers.N.feed_forward_norm": "h.N.ln_2",
        "decoder.layers.N.intermediate": "h.N.mlp.c_fc",
        "decoder.layers.N.activation": "h.N.mlp.act",
        "decoder.layers.N.feed_forward": "h.N.mlp.c_proj",
        "decoder.layers.N.output": "h.N",
        "decoder.norm": "ln_f",
        "logits": "lm_head",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {"decoder.layers.N.attention": "h.N.attn"}

    def __init__(self, config: GPT2Config, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.decoder = Decoder(
            config,
            config.num_hidden_layers,
            "learned",
            pre_norm=True,
            attention=attention,
            cross_attention=False,
            skip_padding=True,
        )
        self.output = None if config.tie_word_embeddings else Linear(config.hidden_size, config.vocab_size, bias=False)
        self.initialize(self)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.output.weight", "feed_forward.output.weight")):
                # The residual connections add up two such outputs per layer (Radford et al. 2019, section 2.3).
                nn.init.normal_(parameter, std=config.initializer_range / (2 * config.num_hidden_layers) ** 0.5)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | None = None,
        labels: Int[Tensor, "batch tokens"] | None = None,
        cache: KeyValueCache | None = None,
        next_tokens: Int[Tensor, "batch tokens"] | None = None,
    ) -> CausalLMOutput | CausalLMSums:
        """Predict the next token at every position.

        Args:
            labels: the token ids themselves, as in transformers, and -100 where no loss is wanted. They are shifted here.
            next_tokens: for training: the token that follows each position, -100 for none. The output is `CausalLMSums`, and
                the logits are never stored.
            cache: keys and values of earlier tokens; `input_ids` and the mask are then those of the new tokens.

        Raises: ValueError for more tokens than positions; TypeError and ValueError for labels of a wrong type, shape or range.
        """
        check_batch("input_ids", input_ids)
        tokens, max_length = input_ids.shape[1] + (0 if cache is None else cache.tokens), self.config.max_position_embeddings
        if tokens > max_length:
            raise ValueError(f"there are {tokens} tokens, max_position_embeddings is {max_length}: truncate the text")
        check_ids("input_ids", input_ids, self.words, "vocab_size")
        keep = None if attention_mask is None else keep_mask(attention_mask, input_ids)
        hidden = self.decoder(self.words(input_ids), keep, cache=cache)
        output_matrix = self.words.weight if self.output is None else self.output.weight
        if next_tokens is not None:
            check_tensor("next_tokens", next_tokens, torch.int64, shape=input_ids.shape)
            zeros = output_matrix.new_zeros(len(output_matrix))  # the output has no bias
            sums = linear_cross_entropy(hidden.flatten(0, 1), output_matrix, zeros, next_tokens.flatten())
            return CausalLMSums(*sums)
        logits = observe("logits", kernels.linear(hidden, output_matrix))
        if labels is None:
            return CausalLMOutput(logits)
        check_labels(logits, labels)
        next_tokens = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], IGNORE_INDEX)], dim=1)
        return CausalLMOutput(logits, masked_lm_loss(logits, next_tokens))

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
        eos_token_id: int | None = None,
        beams: int = 1,
        streamer: Callable[[Tensor], object] | None = None,
    ) -> list[GeneratedSequence]:
        """Continue each text until `eos_token_id`, for at most `max_new_tokens` tokens.

        Args:
            attention_mask: 0 for padding, which must be on the left.
            temperature, top_k, top_p, seed: see `model.generation.sampler`. Temperature 0 is greedy search.
            beams: number of hypotheses of beam search; 1 for none. The best one has the largest mean log-probability per
                token, as in transformers with `early_stopping=True`.
            streamer: a function that gets the new tokens of all unfinished texts as soon as they are chosen. Not for beams.

        Raises: ValueError for a text that ends with padding, for more tokens than positions, and for beams with a
            temperature or a streamer.
        """
        check_beam_search(beams, alpha=1.0)
        if beams > 1 and (temperature or top_k is not None or top_p is not None or streamer is not None):
            raise ValueError("beam search chooses no token alone: leave out temperature, top_k, top_p and streamer")
        choose = sampler(temperature, top_k, top_p, seed)
        check_batch("input_ids", input_ids)
        keep = keep_mask(attention_mask, input_ids)
        rows_of_mask = keep.tolist()
        if not all(row[-1] for row in rows_of_mask):
            raise ValueError("a text ends with padding: pad on the left")
        has_padding = not all(map(all, rows_of_mask))
        check_max_new_tokens(max_new_tokens, self.config.max_position_embeddings - input_ids.shape[1] + 1)
        if eos_token_id is not None and eos_token_id not in range(self.config.vocab_size):
            raise ValueError(f"eos_token_id is {eos_token_id}, but must be None or an id below {self.config.vocab_size}")

        def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
            logits: Tensor = self(tokens, keep[rows] if has_padding and not cache.tokens else None, cache=cache).logits
            return logits[:, -1]

        def choose_and_stream(logits: Tensor) -> Tensor:
            chosen = choose(logits)
            if streamer is not None:
                streamer(chosen)
            return chosen

        if beams == 1:
            return greedy_search(step, input_ids, eos_token_id, max_new_tokens, choose_and_stream)
        found = beam_hypotheses(step, input_ids, eos_token_id, max_new_tokens, beams)
        return [max(each, key=lambda sequence: sequence.log_probability / len(sequence.tokens)) for each in found]

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        found, config = super().convert_weights(tensors, config, path)
        return {name: tensor for name, tensor in found.items() if not name.endswith(CAUSAL_MASKS)}, config
