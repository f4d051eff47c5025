"""Options of distillation. Importing this module loads no library, so that the command line starts fast."""

from dataclasses import dataclass

from minibert.text.options import InvalidOption
from minibert.training.options import FAMILY_FIELDS, PretrainingConfig

LEARNING_RATE = 5e-4
"""Peak learning rate of a student, as in Sanh et al. 2019 (their code)."""


@dataclass(frozen=True)
class DistillationConfig(PretrainingConfig):
    """Hyperparameters of distillation. The weights of the losses are those of the code of Sanh et al. 2019."""

    learning_rate: float | None = None
    """Peak learning rate. None: 5e-4, as in their code."""
    seed: int = 0
    """Seed of masks, order and dropout."""
    layers: int | None = None
    """Layers of the student. None: half of the teacher's."""
    temperature: float = 2.0
    """Temperature of the teacher's and the student's probabilities. Above 1, unlikely pieces count more."""
    soft_weight: float = 5.0
    """Weight of the loss that compares the probabilities of student and teacher at the masked tokens."""
    mlm_weight: float = 2.0
    """Weight of the loss of masked language modeling."""
    cosine_weight: float = 1.0
    """Weight of the loss that compares the directions of the last vectors of student and teacher."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("preset", *FAMILY_FIELDS):
            if getattr(self, name) is not None:
                raise InvalidOption(f"{name}: leave it out, all sizes of the student but --layers are those of its teacher")
        if self.examples.pairs not in (None, "none"):
            raise InvalidOption(f"pairs {self.examples.pairs}: distillation has no task for sentence pairs; leave it out")
        if self.layers is not None and self.layers < 1:
            raise InvalidOption(f"layers {self.layers}: must be at least 1")
        if not self.temperature > 0:
            raise InvalidOption(f"temperature {self.temperature:g}: must be above 0")
        weights = {name: getattr(self, name) for name in ("soft_weight", "mlm_weight", "cosine_weight")}
        for name, weight in weights.items():
            if not weight >= 0:
                raise InvalidOption(f"{name} {weight:g}: must be at least 0")
        if not any(weights.values()):
            raise InvalidOption("all weights of the losses are 0: nothing would be learned")

    @property
    def peak_learning_rate(self) -> float:
        """Learning rate at the end of warm-up."""
        return self.learning_rate or LEARNING_RATE
