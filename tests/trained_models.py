"""Small models with random weights, in folders as minibert and transformers write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from minibert import BertConfig, BertForMaskedLM
from minibert.files import write_atomically
from minibert.model.bert import PretrainedBert
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.classification import Classification
from minibert.training.task_type import TASK_FILE, TaskType

WORDS = ["good", "bad", "fine", "awful", "movie", "film", "very", "not", "great", "poor", "中", "文"]
CLASSES = Classification(("bad", "good"), max_length=32)


def write_checkpoint(
    folder: str | Path,
    pieces: Sequence[str],
    network: type[PretrainedBert] = BertForMaskedLM,
    lowercase: bool = True,
    **settings: Any,
) -> Path:
    """Write a pretrained model, whose vocabulary has these pieces, and its tokenizer.

    Args:
        settings: fields of the config that differ from those here.
    """
    vocabulary = [*SPECIAL_TOKENS, *pieces]
    sizes = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 32,
    }
    config = BertConfig(vocab_size=len(vocabulary), **sizes | settings)
    torch.manual_seed(0)
    network(config).save_pretrained(folder)
    save_tokenizer(build_tokenizer(vocabulary, lowercase), folder, config.max_position_embeddings)
    return Path(folder)


def trained_model(folder: Path, task_type: TaskType[Any] = CLASSES, with_task: bool = True, seed: int = 7) -> Path:
    """Write a model with large random weights, so that its predictions differ from text to text."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(SPECIAL_TOKENS) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    model = task_type.network(task_type.model_config(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6)
    model.save_pretrained(folder)
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), folder, config.max_position_embeddings)
    if with_task:
        write_atomically(folder / TASK_FILE, task_type.to_json())
    return folder
