"""One step of AdamW, learning-rate schedules, and gradient clipping.

Vaswani et al. 2017, section 5.3; Devlin et al. 2019, section A.2.

Training uses PyTorch's optimizer and clipping. The tests show that they equal the functions here.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from minibert.observe import observe
from minibert.precision import at_least_float32, in_single_precision


@in_single_precision
def adamw_step(
    parameter: Float[Tensor, "*shape"],
    gradient: Float[Tensor, "*shape"],
    first_moment: Float[Tensor, "*shape"],
    second_moment: Float[Tensor, "*shape"],
    step: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = True,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    r"""Compute one step of AdamW: Adam with decoupled weight decay.

    Eq: $$\theta' = \theta - \eta\left(\frac{\hat m}{\sqrt{\hat v} + \varepsilon} + \lambda\theta\right), \qquad
        m' = \beta_1 m + (1 - \beta_1) g, \quad v' = \beta_2 v + (1 - \beta_2) g^2, \quad
        \hat m = \frac{m'}{1 - \beta_1^t}, \quad \hat v = \frac{v'}{1 - \beta_2^t}$$
    Source: Loshchilov and Hutter 2019, algorithm 2; Kingma and Ba 2015, algorithm 1.
    Differs: Loshchilov and Hutter multiply the gradient term by a learning rate α, and both terms by a schedule η. Here, as
        in PyTorch and in Google's BERT code, one learning rate multiplies both. Google's code has no bias correction
        (`bias_correction=False`, which makes the first step 3.16 times as large) and eps = 1e-6.
    Steps:
        first_moment (*batch): $$m' = \beta_1 m + (1 - \beta_1) g$$ The running mean of the gradient.
        second_moment (*batch): $$v' = \beta_2 v + (1 - \beta_2) g^2$$ The running mean of the squared gradient.
        corrected_first_moment (*batch): $$\hat m = \frac{m'}{1 - \beta_1^t}$$ The running mean, larger in the first steps,
            because it began with zero.
        corrected_second_moment (*batch): $$\hat v = \frac{v'}{1 - \beta_2^t}$$ The running mean of the squares, larger in the
            first steps, because it began with zero.
        direction (*batch): $$u = \frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$ The gradient divided by its usual size: in the
            first step, its sign.
        uncorrected_direction (*batch): $$u = \frac{m'}{\sqrt{v'} + \varepsilon}$$ The gradient divided by its usual size,
            without bias correction: in the first step, 3.16 times its sign.
        updated_parameter (*batch): $$\theta' = \theta - \eta(u + \lambda\theta)$$ The parameter after a step against the
            gradient, and a small part towards zero (weight decay).
    Tests: tests/equations/test_optimization.py::TestAdamWStep
    Lesson: lessons/10_training.py

    Args:
        first_moment, second_moment: m and v: running means of the gradient and of its square; zeros before the first step.
        step: t, counted from 1.

    Returns: the new parameter, first moment and second moment. The inputs are not changed.

    Raises: ValueError if `step` is less than 1.

    >>> parameter, gradient = torch.tensor([1.0, 1.0]), torch.tensor([250.0, -0.5])  # steps of equal length
    >>> zeros = torch.zeros(2)
    >>> adamw_step(parameter, gradient, zeros, zeros, step=1, learning_rate=0.1, weight_decay=0.5)[0]
    tensor([0.8500, 1.0500])
    """
    if step < 1:
        raise ValueError(f"step is {step}: steps are counted from 1")
    beta_1, beta_2 = betas
    first_moment = observe("first_moment", beta_1 * first_moment + (1 - beta_1) * gradient)
    second_moment = observe("second_moment", beta_2 * second_moment + (1 - beta_2) * gradient**2)
    if bias_correction:
        corrected_first = observe("corrected_first_moment", first_moment / (1 - beta_1**step))
        corrected_second = observe("corrected_second_moment", second_moment / (1 - beta_2**step))
        direction = observe("direction", corrected_first / (torch.sqrt(corrected_second) + eps))
    else:
        direction = observe("uncorrected_direction", first_moment / (torch.sqrt(second_moment) + eps))
    updated = observe("updated_parameter", parameter - learning_rate * (direction + weight_decay * parameter))
    return updated, first_moment, second_moment


def warmup_linear_schedule(step: int, total_steps: int, warmup_steps: int) -> float:
    r"""Compute the learning-rate factor of a step: linear warm-up to 1, then linear decay to 0.

    Eq: $$\eta_t = \min\!\left(\frac{t}{w},\; \frac{T - t + 1}{T - w}\right)$$
    Source: Devlin et al. 2019, section A.2 ("learning rate warmup over the first 10,000 steps, and linear decay").
    Differs: steps are counted from 1. Google's code and Hugging Face count from 0, so their first step has factor 0 and
        changes nothing: their warm-up is one step behind. After it, Hugging Face's factors are the same as here. In Google's
        code the decay also starts at step 0, during the warm-up.
    Tests: tests/equations/test_optimization.py::TestWarmupLinearSchedule
    Lesson: lessons/10_training.py

    Args:
        step: t, counted from 1. After `total_steps` the factor is 0.
        total_steps: T.
        warmup_steps: w. If it is 0, there is no warm-up, and the factor is 1 in the first step.

    >>> [warmup_linear_schedule(step, total_steps=6, warmup_steps=2) for step in range(1, 8)]
    [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    warmup = step / max(1, warmup_steps)
    decay = (total_steps - step + 1) / max(1, total_steps - warmup_steps)
    return max(0.0, min(warmup, decay))


def noam_schedule(step: int, d_model: int, warmup_steps: int = 4000) -> float:
    r"""Compute the learning rate of the 2017 Transformer: linear warm-up, then decay with the inverse square root of the step.

    Eq: $$\eta_t = d_{\mathrm{model}}^{-0.5} \cdot \min\!\left(t^{-0.5},\; t \cdot w^{-1.5}\right)$$
    Source: Vaswani et al. 2017, equation 3, with w = 4000.
    Differs: at step 0, where the formula divides by zero, the learning rate is 0. The result is the learning rate itself,
        not a factor.
    Tests: tests/equations/test_optimization.py::TestNoamSchedule
    Lesson: lessons/10_training.py

    >>> [f"{noam_schedule(step, d_model=512):.1e}" for step in (1, 2000, 4000, 16000)]
    ['1.7e-07', '3.5e-04', '7.0e-04', '3.5e-04']
    """
    return 0.0 if step == 0 else float(d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5))


def clip_by_global_norm(
    gradients: Sequence[Float[Tensor, "..."]], max_norm: float = 1.0
) -> tuple[list[Float[Tensor, "..."]], Float[Tensor, ""]]:
    r"""Scale all gradients by one factor, so that their joint norm is at most `max_norm`.

    Eq: $$g' = g \cdot \min\!\left(1, \frac{c}{\lVert g \rVert}\right), \qquad \lVert g \rVert^2 = \sum_k \lVert g_k \rVert^2$$
    Source: Pascanu et al. 2013, algorithm 1; Google's BERT code, with c = 1.
    Differs: PyTorch divides by the norm plus 1e-6, so that a clipped gradient is slightly shorter than c.
    Tests: tests/equations/test_optimization.py::TestClipByGlobalNorm
    Lesson: lessons/10_training.py

    Returns: the new gradients, and the norm before clipping. The inputs are not changed.

    >>> clip_by_global_norm([torch.tensor([3.0]), torch.tensor([0.0, 4.0])])
    ([tensor([0.6000]), tensor([0.0000, 0.8000])], tensor(5.))
    """
    norm = torch.stack([at_least_float32(gradient).square().sum() for gradient in gradients]).sum().sqrt()
    factor = (max_norm / norm).clamp(max=1.0)
    return [factor * gradient for gradient in gradients], norm
