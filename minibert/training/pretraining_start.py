"""The model that a pretraining run begins with: a new one, or that of a checkpoint."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from minibert.model import PRESETS
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.pretrained import PretrainedModel
from minibert.text.tokenizer import PAD, token_id, vocabulary_size
from minibert.training.options import DEFAULT_PRESET, PretrainingConfig
from minibert.training.pretraining_families import complete, method_for


def load_start(source: str | Path, config: PretrainingConfig) -> PretrainedModel:
    """Load the model to begin with. Heads that the checkpoint lacks are initialized, with a warning.

    Raises: ValueError for a checkpoint that cannot be trained with these settings; FileNotFoundError if there is none.
    """
    config = complete(config, read_checkpoint(source).model_type, str(source))
    torch.manual_seed(config.seed)
    model = method_for(config).network.from_pretrained(source)
    if config.examples.max_length > (limit := model.config.max_tokens):
        raise ValueError(f"{source}: this model has {limit} positions; use --max-length {limit} or less")
    if config.examples.pairs != "none" and getattr(model.config, "type_vocab_size", 0) < 2:
        raise ValueError(f"{source}: this model has no second segment; use --pairs none")
    return model


def new_model(config: PretrainingConfig, tokenizer: Tokenizer) -> PretrainedModel:
    """Create the model of a run, with the sizes of its preset and initial weights."""
    network, size = method_for(config).network, PRESETS[config.preset or DEFAULT_PRESET]
    fields = {"vocab_size": vocabulary_size(tokenizer), **config.family_fields, **trained_fields(config, tokenizer)}
    model_config = network.config_class.of_size(size, **fields)
    not_for_tokens = model_config.max_position_embeddings - model_config.max_tokens
    return network(replace(model_config, max_position_embeddings=config.examples.max_length + not_for_tokens))


def trained_fields(config: PretrainingConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the fields of the model's config that the run sets, also if it begins with a trained model."""
    return {
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "pad_token_id": token_id(tokenizer, PAD),
    }


def training_settings(config: PretrainingConfig, start_from: str | None) -> dict[str, Any]:
    """Return the hyperparameters of a run with their default values filled in, for run.json."""
    preset = config.preset or (DEFAULT_PRESET if start_from is None else None)
    chosen = replace(config, preset=preset, learning_rate=config.peak_learning_rate)
    return {**asdict(chosen), "start_from": start_from}
