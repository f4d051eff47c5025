"""ELECTRA and its ablations for the experiment on replaced tokens (Clark et al. 2020, section 3.4)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.ideas.short_runs import short_config
from minibert.equations import IGNORE_INDEX, masked_lm_loss, replaced_token_labels, replaced_token_loss, sample_tokens
from minibert.model.electra import ElectraWithGenerator
from minibert.model.families import ElectraConfig
from minibert.model.heads import MaskedLMHead
from minibert.study.quickstart import mimetic_initialization
from minibert.text.examples import PretrainingBatch
from minibert.training.objective import LossSum, scale_gradient
from minibert.training.pretraining_objectives import ElectraObjective


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
        all_tokens = -model.log_probabilities(corrupted, batch.original_ids, batch).sum()
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
        labels = replaced_token_labels(output.corrupted_ids, batch.original_ids, batch.labels != IGNORE_INDEX)
        replaced = scale_gradient(replaced_token_loss(output.logits, labels, "sum"), self.discriminator_weight)
        return {"mlm": LossSum(mlm), "replaced": LossSum(replaced)}
