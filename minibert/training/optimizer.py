"""The optimizer (AdamW) and the learning-rate schedules."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from minibert.equations import noam_schedule, warmup_linear_schedule
from minibert.model.checkpoints.names import without_wrappers


def adamw(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    learning_rate_factors: Mapping[str, float] | None = None,
    eps: float = 1e-8,
) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019) with weight decay on matrices and embeddings, but not on biases and norm gains.

    Frozen parameters, whose `requires_grad` is False, are left out.

    Args:
        learning_rate_factors: for single parameters, by name: a factor on the learning rate. The names are those of the model
            itself, without the names of wrappers such as DistributedDataParallel.

    Differs: Google's BERT code leaves out Adam's bias correction and uses eps = 1e-6. This is PyTorch's AdamW, with the
        correction and the eps of Kingma and Ba, 1e-8.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay if parameter.ndim >= 2 else 0.0
        factor = (learning_rate_factors or {}).get(without_wrappers(name), 1.0)
        groups.setdefault((factor, decay), []).append(parameter)
    return AdamW(
        [
            {"params": parameters, "lr": factor * learning_rate, "weight_decay": decay}
            for (factor, decay), parameters in groups.items()
        ],
        lr=learning_rate,
        betas=betas,
        eps=eps,
        fused=True,
    )


def update(optimizer: Optimizer, if_finite: Sequence[Tensor]) -> None:
    """Update the weights, unless one of these numbers is infinite or NaN.

    A fused optimizer decides on the device, so that the host need not wait for the numbers. Others get no gradients instead.
    """
    is_finite = torch.stack([number.double().isfinite().all() for number in if_finite]).all()
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]  # as torch.amp.GradScaler does
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]
        return
    if not is_finite:
        optimizer.zero_grad()  # a parameter without a gradient is not updated
    optimizer.step()


def warmup_linear(optimizer: Optimizer, steps: int, warmup_fraction: float = 0.1) -> LambdaLR:
    """Linear warm-up to the optimizer's learning rate, then linear decay to zero (Devlin et al. 2019, section A.2).

    Args:
        steps: number of optimizer updates in the whole run.
        warmup_fraction: share of the steps used for warm-up. If it is above 0, the warm-up has at least one step.
    """
    warmup_steps = _warmup_steps(warmup_fraction, steps)
    return LambdaLR(optimizer, lambda done: warmup_linear_schedule(done + 1, steps, warmup_steps))


def warmup_constant(optimizer: Optimizer, steps: int, warmup_fraction: float = 0.1) -> LambdaLR:
    """Linear warm-up to the optimizer's learning rate, which then stays as it is. The arguments are those of `warmup_linear`.

    This is transformers' `constant_with_warmup`, except that the warm-up is counted from 1.
    """
    warmup_steps = _warmup_steps(warmup_fraction, steps)
    return LambdaLR(optimizer, lambda done: min(1.0, (done + 1) / max(1, warmup_steps)))


def _warmup_steps(warmup_fraction: float, steps: int) -> int:
    return max(1, round(warmup_fraction * steps)) if warmup_fraction else 0


def noam(optimizer: Optimizer, width: int, warmup_steps: int, linear_decay_steps: int | None = None) -> LambdaLR:
    """The schedule of the 2017 Transformer (Vaswani et al. 2017, equation 3), times the optimizer's learning rate.

    Args:
        width: hidden size of the model.
        linear_decay_steps: for linear decay after warm-up, the step at which the learning rate is zero. None for the decay
            of the paper, with the inverse square root of the step.
    """
    if linear_decay_steps is None:
        return LambdaLR(optimizer, lambda done: noam_schedule(done + 1, width, warmup_steps))
    peak = noam_schedule(warmup_steps, width, warmup_steps)
    return LambdaLR(optimizer, lambda done: peak * warmup_linear_schedule(done + 1, linear_decay_steps, warmup_steps))
