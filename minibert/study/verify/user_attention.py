"""A network with a user's own attention function, which runs in the sandbox."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minibert.model import load
from minibert.observe import observe
from minibert.study.checked_attention import CheckedAttention, UserCodeError
from minibert.study.user_code import TIME_LIMIT, UserCode, limits_of
from minibert.study.verify.inputs import Inputs
from minibert.study.verify.stages import Stages, minibert_stages


@dataclass(frozen=True)
class UserRun:
    """The results of a user's attention function."""

    stages: Stages
    """The stages of the network with this function."""
    probes: dict[str, Tensor]
    """The results of the function for `probes`, without those that it cannot process."""


def run_user_attention(
    location: str,
    source: str | Path,
    inputs: Inputs,
    dtype: torch.dtype,
    show: Callable[[str], None],
    time_limit: float = TIME_LIMIT,
) -> UserRun:
    """Run a network with a user's attention function, and the function alone on `probes`.

    Args:
        location: file and function, such as `my.py:my_attention`.
        source: the checkpoint.
        inputs: the inputs of the network.
        dtype: type of the weights.
        show: a function that receives what the user's code prints, also before an error.
        time_limit: seconds after which the code is stopped.

    Raises: UserCodeError for an exception or an invalid result of the code, with its line, or if a limit is exceeded.
    """
    with UserCode(location, call_attention, show, limits_of(time_limit)) as code:

        def attention(*arguments: Any, **options: Any) -> Tensor:
            return observe("context", code(location, arguments, options)[1]["context"])

        stages = minibert_stages(load(source, dtype=dtype).set_attention(attention), inputs)
    outputs = {}
    with UserCode(location, call_attention, lambda _: None, limits_of(time_limit)) as code:
        for name, arguments in probes(dtype).items():
            with contextlib.suppress(UserCodeError):  # the function may be made for the shapes of its network only
                outputs[name] = code(location, (*arguments, 0.0), {})[1]["context"]
    return UserRun(stages, outputs)


@torch.no_grad()
def call_attention(
    function: Callable[..., Any], location: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[None, dict[str, Tensor]]:
    """Call a user's attention function, in its process."""
    return None, {"context": CheckedAttention(function, location)(*arguments, **options)}


def probes(dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return inputs of attention that tell typical mistakes apart: query, key, value and keep.

    The weights of a network may be so small that a mistake hardly changes its outputs. Here the scores have a size of about 2.
    One mask has a row for each query; every row and every column of it has kept and masked entries. The other mask is that of
    padding, the same for all queries.
    """
    generator = torch.Generator().manual_seed(0)
    query, key, value = (1.5 * torch.randn(2, 3, 6, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    distance = (torch.arange(6) - torch.arange(6)[:, None]) % 6
    masks = {
        "rows": torch.stack([distance < 2, distance == 1])[:, None],
        "padding": torch.tensor([[1, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 0]]).bool()[:, None, None, :],
    }
    return {name: (query.to(dtype), key.to(dtype), value.to(dtype), keep) for name, keep in masks.items()}
