"""The steps of a backward pass: from the loss back to every parameter, each gradient with its formula and its numbers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model.modes import evaluation_mode
from minibert.model.pretrained import PretrainedModel
from minibert.observe import Recording, parameter_name, record, similar_paths
from minibert.study.stepthrough.derivatives import textbook
from minibert.study.stepthrough.gradients import LOSS, Gradients
from minibert.study.stepthrough.latex import latex
from minibert.study.stepthrough.step import Step, Walk
from minibert.study.stepthrough.symbols import GRADIENT, leaf_symbol
from minibert.study.stepthrough.truth import Labels, labels
from minibert.study.stepthrough.update import AdamW, update_steps
from minibert.study.stepthrough.walk import StepBuilder
from minibert.trace import Leaf


def backward_walk(
    model: PretrainedModel,
    tokenizer: Tokenizer,
    text: str,
    pair: str | None = None,
    *,
    truth: Sequence[str] = (),
    update: str | None = None,
    optimizer: AdamW | None = None,
) -> Walk:
    """Run the forward and the backward pass of a text, and return the steps of both, the loss between them.

    A gradient has the path of its step or parameter after "gradient.", such as gradient.layers.0.attention.scores. It is a
    step like any other: its numbers are those of PyTorch, and its expression computes them from later gradients and earlier
    steps. A tensor that several steps use gets the sum of what comes back from each. At the end, AdamW changes one parameter.
    The gradients that the model has of earlier backward passes stay as they are.

    Args:
        model, tokenizer, text, pair: as in `walk`.
        truth: the true word of each [MASK], then, for a pair, its class, such as "B is next"; for a classifier the
            true class, all true classes, or the true number; for a tagger the class of each token; for a question the answer.
            Default: the model's own prediction. Without a [MASK], each word is its own label. For GPT-2 and the 2017
            Transformer the labels are the next tokens.
        update: name of the parameter that AdamW changes. Default: the query weights of the last layer.
        optimizer: the settings of AdamW.

    Raises: ValueError as `walk`; for a network without a head, a truth that does not belong to the input, and a network whose
        parameters are all frozen; for an unknown `update`.
    """
    builder = StepBuilder(model, tokenizer, text, pair)
    targets = _labels(builder, truth)
    recording = _forward(builder, targets)
    parameters = {parameter_name(name): value for name, value in model.named_parameters()}
    with _gradients_of_one_pass(model):
        torch.autograd.backward(recording[LOSS])
        gradients = {name: value.grad for name, value in parameters.items() if value.grad is not None}
    forward = [*builder.steps(recording)]
    symbols = {step.path: step.symbol for step in forward}
    forward = [_with_loss(step, symbols) if step.path == LOSS else step for step in forward]
    made = Gradients(tokenizer, forward, recording, gradients, targets)
    backward = {step.path.removeprefix(GRADIENT): step for step in made.steps()}
    changed = update or _default_parameter(backward, gradients)
    if changed not in gradients:
        near = ", ".join(similar_paths(changed, [*gradients]))
        raise ValueError(f"no parameter {changed!r} has a gradient. Similar names: {near}")
    parameter = Leaf("parameter", changed, made.shown_rows(changed, parameters[changed].detach()))
    last = update_steps(parameter, backward[changed], optimizer or AdamW())
    return Walk(builder.title, (*forward, *backward.values(), *last), recording)


@torch.no_grad()
def _labels(builder: StepBuilder, truth: Sequence[str]) -> Labels:
    """Return the labels, which can depend on what the model predicts."""
    with evaluation_mode(builder.model), record(builder.model, trace=True) as recording:
        builder.model(**builder.arguments)
    axes = builder.heads(recording)
    return labels(builder, {path: recording[path] for path in axes}, axes, truth)


@torch.enable_grad()
def _forward(builder: StepBuilder, targets: Labels) -> Recording:
    """Run the forward pass up to the loss. Raises: ValueError if nothing has a gradient."""
    model = builder.model
    with evaluation_mode(model), record(model, gradients=True, trace=builder.named_inputs) as recording:
        loss = model(**builder.arguments, **targets).loss
        builder.add_predictions(recording)
        recording.add(LOSS, loss)
    if not loss.requires_grad:
        raise ValueError("all parameters of the network are frozen, so there is no gradient")
    return recording


@contextmanager
def _gradients_of_one_pass(model: nn.Module) -> Iterator[None]:
    """Begin without gradients. Afterwards, every parameter has the gradient that it had before."""
    before = {parameter: parameter.grad for parameter in model.parameters()}
    model.zero_grad(set_to_none=True)
    try:
        yield
    finally:
        for parameter, gradient in before.items():
            parameter.grad = gradient


def _with_loss(step: Step, symbols: Mapping[str, str]) -> Step:
    """Return the step of the loss, with the textbook formula of the network's own loss."""
    assert step.expression is not None
    expression = textbook(step.expression)
    return replace(
        step,
        symbol="L",
        formula=f"L = {latex(expression, lambda leaf: leaf_symbol(leaf, symbols))}",
        explanation="The loss: how improbable the model makes the labels. The backward pass begins here.",
        expression=expression,
    )


def _default_parameter(backward: Mapping[str, Step], gradients: Mapping[str, Tensor]) -> str:
    """Return the query weights of the last layer, or the first parameter on the way back."""
    names = [name for name in backward if name in gradients]
    return next((name for name in names if ".query." in name and gradients[name].ndim == 2), names[0])
