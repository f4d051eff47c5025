"""Parameter-efficient fine-tuning: low-rank updates of a frozen matrix (LoRA), and bottleneck adapters.

Hu et al. 2021, section 4.1; Houlsby et al. 2019, section 2.1.
"""

import math
from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from minibert.equations.layers import gelu
from minibert.observe import observe


def lora_scale(alpha: float, rank: int, rank_stabilized: bool = False) -> float:
    r"""Compute the factor of a low-rank update. With it, the learning rate need not change with the rank.

    Eq: $$s = \frac{\alpha}{r}$$
    Source: Hu et al. 2021, section 4.1.
    Differs: with `rank_stabilized`, s = α / √r (rsLoRA, Kalajdzievski 2023, section 3.2), as peft with `use_rslora`. For large
        ranks, α / r makes the update too small to learn.
    Tests: tests/equations/test_adapters.py::TestLoraScale
    Lesson: lessons/12_transfer.py

    >>> lora_scale(alpha=16, rank=4), lora_scale(alpha=16, rank=4, rank_stabilized=True)
    (4.0, 8.0)
    """
    return alpha / math.sqrt(rank) if rank_stabilized else alpha / rank


def lora(
    x: Float[Tensor, "*batch width"],
    frozen: Callable[[Tensor], Tensor],
    a: Float[Tensor, "rank width"],
    b: Float[Tensor, "output rank"],
    scale: float = 1.0,
    dropout: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "*batch output"]:
    r"""Compute a frozen linear map plus a trained update of low rank.

    Eq: $$h = W_0 x + s\,B A x$$
    Source: Hu et al. 2021, equation 3, with the factor s = α/r of section 4.1 (`lora_scale`).
    Differs: the paper has no dropout here. Its code (loralib) and peft apply dropout to the input of the update, but not to the
        input of the frozen map.
    Steps:
        lora_update (*batch output): $$U = s\, x A^\top B^\top$$ The trained update of low rank.
    Tests: tests/equations/test_adapters.py::TestLora
    Lesson: lessons/12_transfer.py

    Args:
        frozen: the frozen map, W₀x. It may add a bias.
        a, b: the trained matrices. B is zero at the start of training, so that h = W₀x.
        dropout: dropout for the input of the update; None for none.

    >>> lora(torch.tensor([1.0, 2.0]), torch.relu, a=torch.tensor([[1.0, 1.0]]), b=torch.tensor([[10.0], [0.0]]), scale=2.0)
    tensor([61.,  2.])
    """
    dropped = x if dropout is None else dropout(x)
    update = observe("lora_update", scale * (dropped @ a.mT) @ b.mT)
    return frozen(x) + update


def lora_merged_weight(
    weight: Float[Tensor, "output width"],
    a: Float[Tensor, "rank width"],
    b: Float[Tensor, "output rank"],
    scale: float = 1.0,
) -> Float[Tensor, "output width"]:
    r"""Compute the matrix that has the effect of a frozen matrix and its update. With it, LoRA costs no time in use.

    Eq: $$W = W_0 + s\,B A$$
    Source: Hu et al. 2021, section 4.1 ("No Additional Inference Latency").
    Tests: tests/equations/test_adapters.py::TestLoraMergedWeight
    Lesson: lessons/12_transfer.py

    >>> lora_merged_weight(torch.eye(2), a=torch.tensor([[1.0, 1.0]]), b=torch.tensor([[10.0], [0.0]]), scale=2.0)
    tensor([[21., 20.],
            [ 0.,  1.]])
    """
    return weight + scale * (b @ a)


def bottleneck_adapter(
    hidden: Float[Tensor, "*batch width"],
    down: Float[Tensor, "width bottleneck"],
    down_bias: Float[Tensor, " bottleneck"],
    up: Float[Tensor, "bottleneck width"],
    up_bias: Float[Tensor, " width"],
    activation: Callable[[Tensor], Tensor] = gelu,
) -> Float[Tensor, "*batch width"]:
    r"""Project each token to a few features, apply an activation function, project back, and add the input.

    Eq: $$y = x + f(x W_{\mathrm{down}} + b_{\mathrm{down}})\,W_{\mathrm{up}} + b_{\mathrm{up}}$$
    Source: Houlsby et al. 2019, section 2.1 and figure 2, right.
    Differs: the paper does not name the activation function; GELU is that of its code (adapter-bert). The weights multiply
        from the right; `torch.nn.Linear` stores their transposes.
    Steps:
        bottleneck (*batch bottleneck): $$z = f(xW_{\mathrm{down}} + b_{\mathrm{down}})$$ The few features of the bottleneck.
    Tests: tests/equations/test_adapters.py::TestBottleneckAdapter
    Lesson: lessons/12_transfer.py

    >>> one, zero = torch.ones(2, 1), torch.zeros(1)
    >>> bottleneck_adapter(torch.tensor([1.0, 2.0]), one, zero, 10 * one.mT, torch.zeros(2), activation=torch.relu)
    tensor([31., 32.])
    """
    features = observe("bottleneck", activation(hidden @ down + down_bias))
    return hidden + features @ up + up_bias
