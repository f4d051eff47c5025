"""Mistakes in telling where a token stands."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import alibi_bias, rotary_positions, sinusoidal_positions

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
    Mistake(
        "rotation of halves",
        rotary_positions,
        (
            ("vectors[..., 0::2], vectors[..., 1::2]", "vectors.chunk(2, dim=-1)"),
            (
                "torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)",
                "torch.cat([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)",
            ),
        ),
        "Column i is paired with column i + d/2.",
        "As good, but weights fit no code that pairs neighbors.",
        "GPT-NeoX, LLaMA, Hugging Face",
        Kind.CONVENTION,
    ),
    Mistake(
        "halves paired, neighbors turned",
        rotary_positions,
        (("vectors[..., 0::2], vectors[..., 1::2]", "vectors.chunk(2, dim=-1)"),),
        "Columns are taken in halves, and put back side by side.",
        "At position 0 the vector comes out in another order: two moves are not one.",
        "learners who mix two codes",
    ),
    Mistake(
        "rotation with the signs of a reflection",
        rotary_positions,
        (("even * sine + odd * cosine", "even * sine - odd * cosine"),),
        "One sign is wrong.",
        "A reflection: dot products depend on the sum of positions, not on their distance.",
        "learners",
    ),
    Mistake(
        "one angle for all columns",
        rotary_positions,
        (("positions[..., None] / 10000**exponents", "positions[..., None] / 10000**(exponents - exponents + 0.5)"),),
        "All pairs turn equally fast.",
        "Near and far are told by one wave, which comes round again.",
        "learners",
    ),
    Mistake(
        "rotation of the sum of positions",
        rotary_positions,
        (
            ("even * cosine - odd * sine", "even * cosine + odd * sine"),
            ("even * sine + odd * cosine", "odd * cosine - even * sine"),
        ),
        "The vectors turn the other way.",
        "Queries and keys alike: what attention sees is the same, with distances of the other sign.",
        "codes that turn by e^(-i t θ)",
        Kind.CONVENTION,
    ),
    Mistake(
        "far is liked",
        alibi_bias,
        (("-slopes[:, None, None]", "slopes[:, None, None]"),),
        "The distance is added.",
        "What is farthest away is read most.",
        "learners",
    ),
    Mistake(
        "distance with its sign",
        alibi_bias,
        ((").abs()", ")"),),
        "What stands behind is liked the more the farther it is.",
        "A decoder does not notice; an encoder reads its end.",
        "codes for decoders alone",
    ),
    Mistake(
        "the same slope for every head",
        alibi_bias,
        (("2.0 ** (-8 * steps / heads)", "2.0 ** (-8 * (steps - steps + 1) / heads)"),),
        "All heads have the first one's slope.",
        "None can look far.",
        "learners",
    ),
    Mistake(
        "slopes from one",
        alibi_bias,
        (("torch.arange(1, heads + 1,", "torch.arange(heads,"),),
        "h is counted from 0.",
        "The first head has slope 1, and none 2⁻⁸.",
        "learners who count from 0",
    ),
]
