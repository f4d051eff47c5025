"""Position encodings of the networks: types of numbers, and what acts inside attention."""

import pytest
import torch

from minibert.equations import alibi_bias
from minibert.model.positions import AlibiPositions, make_positions


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_bias_has_the_type_of_the_network_and_is_computed_in_at_least_single_precision(dtype: torch.dtype) -> None:
    positions = torch.arange(300, 310)[None]
    bias = AlibiPositions(2).relative(positions, positions, dtype).score_bias
    assert bias is not None
    assert bias.dtype == dtype
    exact = alibi_bias(positions.double(), positions.double(), 2)
    assert torch.equal(bias, exact.to(dtype))


@pytest.mark.parametrize(("kind", "has_bias"), [("learned", False), ("sinusoidal", False), ("rotary", False), ("alibi", True)])
def test_only_alibi_adds_to_the_scores_and_only_rotary_rotates(kind: str, has_bias: bool) -> None:
    made = make_positions(kind, 16, 8, 2)
    positions = torch.arange(4)[None]
    relative = made.relative(positions, positions, torch.float32)
    assert (relative.score_bias is not None) is has_bias
    heads = torch.ones(1, 2, 4, 4)
    assert torch.equal(relative.rotate(heads), heads) is (kind != "rotary")
