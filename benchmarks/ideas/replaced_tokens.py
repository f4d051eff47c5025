"""Masked LM or replaced-token detection, with the same number of floating-point operations (Clark et al. 2020).

python -m benchmarks.ideas.replaced_tokens

All networks have the same encoder, which is fine-tuned in the same way: with a new classification head on a pooler. The
operations are those of all matrix products in training, the generator's too. A way with more of them in a step has fewer steps.

Two ablations say where the difference comes from (section 3.4 of the paper). "ELECTRA 15%" finds replaced tokens among the
masked ones only. "All-Tokens MLM" predicts the original of every token of the same corrupted text, and may copy it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from benchmarks.ideas.common import SEEDS, STAR, Result, Row, bars, change, data
from benchmarks.ideas.short_runs import (
    FULL_SENTENCES,
    STEPS,
    TOKENS,
    initial,
    new_masked_lm,
    short_config,
    short_run,
    tuned_accuracy,
)
from minibert.equations import IGNORE_INDEX, masked_lm_loss, replaced_token_labels, replaced_token_loss, sample_tokens
from minibert.model import BertForMaskedLM
from minibert.model.electra import ElectraWithGenerator
from minibert.model.families import ElectraConfig
from minibert.model.heads import MaskedLMHead
from minibert.study.quickstart import mimetic_initialization
from minibert.text.batching import batches_by_length, iterate_batches
from minibert.text.examples import PretrainingBatch, PretrainingExamples
from minibert.training.costs import electra_cost, pretraining_cost
from minibert.training.objective import LossSum, Objective, scale_gradient
from minibert.training.pretraining_objectives import ElectraObjective, MaskedLMObjective

MASK_SHARE = 0.85
SAMPLE = 20
"""Number of batches whose operations are counted."""


def electra_config() -> ElectraConfig:
    """Return the config of a discriminator that is as large as the other models."""
    config = short_config()
    return ElectraConfig(**vars(config), embedding_size=config.hidden_size)


def with_generator(network: type[ElectraWithGenerator]) -> ElectraWithGenerator:
    """Initialize a discriminator and its generator as the other models are initialized."""
    model = network(electra_config())
    for part in (model.discriminator, model.generator):
        mimetic_initialization(part)
    return model


class AllTokensMLM(ElectraWithGenerator):
    """A generator, and a network that predicts the original of every token. Its probability of copying is a sigmoid."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.mlm = MaskedLMHead(config)
        self.initialize(self.mlm)

    def corrupt(self, batch: PretrainingBatch) -> tuple[Tensor, Tensor]:
        """Return the scores of the generator, and the text with its samples."""
        ids, *inputs = batch.inputs
        predicted = self.generator(ids, *inputs, output_at=batch.output_at, predict_at=batch.predict_at).logits
        drawn = sample_tokens(predicted, batch.uniform_at)
        return predicted, ids.flatten().index_copy(0, batch.predict_at, drawn).view_as(ids)

    def log_probabilities(self, corrupted: Tensor, original: Tensor, batch: PretrainingBatch) -> Tensor:
        """Return the logarithm of the probability of each token that is not padding."""
        _, *inputs = batch.inputs
        hidden = self.discriminator.bert(corrupted, *inputs).last_hidden_state[batch.attention_mask]
        replaced = self.discriminator.replaced(hidden)
        corrupted, original = corrupted[batch.attention_mask], original[batch.attention_mask]
        scores = self.mlm(hidden, self.discriminator.bert.embeddings.words.weight)
        predicted = nn.functional.logsigmoid(replaced) - nn.functional.cross_entropy(scores, original, reduction="none")
        copied = nn.functional.logsigmoid(-replaced)
        return torch.where(corrupted == original, torch.logaddexp(copied, predicted), predicted)


def original_ids(batch: PretrainingBatch) -> Tensor:
    """Return the text before it was masked."""
    return batch.input_ids.where(batch.labels == IGNORE_INDEX, batch.labels)


