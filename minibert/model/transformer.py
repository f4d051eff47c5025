"""The encoder-decoder Transformer (Vaswani et al. 2017)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from minibert.kernels import AttentionImplementation
from minibert.model.checkpoints.names import NameTable
from minibert.model.config import ModelConfig
from minibert.model.encoder_decoder import EncoderDecoder
from minibert.model.position_tables import MAX_TABLE, POSITION_TABLES, is_constant, marian_sinusoids, sinusoids
from minibert.model.stacks import Decoder, Encoder
from minibert.model.transformer_config import TransformerConfig


class Transformer(EncoderDecoder):
    r"""The encoder-decoder of Vaswani et al. 2017: from token ids of a source and a target to scores of the next target token.

    Source, target and output share one embedding matrix (section 3.4). Embeddings are multiplied by √d_model.

    Args:
        config: the sizes; `TRANSFORMERS` has the published ones.
        attention: "auto", "explicit", "fused", "triton" or a function; see `set_attention`.

    Differs: `config.pre_norm` moves normalization before the sublayers (see `EncoderLayer`). Linear layers are initialized
        as in PyTorch's `nn.Transformer` (Glorot and Bengio 2010), embeddings with variance 1/d_model as in tensor2tensor;
        the paper does not say. Padding before a token counts in its position, as in MarianMT: pad on the right.
        The embedding of the padding piece has no gradient from the inputs, also if it is the first token of the decoder input.

    >>> from minibert import TRANSFORMERS
    >>> model = Transformer(TRANSFORMERS["tiny"])
    >>> model(torch.tensor([[5, 6, 7]]), decoder_input_ids=torch.tensor([[2, 8]])).logits.shape
    torch.Size([1, 2, 37000])
    """

    architecture = "MarianMTModel"
    config_class = TransformerConfig
    config: TransformerConfig
    names = NameTable(
        {
            "words": "shared",
            "encoder.words": "encoder.embed_tokens",
            "decoder.words": "decoder.embed_tokens",
            "output": "lm_head",
            **{
                f"{side}.{ours}": f"{side}.{theirs}"
                for side in ("encoder", "decoder")
                for ours, theirs in {
                    "positions.table": "embed_positions",
                    "layers.N.attention.query": "layers.N.self_attn.q_proj",
                    "layers.N.attention.key": "layers.N.self_attn.k_proj",
                    "layers.N.attention.value": "layers.N.self_attn.v_proj",
                    "layers.N.attention.output": "layers.N.self_attn.out_proj",
                    "layers.N.attention_norm": "layers.N.self_attn_layer_norm",
                    "layers.N.cross_attention.query": "layers.N.encoder_attn.q_proj",
                    "layers.N.cross_attention.key": "layers.N.encoder_attn.k_proj",
                    "layers.N.cross_attention.value": "layers.N.encoder_attn.v_proj",
                    "layers.N.cross_attention.output": "layers.N.encoder_attn.out_proj",
                    "layers.N.cross_attention_norm": "layers.N.encoder_attn_layer_norm",
                    "layers.N.feed_forward.intermediate": "layers.N.fc1",
                    "layers.N.feed_forward.output": "layers.N.fc2",
                    "layers.N.feed_forward_norm": "layers.N.final_layer_norm",
                    "norm": "layer_norm",
                }.items()
            },
        },
        their_prefix="model.",
        outside_base_model=("output",),
    )
    reference_stages: ClassVar[Mapping[str, str]] = {
        # `embeddings.words` is missing: transformers scales the embeddings outside of any module.
        "encoder.embeddings.sum": "<encoder.layers.0",
        "decoder.embeddings.sum": "<decoder.layers.0",
        **{
            f"{side}.{ours}": theirs.replace("layers", f"{side}.layers")
            for side in ("encoder", "decoder")
            for ours, theirs in {
                "layers.N.attention.output": "layers.N.self_attn.out_proj",
                "layers.N.attention_residual": "<layers.N.self_attn_layer_norm",
                "layers.N.attention_norm": "layers.N.self_attn_layer_norm",
                "layers.N.intermediate": "layers.N.fc1",
                "layers.N.activation": "layers.N.activation_fn",
                "layers.N.feed_forward": "layers.N.fc2",
                "layers.N.output": "layers.N.final_layer_norm",
            }.items()
        },
        "decoder.layers.N.cross_attention.output": "decoder.layers.N.encoder_attn.out_proj",
        "decoder.layers.N.cross_attention_residual": "<decoder.layers.N.encoder_attn_layer_norm",
        "decoder.layers.N.cross_attention_norm": "decoder.layers.N.encoder_attn_layer_norm",
        "logits": "lm_head",
    }
    attention_modules: ClassVar[Mapping[str, str]] = {
        "encoder.layers.N.attention": "encoder.layers.N.self_attn",
        "decoder.layers.N.attention": "decoder.layers.N.self_attn",
        "decoder.layers.N.cross_attention": "decoder.layers.N.encoder_attn",
    }

    def __init__(self, config: TransformerConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.encoder = Encoder(config, config.encoder_layers, config.positions, config.pre_norm, attention)
        self.decoder = Decoder(config, config.decoder_layers, config.positions, config.pre_norm, attention)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=config.hidden_size**-0.5)

    @classmethod
    def convert_weights(
        cls, tensors: Mapping[str, Tensor], config: ModelConfig, path: Path
    ) -> tuple[dict[str, Tensor], ModelConfig]:
        """As in `PretrainedModel`. Raises: ValueError for a MarianMT with a bias in its output layer."""
        if (bias := tensors.get("final_logits_bias")) is not None and bias.any():
            raise ValueError(f"{path}: final_logits_bias is not zero, which is not supported")
        tensors = {name: tensor for name, tensor in tensors.items() if name != "final_logits_bias"}
        found, config = super().convert_weights(tensors, config, path)
        assert isinstance(config, TransformerConfig)
        if config.positions == "sinusoidal":
            found = {name: tensor for name, tensor in found.items() if name not in POSITION_TABLES}
        elif config.positions == "learned" and not any(table in found for table in POSITION_TABLES):
            # MarianMT computes its table when it is loaded.
            if config.hidden_size % 2:
                raise ValueError(f"{path}: has no position tables, and an odd d_model, {config.hidden_size}, has no sinusoids")
            if config.max_position_embeddings * config.hidden_size > MAX_TABLE:
                raise ValueError(f"{path}: has no position tables, and max_position_embeddings of config.json is too large")
            found |= {table: marian_sinusoids(config) for table in POSITION_TABLES}
        return found, config

    @classmethod
    def export_weights(cls, weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
        """As in `PretrainedModel`, with our table of sinusoids for MarianMT, whose own has another order of columns.

        transformers uses the table when it loads the file, but omits it when it saves the model again.
        """
        assert isinstance(config, TransformerConfig)
        if config.is_marian and config.positions == "sinusoidal":
            table = sinusoids(config).to(weights["words.weight"].dtype)
            weights = dict(weights) | {name: table.clone() for name in POSITION_TABLES}
        return super().export_weights(weights, config)

    def freeze_constants(self) -> None:
        """As in MarianMT, a table of sinusoids is not trained. A table that was learned is."""
        if self.config.positions != "learned":
            return
        for name in POSITION_TABLES:
            table = self.get_parameter(name)
            table.requires_grad_(not is_constant(table, self.config))

    def _embed(self, ids: Tensor) -> Tensor:
        words: Tensor = super()._embed(ids) * math.sqrt(self.config.hidden_size)
        return words
