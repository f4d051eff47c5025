"""The likely cause of the first difference between two forward passes.

Each check repeats one step of minibert with a known mistake, on the reference's input of that step. If the result equals
the reference's output, the mistake is the likely cause.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from minibert.equations import layer_norm, merge_heads
from minibert.model.config import ACTIVATIONS
from minibert.model.layers import ACTIVATION_FUNCTIONS, LayerNorm
from minibert.model.pretrained import PretrainedModel
from minibert.observe import record
from minibert.study.verify.inputs import Inputs, without_padding
from minibert.study.verify.stages import Stages

FIXED_CAUSES = {
    "embeddings.words": "the word embeddings, or the token ids",
    "embeddings.positions": "the position embeddings, or the position ids",
    "embeddings.segments": "the segment embeddings, or the segment ids (token_type_ids)",
    "attention.weights": "the scores agree and the weights do not: the mask, or the axis of the softmax",
    "attention.context": "the mask, the attention weights, or the weighted average of the values",
}
"""Causes by the last two parts of a stage's path."""
MASKED = -1e4
"""Scores of transformers below this are those of masked keys."""
EPS_VALUES = (1e-12, 1e-6, 1e-5, 1e-3)


class Names(NamedTuple):
    """Names of the two sides of a comparison, for messages."""

    reference: str = "transformers"
    ours: str = "minibert"


DEFAULT_NAMES = Names()


@dataclass(frozen=True)
class Application:
    """One call of a linear layer or of a layer normalization, in the forward pass of minibert."""

    layer: nn.Linear | LayerNorm
    input: Tensor
    output: Tensor


def likely_cause(
    name: str, reference: Stages, ours: Stages, inputs: Inputs, model: PretrainedModel, names: Names = DEFAULT_NAMES
) -> str | None:
    """Return the likely cause of a first difference at the stage `name`, or None if no check finds one."""
    expected, actual = reference[name], ours[name]
    if expected.shape != actual.shape:
        return f"the shapes differ: {tuple(expected.shape)} in {names.reference}, {tuple(actual.shape)} in {names.ours}"
    visible = without_padding(expected, inputs), without_padding(actual, inputs)
    if not_finite := [f"{_not_finite(x)} in {side}" for side, x in zip(names, visible, strict=True) if not x.isfinite().all()]:
        return ", ".join(not_finite)
    path, _, step = name.rpartition(".")
    parent = path.rpartition(".")[2].removeprefix("cross_")
    if f"{parent}.{step}" in FIXED_CAUSES:
        return FIXED_CAUSES[f"{parent}.{step}"]
    if step == "scores":
        masked_scores = ours.get(f"{path}.masked_scores", actual)
        return _wrong_scores(*visible, without_padding(masked_scores, inputs), names)
    if name.endswith("embeddings.sum"):
        return _wrong_sum(*visible, separate_positions=f"{path}.positions" in reference)
    if step == "activation" and f"{path}.intermediate" in reference:
        return _wrong_activation(reference[f"{path}.intermediate"], expected, model.config.hidden_act, names)
    return _wrong_layer(name, reference, inputs, model, names)


def _not_finite(stage: Tensor) -> str:
    """Describe the values of a stage that are not finite."""
    kinds = {"NaN": stage.isnan().sum(), "infinite": stage.isinf().sum()}
    return " and ".join(f"{count} of {stage.numel()} values are {kind}" for kind, count in kinds.items() if count)


def _wrong_layer(name: str, reference: Stages, inputs: Inputs, model: PretrainedModel, names: Names) -> str | None:
    """Find the layer that computes a stage, and the known mistake that gives the reference's output."""
    stages, applications = _run(model, inputs)
    output = _flat(stages[name]) if name in stages else None
    call = next((call for call in applications if output is not None and torch.equal(call.output, output)), None)
    if call is None:
        return "the output matrix (the word embeddings, if they are tied) or its bias" if name.endswith("logits") else None
    reference_input = _same_input(call.input, stages, reference)
    if reference_input is None:
        return None
    if isinstance(call.layer, nn.Linear):
        return _wrong_linear(reference_input, _flat(reference[name]), call.layer, names)
    return _wrong_eps(reference_input, reference[name], call.layer, names)


