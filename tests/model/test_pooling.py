"""Pooling functions against loops, for batches with padding."""

import math

import pytest
import torch

from minibert.model.pooling import POOLING

LENGTHS = (1, 4, 2)


@pytest.mark.parametrize("name", POOLING)
def test_pooling_equals_a_loop_and_ignores_padding(name: str) -> None:
    """Padding may have any value, also an infinite one or NaN."""
    torch.manual_seed(0)
    hidden = torch.randn(3, 4, 5, dtype=torch.float64)
    keep = torch.arange(4) < torch.tensor(LENGTHS)[:, None]
    hidden[~keep] = torch.tensor([math.nan, math.inf, -math.inf, 1e300, 9.0], dtype=torch.float64)
    expected = {
        "mean": lambda rows: sum(rows) / len(rows),
        "cls": lambda rows: rows[0],
        "max": lambda rows: torch.stack([max(column) for column in rows.T]),
        "mean_sqrt_len_tokens": lambda rows: sum(rows) / math.sqrt(len(rows)),
    }[name]
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(POOLING[name](hidden, keep)[row], expected(hidden[row, :length]), atol=1e-12, rtol=0)
