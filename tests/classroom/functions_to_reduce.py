"""Functions for the test of their reduction."""

import torch
from torch import Tensor, nn

from minibert.checks import check_number
from minibert.observe import observe


def unwrapped(function):
    return function


def with_comments(x, causal=False):
    """Docstring."""
    # the first line is kept as it is written
    y = x + 1_000

    # and this comment

    if causal:
        y = y.tril()
    return y


def is_none(x, mask=None):
    scores = x if mask is None else x.masked_fill(mask, 0)
    if mask is not None:
        scores = scores - 1
    else:
        scores = scores + 1
        scores = scores * 2
    return scores


def tail_of_a_branch(x, scale=None):
    if scale is None:
        scale = x.shape[-1] ** -0.5
        x = x * scale
    return x


def same_in_both_branches(x, flag, n=1):
    return half(1 if flag else n) * (n if flag else 1)


def branches(x, n=2, flag=True):
    if flag:
        x = x * n
    else:
        m = 1
    m = n
    if x.ndim < 2:
        x.add_(n)
        half(x)
    return x[..., n] + Tensor(n) + (x * n if flag else m)


WEIGHTS = [1.0, 2.0]


def weighted(x, weights=WEIGHTS):
    return x * weights


def names_observed(x):
    y = observe("y", observe("x", x) + 1)
    return observe("z", y)


def checked(x, y):
    check_number("x", x)
    if x.ndim != 2:
        raise ValueError("two axes")
    x.add_(y)
    return x


def raises_or_returns(x, n=2):
    if n < 2:
        raise ValueError("two")
    if x.ndim < 2:
        raise ValueError("two")
    elif x.ndim > 2:  # noqa: RET506
        x = x[0]
    return x


def loops(x, hook=None):
    for row in x:
        if hook is not None:
            hook(row)
    for row in x:
        row += 1
    return x


def assigned_known(x, pair=(2, 0.5), eps=0.0):
    n, p = pair
    small: float = eps
    total: float
    total = x.sum()
    return total * n + p - small


def stored_twice(x, n=2):
    m = n
    m += 1
    for k in range(n):
        m = m + k
    return m * x


def same_name(x, flag=False):
    y = x + 1 if flag else x
    x = x.relu() if flag else x
    return x + y


def attributes(x, dtype=torch.float64):
    return x.double() if dtype.is_floating_point else x


def none_arguments(x, out, dtype=None, dim=-1):
    return x.sum(dim, keepdim=None, out=out, dtype=dtype)


def unchanged(x):
    return x


def activated(x, activation=unchanged):
    return activation(x) + 1


def imported(x, activation=nn.functional.relu, numbers=(1, 2)):
    return activation(x) + sum(numbers)


def half(n, by=2):
    return n / by


def computed(x, n=3):
    return x * half(n)


def shifted(x, by, scale=1.0, reverse=False):
    return x * scale - by if reverse else x * scale + by


def calls_twice(x, n=2):
    return shifted(x, n) + shifted(x, 1, scale=2.0, reverse=False) + shifted(x, by=n, reverse=True) + shifted(x, n)


def calls_with_star(x, n=2):
    return shifted(*x, n)


@unwrapped
@torch.no_grad()
def decorated(x: Tensor, n: int = 2) -> Tensor:
    """Docstring."""
    if n != 2:
        x *= n


def chained(x, n=2, m=3):
    if 1 < n < m:
        x = x + 1
    if n < x.ndim:
        x = x + 2
    if not 1 < 2:
        x = x + 3
    return x


def kept_call(x, n=2, one=1.0, off=False):
    return shifted(x, n, one, off) + shifted(x, n, n)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.dropout, self.eps, self.activation = None, 0.5, torch.tanh

    def forward(self, x, flag=False):
        """Docstring."""
        x = self.linear(x) if self.dropout is None else self.dropout(self.linear(x))
        return self.scaled(x, flag) + self.eps

    def scaled(self, x, flag):
        return x / self.eps if flag else self.linear(x)
