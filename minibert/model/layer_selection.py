"""A network with fewer layers than another one: the student of a distillation before its training."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from minibert.model.bert import PretrainedBert

NetworkT = TypeVar("NetworkT", bound=PretrainedBert)
LAYER = re.compile(r"(.*\blayers\.)(\d+)(\..*)")


def spread_layers(layers: int, wanted: int) -> list[int]:
    """Return the numbers of some layers, evenly spread, beginning with the first: every other one if half are wanted.

    >>> spread_layers(12, 6)
    [0, 2, 4, 6, 8, 10]
    >>> spread_layers(4, 3)
    [0, 1, 2]
    """
    return [number * layers // wanted for number in range(wanted)]


def select_layers(model: NetworkT, numbers: Sequence[int]) -> NetworkT:
    """Return a new network with copies of these layers and of everything outside of the layers (Sanh et al. 2019, section 3).

    If all layers share their parameters, as in ALBERT, the new network runs them as many times as there are `numbers`.

    Raises: ValueError for numbers that are not those of layers, and for several groups of layers with shared parameters.
    """
    config = model.config
    depth, groups = config.num_hidden_layers, config.layer_groups
    if not numbers or not all(0 <= number < depth for number in numbers):
        raise ValueError(f"layers {[*numbers]}: choose from 0 to {depth - 1}, at least one")
    if 1 < groups < depth:
        raise ValueError(
            f"its {depth} layers share {groups} groups of parameters: layers can be selected if there is one group"
        )
    smaller = type(model)(replace(config, num_hidden_layers=len(numbers)))
    of_selected = {number: [new for new, old in enumerate(numbers) if old == number] for number in range(depth)}
    weights = {}
    for name, weight in model.state_dict().items():
        match = LAYER.fullmatch(name)
        if match is None or groups == 1 < depth:
            weights[name] = weight.clone()
            continue
        before, number, after = match.groups()
        weights |= {f"{before}{new}{after}": weight.clone() for new in of_selected[int(number)]}
    smaller.load_state_dict(weights)
    return smaller.to(next(model.parameters()))
