"""A model before its run: the type of its parameters, and how its layers are computed."""

from typing import TypeVar

import torch

from minibert.model.bert import Bert
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import Stack
from minibert.training.options import DeviceOptions

ModelT = TypeVar("ModelT", bound=PretrainedModel)
PARAMETER_DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}
"""Type of the parameters for each `precision`. With bfloat16 only matrix products are computed in bfloat16."""


def prepare_model(model: ModelT, precision: str, device_options: DeviceOptions) -> ModelT:
    """Convert a model to the type of its parameters, and choose how its encoder and its decoder are computed."""
    model.to(PARAMETER_DTYPES[precision])
    model.set_recompute(device_options.recompute)
    if device_options.compile:
        for module in model.modules():
            if isinstance(module, Bert | Stack):
                module.compile(dynamic=True)
    return model
