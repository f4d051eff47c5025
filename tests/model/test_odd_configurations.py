"""A few cases of `benchmarks/review/configurations.py`: odd networks and masks, compared with transformers and PyTorch."""

import pytest

from benchmarks.review.configurations import FAMILIES, judge
from tests.sampling import slow


@pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("seed", [0, slow(1), slow(2)])
@pytest.mark.parametrize("family", FAMILIES)
def test_results_are_equal_or_rightly_refused(family: str, seed: int) -> None:
    result, reason = judge(family, 3_000_000 + seed)
    assert result in ("equal", "refused"), reason
