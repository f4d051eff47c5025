"""Masked LM or replaced-token detection, with the same number of floating-point operations (Clark et al. 2020).

python -m benchmarks.ideas.replaced_tokens

All networks have the same encoder, which is fine-tuned in the same way: with a new classification head on a pooler. The
operations are those of all matrix products in training, the generator's too. A way with more of them in a step has fewer steps.

Two ablations say where the difference comes from (section 3.4 of the paper). "ELECTRA 15%" finds replaced tokens among the
masked ones only. "All-Tokens MLM" predicts the original of every token of the same corrupted text, and may copy it.

Masked LM and ELECTRA each have the best of three learning rates of pretraining: the one with the highest accuracy after
fine-tuning, with one seed, on held-out texts that are not in the table. Both ablations have the learning rate of ELECTRA. A
lower rate is no better for it: 2.5e-4 gives 47% of these texts, and 5e-4 gives 54%.

With the rate of the quickstart, 2e-3, the vectors of the discriminator collapse: after 200 steps they vary in about three
directions. They do so with λ = 1, too, and with the higher learning rate of a masked-LM bias for the bias of the discriminator.
One such network has an accuracy of 22 to 26% after fine-tuning with 3e-4, 1e-3 or 2e-3, less than without pretraining.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from benchmarks.ideas.common import SEEDS, STAR, Result, Row, bars, change, data, tests
from benchmarks.ideas.electra_ablations import AllTokensMLM, AllTokensObjective, MaskedElectraObjective, with_generator
from benchmarks.ideas.short_runs import (
    FULL_SENTENCES,
    STEPS,
    TOKENS,
    initial,
    new_masked_lm,
    short_run,
    tuned_accuracy,
    validation_batches,
)
from minibert.model import BertForMaskedLM
from minibert.model.electra import ElectraWithGenerator
from minibert.model.pretrained import PretrainedModel
from minibert.study.quickstart import PRETRAINING_LEARNING_RATE, TEST_TEXTS_PER_CLASS
from minibert.text.batching import batches_by_length, iterate_batches
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.text.labeled.text_rows import TextRow
from minibert.text.module_families import label_by_module
from minibert.training.costs import electra_cost, pretraining_cost
from minibert.training.loop import evaluate
from minibert.training.objective import Objective
from minibert.training.pretraining_objectives import ORIGINAL, ElectraObjective, MaskedLMObjective

MASK_SHARE = 0.85
RANK = "effective rank"
SAMPLE = 20
"""Number of batches whose operations are counted."""
LEARNING_RATES = (5e-4, 1e-3, 2e-3)
"""Maximum learning rates of pretraining that are compared: that of ELECTRA-small in the paper, and up to the quickstart's."""


def operations(model: BertForMaskedLM | ElectraWithGenerator, batches: Sequence[PretrainingBatch]) -> float:
    """Return the floating-point operations of a training step, on average over these batches."""
    if isinstance(model, BertForMaskedLM):
        return pretraining_cost(model.config, batches)[1] / len(batches)
    total = electra_cost(model, batches)[1]
    if isinstance(model, AllTokensMLM):
        tokens, width = sum(int(batch.attention_mask.sum()) for batch in batches), model.config.hidden_size
        total += 6 * tokens * width * (width + model.config.vocab_size)
    return total / len(batches)


@dataclass(frozen=True)
class Way:
    """A way to pretrain."""

    name: str
    """Name of its trained networks."""
    network: Callable[[], BertForMaskedLM | ElectraWithGenerator] = new_masked_lm
    objective: Objective[Any] | None = None
    """None for no pretraining."""


MASKED_LM, ELECTRA = "masked LM (BERT)", "replaced tokens (ELECTRA)"
WAYS = {
    "no pretraining": Way("initial"),
    MASKED_LM: Way("masks-15", objective=MaskedLMObjective()),
    ELECTRA: Way("electra", partial(with_generator, ElectraWithGenerator), ElectraObjective()),
    "ELECTRA 15%": Way("electra-masked", partial(with_generator, ElectraWithGenerator), MaskedElectraObjective()),
    "All-Tokens MLM": Way("all-tokens", partial(with_generator, AllTokensMLM), AllTokensObjective()),
}


