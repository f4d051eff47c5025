"""Do minibert and transformers compute the same? Stage by stage; and if not, where do they first part, and why?"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from minibert.equations import layer_norm, merge_heads
from minibert.model.config import ACTIVATIONS, BertConfig
from minibert.model.gpt2 import GPT2Config
from minibert.model.layers import ACTIVATION_FUNCTIONS
from minibert.model.pretrained import PretrainedModel
from minibert.study import figures as plots
from minibert.study.verify.stages import Inputs, Stages
from minibert.text.tokenizer import load_tokenizer

TOLERANCES = {torch.float32: 2e-5, torch.float64: 1e-10}
"""The largest difference at a stage that is rounding, as a share of its largest number (or of 1, if that is smaller)."""
DEFAULT_TEXT = "What you see is what you get, and [MASK] is what you verify."
RANDOM_TOKENS = 16


INSIDE_ATTENTION = {"scores", "weights", "context"}
"""Steps that are not observed in fused attention, or in somebody's own."""


@dataclass(frozen=True)
class Stage:
    """How far two tensors are apart that should be the same."""

    name: str
    absolute: float
    """The largest difference of two numbers."""
    relative: float
    """The same, as a share of the largest number of the stage (or of 1)."""
    cosine: float
    """Of the angle between both, taken as long vectors."""
    agrees: bool


@dataclass(frozen=True)
class Verification:
    """What was compared, and what came out."""

    stages: list[Stage]
    tolerance: float
    not_compared: list[str]
    """Stages that only one side has."""
    cause: str | None
    """Why the first stage that differs does so, as far as that can be known."""

    @property
    def agrees(self) -> bool:
        """Whether something was compared, all of it agrees, and nothing is left out but what attention keeps to itself."""
        inner = all(name.rpartition(".")[2] in INSIDE_ATTENTION for name in self.not_compared)
        return bool(self.stages) and inner and self.first_difference is None

    @property
    def first_difference(self) -> Stage | None:
        """The first stage that does not agree."""
        return next((stage for stage in self.stages if not stage.agrees), None)


def inputs_for(
    source: str | Path, config: BertConfig | GPT2Config, text: str | None = None, ids: list[int] | None = None
) -> Inputs:
    """A batch of two: the tokens, of which the second half counts as sentence B; and their first half, padded.

    So segments, where a model has them, and the mask are looked at as well. Without text and ids it is a sentence of ours, or
    random ids where the checkpoint has no tokenizer.

    Raises: ValueError for ids or a text that the checkpoint cannot take.
    """
    if text is not None:
        ids = load_tokenizer(source).encode(text).ids
    elif ids is None:
        try:
            ids = load_tokenizer(source).encode(DEFAULT_TEXT).ids
        except FileNotFoundError:
            most = min(RANDOM_TOKENS, config.max_position_embeddings)
            ids = torch.randint(config.vocab_size, (most,), generator=torch.Generator().manual_seed(0)).tolist()
    if not ids:
        raise ValueError("there are no tokens to verify with")
    if wrong := [number for number in ids if not 0 <= number < config.vocab_size]:
        raise ValueError(f"id {wrong[0]} is outside the vocabulary of {config.vocab_size} pieces")
    if len(ids) > config.max_position_embeddings:
        raise ValueError(f"{len(ids)} tokens are more than max_position_embeddings {config.max_position_embeddings}")
    half = math.ceil(len(ids) / 2)
    row = torch.tensor(ids)
    short = torch.where(torch.arange(len(ids)) < half, row, config.pad_token_id)
    rows, mask = torch.stack([row, short]), torch.stack([torch.ones_like(row), (torch.arange(len(ids)) < half).long()])
    if isinstance(config, GPT2Config):
        return Inputs(rows, mask)
    second = (torch.arange(len(ids)) >= half).long() if config.type_vocab_size > 1 else torch.zeros_like(row)
    return Inputs(rows, mask, torch.stack([second, torch.zeros_like(row)]))


