"""Training on labeled images: examples, batches, and the loss of a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.checks import check_tensor
from minibert.device import to_device
from minibert.equations import IGNORE_INDEX
from minibert.text.batching import BatchSampler, IntArray
from minibert.training.objective import LossSum, class_losses, count_targets

TERM = "classification"


@dataclass(frozen=True)
class ImageBatch:
    """Several images with their classes."""

    pixel_values: Float[Tensor, "batch channels image_height image_width"]
    labels: Int[Tensor, " batch"]
    """The number of the class of each image, or `IGNORE_INDEX`."""

    def to(self, device: torch.device) -> "ImageBatch":
        """Copy the batch to a device."""
        return ImageBatch(to_device(self.pixel_values, device), to_device(self.labels, device))


@dataclass(frozen=True)
class ImageEpoch:
    """One pass over labeled images."""

    images: ImageBatch
    seed: tuple[int, ...]

    @property
    def lengths(self) -> IntArray:
        """Number of images of each example: one."""
        return np.ones(len(self.images.labels), dtype=np.int64)

    def batch_indices(self, batch_sampler: BatchSampler) -> list[IntArray]:
        """Return the indices of the images in each batch, in this epoch's random order."""
        return batch_sampler(self.lengths, np.random.default_rng(self.seed))

    def batch(self, indices: IntArray) -> ImageBatch:
        """Return a batch of images. Without indices, return one image that has no label."""
        if not len(indices):
            return ImageBatch(self.images.pixel_values[:1], torch.full_like(self.images.labels[:1], IGNORE_INDEX))
        return ImageBatch(self.images.pixel_values[indices], self.images.labels[indices])


@dataclass(frozen=True)
class ImageExamples:
    """Labeled images: the same in every epoch, in a different order.

    Raises: TypeError and ValueError for labels that are not one whole number for each image.
    """

    pixel_values: Float[Tensor, "examples channels image_height image_width"]
    labels: Int[Tensor, " examples"]
    seed: int = 0
    """Seed of the order."""

    def __post_init__(self) -> None:
        check_tensor("labels", self.labels, torch.int64, shape=self.pixel_values.shape[:1])

    def epoch(self, number: int) -> ImageEpoch:
        """Return an epoch; numbers start at 0."""
        return ImageEpoch(ImageBatch(self.pixel_values, self.labels), (self.seed, number))


@dataclass(frozen=True)
class ImageClassificationObjective:
    """The cross-entropy of the class of each image. For `ViTForImageClassification`."""

    def target_counts(self, batch: ImageBatch) -> Mapping[str, Tensor]:
        """Count the images with a class."""
        return {TERM: count_targets(batch.labels)}

    def loss_sums(self, model: nn.Module, batch: ImageBatch) -> dict[str, LossSum]:
        """Run the model on a batch and compute the sum of its losses and the number of correct predictions."""
        return {TERM: class_losses(model(batch.pixel_values).logits, batch.labels)}