def costs() -> list[tuple[int, float]]:
    """Return the number of steps of each way, and the floating-point operations of all its steps."""
    examples = PretrainingExamples(data().train, data().tokenizer, FULL_SENTENCES, 0, MASK_SHARE)
    batches = [*islice(iterate_batches(examples, partial(batches_by_length, max_tokens=TOKENS)), SAMPLE)]
    budget = STEPS * operations(new_masked_lm(), batches)
    found = []
    for way in WAYS.values():
        of_step = operations(way.network(), batches)
        steps = 0 if way.objective is None else round(budget / of_step)
        found.append((steps, steps * of_step))
    return found


def pretrained(way: Way, seed: int, steps: int, learning_rate: float) -> BertForMaskedLM | ElectraWithGenerator:
    """Pretrain in one of the ways, or load the network if that has been done."""
    if way.objective is None:
        return initial(seed)
    return short_run(
        file_name(way, learning_rate),
        seed,
        way.network,
        way.objective,
        mask_share=None if way.network is new_masked_lm else MASK_SHARE,
        steps=steps,
        learning_rate=learning_rate,
    )


def encoder(way: Way, seed: int, steps: int, learning_rate: float) -> BertForMaskedLM:
    """Pretrain in one of the ways, and put the encoder into a network of BERT."""
    model, trained = initial(seed), pretrained(way, seed, steps, learning_rate)
    network = trained.discriminator if isinstance(trained, ElectraWithGenerator) else trained
    model.bert.load_state_dict(network.bert.state_dict())
    return model


def file_name(way: Way, learning_rate: float) -> str:
    """Return the name of a trained network. With the usual learning rate, other experiments have the same networks."""
    return way.name if learning_rate == PRETRAINING_LEARNING_RATE else f"{way.name}-{learning_rate:g}"


@cache
def other_texts() -> list[TextRow]:
    """Return labeled texts of the validation documents that are not test texts."""
    drawn = label_by_module(data().validation_documents, 2 * TEST_TEXTS_PER_CLASS, np.random.default_rng(0))
    return [row for row in drawn if row not in tests()]


def effective_rank(vectors: Tensor) -> float:
    """Return the number of directions in which vectors vary: e to the power of the entropy of their shares of the variance.

    Source: Roy and Vetterli 2007, "The effective rank", with the variances in place of the singular values.

    >>> effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), effective_rank(torch.eye(2))
    (2.0, 1.0)
    """
    variances = torch.linalg.svdvals(vectors - vectors.mean(dim=0)) ** 2
    return round(float(torch.special.entr(variances / variances.sum()).sum().exp()), 3)


@torch.no_grad()
def rank_of_vectors(model: BertForMaskedLM) -> float:
    """Return the effective rank of the vectors of held-out text without masks."""
    batches = [replace(batch, input_ids=batch.original_ids) for batch in validation_batches()]
    vectors = [model.bert(*batch.inputs).last_hidden_state[batch.attention_mask] for batch in batches]
    return effective_rank(torch.cat(vectors))


def detection(models: Sequence[PretrainedModel]) -> Row:
    """Return the loss of each discriminator on held-out text, and that of always predicting the share of replaced tokens."""
    row = Row({}, {"loss": [], "constant": []})
    for model in models:
        scores = evaluate(model, validation_batches(MASK_SHARE), ElectraObjective(with_baseline=True))
        original = torch.tensor(scores[ORIGINAL].accuracy)
        row.values["loss"].append(float(scores["replaced"].loss or 0))
        row.values["constant"].append(float(torch.special.entr(torch.stack([original, 1 - original])).sum()))
    return row


def tries(way: Way, steps: int) -> dict[float, Row]:
    """Return the results of each learning rate of pretraining: the accuracy of the other texts, with the first seed."""
    found, seed = {}, SEEDS[0]
    for rate in LEARNING_RATES:
        model = encoder(way, seed, steps, rate)
        score = tuned_accuracy(file_name(way, rate), seed, model, other_texts())
        found[rate] = Row({"learning rate": rate}, {"accuracy": [score], RANK: [rank_of_vectors(model)]})
    return found