def compare(theirs: Stages, ours: Stages, inputs: Inputs, model: PretrainedModel, dtype: torch.dtype) -> Verification:
    """Every stage that both have, in order. `model` is ours; where they part, its parameters tell why."""
    tolerance = TOLERANCES[dtype]
    stages = []
    for name in (name for name in theirs if name in ours):
        one, two = theirs[name].to(torch.float64), ours[name].to(torch.float64)
        if name.endswith(".scores"):  # theirs are masked already
            one, two = (scores.masked_fill(~inputs.keep, 0.0) for scores in (one, two))
        stages.append(_compare(name, one, two, tolerance))
    first = next((stage for stage in stages if not stage.agrees), None)
    return Verification(
        stages,
        tolerance,
        [name for name in (*theirs, *ours) if (name in theirs) != (name in ours) and not name.endswith("masked_scores")],
        _cause(first.name, theirs, ours, model) if first else None,
    )


def _compare(name: str, one: Tensor, two: Tensor, tolerance: float) -> Stage:
    if one.shape != two.shape:
        return Stage(name, math.inf, math.inf, 0.0, False)
    absolute = (one - two).abs().max().item() if one.numel() else 0.0
    relative = absolute / max(1.0, one.abs().max().item() if one.numel() else 0.0)
    norms = one.norm() * two.norm()
    cosine = ((one * two).sum() / norms).item() if norms > 0 else 1.0
    return Stage(name, absolute, relative, cosine, relative <= tolerance)  # NaN agrees with nothing


def _cause(name: str, theirs: Stages, ours: Stages, model: PretrainedModel) -> str | None:
    try:
        return explain(name, theirs, ours, model)
    except KeyError:  # a stage that would tell was not kept
        return None


def explain(name: str, theirs: Stages, ours: Stages, model: PretrainedModel) -> str | None:
    """The likely cause of a first difference at `name`: what, put into our step, gives their numbers. None if nothing does."""
    path, _, step = name.rpartition(".")
    config = model.config
    if theirs[name].shape != ours[name].shape:
        return f"the shapes differ: {tuple(theirs[name].shape)} there, {tuple(ours[name].shape)} here"
    if name in INPUT_CAUSES:
        return INPUT_CAUSES[name]
    modules = {module.removeprefix("bert."): found for module, found in model.named_modules()}
    if name in modules and isinstance(modules[name], nn.Linear):
        before = _before_linear_of_decoder if isinstance(config, GPT2Config) else _before_linear
        return _linear(before(path, step, theirs), theirs[name], modules[name])
    match step:
        case "activation":
            return _activation(theirs[f"{path}.intermediate"], theirs[name], config.hidden_act)
        case "attention_norm" | "norm" if isinstance(config, GPT2Config):
            return _eps(_before_pre_norm(path, step, theirs), theirs[name], modules[name], config.layer_norm_eps)
        case "output" | "attention_norm" if not isinstance(config, GPT2Config):
            norm = modules[f"{path}.{step}" if step == "attention_norm" else f"{path}.norm"]
            return _eps(_before_norm(path, step, theirs), theirs[name], norm, config.layer_norm_eps)
        case "scores":
            return _factor(theirs[name], ours[name])
        case "weights":
            return "the scores agree and the weights do not: the mask, or the axis of the softmax"
        case "context":
            return "what attention reads differs: the weights, the mask, or how the values are averaged"
    return None


INPUT_CAUSES = {
    "embeddings.words": "the word embeddings, or the token ids",
    "embeddings.positions": "the position embeddings, or where positions begin",
    "embeddings.segments": "the segment embeddings, or the segment ids (token_type_ids)",
    "embeddings.sum": "an embedding is left out, or added twice",
    "decoder.embeddings.words": "the word embeddings, or the token ids",
    "decoder.embeddings.sum": "the position embeddings, or where positions begin",
}


def _before_linear(path: str, step: str, theirs: Stages) -> Tensor:
    """What goes into a projection there."""
    if step == "output":
        return merge_heads(theirs[f"{path}.context"])
    if step in ("intermediate", "feed_forward"):
        return theirs[f"{path}.{'attention_norm' if step == 'intermediate' else 'activation'}"]
    layer = int(path.split(".")[1])
    return theirs["embeddings.output" if layer == 0 else f"layers.{layer - 1}.output"]


def _before_linear_of_decoder(path: str, step: str, theirs: Stages) -> Tensor:
    """The same, where normalization stands before the sublayers."""
    if step == "output":
        return merge_heads(theirs[f"{path}.context"])
    if step in ("intermediate", "feed_forward"):
        return theirs[f"{path}.{'norm' if step == 'intermediate' else 'activation'}"]
    return theirs[f"{path.removesuffix('.attention')}.attention_norm"]


