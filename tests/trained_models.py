"""Small models with random weights and a head, in folders as `minibert finetune` and transformers write them."""

from pathlib import Path
from typing import Any

import torch

from minibert import BertConfig
from minibert.files import write_atomically
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.training.classification import Classification
from minibert.training.task_type import TASK_FILE, TaskType

WORDS = ["good", "bad", "fine", "awful", "movie", "film", "very", "not", "great", "poor", "中", "文"]
CLASSES = Classification(("bad", "good"), max_length=32)


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
