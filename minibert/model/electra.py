"""ELECTRA's discriminator together with its generator, for pretraining (Clark et al. 2020)."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minibert.equations import sample_tokens
from minibert.kernels import AttentionImplementation, Sequences
from minibert.model.checkpoints.config_file import CONFIG_FILE
from minibert.model.families import NETWORKS, ElectraConfig
from minibert.model.family_heads import ReplacedTokenDetection
from minibert.model.heads import BertForMaskedLM
from minibert.model.inputs import Mask
from minibert.model.outputs import ModelOutput
from minibert.model.pretrained import PretrainedModel

DISCRIMINATOR = cast("type[ReplacedTokenDetection]", NETWORKS["ElectraForPreTraining"])
GENERATOR = cast("type[BertForMaskedLM]", NETWORKS["ElectraForMaskedLM"])
SHARED = "bert.embeddings."
"""Start of the names of the parameters that both networks share."""
SHARED_SIZES = ("vocab_size", "embedding_size", "max_position_embeddings", "type_vocab_size")
"""Fields that are equal in both configs."""
GENERATOR_FOLDER = "generator"
"""Folder of the generator, in that of the discriminator."""


@dataclass(frozen=True, repr=False)
class ElectraOutput(ModelOutput):
    """Output of `ElectraWithGenerator`."""

    prediction_logits: Float[Tensor, "positions vocabulary"]
    """The generator's scores at the masked positions."""
    corrupted_ids: Int[Tensor, "batch tokens"]
    """The text with the tokens that the generator has drawn in place of the masked ones."""
    logits: Float[Tensor, "batch tokens"]
    """The discriminator's scores of "replaced"."""


def generator_config(config: ElectraConfig) -> ElectraConfig:
    """Return the config of a generator with a quarter of the discriminator's width, and as many layers.

    Source: Clark et al. 2020, section 3.2 and appendix A; the authors' code, `get_generator_config`: a head for each 64
        features, at least one, and a feed-forward network four times as wide.
    Differs: the paper has a third of the width for ELECTRA-base.
    """
    width = max(1, config.hidden_size // 4)
    return replace(config, hidden_size=width, num_attention_heads=max(1, width // 64), intermediate_size=4 * width)


class ElectraWithGenerator(PretrainedModel):
    """ELECTRA's discriminator and its generator, which share their embeddings.

    A checkpoint is that of the discriminator, `ElectraForPreTraining`. The folder "generator" in it has the generator,
    `ElectraForMaskedLM`.

    Args:
        config: the config of the discriminator.
        generator: that of the generator; None for `generator_config`.

    Raises: ValueError for a generator with embeddings of another size.

    Source: Clark et al. 2020, sections 2 and 3.2. The shared embeddings are the whole module with its normalization, as in the
        authors' code.
    """

    config_class = ElectraConfig
    config: ElectraConfig
    subfolders = (GENERATOR_FOLDER,)

    def __init__(
        self,
        config: ElectraConfig,
        generator: ElectraConfig | None = None,
        attention: AttentionImplementation = "auto",
    ) -> None:
        super().__init__(config)
        generator = generator or generator_config(config)
        for name in SHARED_SIZES:
            if (own := getattr(generator, name)) != (other := getattr(config, name)):
                raise ValueError(f"the generator has {name} {own}, but its discriminator {other}: they share their embeddings")
        self.discriminator = DISCRIMINATOR(config, attention)
        self.generator = GENERATOR(generator, attention)
        del self.generator.bert.embeddings
        # Not registered as a module of the generator, so that a state dict has the shared parameters once.
        object.__setattr__(self.generator.bert, "embeddings", self.discriminator.bert.embeddings)

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        attention_mask: Mask | Sequences | None,
        token_type_ids: Int[Tensor, "batch tokens"] | None,
        predict_at: Int[Tensor, " positions"],
        uniform_at: Float[Tensor, " positions"],
        output_at: Int[Tensor, "batch outputs"] | None = None,
    ) -> ElectraOutput:
        """Replace the masked tokens by samples of the generator, and detect them with the discriminator.

        Args:
            input_ids: a text with masked tokens; the other inputs are those of `Bert`.
            predict_at: positions of the masked tokens, as in `BertForPreTraining`.
            uniform_at: a random number in [0, 1) for each of them; see `equations.sample_tokens`.
            output_at: as in `Bert`, for the generator.
        """
        inputs = attention_mask, token_type_ids
        predicted = self.generator(input_ids, *inputs, output_at=output_at, predict_at=predict_at).logits
        drawn = sample_tokens(predicted, uniform_at)
        corrupted = input_ids.flatten().index_copy(0, predict_at, drawn).view_as(input_ids)
        return ElectraOutput(predicted, corrupted, self.discriminator(corrupted, *inputs).logits)

    def with_config(self, **changes: Any) -> "ElectraWithGenerator":
        of_generator = cast("ElectraConfig", replace(self.generator.config, **changes))
        changed = type(self)(replace(self.config, **changes), of_generator)
        changed.load_state_dict(self.state_dict(), assign=True)
        return changed

    def save_pretrained(self, directory: str | Path, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """Write the discriminator to the folder, and the generator to the folder "generator" in it."""
        weights = self.state_dict() if state_dict is None else state_dict
        discriminator, generator = (
            {name.removeprefix(part): each for name, each in weights.items() if name.startswith(part)}
            for part in ("discriminator.", "generator.")
        )
        shared = {name: each for name, each in discriminator.items() if name.startswith(SHARED)}
        self.discriminator.save_pretrained(directory, discriminator)
        self.generator.save_pretrained(Path(directory, GENERATOR_FOLDER), shared | generator)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        attention: AttentionImplementation = "auto",
        dtype: torch.dtype | None = None,
        labels: Sequence[str] | None = None,
    ) -> "ElectraWithGenerator":
        """Load the discriminator of a checkpoint, and its generator. If it has none, a new one is initialized, with a warning.

        The shared embeddings are those of the discriminator. Raises: as `load`; ValueError for labels.
        """
        if labels is not None:
            raise ValueError("labels: this network has no classification head; leave labels out")
        discriminator = DISCRIMINATOR.from_pretrained(source, attention, dtype)
        folder = Path(source, GENERATOR_FOLDER)
        generator = GENERATOR.from_pretrained(folder, attention, dtype) if (folder / CONFIG_FILE).is_file() else None
        of_generator = None if generator is None else cast("ElectraConfig", generator.config)
        try:
            model = cls(cast("ElectraConfig", discriminator.config), of_generator, attention)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error
        model.to(next(discriminator.parameters()).dtype)
        if generator is None:
            warnings.warn(f"{source}: has no folder {GENERATOR_FOLDER}, so a new generator is initialized", stacklevel=2)
        else:
            own = {name: each for name, each in generator.state_dict().items() if not name.startswith(SHARED)}
            model.generator.load_state_dict(own)
        model.discriminator.load_state_dict(discriminator.state_dict())
        model.source, model.initialized = discriminator.source, discriminator.initialized
        return model.eval()
