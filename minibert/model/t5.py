"""T5: text to text, by an encoder and a decoder (Raffel et al. 2020)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from minibert.kernels import AttentionImplementation
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import ModelConfig
from minibert.model.encoder_decoder import EncoderDecoder
from minibert.model.linear import Linear
from minibert.model.t5_config import MT5Config, T5Config
from minibert.model.t5_layers import BucketPositions, GatedFeedForward, T5Attention, T5Decoder, T5Encoder, T5FeedForward
from minibert.observe import observe

SUBLAYERS = {
    "encoder": {"attention": "layer.0.SelfAttention", "feed_forward": "layer.1.DenseReluDense"},
    "decoder": {
        "attention": "layer.0.SelfAttention",
        "cross_attention": "layer.1.EncDecAttention",
        "feed_forward": "layer.2.DenseReluDense",
    },
}
"""The sublayers of a layer, and their modules in a block of transformers."""
PARTS = {
    "attention": {"query": "q", "key": "k", "value": "v", "output": "o"},
    "cross_attention": {"query": "q", "key": "k", "value": "v", "output": "o"},
    "feed_forward": {"intermediate": "wi", "gate": "wi_0", "up": "wi_1", "output": "wo"},
}
"""The linear maps of the sublayers."""
RELATIVE_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"
UNUSED_BIAS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""A tensor of the first published files, which no library uses."""


def _sublayer_modules() -> dict[str, str]:
    """Return our sublayers, such as `encoder.layers.N.attention`, and their modules in transformers."""
    return {
        f"{side}.layers.N.{ours}": f"{side}.block.N.{theirs}"
        for side, sublayers in SUBLAYERS.items()
        for ours, theirs in sublayers.items()
    }


def _names() -> NameTable:
    table = {"words": "shared", "output": "lm_head"}
    for ours, theirs in _sublayer_modules().items():
        parts = PARTS[ours.rpartition(".")[2]]
        table |= {f"{ours}.{part}": f"{theirs}.{name}" for part, name in parts.items()}
        table[f"{ours}_norm"] = f"{theirs.rpartition('.')[0]}.layer_norm"
    for side in SUBLAYERS:
        table |= {f"{side}.words": f"{side}.embed_tokens", f"{side}.norm": f"{side}.final_layer_norm"}
        table[f"{side}.positions.table.weight"] = f"{side}.block.0.{RELATIVE_BIAS}"
    also = {f"{side}.block.N.{RELATIVE_BIAS}": f"{side}.positions.table.weight" for side in SUBLAYERS}
    return NameTable(table, also=also)


def _reference_stages() -> dict[str, str]:
    stages = {"logits": "lm_head"}
    for side in SUBLAYERS:
        stages |= {
            f"{side}.embeddings.words": f"{side}.embed_tokens",
            f"{side}.embeddings.sum": f"<{side}.block.0",
            f"{side}.layers.N.output": f"{side}.block.N",
            f"{side}.norm": f"{side}.final_layer_norm",
        }
    for ours, theirs in _sublayer_modules().items():
        before, _, sublayer = ours.rpartition(".")
        stages[f"{ours}_norm"] = f"{theirs.rpartition('.')[0]}.layer_norm"
        if sublayer == "feed_forward":
            for step, module in {"intermediate": "wi", "gate": "wi_0", "up": "wi_1", "activation": "act"}.items():
                stages[f"{before}.{step}"] = f"{theirs}.{module}"
            stages[f"{before}.feed_forward"] = f"{theirs}.wo"
        else:
            stages[f"{ours}.output"] = f"{theirs}.o"
            number = int(theirs.split(".layer.")[1][0])
            stages[f"{ours}_residual"] = f"<{before.replace('layers', 'block')}.layer.{number + 1}.layer_norm"
    return stages


