"""The model that a pretraining run begins with, if it continues the training of a checkpoint."""

from pathlib import Path

import torch

from minibert.model import BertForMaskedLM, BertForPreTraining
from minibert.model.checkpoints.loading import load
from minibert.training.options import PretrainingConfig


def load_start(source: str | Path, config: PretrainingConfig) -> BertForPreTraining | BertForMaskedLM:
    """Load the model to begin with. Heads that the checkpoint lacks are initialized, with a warning.

    Raises: ValueError for a checkpoint that is no BERT or cannot be trained with these settings; FileNotFoundError if there is
    none.
    """
    torch.manual_seed(config.seed)
    model = load(source, network_for(config))
    if config.examples.max_length > model.config.max_tokens:
        limit = model.config.max_tokens
        raise ValueError(f"{source}: this model has {limit} positions; use --max-length {limit} or less")
    if config.examples.pairs != "none" and model.config.type_vocab_size < 2:
        raise ValueError(f"{source}: this model has no second segment; use --pairs none")
    return model


def network_for(config: PretrainingConfig) -> type[BertForPreTraining] | type[BertForMaskedLM]:
    """Return the network with the heads of the pretraining tasks."""
    return BertForMaskedLM if config.examples.pairs == "none" else BertForPreTraining
