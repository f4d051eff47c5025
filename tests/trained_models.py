"""Small models with random weights, in folders as minibert and transformers write them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from minibert import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel
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


def write_gpt2(folder: str | Path, texts: Sequence[str], **settings: Any) -> Path:
    """Write a GPT-2 with large random weights, and its tokenizer of byte pairs, which is trained on some texts.

    Args:
        settings: fields of the config that differ from those here.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "max_position_embeddings": 64}
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), **{"eos_token_id": 0} | sizes | settings)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)
    tokenizer.save(str(Path(folder) / "tokenizer.json"))
    write_atomically(Path(folder) / "tokenizer_config.json", json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
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
