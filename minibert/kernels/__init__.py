"""The same formulas, fast. Each function here equals its equation, which a test proves for values and gradients.

The rule is one: while nobody records, the fast form runs; while somebody does, the equation, so that there is something
to look into.
"""

from minibert.kernels.attention import Attention, AttentionFunction, check_attention, choose_attention, fused_attention
from minibert.kernels.layers import gelu, gelu_tanh, layer_norm
from minibert.kernels.objectives import label_smoothing_loss

__all__ = [
    "Attention",
    "AttentionFunction",
    "check_attention",
    "choose_attention",
    "fused_attention",
    "gelu",
    "gelu_tanh",
    "label_smoothing_loss",
    "layer_norm",
]
