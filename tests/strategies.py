"""What property tests draw from: shapes from 1 up, magnitudes, masks of every kind."""

import torch
from hypothesis import strategies as st
from torch import Tensor

seeds = st.integers(0, 2**31 - 1)


@st.composite
def tensors(draw: st.DrawFn, axes: int, magnitude: float = 3.0, largest: int = 5) -> Tensor:
    """A float64 tensor of normal numbers, each axis 1 to `largest` long."""
    shape = draw(st.tuples(*[st.integers(1, largest)] * axes))
    generator = torch.Generator().manual_seed(draw(seeds))
    return draw(st.floats(0.01, magnitude)) * torch.randn(shape, generator=generator, dtype=torch.float64)


@st.composite
def masks(draw: st.DrawFn, batch: tuple[int, ...], queries: int, keys: int) -> Tensor:
    """A mask of what is kept: everything, padding at the end, the past, or anything at all, empty rows included."""
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


@st.composite
def attention_inputs(draw: st.DrawFn, largest: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value and mask that fit each other, in float64."""
    batch = draw(st.sampled_from([(), (2,), (2, 3)]))
    queries, keys, width, value_width = draw(st.tuples(*[st.integers(1, largest)] * 4))
    generator = torch.Generator().manual_seed(draw(seeds))
    scale = draw(st.sampled_from([0.02, 1.0, 5.0]))
    query, key, value = (
        scale * torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)
        for shape in ((queries, width), (keys, width), (keys, value_width))
    )
    return query, key, value, draw(masks(batch, queries, keys))
