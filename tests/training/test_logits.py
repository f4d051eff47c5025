"""Logits that are collected from batches, in the order of the examples."""

import numpy as np
import pytest

from minibert.training.classification import Classification
from minibert.training.logits import CollectLogits


@pytest.mark.parametrize("batches", [[], [[0]], [[2, 0], [1]], [[1], [3, 2], [0]]])
def test_the_order_is_that_of_the_examples(batches: list[list[int]]) -> None:
    """Whatever the batches were; also without any."""
    collect = CollectLogits(Classification(("a", "b")))
    collect.collected = [np.array([float(index)]) for batch in batches for index in batch]
    found = collect.in_order([np.array(batch) for batch in batches])
    assert [float(each[0]) for each in found] == sorted(index for batch in batches for index in batch)