def main() -> None:
    """Choose the learning rates, pretrain and fine-tune in all ways."""
    steps_and_operations = dict(zip(WAYS, costs(), strict=True))
    tried = {title: tries(WAYS[title], steps_and_operations[title][0]) for title in (MASKED_LM, ELECTRA)}
    table = []
    for title, way in WAYS.items():
        steps, total = steps_and_operations[title]
        rate = best(tried[MASKED_LM if way.network is new_masked_lm else ELECTRA])
        setting: dict[str, str | float] = {
            "pretraining": title,
            "learning rate": f"{rate:g}" if steps else "-",
            "steps": steps,
            "10¹² operations": f"{total / 1e12:.2f}",
        }
        name = file_name(way, rate) if steps else way.name
        scores = [tuned_accuracy(name, seed, encoder(way, seed, steps, rate)) for seed in SEEDS]
        table.append(Row(setting, {"accuracy": scores}))

    steps, rate = steps_and_operations[ELECTRA][0], best(tried[ELECTRA])
    detected = detection([pretrained(WAYS[ELECTRA], seed, steps, rate) for seed in SEEDS])

    def draw(axes: Axes) -> None:
        bars(axes, [*WAYS], table, "accuracy")
        axes.set_xlabel("test accuracy after fine-tuning")

    Result(
        "replaced_tokens",
        "Replaced tokens",
        "Is replaced-token detection better for pretraining than masked LM? If so, is the reason that all tokens are targets? "
        '"ELECTRA 15%" has the masked tokens as its only targets. "All-Tokens MLM" predicts the original of every token.',
        "Clark et al. 2020 (table 5), average of GLUE: 82.2 for BERT, 85.0 for ELECTRA, 82.4 for ELECTRA 15%, and 84.3 for "
        "All-Tokens MLM.",
        table,
        {"accuracy": ".1%"},
        partial(finding, tried=tried, detected=detected),
    ).save(draw)


def best(tried: dict[float, Row]) -> float:
    """Return the learning rate with the highest accuracy."""
    return max(tried, key=lambda rate: tried[rate].mean("accuracy"))


def finding(rows: list[Row], tried: dict[str, dict[float, Row]], detected: Row) -> str:
    """Compare with masked LM, and give the results of all learning rates and the losses of the discriminators."""
    none, masked, electra, of_masked, all_tokens = rows
    points = partial(change, name="accuracy", form="+.1f", factor=100)
    by_rate = {
        title: ", ".join(f"{row.mean('accuracy'):.1%} with {rate:g} (rank {row.mean(RANK):.1f})" for rate, row in found.items())
        for title, found in tried.items()
    }
    are_worse = all(row.mean("accuracy") < none.mean("accuracy") for row in (electra, of_masked, all_tokens))
    remark = " So networks as small as these show nothing about the idea: all three ways are worse than no pretraining."
    return (
        f"Compared with masked LM after the same number of operations, the accuracy changes by {points(electra, masked)} "
        f"points for ELECTRA, by {points(of_masked, masked)} for ELECTRA 15%, and by {points(all_tokens, masked)} for "
        f"All-Tokens MLM. Compared with ELECTRA 15%, ELECTRA changes it by {points(electra, of_masked)}. Compared with no "
        f"pretraining, masked LM changes it by {points(masked, none)} and ELECTRA by {points(electra, none)}. {STAR}\n\n"
        "The learning rates were chosen with one seed, by the accuracy on other held-out texts. "
        f"Masked LM has {by_rate[MASKED_LM]}. ELECTRA has {by_rate[ELECTRA]}. The rank is the effective rank of the vectors of "
        "held-out text before fine-tuning: how many directions they have, of 128. The ablations have the learning rate of "
        "ELECTRA. "
        f"After all steps, the held-out loss of ELECTRA's discriminator is {detected.mean('loss'):.3f} nats. A constant "
        f"probability would have {detected.mean('constant'):.3f}.{remark if are_worse else ''}"
    )


if __name__ == "__main__":
    main()