class T5ForConditionalGeneration(EncoderDecoder):
    r"""T5: every task is text to text. A source, such as a question, becomes a target, such as an answer.

    The encoder and the decoder are those of the Transformer in pre-norm order, with the parts of `t5_layers`. All layers of
    one side share the learned numbers for distances. A text may have any length.

    Args:
        config: the sizes; of the first T5, or of T5 1.1 with gates and an output matrix of its own.
        attention: "auto", "explicit", "fused" or a function; see `set_attention`. "triton" is refused.

    Source: Raffel et al. 2020, section 2.1; the initial weights are those of the authors' code (Mesh TensorFlow).
    Differs: an output matrix of its own has the standard deviation 1/√d_model, so that the first scores are not large.
    Steps:
        scaled_output (batch tokens width): $$y' = \frac{y}{\sqrt{d}}$$ The output of the decoder divided by √d_model,
            because the word embeddings are large.

    >>> config = T5Config(hidden_size=20, num_attention_heads=3, head_width=4, intermediate_size=32, vocab_size=50)
    >>> model = T5ForConditionalGeneration(config)
    >>> model(torch.tensor([[5, 6, 7, 1]]), decoder_input_ids=torch.tensor([[0, 8]])).logits.shape
    torch.Size([1, 2, 50])
    """

    architecture = "T5ForConditionalGeneration"
    config_class = T5Config
    config: T5Config
    names = _names()
    reference_stages: ClassVar[Mapping[str, str]] = _reference_stages()
    attention_modules: ClassVar[Mapping[str, str]] = {
        ours: theirs for ours, theirs in _sublayer_modules().items() if ours.endswith("attention")
    }

    def __init__(self, config: T5Config, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.encoder = T5Encoder(config, attention)
        self.decoder = T5Decoder(config, attention)
        self.output = None if config.tie_word_embeddings else Linear(config.hidden_size, config.vocab_size, bias=False)
        self._initialize()

    def _initialize(self) -> None:
        """Draw the initial weights. Each map keeps the size of its input, and attention begins without a scale."""
        deviations: dict[nn.Embedding | nn.Linear, float] = {self.words: 1.0}
        width = self.config.hidden_size**-0.5
        for module in self.modules():
            if isinstance(module, T5Attention):
                deviations |= dict.fromkeys((module.key, module.value), width)
                deviations[module.query] = width * self.config.head_width**-0.5
                deviations[module.output] = module.output.in_features**-0.5
            elif isinstance(module, T5FeedForward | GatedFeedForward):
                deviations |= {each: each.in_features**-0.5 for each in module.children() if isinstance(each, nn.Linear)}
            elif isinstance(module, BucketPositions):
                deviations[module.table] = width
        if self.output is not None:
            deviations[self.output] = width
        for each, deviation in deviations.items():
            nn.init.normal_(each.weight, std=self.config.initializer_range * deviation)

    @property
    def output_matrix(self) -> Tensor:
        """The matrix of the output layer: the word embeddings, or a matrix of its own."""
        return self.words.weight if self.output is None else self.output.weight

    def _decode(self, *args: Any) -> Tensor:
        hidden = super()._decode(*args)
        if not self.config.scale_decoder_outputs:
            return hidden
        return observe("scaled_output", hidden * self.config.hidden_size**-0.5)

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        """As in `PretrainedModel`. Raises: ValueError for an encoder and a decoder with other embeddings."""
        used = {name: tensor for name, tensor in tensors.items() if name != UNUSED_BIAS}
        found, config = super().convert_weights(used, config, path)
        if others := [f"{side}.words.weight" for side in SUBLAYERS if f"{side}.words.weight" in found]:
            raise ValueError(f"{path}: {cls.names.theirs(others[0])} differs from shared.weight, which is not supported")
        return found, config


class MT5ForConditionalGeneration(T5ForConditionalGeneration):
    """mT5 (Xue et al. 2021): T5 1.1 for many languages."""

    architecture = "MT5ForConditionalGeneration"
    config_class = MT5Config
    config: MT5Config
