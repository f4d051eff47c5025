"""The formulas of the papers: pure functions of tensors, without parameters, files, devices or configurations."""

from minibert.equations.attention import merge_heads, scaled_dot_product_attention, softmax, split_heads
from minibert.equations.layers import feed_forward, gelu, layer_norm, relu
from minibert.equations.objectives import IGNORED, cross_entropy, masked_lm_loss, next_sentence_loss

__all__ = [
    "IGNORED",
    "cross_entropy",
    "feed_forward",
    "gelu",
    "layer_norm",
    "masked_lm_loss",
    "merge_heads",
    "next_sentence_loss",
    "relu",
    "scaled_dot_product_attention",
    "softmax",
    "split_heads",
]
