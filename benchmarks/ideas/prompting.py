"""A question with a gap instead of a new head: classification by the masked-LM head, with no labels and with a few.

python -m benchmarks.ideas.prompting

Each text gets a second sentence with [MASK], and each class a word: the class is the word with the highest score there (cloze
questions: Schick and Schütze 2021). Without training that needs no labels. With a few labels, the network learns to predict the
words, and no weight is new; fine-tuning with a classification head on the same texts is next to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from benchmarks.ideas.common import SEEDS, TASK, Result, Row, accuracy, curve, data, fine_tuned, labeled, pretrained, tests
from minibert.equations import cross_entropy
from minibert.model import BertForPreTraining
from minibert.model.modes import evaluation_mode
from minibert.text.labeled.text_rows import TextRow
from minibert.text.module_families import MODULE_FAMILIES
from minibert.text.tokenizer import MASK, token_id
from minibert.training.loop import train
from minibert.training.objective import LossSum
from minibert.training.optimizer import adamw, warmup_linear

PATTERNS = ("see the [MASK] module", "this is about a [MASK]", "[MASK]")
"""Sentences with a gap. The first one counts, the others say how much depends on it."""
WORDS = {
    "neural networks": "layer",
    "distributed": "process",
    "compiler": "graph",
    "quantization": "quantized",
    "export": "onnx",
    "internet": "server",
    "concurrency": "thread",
    "packaging": "package",
    "windows": "widget",
}
"""A word of the vocabulary for each class, chosen without looking at any result."""
LABELS = (0, 2, 8, 32)
BATCH_SIZE, EPOCHS, LEARNING_RATE = 16, 8, 5e-4


@dataclass(frozen=True)
class Cloze:
    """A text with a gap."""

    input_ids: Tensor
    token_type_ids: Tensor
    predict_at: Tensor
    """Position of [MASK]."""
    label: int


@dataclass(frozen=True)
class ClozeObjective:
    """The cross-entropy of the words of the classes at [MASK], as a training objective."""

    words: Sequence[int]
    """The id of each class's word."""

    def target_counts(self, batch: Sequence[Cloze]) -> Mapping[str, float | Tensor]:
        """Each text has one gap."""
        return {"cloze": len(batch)}

    def scores(self, model: nn.Module, batch: Sequence[Cloze]) -> Tensor:
        """Return the scores of the classes for each text."""
        found = [
            model(each.input_ids, None, each.token_type_ids, predict_at=each.predict_at).prediction_logits for each in batch
        ]
        return torch.cat(found)[:, list(self.words)]

    def loss_sums(self, model: nn.Module, batch: Sequence[Cloze]) -> dict[str, LossSum]:
        """Compute the loss and the number of correct classes."""
        scores, labels = self.scores(model, batch), torch.tensor([each.label for each in batch])
        return {"cloze": LossSum(cross_entropy(scores, labels).sum(), (scores.argmax(dim=1) == labels).sum())}


def cloze(row: TextRow, pattern: str) -> Cloze:
    """Put the sentence with the gap after a text, which is cut where it is too long."""
    tokenizer = data().tokenizer
    gap = tokenizer.encode(pattern, add_special_tokens=False)
    text = tokenizer.encode(row.text, add_special_tokens=False)
    text.truncate(TASK.max_length - len(gap.ids) - 3)
    pair = tokenizer.post_process(text, gap)
    ids = torch.tensor([pair.ids])
    place = (ids == token_id(tokenizer, MASK)).flatten().nonzero()[-1]
    return Cloze(ids, torch.tensor([pair.type_ids]), place, [*WORDS].index(str(row.label)))


def cloze_accuracy(model: BertForPreTraining, objective: ClozeObjective, pattern: str) -> float:
    """Return the share of test texts whose class has the word with the highest score."""
    batch = [cloze(row, pattern) for row in tests()]
    with evaluation_mode(model), torch.no_grad():
        found = objective.scores(model, batch).argmax(dim=1).tolist()
    return sum(one == each.label for one, each in zip(found, batch, strict=True)) / len(batch)


def trained(seed: int, rows: Sequence[TextRow], objective: ClozeObjective, pattern: str) -> BertForPreTraining:
    """Train the pretrained model to predict the words, in the same loop as all other models."""
    model, generator = pretrained(seed), torch.Generator().manual_seed(seed)
    examples = [cloze(row, pattern) for row in rows]
    steps = EPOCHS * -(-len(examples) // BATCH_SIZE)
    optimizer = adamw(model, LEARNING_RATE)
    batches = (
        [[examples[index] for index in torch.randperm(len(examples), generator=generator)[:BATCH_SIZE].tolist()]]
        for _ in range(steps)
    )
    for _ in train(model, batches, objective, optimizer, warmup_linear(optimizer, steps)):
        pass
    return model


def main() -> None:
    """Compare both ways for all numbers of labels."""
    assert [*WORDS] == [*MODULE_FAMILIES]
    objective = ClozeObjective([token_id(data().tokenizer, word) for word in WORDS.values()])
    names = ("question with a gap", "classification head", *(f'no labels, "{pattern}"' for pattern in PATTERNS[1:]))
    table = [Row({"labels per class": count}, {name: [] for name in names}) for count in LABELS]
    for seed in SEEDS:
        for row in table:
            rows = labeled(int(row.setting["labels per class"]), seed)
            model = trained(seed, rows, objective, PATTERNS[0]) if rows else pretrained(seed)
            row.values[names[0]].append(cloze_accuracy(model, objective, PATTERNS[0]))
            head = accuracy(fine_tuned(pretrained(seed), seed, rows, epochs=EPOCHS)) if rows else 1 / len(WORDS)
            row.values[names[1]].append(head)
            for name, pattern in zip(names[2:], PATTERNS[1:], strict=True):
                row.values[name].append(cloze_accuracy(pretrained(seed), objective, pattern))

    def draw(axes: Axes) -> None:
        for name in names[:2]:
            curve(axes, range(len(LABELS)), table, name, name)
        axes.set_xticks(range(len(LABELS)), [str(count) for count in LABELS])
        axes.set_xlabel("labels per class")
        axes.set_ylabel("test accuracy")
        axes.legend(frameon=False, fontsize=8)

    Result(
        "prompting",
        "A gap instead of a head",
        "Does the masked-LM head know the classes before it has seen a label? Does it learn from fewer labels than a new head?",
        "Schick and Schütze 2021 (table 1), RoBERTa-large on AG's News with four classes: 69.5% without labels. With 10 "
        "labels, 87.5% for questions with gaps (several patterns and unlabeled texts), and 25.0% for fine-tuning.",
        table,
        dict.fromkeys(names, ".1%"),
        finding,
    ).save(draw)


def finding(rows: list[Row]) -> str:
    """Compare without labels and with the fewest."""
    zero, few = rows[0], rows[1]
    gap, head = "question with a gap", "classification head"
    return (
        f"Chance is {1 / len(WORDS):.1%}. Without labels, the gap gives {zero.mean(gap):.1%}. With "
        f"{few.setting['labels per class']} labels per class it has {few.mean(gap):.1%} and a new head {few.mean(head):.1%}; "
        f"with {rows[-1].setting['labels per class']}, {rows[-1].mean(gap):.1%} and {rows[-1].mean(head):.1%}. "
        + ("A model so small shows no advantage of the gap." if few.mean(gap) <= few.mean(head) else "")
    )


if __name__ == "__main__":
    main()
