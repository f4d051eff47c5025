"""Passes of a case in both libraries: the outputs, the gradients, and the losses in training."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.review.comparison import TRAINING_TOLERANCE, DifferenceError, check_all_equal, check_equal, gradients_of, train
from benchmarks.review.odd_configurations import Case
from minibert.equations import IGNORE_INDEX
from minibert.model.bert import DECODER_BIAS, PretrainedBert
from minibert.model.pretrained import PretrainedModel
from minibert.model.vit import PretrainedViT
from minibert.study.verify.stages import FullPrecision

OUTPUTS = (
    *("last_hidden_state", "encoder_last_hidden_state", "pooler_output", "logits", "prediction_logits"),
    *("seq_relationship_logits", "sop_logits", "start_logits", "end_logits"),
)
OUR_NAMES = {"sop_logits": "seq_relationship_logits"}


def attends(case: Case) -> Tensor:
    """Return the tokens of the batch, or of the decoder's input, that may attend to something. Of an image, all may."""
    if "pixel_values" in case.inputs:
        return torch.ones(len(case.inputs["pixel_values"]), 1, dtype=torch.bool)
    has_decoder = "decoder_input_ids" in case.inputs
    ids = case.inputs["decoder_input_ids" if has_decoder else "input_ids"]
    mask = case.inputs.get("decoder_attention_mask" if has_decoder else "attention_mask", torch.ones_like(ids)).bool()
    is_bert = issubclass(case.network, PretrainedBert)
    return mask.any(dim=1, keepdim=True).expand_as(mask) if is_bert else mask.cumsum(dim=1) > 0


def outputs_of(case: Case, model: Any, is_ours: bool) -> dict[str, Tensor]:
    """Return the outputs of what attends to something, and the loss if everything does."""
    compared, is_encoder = attends(case), issubclass(case.network, PretrainedBert | PretrainedViT)
    has_loss = bool(case.labels) and bool(compared.all())
    theirs_is_double = is_encoder and case.network.head != "replaced-tokens"  # that of transformers is in float32
    labels = case.labels if has_loss and (is_ours or theirs_is_double) else {}
    if not is_ours:
        labels = {case.their_labels.get(name, name): value for name, value in labels.items()}
    with nullcontext() if is_ours else FullPrecision():
        output = model(**case.inputs, **({} if is_ours else case.their_inputs), **labels)
    found = {OUR_NAMES.get(name, name): getattr(output, name) for name in OUTPUTS if getattr(output, name, None) is not None}
    for name, tensor in found.items():
        if is_encoder:
            found[name] = tensor[compared.any(dim=1)]
        elif name == "logits":
            found[name] = tensor[compared]
    if has_loss:
        found["loss"] = output.loss if labels else loss_of(case, output.logits)
    return found


def loss_of(case: Case, logits: Tensor) -> Tensor:
    """Compute the loss of a decoder, or of a detector of replaced tokens; that of transformers is in float32."""
    labels = case.labels["labels"]
    if case.network.head == "replaced-tokens":
        has_label = labels != IGNORE_INDEX
        return F.binary_cross_entropy_with_logits(logits[has_label], labels[has_label].to(logits))
    if "decoder_input_ids" not in case.inputs:  # a decoder alone predicts the next token
        logits, labels = logits[:, :-1], labels[:, 1:]
    has_target = labels != IGNORE_INDEX
    return F.cross_entropy(logits[has_target], labels[has_target]) if has_target.any() else logits.new_zeros(())


def reference_of(case: Case, theirs: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the outputs of transformers, and the gradients under our names."""
    outputs = outputs_of(case, theirs, is_ours=False)
    gradients = case.network.names.read(gradients_of(theirs, outputs))
    if DECODER_BIAS in gradients:
        gradients["mlm.bias"] = gradients.pop(DECODER_BIAS)
    return outputs, gradients


def compare_passes(case: Case, ours: PretrainedModel, theirs: Any) -> None:
    """Compare outputs and gradients, with both attention paths."""
    expected, gradients = reference_of(case, theirs)
    for path in ("explicit", "fused"):
        outputs = outputs_of(case, ours.set_attention(path), is_ours=True)
        if outputs.keys() != expected.keys():
            raise DifferenceError(f"outputs {sorted(outputs)}, not {sorted(expected)}")
        check_all_equal(path, outputs, expected)
        if all(tensor.isfinite().all() for tensor in expected.values()):  # NaN, without epsilon, has no gradient
            own = {ours.names.relative(name): gradient for name, gradient in gradients_of(ours, outputs).items()}
            # The kernel of a convolution is a matrix here.
            matched = {name: each.view_as(own[name]) if name in own else each for name, each in gradients.items()}
            check_all_equal(f"{path} gradient of", own, matched)


def losses_of(case: Case, model: Any, is_ours: bool) -> Tensor | None:
    """Train a network and return the losses, or None if it has no loss, or one that depends on no parameter."""
    loss = outputs_of(case, model, is_ours).get("loss")
    if loss is None or not loss.requires_grad or not loss.isfinite():
        return None
    return train(model, lambda: outputs_of(case, model, is_ours)["loss"])


def compare_training(case: Case, ours: PretrainedModel, theirs: Any) -> bool:
    """Compare the losses of training. Return False for a network without a loss."""
    expected = losses_of(case, theirs, is_ours=False)
    if expected is None:
        return False
    losses = losses_of(case, ours.set_attention("auto"), is_ours=True)
    check_equal("losses in training", losses, expected, tolerance=TRAINING_TOLERANCE)
    return True
