"""The built-in classification task."""

from collections import Counter

import numpy as np

from minibert.text.corpus import Document
from minibert.text.module_families import label_by_module


def test_labels_depend_on_complete_module_names() -> None:
    """`asyncio.events` is "concurrency", `torch.nnx` is not "neural networks", and a single sentence is skipped."""
    two = ("One sentence stands here.", "Another one follows it.")
    documents = [
        Document("asyncio.events", two),
        Document("torch.nn", two),
        Document("torch.nnx", two),
        Document("torch.nn.modules", two[:1]),
        Document("this", two),
    ]
    found = label_by_module(documents, 10, np.random.default_rng(0))
    assert [example.label for example in found] == ["neural networks", "concurrency"]
    assert found[0].text == "One sentence stands here. Another one follows it."


def test_texts_per_class_are_limited_and_drawn_by_seed() -> None:
    documents = [Document("email.x", (f"Sentence number {n} here.", "Next one.")) for n in range(30)]
    drawn = [label_by_module(documents, 4, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert Counter(example.label for example in drawn[0]) == {"internet": 4}
