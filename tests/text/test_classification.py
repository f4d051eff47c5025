"""The labeled task: classes, few labels, batches."""

from collections import Counter

import numpy as np

from minibert.text.corpus import Document
from minibert.text.labeled import MODULE_FAMILIES, LabeledText, classification_batches, label_by_module
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

NAMES = list(MODULE_FAMILIES)


def test_families_are_told_by_whole_module_names() -> None:
    """`asyncio.events` is concurrency; `torch.nnx` is no neural network; one sentence is not enough."""
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


def test_the_number_of_labels_is_bounded_and_drawn_by_the_seed() -> None:
    documents = [Document("email.x", (f"Sentence number {n} here.", "Next one.")) for n in range(30)]
    draws = [label_by_module(documents, 4, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert Counter(example.label for example in draws[0]) == {NAMES.index("internet"): 4}


def test_batches_hold_every_text_once_with_its_label() -> None:
    """Cut at the end but for [SEP]; padded with the padding piece, which the mask leaves out."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdefgh"])
    texts = ["a", "b c", "d e f g h a b", "h"]
    examples = [LabeledText(text, label) for label, text in enumerate(texts)]
    seen = {}
    for batch in classification_batches(examples, tokenizer, 6, 12, np.random.default_rng(0)):
        assert batch.input_ids.numel() <= 12
        for ids, mask, label in zip(batch.input_ids, batch.attention_mask, batch.labels, strict=True):
            assert not ids[~mask].any()
            seen[int(label)] = tokenizer.decode(ids[mask].tolist(), skip_special_tokens=False)
    assert seen == {0: "[CLS] a [SEP]", 1: "[CLS] b c [SEP]", 2: "[CLS] d e f g [SEP]", 3: "[CLS] h [SEP]"}
