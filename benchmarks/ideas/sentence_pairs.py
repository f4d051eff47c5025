"""Next-sentence prediction or sentence order: the accuracy on one task with the vectors of a network trained on the other.

python -m benchmarks.ideas.sentence_pairs

Three networks are pretrained with masked LM and next sentence (BERT), masked LM and sentence order (ALBERT), or masked LM alone
(RoBERTa). Then their weights are fixed. For each task, a logistic regression is trained on their vectors: that of [CLS] and the
mean over all tokens. A network without training is the control.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from benchmarks.ideas.common import SEEDS, STAR, TOKENS_PER_BATCH, TRAIN_EXAMPLES, Result, Row, change, data, dots
from benchmarks.ideas.short_runs import FULL_SENTENCES, initial, new_masked_lm, short_config, short_run, tuned_accuracy
from minibert.equations import IGNORE_INDEX
from minibert.model import BertForMaskedLM, BertForPreTraining
from minibert.model.modes import evaluation_mode
from minibert.study.quickstart import EXAMPLES, mimetic_initialization
from minibert.text.batching import batches_by_length
from minibert.text.examples import PretrainingExamples
from minibert.text.options import PairTask
from minibert.text.tokenized import TokenizedCorpus
from minibert.training.pretraining_objectives import PretrainingObjective

Network = BertForPreTraining | BertForMaskedLM
TASKS: dict[PairTask, str] = {"nsp": "next sentence", "sop": "sentence order"}
WAYS = {
    "no pretraining": "initial",
    "masked LM alone": "masks-30",
    "masked LM and next sentence": "nsp",
    "masked LM and sentence order": "sop",
}
"""The ways to pretrain, and the names of their networks."""
TRAINING_PAIRS = 3000
"""Number of pairs from which the logistic regression learns. It is tested on all pairs of the held-out text."""


def with_pairs() -> BertForPreTraining:
    """Initialize a network with both heads."""
    model = BertForPreTraining(short_config())
    mimetic_initialization(model)
    return model


def network(name: str, seed: int) -> Network:
    """Pretrain a network in one of the ways."""
    if name == "initial":
        return initial(seed)
    for task in TASKS:
        if name == task:
            return short_run(name, seed, with_pairs, PretrainingObjective(task), replace(TRAIN_EXAMPLES, pairs=task))
    return short_run(name, seed, new_masked_lm, examples=replace(FULL_SENTENCES, mlm_probability=0.3))


@torch.no_grad()
def vectors(model: Network, corpus: TokenizedCorpus, task: PairTask, seed: int, most: int | None) -> tuple[NDArray, NDArray]:
    """Return the vectors of sentence pairs without masks, and their labels.

    Args:
        most: number of pairs; None for all of an epoch.
    """
    config = replace(EXAMPLES, pairs=task, mlm_probability=0.0)
    epoch = PretrainingExamples(corpus, data().tokenizer, config, seed).epoch(0)
    found: list[Tensor] = []
    labels: list[Tensor] = []
    with evaluation_mode(model):
        for indices in epoch.batch_indices(partial(batches_by_length, max_tokens=TOKENS_PER_BATCH)):
            if most is not None and sum(map(len, labels)) >= most:
                break
            batch = epoch.batch(indices)
            # Without pairs in its text, a network has not learned the segments.
            segments = torch.zeros_like(batch.token_type_ids) if isinstance(model, BertForMaskedLM) else batch.token_type_ids
            hidden = model.bert(batch.input_ids, batch.attention_mask, segments).last_hidden_state
            keep = batch.attention_mask[..., None]
            means = (hidden * keep).sum(dim=1) / keep.sum(dim=1)
            has_label = batch.next_sentence_label != IGNORE_INDEX
            found.append(torch.cat([hidden[:, 0], means], dim=1)[has_label])
            labels.append(batch.next_sentence_label[has_label])
    return torch.cat(found)[:most].numpy(), torch.cat(labels)[:most].numpy()


def probe(model: Network, task: PairTask, seed: int) -> float:
    """Return the accuracy of a logistic regression on held-out pairs."""
    inputs, labels = vectors(model, data().train, task, seed + 100, TRAINING_PAIRS)
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(inputs, labels)
    test_inputs, test_labels = vectors(model, data().validation, task, 0, None)
    return float(regression.score(test_inputs, test_labels))


def most_frequent(task: PairTask) -> float:
    """Return the share of the more frequent label in the held-out pairs."""
    epoch = PretrainingExamples(data().validation, data().tokenizer, replace(EXAMPLES, pairs=task), 0).epoch(0)
    labels = epoch.pairs.label[epoch.pairs.label != IGNORE_INDEX]
    return float(max(np.mean(labels), 1 - np.mean(labels)))


def main() -> None:
    """Pretrain in all ways and probe both tasks."""
    names = (*TASKS.values(), "accuracy")
    table = [Row({"pretraining": way}, {name: [] for name in names}) for way in WAYS]
    for seed in SEEDS:
        for row, file in zip(table, WAYS.values(), strict=True):
            model = network(file, seed)
            for task, name in TASKS.items():
                row.values[name].append(probe(model, task, seed))
            row.values["accuracy"].append(tuned_accuracy(file, seed, model))

    def draw(axes: Axes) -> None:
        for name, form in zip(TASKS.values(), ("o", "s"), strict=True):
            dots(axes, [*WAYS], table, name, fmt=form, label=name)
        axes.axvline(0.5, color="black", linewidth=0.8)
        axes.set_xlabel("accuracy on held-out pairs")
        axes.legend(frameon=False, fontsize=8)

    share = ", ".join(f"{most_frequent(task):.1%} for {name}" for task, name in TASKS.items())
    Result(
        "sentence_pairs",
        "Next sentences or the order of sentences",
        "A network is pretrained on one task for sentence pairs. Are its vectors useful for the other task, too? For each "
        "task, a logistic regression is trained on the vectors of pairs. The last column is the accuracy of the other "
        "sections, after fine-tuning on classes.",
        "Lan et al. 2020 (table 5), accuracy of next sentence and of sentence order: 52.4 and 53.3 for masked LM alone, 90.5 "
        "and 52.0 with next sentence, 78.9 and 86.5 with sentence order. Average of five tasks: 79.0, 79.2 and 80.1.",
        table,
        dict.fromkeys(names, ".1%"),
        partial(finding, share=share),
    ).save(draw)


def finding(rows: list[Row], share: str) -> str:
    """Compare both tasks in all ways with no pretraining."""
    none, *others = rows
    points = partial(change, base=none, form="+.1f", factor=100)
    words, nsp, sop = (" and ".join(points(row, name=name) for name in TASKS.values()) for row in others)
    scores = [points(row, name="accuracy") for row in others]
    return (
        f"Always predicting the more frequent label gives {share}. All changes are compared with no pretraining, in points. "
        f"The accuracies of next sentence and of sentence order change by {words} for masked LM alone, by {nsp} with next "
        f"sentence, and by {sop} with sentence order. The accuracy after fine-tuning on classes changes by {scores[0]} for "
        f"masked LM alone, by {scores[1]} with next sentence, and by {scores[2]} with sentence order. {STAR}"
    )


if __name__ == "__main__":
    main()
