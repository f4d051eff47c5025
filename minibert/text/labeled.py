"""Labeled text, and the labeled task that every machine has: which module family does this docstring come from?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from tokenizers import Tokenizer
from torch import Tensor

from minibert.text.batching import batches_by_length, padded
from minibert.text.corpus import Document
from minibert.text.tokenizer import PAD, token_id

MODULE_FAMILIES: dict[str, tuple[str, ...]] = {
    "neural networks": ("torch.nn", "torch.optim"),
    "distributed": ("torch.distributed",),
    "compiler": ("torch._inductor", "torch._dynamo", "torch.fx"),
    "quantization": ("torch.ao",),
    "export": ("torch.onnx", "torch.export", "torch._export", "torch.jit"),
    "internet": (
        "email",
        "http",
        "urllib",
        "mailbox",
        "xmlrpc",
        "smtplib",
        "imaplib",
        "ftplib",
        "poplib",
        "wsgiref",
        "ssl",
    ),
    "concurrency": ("asyncio", "multiprocessing", "concurrent", "threading", "subprocess", "queue", "selectors"),
    "packaging": (
        "importlib",
        "distutils",
        "pkgutil",
        "pydoc",
        "inspect",
        "zipfile",
        "tarfile",
        "venv",
        "modulefinder",
    ),
    "windows": ("tkinter", "idlelib", "turtle"),
}
"""Classes of the task, each with the packages and modules whose docstrings belong to it."""


@dataclass(frozen=True)
class LabeledText:
    """A text and its class, as the place of the class's name in a list."""

    text: str
    label: int


@dataclass(frozen=True)
class ClassificationBatch:
    """What BertForSequenceClassification is trained on; the names are those of its arguments."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    labels: Int[Tensor, " batch"]


def module_families(documents: Iterable[Document], per_class: int, generator: np.random.Generator) -> list[LabeledText]:
    """Docstrings of at least two sentences, and the family of the module that each was found in: `per_class` of each."""
    by_class: list[list[Document]] = [[] for _ in MODULE_FAMILIES]
    for document in documents:
        for label, packages in enumerate(MODULE_FAMILIES.values()):
            inside = any(document.source == name or document.source.startswith(f"{name}.") for name in packages)
            if inside and len(document.sentences) >= 2:
                by_class[label].append(document)
    return [
        LabeledText(" ".join(found[place].sentences), label)
        for label, found in enumerate(by_class)
        for place in sorted(generator.permutation(len(found))[:per_class])
    ]


def classification_batches(
    examples: Sequence[LabeledText],
    tokenizer: Tokenizer,
    max_length: int,
    tokens_per_batch: int,
    generator: np.random.Generator,
) -> list[ClassificationBatch]:
    """All examples once, in random batches of like length; a text is cut to `max_length` tokens at its end."""
    encodings = tokenizer.encode_batch([example.text for example in examples])
    pieces = [encoding.ids[:-1][: max_length - 1] + encoding.ids[-1:] for encoding in encodings]
    lengths = np.array([len(ids) for ids in pieces], dtype=np.int64)
    pad = token_id(tokenizer, PAD)
    batches = []
    for chosen in batches_by_length(tokens_per_batch, lengths, generator):
        ids, keep = padded([pieces[place] for place in chosen], pad)
        batches.append(ClassificationBatch(ids, keep, torch.tensor([examples[place].label for place in chosen])))
    return batches
