"""Labeled texts: the built-in classification task, and batches."""

from collections import Counter
from functools import partial

import numpy as np

from minibert.equations import IGNORE_INDEX
from minibert.text.batching import batches_by_length, epoch_batches
from minibert.text.classification import ClassificationExamples, LabeledText
from minibert.text.corpus import Document
from minibert.text.module_families import MODULE_FAMILIES, label_by_module
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

NAMES = list(MODULE_FAMILIES)


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
    assert [NAMES[example.label] for example in found] == ["neural networks", "concurrency"]
    assert found[0].text == "One sentence stands here. Another one follows it."


def test_texts_per_class_are_limited_and_drawn_by_seed() -> None:
    documents = [Document("email.x", (f"Sentence number {n} here.", "Next one.")) for n in range(30)]
    drawn = [label_by_module(documents, 4, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert Counter(example.label for example in drawn[0]) == {NAMES.index("internet"): 4}


def test_batches_contain_every_text_once_with_its_label() -> None:
    """A long text is cut off before [SEP]. Padding is masked. Without indices there is no label."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdefgh"])
    texts = ["a", "b c", "d e f g h a b", "h"]
    examples = [LabeledText(text, label) for label, text in enumerate(texts)]
    seen = {}
    epoch = ClassificationExamples(examples, tokenizer, 6, seed=0).epoch(0)
    for batch in epoch_batches(epoch, partial(batches_by_length, max_tokens=12)):
        assert batch.input_ids.numel() <= 12
        for ids, mask, label in zip(batch.input_ids, batch.attention_mask, batch.labels, strict=True):
            assert not ids[~mask].any()
            seen[int(label)] = tokenizer.decode(ids[mask].tolist(), skip_special_tokens=False)
    assert seen == {0: "[CLS] a [SEP]", 1: "[CLS] b c [SEP]", 2: "[CLS] d e f g [SEP]", 3: "[CLS] h [SEP]"}
    assert epoch.batch(np.array([], dtype=np.int64)).labels.tolist() == [IGNORE_INDEX]