@dataclass(frozen=True)
class AllTokensObjective:
    """The masked-LM loss of the generator, and that of all tokens."""

    def target_counts(self, batch: PretrainingBatch) -> dict[str, float | Tensor]:
        """Count the masked tokens, and all tokens."""
        return {"mlm": len(batch.predict_at), "all": batch.attention_mask.sum()}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute both terms."""
        predicted, corrupted = model.corrupt(batch)
        labels = batch.labels.flatten()[batch.predict_at]
        all_tokens = -model.log_probabilities(corrupted, original_ids(batch), batch).sum()
        return {"mlm": LossSum(masked_lm_loss(predicted, labels, "sum")), "all": LossSum(all_tokens)}


@dataclass(frozen=True)
class MaskedElectraObjective:
    """ELECTRA's objective with the masked tokens as the only targets of the discriminator."""

    discriminator_weight: float = ElectraObjective().discriminator_weight

    def target_counts(self, batch: PretrainingBatch) -> dict[str, float | Tensor]:
        """Count the masked tokens, for both networks."""
        return {"mlm": len(batch.predict_at), "replaced": len(batch.predict_at)}

    def loss_sums(self, model: nn.Module, batch: PretrainingBatch) -> dict[str, LossSum]:
        """Compute both terms."""
        output = model(*batch.inputs, batch.predict_at, batch.uniform_at, batch.output_at)
        mlm = masked_lm_loss(output.prediction_logits, batch.labels.flatten()[batch.predict_at], "sum")
        labels = replaced_token_labels(output.corrupted_ids, original_ids(batch), batch.labels != IGNORE_INDEX)
        replaced = scale_gradient(replaced_token_loss(output.logits, labels, "sum"), self.discriminator_weight)
        return {"mlm": LossSum(mlm), "replaced": LossSum(replaced)}


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


WAYS = {
    "no pretraining": Way("initial"),
    "masked LM (BERT)": Way("masks-15", objective=MaskedLMObjective()),
    "replaced tokens (ELECTRA)": Way("electra", partial(with_generator, ElectraWithGenerator), ElectraObjective()),
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


def encoder(way: Way, seed: int, steps: int) -> BertForMaskedLM:
    """Pretrain in one of the ways, and put the encoder into a network of BERT."""
    model = initial(seed)
    if way.objective is not None:
        mask_share = None if way.network is new_masked_lm else MASK_SHARE
        trained = short_run(way.name, seed, way.network, way.objective, mask_share=mask_share, steps=steps)
        network = trained.discriminator if isinstance(trained, ElectraWithGenerator) else trained
        model.bert.load_state_dict(network.bert.state_dict())
    return model


def main() -> None:
    """Pretrain and fine-tune in all ways."""
    table = []
    for (title, way), (steps, total) in zip(WAYS.items(), costs(), strict=True):
        setting: dict[str, str | float] = {"pretraining": title, "steps": steps, "10¹² operations": f"{total / 1e12:.2f}"}
        scores = [tuned_accuracy(way.name, seed, encoder(way, seed, steps)) for seed in SEEDS]
        table.append(Row(setting, {"accuracy": scores}))

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
        finding,
    ).save(draw)


def finding(rows: list[Row]) -> str:
    """Compare with masked LM."""
    none, masked, electra, of_masked, all_tokens = rows
    points = partial(change, name="accuracy", form="+.1f", factor=100)
    return (
        f"Compared with masked LM after the same number of operations, the accuracy changes by {points(electra, masked)} "
        f"points for ELECTRA, by {points(of_masked, masked)} for ELECTRA 15%, and by {points(all_tokens, masked)} for "
        f"All-Tokens MLM. Compared with ELECTRA 15%, ELECTRA changes it by {points(electra, of_masked)}. Compared with no "
        f"pretraining, masked LM changes it by {points(masked, none)}. {STAR} All networks are trained with the learning rate "
        "of the quickstart, which was chosen for masked LM."
    )


if __name__ == "__main__":
    main()
