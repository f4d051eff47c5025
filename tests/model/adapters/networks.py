"""Small networks for the tests of adapters, from a checkpoint of the encoder, with their counterparts of transformers."""

from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from minibert import Bert, BertConfig, load
from minibert.model.pretrained import PretrainedModel

CONFIG = BertConfig(
    vocab_size=40,
    hidden_size=8,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.5,
)
HEADS = {
    "sequence-classification": transformers.BertForSequenceClassification,
    "token-classification": transformers.BertForTokenClassification,
    "question-answering": transformers.BertForQuestionAnswering,
}
LABELS = ["bad", "good", "ugly"]


def base_checkpoint(folder: Path, pooler: bool = False) -> Path:
    """Write a checkpoint of an encoder in float64."""
    torch.manual_seed(0)
    Bert(CONFIG, pooler=pooler).double().save_pretrained(folder / "base")
    return folder / "base"


def new_network(base: Path, head: str = "sequence-classification") -> PretrainedModel:
    """Load the encoder with a new head."""
    labels = None if head == "question-answering" else LABELS
    torch.manual_seed(1)
    return load(base, head, labels=labels)


def their_network(base: Path, head: str = "sequence-classification") -> Any:
    """Load the encoder with a new head in transformers."""
    torch.manual_seed(2)
    network = HEADS[head].from_pretrained(base, num_labels=2 if head == "question-answering" else 3, dtype=torch.float64)
    return network.eval()


def move(model: torch.nn.Module, scale: float = 0.3) -> None:
    """Change every trained parameter, as training does."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def inputs() -> dict[str, Tensor]:
    """Return two sequences, one with padding."""
    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(1, 40, (2, 7), generator=generator)
    keep = torch.ones_like(ids)
    keep[1, 5:] = 0
    return {"input_ids": ids, "attention_mask": keep}


def outputs(model: Any) -> list[Tensor]:
    """Return the logits of a network, also those of start and end."""
    with torch.no_grad():
        output = model(**inputs())
    names = ("logits", "start_logits", "end_logits", "last_hidden_state")
    return [getattr(output, name) for name in names if getattr(output, name, None) is not None]
