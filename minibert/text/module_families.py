"""A classification task with built-in data: predict the module family that a docstring comes from."""

from collections.abc import Iterable

import numpy as np

from minibert.text.corpus import Document
from minibert.text.labeled.text_rows import TextRow

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
"""Names of the classes, each with its packages and modules."""


def label_by_module(documents: Iterable[Document], per_class: int, generator: np.random.Generator) -> list[TextRow]:
    """Label docstrings by the family of their module, and draw up to `per_class` texts of each class.

    Only docstrings of at least two sentences are used.
    """
    by_class: dict[str, list[Document]] = {label: [] for label in MODULE_FAMILIES}
    for document in documents:
        for label, packages in MODULE_FAMILIES.items():
            is_member = any(document.source == name or document.source.startswith(f"{name}.") for name in packages)
            if is_member and len(document.sentences) >= 2:
                by_class[label].append(document)
    return [
        TextRow(" ".join(found[index].sentences), label=label)
        for label, found in by_class.items()
        for index in sorted(generator.permutation(len(found))[:per_class])
    ]