def _before_pre_norm(path: str, step: str, theirs: Stages) -> Tensor:
    """What is normalized before a sublayer, or at the end."""
    layers = [name for name in theirs if ENDS_A_LAYER.fullmatch(name)]
    if path == "decoder":
        return theirs[layers[-1]]
    if step == "norm":
        return theirs[f"{path}.attention_residual"]
    number = int(path.split(".")[-1])
    return theirs["decoder.embeddings.sum" if number == 0 else f"decoder.layers.{number - 1}.output"]


def _before_norm(path: str, step: str, theirs: Stages) -> Tensor:
    """What they have normalized there."""
    if path == "embeddings":
        return theirs["embeddings.sum"]
    if step == "attention_norm":
        return theirs[f"{path}.attention_residual"]
    return theirs[f"{path}.attention_norm"] + theirs[f"{path}.feed_forward"]


def _activation(before: Tensor, after: Tensor, configured: str) -> str | None:
    near = [name for name in ACTIVATIONS if torch.allclose(ACTIVATION_FUNCTIONS[name](before), after, rtol=1e-6, atol=1e-6)]
    found = [name for name in near if name != configured]
    return f"the activation function: {found[0]} there, {configured} here" if found and configured not in near else None


def _eps(residual: Tensor, after: Tensor, norm: nn.Module, configured: float) -> str | None:
    gain, bias = (parameter.to(residual.dtype) for parameter in (norm.get_parameter("weight"), norm.get_parameter("bias")))
    errors = {eps: (layer_norm(residual, gain, bias, eps) - after).abs().max().item() for eps in (1e-12, 1e-6, 1e-5, 1e-3)}
    best = min(errors, key=errors.__getitem__)
    fits = best != configured and errors[best] < 0.1 * (layer_norm(residual, gain, bias, configured) - after).abs().max()
    return f"the eps of layer normalization: {best:g} there, {configured:g} here" if fits else None


def _factor(theirs: Tensor, ours: Tensor) -> str | None:
    kept = (theirs > -1e4) & (ours.abs() > 1e-6)
    ratios = (theirs / ours)[kept]
    if not ratios.numel() or ratios.std() > 1e-3 * ratios.mean().abs():
        return "how a query and a key are compared"
    return f"the scale: scores are {ratios.mean().item():.4g} times as large there"


def _linear(before: Tensor, after: Tensor, linear: nn.Module) -> str:
    weight, bias = (linear.get_parameter(name).to(before.dtype) for name in ("weight", "bias"))
    if after.dim() == 4:
        after = merge_heads(after)

    def gives(result: Tensor) -> bool:
        return torch.allclose(result, after, rtol=1e-4, atol=1e-4)

    if gives(before @ weight.T + bias):
        return "the weight or the bias differs a little"
    if weight.shape[0] == weight.shape[1] and gives(before @ weight + bias):
        return "the weight is transposed"
    return "the bias is left out there" if gives(before @ weight.T) else "the weight or the bias differs"


def draw_depth(found: Verification) -> Callable[[Axes], None]:
    """Differences over depth, on a logarithmic scale, beside what is rounding."""

    def draw(axes: Axes) -> None:
        differences = [stage.relative if math.isfinite(stage.relative) else 1.0 for stage in found.stages]
        bottom = min([height for height in differences if height > 0] or [found.tolerance]) / 10
        heights = [max(height, bottom) for height in differences]  # what is exactly equal stands at the bottom
        colours = [plots.BLUE if stage.agrees else plots.ORANGE for stage in found.stages]
        axes.scatter(range(len(heights)), heights, c=colours, s=9)
        axes.axhline(found.tolerance, color=plots.GREY, linewidth=1, linestyle="--")
        axes.text(0, found.tolerance, "rounding is below", color=plots.GREY, va="bottom", fontsize=8)
        axes.set_yscale("log")
        ends = {n: s.name.removesuffix(".output") for n, s in enumerate(found.stages) if ENDS_A_LAYER.fullmatch(s.name)}
        axes.set_xticks(list(ends), list(ends.values()), rotation=60, ha="right")
        axes.set_ylabel("largest relative difference")
        axes.set_title("Differences over depth")
        if (first := found.first_difference) is not None:
            place = found.stages.index(first)
            axes.annotate(first.name, (place, heights[place]), xytext=(6, 6), textcoords="offset points", fontsize=8)

    return draw


ENDS_A_LAYER = re.compile(r"embeddings\.output|(decoder\.)?layers\.\d+\.output")
