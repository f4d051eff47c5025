"""The formulas of the papers as pure functions of tensors, without parameters, files, devices or configs."""

from minibert.equations.adapters import bottleneck_adapter, lora, lora_merged_weight, lora_scale
from minibert.equations.attention import (
    causal_mask,
    merge_heads,
    multi_head_attention,
    online_softmax_attention,
    padding_mask,
    scaled_dot_product_attention,
    softmax,
    split_heads,
)
from minibert.equations.distillation import cosine_loss, soft_target_loss
from minibert.equations.generation import length_penalty, top_k_filter, top_p_filter
from minibert.equations.layers import add_and_norm, feed_forward, gelu, gelu_tanh, layer_norm, relu, rms_norm
from minibert.equations.objectives import (
    IGNORE_INDEX,
    bigram_entropy,
    binary_cross_entropy,
    cross_entropy,
    label_smoothing_loss,
    masked_lm_loss,
    next_sentence_loss,
    perplexity,
    unigram_entropy,
)
from minibert.equations.optimization import adamw_step, clip_by_global_norm, noam_schedule, warmup_linear_schedule
from minibert.equations.patches import patches
from minibert.equations.positions import (
    alibi_bias,
    learned_positions,
    positions_without_padding,
    relative_position_buckets,
    rotary_positions,
    sinusoidal_positions,
)
from minibert.equations.replaced_tokens import electra_loss, replaced_token_labels, replaced_token_loss, sample_tokens

__all__ = [
    "IGNORE_INDEX",
    "adamw_step",
    "add_and_norm",
    "alibi_bias",
    "bigram_entropy",
    "binary_cross_entropy",
    "bottleneck_adapter",
    "causal_mask",
    "clip_by_global_norm",
    "cosine_loss",
    "cross_entropy",
    "electra_loss",
    "feed_forward",
    "gelu",
    "gelu_tanh",
    "label_smoothing_loss",
    "layer_norm",
    "learned_positions",
    "length_penalty",
    "lora",
    "lora_merged_weight",
    "lora_scale",
    "masked_lm_loss",
    "merge_heads",
    "multi_head_attention",
    "next_sentence_loss",
    "noam_schedule",
    "online_softmax_attention",
    "padding_mask",
    "patches",
    "perplexity",
    "positions_without_padding",
    "relative_position_buckets",
    "relu",
    "replaced_token_labels",
    "replaced_token_loss",
    "rms_norm",
    "rotary_positions",
    "sample_tokens",
    "scaled_dot_product_attention",
    "sinusoidal_positions",
    "soft_target_loss",
    "softmax",
    "split_heads",
    "top_k_filter",
    "top_p_filter",
    "unigram_entropy",
    "warmup_linear_schedule",
]
