"""Mistakes in telling where a token stands."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import sinusoidal_positions

ANGLES = "positions[:, None] / 10000**exponents"

POSITIONS = [
    Mistake(
        "sines first, then cosines",
        sinusoidal_positions,
        (
            (
                "torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)",
                "torch.cat([angles.sin(), angles.cos()], -1)",
            ),
        ),
        "All sines stand before all cosines.",
        "The columns are in another order; a model trained so works, but its weights fit no code that alternates.",
        "tensor2tensor, fairseq",
        Kind.CONVENTION,
    ),
    Mistake(
        "positional exponent doubled",
        sinusoidal_positions,
        (
            (
                "torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width",
                "2 * torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width",
            ),
        ),
        "2i counts the pairs of columns twice: the exponent is 4i/d.",
        "Half of all waves are so long that they tell no two positions apart.",
        "learners who step by 2 and multiply by 2 as well",
    ),
    Mistake(
        "one wavelength for each column",
        sinusoidal_positions,
        (
            (
                "torch.arange(0, width, 2, dtype=positions.dtype, device=positions.device) / width",
                "torch.arange(width, dtype=positions.dtype, device=positions.device) / width",
            ),
            (
                "torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)",
                "torch.stack([torch.sin(angles[:, ::2]), torch.cos(angles[:, 1::2])], dim=-1).flatten(-2)",
            ),
        ),
        "The cosine of a pair has another wavelength than its sine.",
        "A move is no rotation any more, so distances cannot be read off.",
        "learners who take i for 2i",
    ),
    Mistake(
        "base of a thousand",
        sinusoidal_positions,
        (("10000**exponents", "1000**exponents"),),
        "The wavelengths end at 2π · 1000.",
        "Another encoding: long sequences repeat sooner.",
        "learners, by a slip",
    ),
    Mistake(
        "cosine before sine",
        sinusoidal_positions,
        (("[torch.sin(angles), torch.cos(angles)]", "[torch.cos(angles), torch.sin(angles)]"),),
        "Even columns have the cosine.",
        "The pairs turn the other way.",
        "learners, by a slip",
    ),
    Mistake(
        "positions from one",
        sinusoidal_positions,
        ((ANGLES, "(positions[:, None] + 1) / 10000**exponents"),),
        "The first token stands at position 1.",
        "Every vector is turned a step too far.",
        "learners who count from 1",
    ),
    Mistake(
        "wavelengths by logarithms",
        sinusoidal_positions,
        ((ANGLES, "positions[:, None] * torch.exp(exponents * -9.210340371976184)"),),
        "10000 to a power is written as e to a multiple of its logarithm.",
        "The same.",
        "The Annotated Transformer, tensor2tensor",
        Kind.EQUIVALENT,
    ),
]
