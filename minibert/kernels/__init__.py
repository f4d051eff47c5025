"""Fast implementations of equations. Tests hold each equal to its equation, for values and gradients.

They all follow one rule: the equation runs during a recording, so that its intermediate tensors are observed; the fast
implementation runs otherwise.
"""

from minibert.kernels.attention import (
    AttentionFunction,
    AttentionImplementation,
    check_attention,
    choose_attention,
    fused_attention,
    unfused_attention,
)
from minibert.kernels.flash import flash_attention, ragged_flash_attention
from minibert.kernels.layers import gelu, gelu_tanh, layer_norm
from minibert.kernels.memory import activated_linear, dropout
from minibert.kernels.objectives import linear_cross_entropy, linear_label_smoothing_loss
from minibert.kernels.products import linear
from minibert.kernels.ragged import Sequences, pad, ragged_attention, select_outputs, unpad, worthwhile_sequences

__all__ = [
    "AttentionFunction",
    "AttentionImplementation",
    "Sequences",
    "activated_linear",
    "check_attention",
    "choose_attention",
    "dropout",
    "flash_attention",
    "fused_attention",
    "gelu",
    "gelu_tanh",
    "layer_norm",
    "linear",
    "linear_cross_entropy",
    "linear_label_smoothing_loss",
    "pad",
    "ragged_attention",
    "ragged_flash_attention",
    "select_outputs",
    "unfused_attention",
    "unpad",
    "worthwhile_sequences",
]
