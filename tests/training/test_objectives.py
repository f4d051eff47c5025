"""Objectives of fine-tuning: the loss and the number of correct predictions, in examples that can be computed by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from minibert.model.heads import IGNORE_INDEX
from minibert.text.labeled.examples import LabeledBatch
from minibert.training import objective
from minibert.training.answering import AnsweringObjective
from minibert.training.classification import ClassificationObjective
from minibert.training.objective import target_weights
from minibert.training.tagging import TaggingObjective

LN2 = math.log(2)


def batch(**targets: Tensor) -> LabeledBatch:
    ones = torch.ones(2, 3, dtype=torch.int64)
    return LabeledBatch(ones, ones.bool(), ones, targets)


def counted(objective: Any, targets: dict[str, Tensor], **outputs: Tensor) -> tuple[float, float | None]:
    """Return the sum of the losses, and the number of correct predictions; None if there are none."""
    [result] = objective.losses(SimpleNamespace(**outputs), batch(**targets)).values()
    return float(result.loss), None if result.correct is None else float(result.correct)


def test_weights_of_classes_are_copied_to_a_device_once() -> None:
    """Each copy makes a GPU wait."""
    labels = torch.tensor([1, IGNORE_INDEX, 0])
    first = objective._on_device((1.0, 3.0), labels.device)
    assert target_weights(labels, [1.0, 3.0]).tolist() == [3.0, 0.0, 1.0]
    assert objective._on_device((1.0, 3.0), labels.device) is first


def test_one_class() -> None:
    logits = torch.tensor([[0.0, 0.0], [0.0, 50.0]], dtype=torch.float64)
    loss, correct = counted(ClassificationObjective(), {"labels": torch.tensor([0, 1])}, logits=logits)
    assert (loss, correct) == (pytest.approx(LN2), 2)
    assert counted(ClassificationObjective(), {"labels": torch.tensor([1, 0])}, logits=logits)[1] == 0


def test_independent_classes() -> None:
    """Each known class of each text counts. A class is predicted if its logit is above 0."""
    objective = ClassificationObjective("multi_label_classification")
    logits = torch.tensor([[0.0, 50.0, -50.0], [50.0, 0.0, 50.0]], dtype=torch.float64)
    labels = torch.tensor([[0.0, 1.0, 0.0], [1.0, math.nan, 1.0]], dtype=torch.float64)
    assert counted(objective, {"labels": labels}, logits=logits) == (pytest.approx(LN2), 5)
    loss, correct = counted(objective, {"labels": 1 - labels}, logits=logits)
    assert (loss, correct) == (pytest.approx(LN2 + 4 * 50), 0)


def test_a_number() -> None:
    labels = torch.tensor([[1.0], [math.nan]], dtype=torch.float64)
    logits = torch.tensor([[3.0], [7.0]], dtype=torch.float64)
    assert counted(ClassificationObjective("regression"), {"labels": labels}, logits=logits) == (4.0, None)


def test_tags() -> None:
    labels = torch.tensor([[0, 1, IGNORE_INDEX], [1, IGNORE_INDEX, IGNORE_INDEX]])
    logits = torch.zeros(2, 3, 2, dtype=torch.float64)
    logits[0, 1, 1] = 50.0
    logits[1, :, 0] = 50.0
    assert counted(TaggingObjective(), {"labels": labels}, logits=logits) == (pytest.approx(LN2 + 50), 2)


@pytest.mark.parametrize(("start", "end", "correct"), [(1, 2, 1), (1, 0, 0), (0, 2, 0), (0, 0, 0)])
def test_an_answer_is_correct_if_both_ends_are(start: int, end: int, correct: int) -> None:
    logits = {"start_logits": torch.tensor([[0.0, 9.0, 0.0]]).double(), "end_logits": torch.tensor([[0.0, 0.0, 9.0]]).double()}
    targets = {"start_positions": torch.tensor([start]), "end_positions": torch.tensor([end])}
    loss, found = counted(AnsweringObjective(), targets, **logits)
    assert found == correct
    rest = math.log(1 + 2 * math.exp(-9))
    assert loss == pytest.approx(rest + 9 * ((start != 1) + (end != 2)) / 2)
