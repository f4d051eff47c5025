"""How weights are moved: one step of AdamW, how fast, and never too far.

Vaswani et al. 2017, section 5.3; Devlin et al. 2019, section A.2.

These are for reading and for checking. Training uses PyTorch's own optimizer and clipping, which tests hold equal to them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def adamw_step(
    parameter: Float[Tensor, "*shape"],
    gradient: Float[Tensor, "*shape"],
    mean: Float[Tensor, "*shape"],
    square: Float[Tensor, "*shape"],
    step: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = True,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    r"""Moves each weight about one learning rate against its usual gradient, however large that is, and shrinks it a little.

    Eq: $$\theta' = \theta - \eta\left(\frac{\hat m}{\sqrt{\hat v} + \varepsilon} + \lambda\theta\right), \qquad
        m' = \beta_1 m + (1 - \beta_1) g, \quad v' = \beta_2 v + (1 - \beta_2) g^2, \quad
        \hat m = \frac{m'}{1 - \beta_1^t}, \quad \hat v = \frac{v'}{1 - \beta_2^t}$$
    Source: Loshchilov and Hutter 2019, algorithm 2; Kingma and Ba 2015, algorithm 1.
    Differs: Loshchilov and Hutter multiply the direction by a rate α, and it and the decay by a schedule η; here, as in
        PyTorch and in Google's BERT code, one rate multiplies both. Google's code has no bias correction
        (`bias_correction=False`: the first step is then 3.16 times as large) and eps = 1e-6.
    Tests: tests/equations/test_optimization.py::TestAdamWStep

    Args:
        mean, square: m and v: running means of the gradient and of its square, zeros before the first step.
        step: t, from 1.

    Returns: the new parameter, mean and square; nothing is changed in place.

    Raises: ValueError for a step before the first.

    >>> parameter, gradient = torch.tensor([1.0, 1.0]), torch.tensor([250.0, -0.5])  # however large: one rate each
    >>> zeros = torch.zeros(2)
    >>> adamw_step(parameter, gradient, zeros, zeros, step=1, learning_rate=0.1, weight_decay=0.5)[0]
    tensor([0.8500, 1.0500])
    """
    if step < 1:
        raise ValueError(f"step is {step}: the first one is 1")
    beta_1, beta_2 = betas
    mean = beta_1 * mean + (1 - beta_1) * gradient
    square = beta_2 * square + (1 - beta_2) * gradient**2
    if bias_correction:
        direction = (mean / (1 - beta_1**step)) / (torch.sqrt(square / (1 - beta_2**step)) + eps)
    else:
        direction = mean / (torch.sqrt(square) + eps)
    return parameter - learning_rate * (direction + weight_decay * parameter), mean, square


def warmup_linear_schedule(step: int, steps: int, warmup: int) -> float:
    r"""What share of the full learning rate step number `step` has: rising in a straight line, then falling to zero.

    Eq: $$\eta_t = \min\!\left(\frac{t}{w},\; \frac{T - t + 1}{T - w}\right)$$
    Source: Devlin et al. 2019, section A.2 ("learning rate warmup over the first 10,000 steps, and linear decay").
    Differs: steps are counted from 1. Google's code and Hugging Face's count from 0, so that their first step is lost: its
        rate is 0. Google's decay also starts at step 0, under the warm-up.
    Tests: tests/equations/test_optimization.py::TestWarmupLinearSchedule

    Args:
        step: t, from 1; after `steps` the rate is 0.
        steps: T, in all.
        warmup: w, how many of them rise.

    >>> [warmup_linear_schedule(step, steps=6, warmup=2) for step in range(1, 8)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    rising = step / max(1, warmup)
    decay = (steps - step + 1) / max(1, steps - warmup)
    return max(0.0, min(rising, decay))


def noam_schedule(step: int, width: int, warmup: int = 4000) -> float:
    r"""The learning rate of the 2017 Transformer: rising in a straight line, then falling with the root of the step.

    Eq: $$\eta_t = d_{\mathrm{model}}^{-0.5} \cdot \min\!\left(t^{-0.5},\; t \cdot w^{-1.5}\right)$$
    Source: Vaswani et al. 2017, equation 3, with w = 4000.
    Differs: nothing; it is the rate itself, not a share of one. At step 0 it is 0.
    Tests: tests/equations/test_optimization.py::TestNoamSchedule

    >>> [f"{noam_schedule(step, width=512):.1e}" for step in (1, 2000, 4000, 16000)]
    ['1.7e-07', '3.5e-04', '7.0e-04', '3.5e-04']
    """
    return 0.0 if step == 0 else float(width**-0.5 * min(step**-0.5, step * warmup**-1.5))


def clip_by_global_norm(
    gradients: Sequence[Float[Tensor, "..."]], largest: float = 1.0
) -> tuple[list[Float[Tensor, "..."]], Float[Tensor, ""]]:
    r"""Shortens the gradient of all weights together to at most `largest`; its direction stays.

    Eq: $$g' = g \cdot \min\!\left(1, \frac{c}{\lVert g \rVert}\right), \qquad \lVert g \rVert^2 = \sum_k \lVert g_k \rVert^2$$
    Source: Pascanu et al. 2013, algorithm 1; Google's BERT code, with c = 1.
    Differs: PyTorch divides by the norm plus 1e-6, so that what is clipped comes out a little shorter than c.
    Tests: tests/equations/test_optimization.py::TestClipByGlobalNorm

    Returns: the new gradients, and the norm before clipping; nothing is changed in place.

    >>> clip_by_global_norm([torch.tensor([3.0]), torch.tensor([0.0, 4.0])])
    ([tensor([0.6000]), tensor([0.0000, 0.8000])], tensor(5.))
    """
    norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
    factor = (largest / norm).clamp(max=1.0)
    return [factor * gradient for gradient in gradients], norm
