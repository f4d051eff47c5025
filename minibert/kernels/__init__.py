"""The same formulas, fast. Each function here equals its equation, which a test proves for values and gradients.

The rule is one: while nobody records, the fast form runs; while somebody does, the equation, so that there is something
to look into.
"""

from minibert.kernels.attention import ATTENTIONS, AttentionFunction, choose_attention, fused_attention
from minibert.kernels.layers import gelu, layer_norm

__all__ = ["ATTENTIONS", "AttentionFunction", "choose_attention", "fused_attention", "gelu", "layer_norm"]
