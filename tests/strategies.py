"""Hypothesis strategies: shapes (including axes of size 1 and, where possible, 0), magnitudes, and masks."""

import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**31 - 1)
half_precisions = st.sampled_from([torch.float16, torch.bfloat16])


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return normally distributed numbers that depend on the seed only."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@st.composite
def tensors(draw: st.DrawFn, axes: int, magnitude: float = 3.0, largest: int = 5, smallest: int = 1) -> Tensor:
    """Draw a float64 tensor of normal numbers. The last axis has size 1 to `largest`, the others `smallest` to `largest`."""
    shape = [draw(st.integers(smallest, largest)) for _ in range(axes - 1)] + [draw(st.integers(1, largest))]
    return draw(st.floats(0.01, magnitude)) * normal(draw(seeds), *shape)


@st.composite
def masks(draw: st.DrawFn, batch: tuple[int, ...], queries: int, keys: int) -> Tensor:
    """Draw a mask (True means "may attend"): all True, padding at the end, causal, or random, possibly with empty rows."""
    generator = torch.Generator().manual_seed(draw(seeds))
    kind = draw(st.sampled_from(["all", "padding", "causal", "random"]))
    if kind == "all":
        return torch.ones(*batch, queries, keys, dtype=torch.bool)
    if kind == "padding":
        lengths = torch.randint(0, keys + 1, batch, generator=generator)
        return (torch.arange(keys) < lengths[..., None])[..., None, :].expand(*batch, queries, keys)
    if kind == "causal":
        return torch.ones(queries, keys, dtype=torch.bool).tril().expand(*batch, queries, keys)
    return torch.rand(*batch, queries, keys, generator=generator) < draw(st.sampled_from([0.2, 0.5, 0.8]))


AttentionInputs = tuple[Tensor, Tensor, Tensor, Tensor]


@st.composite
def attention_inputs(draw: st.DrawFn, largest: int = 5, smallest: int = 1) -> AttentionInputs:
    """Draw query, key, value and mask of matching shapes, in float64. `smallest=0` allows no queries and no keys."""
    batch = draw(st.sampled_from([(), (2,), (2, 3)]))
    queries, keys = draw(st.tuples(*[st.integers(smallest, largest)] * 2))
    width, value_width = draw(st.tuples(*[st.integers(1, largest)] * 2))
    scale, seed = draw(st.sampled_from([0.02, 1.0, 5.0])), draw(seeds)
    query = scale * normal(seed, *batch, queries, width)
    key = scale * normal(seed + 1, *batch, keys, width)
    value = scale * normal(seed + 2, *batch, keys, value_width)
    return query, key, value, draw(masks(batch, queries, keys))