def _run(model: PretrainedModel, inputs: Inputs) -> tuple[Stages, list[Application]]:
    """Run a copy of the network with explicit attention, and record its stages and the calls of its layers."""
    model = copy.deepcopy(model).set_attention("explicit")
    applications: list[Application] = []
    for module in model.modules():
        if isinstance(module, nn.Linear | LayerNorm):
            module.register_forward_hook(partial(_record_application, applications))
    with torch.no_grad(), record(model) as recording:
        model(**inputs)
    return {path: recording[path] for path in recording.paths}, applications


def _record_application(applications: list[Application], layer: Any, args: tuple[Tensor, ...], output: Tensor) -> None:
    applications.append(Application(layer, args[0], output))


def _flat(stage: Tensor) -> Tensor:
    """Merge the heads of a stage that is split into heads."""
    return merge_heads(stage) if stage.dim() == 4 else stage


def _same_input(value: Tensor, stages: Stages, reference: Stages) -> Tensor | None:
    """Find the stage, or the sum of two stages, that is the input of a layer, and return it from the reference."""
    names = [name for name in stages if name in reference and _flat(stages[name]).shape == value.shape]
    for name in names:
        if torch.equal(_flat(stages[name]), value):
            return _flat(reference[name])
    for one, other in combinations(names, 2):
        if torch.equal(_flat(stages[one]) + _flat(stages[other]), value):
            return _flat(reference[one]) + _flat(reference[other])
    return None


def _wrong_linear(before: Tensor, after: Tensor, linear: nn.Linear, names: Names) -> str:
    weight = linear.weight.to(before.dtype)
    bias = torch.zeros_like(weight[:, 0]) if linear.bias is None else linear.bias.to(before.dtype)
    is_output: Callable[[Tensor], bool] = partial(torch.allclose, after, rtol=1e-4, atol=1e-4)
    if is_output(before @ weight.T + bias):
        return "the weight or the bias differs slightly"
    if weight.shape[0] == weight.shape[1] and is_output(before @ weight + bias):
        return "the weight is transposed"
    return f"the bias is missing in {names.reference}" if is_output(before @ weight.T) else "the weight or the bias differs"


def _wrong_eps(before: Tensor, after: Tensor, norm: LayerNorm, names: Names) -> str | None:
    def error(eps: float) -> float:
        return (layer_norm(before, norm.weight, norm.bias, eps) - after).abs().max().item()

    best = min(EPS_VALUES, key=error)
    if error(best) >= 0.1 * error(norm.eps):
        return None
    return f"the eps of layer normalization: {best:g} in {names.reference}, {norm.eps:g} in {names.ours}"


def _wrong_activation(before: Tensor, after: Tensor, configured: str, names: Names) -> str | None:
    near = [name for name in ACTIVATIONS if torch.allclose(ACTIVATION_FUNCTIONS[name](before), after, rtol=1e-6, atol=1e-6)]
    if not near or configured in near:
        return None
    return f"the activation function: {near[0]} in {names.reference}, {configured} in {names.ours}"


def _wrong_scores(expected: Tensor, actual: Tensor, masked_scores: Tensor, names: Names) -> str:
    masked = expected < MASKED
    if (masked & masked_scores.isfinite()).any():
        return f"the mask: {names.reference} masks keys that {names.ours} does not"
    ratios = (expected / actual)[~masked & (actual.abs() > 1e-6)]
    if not ratios.numel() or ratios.std() > 1e-3 * ratios.mean().abs():
        return "the product of queries and keys"
    return f"the scale: the scores of {names.reference} are {ratios.mean().item():.4g} times as large"


def _wrong_sum(expected: Tensor, actual: Tensor, separate_positions: bool) -> str:
    if separate_positions:
        return "an embedding is missing, or added twice"
    if torch.allclose(expected, actual, rtol=0, atol=1e-6):
        return "rounding: the checkpoint has a position table in single precision. Compare with --dtype float32"
    return "the position embeddings, the position ids, or the scale of the word embeddings"
