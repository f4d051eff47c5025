"""Training mode and evaluation mode of the parts of a model."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Turn dropout off inside the `with` block. Afterwards every submodule is in its own previous mode, also after an error."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def training_mode(model: nn.Module) -> None:
    """Turn dropout on, except in frozen modules.

    A module is frozen if it has parameters and none of them is trained. It is then in evaluation mode, with all modules in
    it, so it computes what it computes after training. In a network with an adapter, which changes every layer with few
    parameters, all modules are in training mode, as in the papers on adapters and in peft.
    """
    model.train()
    if any(getattr(module, "adapter", None) is not None for module in model.modules()):
        return
    for module in model.modules():
        parameters = [*module.parameters()]
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
