"""`minibert plot`: figures of one forward pass for papers and slides."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from minibert.commands.errors import UsageError, check_figure
from minibert.commands.subject import SubjectOptions, load
from minibert.commands.terminal import say
from minibert.printable import printable

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel
    from minibert.observe import Recording
    from minibert.study.drawing import Draw
    from minibert.study.subject import ModelInput

FigureFile = Annotated[Path, arg(metavar="FILE.{png,svg,pdf}")]
MAX_POSITIONS = 8192
"""Largest number of positions, and largest width, of a figure."""


@dataclass(frozen=True, kw_only=True)
class PlotAttention(SubjectOptions):
    """Draw the attention weights of all heads, of one layer (--layer) or of one head (--layer and --head)."""

    layer: int | None = None
    """Number of a layer, from 0. Default: all layers."""
    head: int | None = None
    """Number of a head, from 0. Default: all heads of the layer."""
    part: Literal["encoder", "decoder", "cross"] | None = None
    """Attention of the 2017 Transformer: of the encoder, of the decoder to itself, or of the decoder to the encoder output
    (cross). Default: the encoder."""
    out: FigureFile
    """File to write; its extension is the format."""


@dataclass(frozen=True, kw_only=True)
class PlotEmbeddings(SubjectOptions):
    """Draw the norms of the word, position and segment embeddings of each token, and of their sum."""

    out: FigureFile
    """File to write; its extension is the format."""


@dataclass(frozen=True, kw_only=True)
class PlotLens(SubjectOptions):
    """Draw the logit lens: probability and rank of the model's prediction, if its head is applied to each layer's output.

    The prediction is that of the first [MASK], or the next token of a GPT-2 or of a 2017 Transformer.
    """

    position: int | None = None
    """Number of another token, from 0, whose prediction is shown."""
    out: FigureFile
    """File to write; its extension is the format."""


@dataclass(frozen=True, kw_only=True)
class PlotPositions:
    """Draw a position encoding: that of a checkpoint or preset, or one that has no parameters (--kind)."""

    checkpoint: str | None = None
    """A folder with a checkpoint, or the id of a model on the Hugging Face hub."""
    preset: str | None = None
    """A model with random weights instead of a checkpoint, such as tiny."""
    kind: Literal["sinusoidal", "rotary", "alibi"] | None = None
    """Position encoding to draw without a model. Default: sinusoidal."""
    positions: int | None = None
    """Number of positions. Default: those of a learned table, otherwise 128."""
    width: int | None = None
    """With --kind: size of the vectors (default: 128), or, for alibi, number of heads (default: 8)."""
    out: FigureFile
    """File to write; its extension is the format."""


@dataclass(frozen=True, kw_only=True)
class PlotRotation:
    """Draw the rotation of rotary embeddings: pairs of columns at each position, and scores over the distance."""

    width: int = 64
    """Size of a head. Its columns are rotated in pairs."""
    positions: int = 12
    """Number of positions."""
    out: FigureFile
    """File to write; its extension is the format."""


def run_attention(options: PlotAttention) -> int:
    """Write the figure."""
    check_figure(options.out)
    if options.head is not None and options.layer is None:
        raise UsageError(f"--head {options.head}: give the layer too, with --layer")
    model, _, made = load(options)
    from minibert.study.plots import attention_head, attention_heads, attention_layer, attention_weights

    attentions = attention_weights(_record(model, made))
    part: str = options.part or next(name for name in attentions)
    if part not in attentions:
        raise UsageError(f"--part {part}: this model has only {', '.join(attentions)}")
    layers = attentions[part]
    queries = made.tokens if part == "encoder" else made.targets or made.tokens
    keys = queries if part == "decoder" else made.tokens
    name = "Cross-attention" if part == "cross" else f"Attention of the {part}" if made.targets else "Attention"
    if options.layer is None:
        heads = len(layers[0])
        size = _inches(heads, 0.62), _inches(len(layers), 0.62)
        return _write(options.out, partial(attention_heads, weights=layers, title=f"{name}: all heads"), size=size)
    weights = layers[_number("layer", options.layer, len(layers))]
    size = _inches(len(keys), 0.24), _inches(len(queries), 0.24)
    if options.head is None:
        columns = math.ceil(math.sqrt(len(weights)))
        cell = min(3.2, 9.0 / columns)
        size = cell * columns + 1.6, 1.1 * cell * math.ceil(len(weights) / columns) + 0.9
        draw = partial(attention_layer, weights=weights, queries=queries, keys=keys, title=f"{name}: layer {options.layer}")
        return _write(options.out, draw, size=size)
    head = weights[_number("head", options.head, len(weights))]
    title = f"{name}: layer {options.layer}, head {options.head}"
    return _write(options.out, partial(attention_head, weights=head, queries=queries, keys=keys, title=title), size=size)


def run_embeddings(options: PlotEmbeddings) -> int:
    """Write the figure, with one chart for each stack that has embeddings."""
    check_figure(options.out)
    model, _, made = load(options)
    from minibert.study.plots import embedding_norms, embedding_steps

    stacks = embedding_steps(_record(model, made))
    tokens = {stack: made.targets if stack == "decoder" and made.targets else made.tokens for stack in stacks}
    of_stack = {stack: f" of the {stack}" if len(stacks) > 1 else "" for stack in stacks}
    charts = [
        partial(embedding_norms, embeddings=steps, tokens=tokens[stack], title=f"Norms of the embeddings{of_stack[stack]}")
        for stack, steps in stacks.items()
    ]
    longest = max(map(len, tokens.values()))
    return _write(options.out, *charts, size=(_inches(longest, 0.3), 4.4))


def run_lens(options: PlotLens) -> int:
    """Write the figure."""
    check_figure(options.out)
    model, tokenizer, made = load(options)
    from minibert.study.plots import lens_probabilities, lens_ranks, logit_lens

    try:
        lens = logit_lens(model, tokenizer, made, options.position)
    except ValueError as error:
        raise UsageError(error) from error
    size = (5.6, max(3.6, 1.6 + 0.26 * len(lens.layers)))
    return _write(options.out, partial(lens_probabilities, lens=lens), partial(lens_ranks, lens=lens), size=size)


def run_positions(options: PlotPositions) -> int:
    """Write the figure, with one chart for each table of learned positions."""
    check_figure(options.out)
    given = [value for value in (options.checkpoint, options.preset, options.kind or options.width) if value is not None]
    if len(given) > 1:
        raise UsageError("give only one: --checkpoint, --preset, or --kind (with --width)")
    if options.positions is not None:
        _check_size("positions", options.positions)
    try:
        charts = _position_charts(options)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    return _write(options.out, *charts, size=(6.4, 4.4))


def _position_charts(options: PlotPositions) -> "list[Draw]":
    from minibert.study.plots.positions import alibi_slopes, learned, position_vectors, rotary, sinusoidal

    kind, width, heads = options.kind or "sinusoidal", options.width or 128, options.width or 8
    if options.checkpoint is not None or options.preset is not None:
        from minibert.model import load as load_network
        from minibert.study.subject import load_subject

        chosen = options.checkpoint
        model = load_subject(preset=options.preset)[0] if chosen is None else load_network(chosen)
        if tables := learned(model, options.positions):
            return [
                partial(position_vectors, vectors=rows, title=f"Learned positions: {path}") for path, rows in tables.items()
            ]
        config: Any = model.config
        kind, heads = config.positions, config.num_attention_heads
        width = config.hidden_size // heads if kind == "rotary" else config.hidden_size
    positions = options.positions or 128
    _check_size("width", width)
    if kind == "alibi":
        return [partial(alibi_slopes, heads=heads, distance=positions - 1)]
    vectors = (rotary if kind == "rotary" else sinusoidal)(positions, width)
    title = "Rotary positions: cosine and sine of each angle" if kind == "rotary" else "Sinusoidal positions"
    return [partial(position_vectors, vectors=vectors, title=title)]


def run_rotation(options: PlotRotation) -> int:
    """Write the figure: a fast, a slower and a slow pair of columns, and the scores."""
    check_figure(options.out)
    _check_size("positions", options.positions)
    _check_size("width", options.width)
    if options.width % 2:
        raise UsageError(f"--width {options.width}: must be even, because columns are rotated in pairs")
    from minibert.study.plots import rotary_scores, rotation

    pairs = sorted({0, options.width // 8, options.width // 4})
    circles = [partial(rotation, width=options.width, pair=pair, positions=options.positions) for pair in pairs]
    scores = partial(rotary_scores, width=options.width, positions=max(64, options.positions))
    return _write(options.out, *circles, scores, size=(3.8, 3.8))


FIGURES: Mapping[str, tuple[type[Any], Callable[[Any], int]]] = {
    "attention": (PlotAttention, run_attention),
    "positions": (PlotPositions, run_positions),
    "rotation": (PlotRotation, run_rotation),
    "embeddings": (PlotEmbeddings, run_embeddings),
    "lens": (PlotLens, run_lens),
}
"""The options class and the function of each figure."""


def _record(model: "PretrainedModel", made: "ModelInput") -> "Recording":
    """Run the model and return the recording. Raises: UsageError for a text that is too long."""
    import torch

    from minibert.observe import record

    try:
        with torch.no_grad(), record(model) as recording:
            model(**made.arguments)
    except ValueError as error:  # more tokens than positions
        raise UsageError(error) from error
    return recording


def _write(path: Path, *charts: "Draw", size: tuple[float, float]) -> int:
    from minibert.study.drawing import figure, save

    save(figure(*charts, size=size), path)
    say(f"written: {printable(path)}")
    return 0


def _inches(cells: int, inches: float) -> float:
    """Return the width or height of a chart with so many cells, within limits."""
    return min(10.0, max(4.0, 2.0 + inches * cells))


def _number(name: str, number: int, count: int) -> int:
    if not 0 <= number < count:
        raise UsageError(f"--{name} {number}: this model has the {name}s 0 to {count - 1}")
    return number


def _check_size(name: str, number: int) -> None:
    if not 1 <= number <= MAX_POSITIONS:
        raise UsageError(f"--{name} {number}: must be from 1 to {MAX_POSITIONS:,}")
