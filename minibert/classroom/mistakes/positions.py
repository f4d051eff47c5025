"""Mistakes in position encodings."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import alibi_bias, rotary_positions, sinusoidal_positions

ANGLES = "positions[:, None] / 10000**exponents"

POSITION_MISTAKES = [
    Mistake(
        "sines first, then cosines",
        sinusoidal_positions,
        (
            (
                "torch.stack([torch.sin(angles), torch.cos(angles)], dim=-1).flatten(-2)",
                "torch.cat([angles.sin(), angles.cos()], -1)",
            ),
        ),
        "All sines come before all cosines.",
        "The columns are in another order. A model trained this way works, but its weights do not fit code that alternates.",
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
        "The factor 2 in 2i is applied twice: the exponent is 4i/d.",
        "Half of the wavelengths are too long to distinguish positions.",
        "learners who use a step of 2 and also multiply by 2",
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
        "A shift is no longer a rotation, so the model cannot compute distances easily.",
        "learners who use i instead of 2i",
    ),
    Mistake(
        "base of one thousand",
        sinusoidal_positions,
        (("10000**exponents", "1000**exponents"),),
        "The longest wavelength is 2π · 1000.",
        "The encoding is another one, and it repeats earlier in long sequences.",
        "learners, by mistake",
    ),
    Mistake(
        "cosine before sine",
        sinusoidal_positions,
        (("[torch.sin(angles), torch.cos(angles)]", "[torch.cos(angles), torch.sin(angles)]"),),
        "Even columns contain the cosine.",
        "Each pair rotates in the opposite direction.",
        "learners, by mistake",
    ),
    Mistake(
        "positions counted from one",
        sinusoidal_positions,
        ((ANGLES, "(positions[:, None] + 1) / 10000**exponents"),),
        "The first token has position 1.",
        "Every vector is rotated one step too far.",
        "learners who count from 1",
    ),
    Mistake(
        "wavelengths by logarithms",
        sinusoidal_positions,
        ((ANGLES, "positions[:, None] * torch.exp(exponents * -9.210340371976184)"),),
        "The power of 10000 is written as an exponential of a logarithm.",
        "The result is the same.",
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
        "It works equally well, but its weights are not compatible with code that pairs adjacent columns.",
        "GPT-NeoX, LLaMA, Hugging Face",
        Kind.CONVENTION,
    ),
    Mistake(
        "halves paired, results interleaved",
        rotary_positions,
        (("vectors[..., 0::2], vectors[..., 1::2]", "vectors.chunk(2, dim=-1)"),),
        "The columns are split into halves, but the results are written to adjacent columns.",
        "At position 0 the columns come out in another order, so two rotations do not compose to one.",
        "learners who mix two codes",
    ),
    Mistake(
        "reflection instead of rotation",
        rotary_positions,
        (("even * sine + odd * cosine", "even * sine - odd * cosine"),),
        "One sign is wrong.",
        "The result is a reflection: dot products depend on the sum of the positions instead of their distance.",
        "learners",
    ),
    Mistake(
        "one angle for all columns",
        rotary_positions,
        (("positions[..., None] / 10000**exponents", "positions[..., None] / 10000**(exponents - exponents + 0.5)"),),
        "All pairs of columns rotate at the same speed.",
        "A single wave encodes all distances, and it repeats.",
        "learners",
    ),
    Mistake(
        "rotation in the opposite direction",
        rotary_positions,
        (
            ("even * cosine - odd * sine", "even * cosine + odd * sine"),
            ("even * sine + odd * cosine", "odd * cosine - even * sine"),
        ),
        "The vectors are rotated by the negative angle.",
        "Queries and keys rotate the same way, so attention gets the same information, with distances of the opposite sign.",
        "code that rotates by e^(-i t θ)",
        Kind.CONVENTION,
    ),
    Mistake(
        "distance added",
        alibi_bias,
        (("-slopes[:, None, None]", "slopes[:, None, None]"),),
        "The distance is added instead of subtracted.",
        "The most distant token gets the most attention.",
        "learners",
    ),
    Mistake(
        "signed distance",
        alibi_bias,
        ((").abs()", ")"),),
        "The distance is not absolute.",
        "Later tokens get higher scores the further away they are. A decoder is not affected; an encoder is.",
        "code for decoders only",
    ),
    Mistake(
        "the same slope for every head",
        alibi_bias,
        (("2.0 ** (-8 * steps / heads)", "2.0 ** (-8 * (steps - steps + 1) / heads)"),),
        "All heads use the slope of the first head.",
        "No head can attend to distant tokens.",
        "learners",
    ),
    Mistake(
        "slopes counted from zero",
        alibi_bias,
        (("torch.arange(1, heads + 1,", "torch.arange(heads,"),),
        "h is counted from 0.",
        "The first head has slope 1, and no head has slope 2⁻⁸.",
        "learners who count from 0",
    ),
]
