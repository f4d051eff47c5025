"""How the weights are moved: AdamW, a learning rate that rises and then falls. Devlin et al. 2019, section A.2."""

from collections.abc import Mapping

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from minibert.equations import noam_schedule, warmup_linear_schedule


def adamw(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    learning_rate_factors: Mapping[str, float] | None = None,
    eps: float = 1e-8,
) -> AdamW:
    """AdamW (Loshchilov and Hutter 2019), which shrinks matrices and embeddings, but no bias and no LayerNorm gain.

    Args:
        faster: by parameter name, how many times the learning rate it has.

    Differs: Google's BERT code leaves out Adam's bias correction and adds eps = 1e-6; this is PyTorch's own AdamW, with
        the correction and Kingma and Ba's 1e-8.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = weight_decay if parameter.ndim >= 2 else 0.0
        groups.setdefault(((learning_rate_factors or {}).get(name, 1.0), decay), []).append(parameter)
    return AdamW(
        [
            {"params": parameters, "lr": times * learning_rate, "weight_decay": decay}
            for (times, decay), parameters in groups.items()
        ],
        lr=learning_rate,
        betas=betas,
        eps=eps,
        fused=True,
    )


def warmup_linear(optimizer: Optimizer, steps: int, warmup: float = 0.1) -> LambdaLR:
    """Raises the learning rate over the first `warmup` share of all `steps`, then lowers it in a straight line to zero."""
    rising = max(1, round(warmup * steps))
    return LambdaLR(optimizer, lambda done: warmup_linear_schedule(done + 1, steps, rising))


def noam(optimizer: Optimizer, width: int, warmup: int, ends: int | None = None) -> LambdaLR:
    """The learning rate of the 2017 Transformer, times that of the optimizer (Vaswani et al. 2017, equation 3).

    Args:
        ends: the step at which it is to be zero: it then falls in a straight line, not with the root of the step.
    """
    if ends is None:
        return LambdaLR(optimizer, lambda done: noam_schedule(done + 1, width, warmup))
    highest = noam_schedule(warmup, width, warmup)
    return LambdaLR(optimizer, lambda done: highest * warmup_linear_schedule(done + 1, ends, warmup))
