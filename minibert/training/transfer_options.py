"""Options of the ways to transfer a pretrained encoder. Importing this module loads no library."""

from dataclasses import dataclass

from minibert.text.options import InvalidOption


@dataclass(frozen=True)
class TransferConfig:
    """The part of a pretrained network that is trained. By default, all of it is, with one learning rate."""

    freeze: str | None = None
    """Parts that are not trained: embeddings, layers such as 0-3, pooler, or encoder for all of these. Separate them by commas.
    They have no dropout. Parameters that the checkpoint does not have are trained in any case."""
    feature_extraction: bool = False
    """Train only the head, and a new pooler: compute the output of the encoder once for every text, and keep it in memory."""
    unfreeze_per_epoch: int | None = None
    """Gradual unfreezing (Howard and Ruder 2018): the first epoch trains the head and the pooler. In each later epoch this
    number of layers joins, from the top to the embeddings. The paper uses 1."""
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the layer below it, such as 0.95 (Sun et al. 2019). The head, the pooler
    and the top layer have the full learning rate."""
    reinitialize: int | None = None
    """Give the pooler and this number of top layers new initial values (Zhang et al. 2021). 0: the pooler alone."""

    def __post_init__(self) -> None:
        if self.unfreeze_per_epoch is not None and self.unfreeze_per_epoch < 1:
            raise InvalidOption(f"unfreeze_per_epoch {self.unfreeze_per_epoch}: must be at least 1")
        if not 0 < self.layer_decay <= 1:
            raise InvalidOption(f"layer_decay {self.layer_decay:g}: must be above 0 and at most 1")
        if self.reinitialize is not None and self.reinitialize < 0:
            raise InvalidOption(f"reinitialize {self.reinitialize}: must be at least 0")
        if self.feature_extraction:
            self._check_feature_extraction()

    def _check_feature_extraction(self) -> None:
        others = {
            "--freeze": self.freeze is not None,
            "--unfreeze-per-epoch": self.unfreeze_per_epoch is not None,
            "--layer-decay": self.layer_decay != 1,
            "--reinitialize above 0": bool(self.reinitialize),
        }
        if given := [name for name, is_given in others.items() if is_given]:
            raise InvalidOption(f"--feature-extraction trains no layer of the encoder: leave out {' and '.join(given)}")
