"""The receipt of a score: the same predictions, computed in other ways that must not make a difference.

A score is only as good as the computation behind it. If padding is not masked, a prediction depends on the other texts of its
batch; if rows are lost or mixed up between processes, it is that of another row. Each check computes all logits again and
compares them, row by row.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from minibert.files import write_atomically
from minibert.kernels import Sequences
from minibert.model.adapters.adapter import ADAPTER_FOLDER
from minibert.model.checkpoints.weights import WEIGHTS_FILE
from minibert.study.evaluation.two_processes import logits_in_two_processes
from minibert.study.verify.comparison import TOLERANCES
from minibert.study.verify.stages import silent_transformers
from minibert.text.labeled.examples import Example
from minibert.text.tokenizer import PAD, save_tokenizer, token_id
from minibert.training.logits import EVALUATION_TOKENS, compute_logits
from minibert.training.metrics.results import Results
from minibert.training.task_type import TASK_FILE, Logits, Prediction
from minibert.training.trained import TrainedModel, load_trained


@dataclass(frozen=True)
class Difference:
    """A row whose logits or prediction differ."""

    row: int
    """Index of the row."""
    line: int | None
    """Line of the row in its file, starting at 1."""
    text: str
    """The input of the row, as it is shown."""
    size: float
    """Largest difference of its logits, relative to the largest of them or to 1, whichever is larger."""
    prediction: Prediction
    """The prediction of the evaluation, without its scores."""
    other: Prediction
    """The same of the check."""
    differs: bool
    """True if the predictions differ, not only their scores."""


@dataclass(frozen=True)
class Check:
    """The comparison of all predictions with those of another computation."""

    name: str
    tolerance: float = 0.0
    """Largest difference that counts as rounding."""
    rows: int = 0
    largest: float = 0.0
    """Largest difference of all rows."""
    differences: Sequence[Difference] = ()
    """The rows whose prediction differs, or whose logits differ by more than the tolerance; the largest difference first."""
    skipped: str = ""
    """The reason why the check does not apply; "" if it was made."""

    @property
    def predictions_differ(self) -> bool:
        """True if the prediction of some row differs."""
        return any(each.differs for each in self.differences)

    def fields(self) -> dict[str, Any]:
        """Return the check as JSON values."""
        if self.skipped:
            return {"check": self.name, "skipped": self.skipped}
        return {
            "check": self.name,
            "rows": self.rows,
            "tolerance": self.tolerance,
            "largest_difference": _finite(self.largest),
            "predictions_differ": self.predictions_differ,
            "differences": [
                {
                    "row": each.row + 1,
                    "line": each.line,
                    "text": each.text,
                    "difference": _finite(each.size),
                    "differs": each.differs,
                    "prediction": each.prediction,
                    "other": each.other,
                }
                for each in self.differences
            ],
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Evaluated:
    """The rows of an evaluation, with their examples and logits."""

    trained: TrainedModel[Any]
    rows: Sequence[Any]
    examples: Sequence[Example]
    logits: Sequence[Logits]

    @classmethod
    def compute(cls, trained: TrainedModel[Any], rows: Sequence[Any], max_tokens: int = EVALUATION_TOKENS) -> "Evaluated":
        """Compute the logits of rows in batches of similar length, of at most `max_tokens` tokens."""
        examples = trained.type.encode(rows, trained.tokenizer)
        logits = compute_logits(trained.network, trained.type, examples, token_id(trained.tokenizer, PAD), max_tokens)
        return cls(trained, rows, examples, logits)

    def predict(self, logits: Sequence[Logits]) -> list[Prediction]:
        """Return the prediction of each row, from the logits of the evaluation or from others."""
        return self.trained.type.predict(self.rows, self.examples, logits)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """The prediction of each row."""
        return self.predict(self.logits)

    @cached_property
    def results(self) -> Results:
        """The predictions compared with the gold labels."""
        return self.trained.type.results(self.rows, self.predictions)


class NotApplicable(Exception):
    """Reason why a check does not apply to a model."""


def receipt(evaluated: Evaluated) -> Iterator[Check]:
    """Make all checks, one after the other."""
    trained, examples = evaluated.trained, evaluated.examples
    pad_id = token_id(trained.tokenizer, PAD)

    def compute(model: nn.Module, max_tokens: int = EVALUATION_TOKENS) -> list[Logits]:
        return compute_logits(model, trained.type, examples, pad_id, max_tokens)

    yield compare("batches of one = padded batches", evaluated, lambda: compute(trained.network, max_tokens=1))
    yield compare("two processes = one process", evaluated, lambda: logits_in_two_processes(trained, examples, pad_id))
    with tempfile.TemporaryDirectory() as folder:
        yield compare("adapter = merged", evaluated, lambda: compute(_adapted_or_merged(trained, Path(folder))))
        yield compare("transformers = minibert", evaluated, lambda: compute(_transformers_model(trained, Path(folder))))


def compare(name: str, evaluated: Evaluated, compute: Callable[[], Sequence[Logits]]) -> Check:
    """Compare the logits of an evaluation with others of the same examples, and the predictions of both."""
    try:
        logits = compute()
    except NotApplicable as reason:
        return Check(name, skipped=str(reason))
    sizes = np.zeros(len(evaluated.rows))
    for example, ours, theirs in zip(evaluated.examples, evaluated.logits, logits, strict=True):
        sizes[example.row] = np.maximum(sizes[example.row], relative_difference(ours, theirs))  # NaN stays NaN
    tolerance = TOLERANCES[next(evaluated.trained.network.parameters()).dtype]
    found = []
    predictions = zip(evaluated.predictions, evaluated.predict(logits), strict=True)
    for row, (size, (one, other)) in enumerate(zip(sizes.tolist(), predictions, strict=True)):
        is_rounding, outcome = size <= tolerance, evaluated.results.outcomes[row]  # NaN is no rounding
        short, other_short = (decision(each) or each for each in (one, other))
        differs = short != other_short and (bool(decision(one)) or not is_rounding)
        if differs or not is_rounding:
            found.append(Difference(row, outcome.line, outcome.text, size, short, other_short, differs))
    found.sort(key=lambda each: (each.differs, math.isnan(each.size), each.size), reverse=True)
    return Check(name, tolerance, len(sizes), float(sizes.max(initial=0.0)), found)


def relative_difference(ours: Logits, theirs: Logits) -> float:
    """Return the largest difference of the logits of an example, relative to the largest one or to 1; NaN for other shapes."""
    if ours.shape != theirs.shape:
        return math.nan
    return float(np.abs(ours - theirs).max(initial=0.0) / np.abs(ours).max(initial=1.0))


def decision(prediction: Prediction) -> Prediction:
    """Return the part of a prediction without probabilities and other numbers that rounding changes.

    >>> decision({"label": "good", "score": 0.9, "scores": {"good": 0.9, "bad": 0.1}})
    {'label': 'good'}
    """
    return {name: value for name, value in prediction.items() if not _has_float(value)}


def _has_float(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_float, value.values()))
    return isinstance(value, float) or (isinstance(value, list | tuple) and any(map(_has_float, value)))


def _adapted_or_merged(trained: TrainedModel[Any], folder: Path) -> nn.Module:
    """Return the network with its adapter merged, or, if it is merged, the one with the adapter in the folder of the run."""
    stored, parameter = Path(trained.source) / ADAPTER_FOLDER, next(trained.network.parameters())
    if trained.network.adapter is None and not stored.is_dir():
        raise NotApplicable("the model has no adapter")
    source = stored if trained.network.adapter is None else _export(trained, folder)
    return load_trained(source, str(parameter.device), parameter.dtype).network


def _export(trained: TrainedModel[Any], folder: Path) -> Path:
    """Write the model without adapter. Raises: NotApplicable for an adapter that cannot be merged."""
    network = trained.network
    network.save_pretrained(folder)
    if not (folder / WEIGHTS_FILE).is_file():
        raise NotApplicable(f"a {network.adapter and network.adapter.kind} adapter cannot be merged into the weights")
    save_tokenizer(trained.tokenizer, folder, network.config.max_tokens)
    write_atomically(folder / TASK_FILE, trained.type.to_json())
    return folder


def _transformers_model(trained: TrainedModel[Any], folder: Path) -> nn.Module:
    """Export the network and load it with transformers."""
    try:
        import transformers
    except ImportError:
        raise NotApplicable("transformers is not installed (pip install 'minibert[verify]')") from None
    parameter = next(trained.network.parameters())
    network = getattr(transformers, trained.network.architecture)
    with silent_transformers():
        model = network.from_pretrained(str(_export(trained, folder)), dtype=parameter.dtype).eval()
    return _WithBooleanMask(model.to(parameter.device))


class _WithBooleanMask(nn.Module):
    """A network of transformers, which gets the mask of all tokens as 0 and 1."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor | Sequences, token_type_ids: Tensor) -> Any:
        mask = attention_mask.mask if isinstance(attention_mask, Sequences) else attention_mask
        return self.model(input_ids, mask.long(), token_type_ids)
