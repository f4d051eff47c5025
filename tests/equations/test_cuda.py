"""The equations on a CUDA device give the same results as on the CPU, on the same device as their inputs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from minibert import equations
from tests.strategies import normal

KEEP = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
LABELS = torch.tensor([2, equations.IGNORE_INDEX, 0])
X = normal(0, 3, 4)
CALLS: dict[str, Callable[..., Any]] = {
    "softmax": lambda to: equations.softmax(to(X)),
    "padding_mask": lambda to: equations.padding_mask(to(torch.tensor([1, 3])), 3),
    "scaled_dot_product_attention": lambda to: equations.scaled_dot_product_attention(to(X), to(X), to(X), to(KEEP)),
    "online_softmax_attention": lambda to: equations.online_softmax_attention(to(X), to(X), to(X), to(KEEP), block_size=2),
    "sinusoidal_positions": lambda to: equations.sinusoidal_positions(to(X[0]), 6),
    "positions_without_padding": lambda to: equations.positions_without_padding(to(torch.tensor([[2, 0, 1]])), 1),
    "patches": lambda to: equations.patches(to(normal(0, 2, 4, 6)), 2, 3),
    "learned_positions": lambda to: equations.learned_positions(to(X), to(torch.tensor([2, 0]))),
    "rotary_positions": lambda to: equations.rotary_positions(to(X), to(X[:, 0])),
    "alibi_bias": lambda to: equations.alibi_bias(to(X[0]), to(X[1]), 3),
    "relative_position_buckets": lambda to: equations.relative_position_buckets(
        to(torch.arange(3)), to(torch.arange(0, 200, 7)), 8, 50
    ),
    "top_k_filter": lambda to: equations.top_k_filter(to(X), 2).exp(),
    "top_p_filter": lambda to: equations.top_p_filter(to(X), 0.7).exp(),
    "layer_norm": lambda to: equations.layer_norm(to(X), to(X[0]), to(X[1])),
    "rms_norm": lambda to: equations.rms_norm(to(X), to(X[0])),
    "gelu": lambda to: equations.gelu(to(X)),
    "gelu_tanh": lambda to: equations.gelu_tanh(to(X)),
    "masked_lm_loss": lambda to: equations.masked_lm_loss(to(X), to(LABELS)),
    "label_smoothing_loss": lambda to: equations.label_smoothing_loss(to(X), to(LABELS)),
    "binary_cross_entropy": lambda to: equations.binary_cross_entropy(to(X), to(X)),
    "sample_tokens": lambda to: equations.sample_tokens(to(X), to(X[:, 0].sigmoid())),
    "replaced_token_labels": lambda to: equations.replaced_token_labels(to(LABELS), to(LABELS + 1), to(LABELS > 0)),
    "replaced_token_loss": lambda to: equations.replaced_token_loss(to(X[:, 0]), to(LABELS.clamp(max=1))),
    "electra_loss": lambda to: equations.electra_loss(to(X[0, 0]), to(X[0, 1])),
    "soft_target_loss": lambda to: equations.soft_target_loss(to(X), to(X.flip(0))),
    "cosine_loss": lambda to: equations.cosine_loss(to(X), to(X.flip(0))),
    "unigram_entropy": lambda to: equations.unigram_entropy(to(torch.tensor([0, 1, 1])), to(torch.tensor([1, 2])), 3),
    "bigram_entropy": lambda to: equations.bigram_entropy(to(torch.tensor([0, 1, 1])), to(torch.tensor([0, 1, 2])), 3),
    "adamw_step": lambda to: equations.adamw_step(to(X), to(X), to(X), to(X * X), 2, 0.1)[0],
    "clip_by_global_norm": lambda to: equations.clip_by_global_norm([to(X), to(X[0])])[0][0],
}


@pytest.mark.cuda
@pytest.mark.parametrize("name", CALLS)
def test_cuda_equals_cpu(name: str) -> None:
    """The results are equal up to rounding in float64."""
    out: Tensor = CALLS[name](lambda x: x.cuda())
    assert out.is_cuda
    torch.testing.assert_close(out.cpu(), CALLS[name](lambda x: x))
