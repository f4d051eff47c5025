"""The judgment of a teacher on each answer: right, wrong, another convention, or right but unsafe for some numbers.

An answer that is not listed is right. Two sentences are two mistakes.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from types import ModuleType
from typing import Any

from tests.classroom.students import (
    adapters,
    gelu,
    generation,
    heads,
    layer_norm,
    layers,
    losses,
    mask_tokens,
    masks,
    multi_head_attention,
    optimization,
    positions,
    scaled_dot_product_attention,
    sinusoidal_positions,
    softmax,
    training_steps,
)
from tests.classroom.students.fourth import expected as fourth
from tests.classroom.students.second import expected as second
from tests.classroom.students.third import expected as third

Words = dict[str, dict[int, str]]
"""The words of a teacher about each answer, by exercise and number."""


class Kind(StrEnum):
    """Kinds of answers."""

    RIGHT = "right"
    WRONG = "wrong"
    CONVENTION = "convention"
    """Right in other code, but not what the exercise asks for."""
    UNSAFE = "unsafe"
    """Right, except for extreme numbers."""


@dataclass(frozen=True)
class Answer:
    """An answer of a student, and what a teacher says about it."""

    exercise: str
    name: str
    function: Callable[..., Any]
    kind: Kind
    words: str

    @property
    def mistakes(self) -> int:
        """Number of mistakes."""
        sentences = re.findall(r"\.( |$)", self.words)
        return len(sentences) if self.kind in (Kind.WRONG, Kind.CONVENTION) else 0


SOURCES: dict[str, tuple[ModuleType, str]] = {
    "scaled_dot_product_attention": (scaled_dot_product_attention, "answer"),
    "softmax": (softmax, "answer"),
    "layer_norm": (layer_norm, "answer"),
    "gelu": (gelu, "answer"),
    "multi_head_attention": (multi_head_attention, "answer"),
    "split_heads": (heads, "split"),
    "merge_heads": (heads, "merge"),
    "causal_mask": (masks, "causal"),
    "padding_mask": (masks, "padding"),
    "sinusoidal_positions": (sinusoidal_positions, "answer"),
    "rotary_positions": (positions, "rotary"),
    "alibi_bias": (positions, "alibi"),
    "cross_entropy": (losses, "cross_entropy"),
    "masked_lm_loss": (losses, "masked_lm_loss"),
    "label_smoothing_loss": (losses, "label_smoothing"),
    "adamw_step": (optimization, "adamw"),
    "warmup_linear_schedule": (optimization, "schedule"),
    "noam_schedule": (optimization, "noam"),
    "clip_by_global_norm": (optimization, "clip"),
    "mask_tokens": (mask_tokens, "answer"),
    "lora": (adapters, "lora"),
    "lora_merged_weight": (adapters, "merged"),
    "feed_forward": (adapters, "feed_forward"),
    "encoder_layer": (layers, "encoder"),
    "bert_embeddings": (layers, "embeddings"),
    "training_steps": (training_steps, "answer"),
    "greedy_decoding": (generation, "greedy"),
    "top_k_filter": (generation, "top_k"),
    "top_p_filter": (generation, "top_p"),
    "shift_right": (generation, "shift"),
}
"""The module of the answers to each exercise, and how their names begin."""

WRONG: dict[str, dict[int, str]] = {
    "scaled_dot_product_attention": {
        1: "The scores are not divided by √d.",
        2: "The scores are multiplied by √d.",
        3: "The scores are divided by d, without the root.",
        4: "The softmax is over the queries.",
        5: "The mask is inverted.",
        6: "The mask is applied after the softmax, and the weights do not sum to one.",
        7: "The scores are divided by the root of the number of keys.",
        8: "Masked scores are set to 0, not to minus infinity.",
        9: "The scores are not divided by √d. The softmax is over the queries.",
        10: "The scores are divided by d, without the root. The mask is inverted.",
    },
    "softmax": {
        1: "The sum is over all axes.",
        2: "The softmax is over the first axis.",
        3: "This is the logarithm of the softmax.",
        4: "The base is 2.",
    },
    "layer_norm": {
        1: "The variance divides by d - 1.",
        2: "Epsilon is added outside the root.",
        3: "The bias is not added.",
        4: "The mean and the variance are over the batch.",
        5: "The root of the variance is missing.",
        8: "The variance divides by d - 1. The bias is not added.",
        9: "The variance divides by d - 1. Epsilon is added outside the root.",
    },
    "gelu": {
        2: "The division by √2 is missing.",
        3: "The factor one half is missing.",
        4: "The factor x is missing.",
        5: "The division by √2 is missing. The factor one half is missing.",
    },
    "multi_head_attention": {
        1: "The scores are divided by the root of the width of all heads.",
        2: "The heads are merged without swapping the axes of heads and tokens.",
        3: "The heads are split without swapping the axes of heads and tokens.",
        4: "The scores are not divided by √d. The heads are merged without swapping the axes of heads and tokens.",
    },
    "split_heads": {
        1: "The axes of heads and tokens are not swapped.",
    },
    "merge_heads": {
        1: "The axes of heads and tokens are not swapped.",
        5: "The heads are in the reverse order.",
    },
    "causal_mask": {
        1: "The token itself is masked.",
        2: "Later tokens are visible instead of earlier ones.",
    },
    "padding_mask": {
        1: "One token of padding is visible.",
    },
    "sinusoidal_positions": {
        1: "The cosine of a pair has another frequency than its sine.",
        2: "Sine and cosine are swapped.",
        3: "The base is 1000.",
        4: "The exponent is i/d, not 2i/d.",
        5: "The base is 1000. Sine and cosine are swapped.",
    },
    "alibi_bias": {
        1: "The slopes begin with h = 0.",
        2: "The sign is missing.",
    },
    "cross_entropy": {
        1: "The minus sign is missing.",
        3: "The softmax is applied twice.",
        4: "The losses are averaged.",
        5: "Labels to be ignored have a loss.",
    },
    "masked_lm_loss": {
        1: "The mean is over all positions.",
        2: "The losses are summed, not averaged.",
        3: "The label 0 is ignored too.",
        4: "The losses are summed, not averaged. The minus sign is missing.",
        5: "The labels are shifted by one position.",
        6: "The mean is over the means of the sequences.",
    },
    "label_smoothing_loss": {2: "ε and 1 - ε are swapped."},
    "adamw_step": {
        1: "The weight decay is added to the gradient (Adam with L2).",
        3: "Epsilon is inside the root.",
        5: "The two betas are swapped.",
        6: "The weight decay is added to the gradient (Adam with L2). The bias correction is missing.",
    },
    "warmup_linear_schedule": {
        1: "The decay is one step ahead.",
        4: "The decay is a cosine.",
        5: "There is no decay.",
        6: "Steps are counted from 0. The factor is negative after the last step.",
    },
    "noam_schedule": {
        1: "The factor of the width is missing.",
        2: "This is the maximum, not the minimum.",
    },
    "clip_by_global_norm": {
        1: "Each gradient is clipped alone.",
        2: "The joint norm is the sum of the norms.",
    },
    "mask_tokens": {
        1: "Random tokens replace some of the masks: 70%, 10%, 20%.",
        2: "All tokens have labels.",
        3: "No selected token stays unchanged.",
        4: "Special tokens and padding are selected too.",
        5: "The labels are the new tokens.",
        6: "All tokens have labels. No selected token stays unchanged.",
    },
    "lora": {
        1: "The scale is missing.",
        2: "The input of the frozen map has dropout too.",
        3: "The frozen map is scaled too.",
        4: "The scale is missing. The input of the frozen map has dropout too.",
    },
    "lora_merged_weight": {1: "The scale is missing."},
    "feed_forward": {
        1: "The activation function is missing.",
        2: "The first bias is added after the activation function.",
        3: "The activation function is applied to the output too.",
    },
    "encoder_layer": {
        1: "The residual connection around attention is missing.",
        2: "The second residual connection starts at the input of the layer.",
        3: "The first normalization is used twice.",
        4: "The mask is not used.",
        6: "The mask is not used. The first normalization is used twice.",
    },
    "bert_embeddings": {
        1: "The segment embeddings are missing.",
        2: "The positions are always 0, 1, 2, ….",
        4: "The segment embeddings are missing. The normalization is missing.",
        7: "Only the word embeddings are normalized.",
    },
    "training_steps": {
        1: "The gradients are not set to zero. The model is not in training mode.",
        2: "The gradients are clipped after the step. The model is not in training mode.",
        3: "The learning rate changes before the step. The model is not in training mode.",
        4: "Each number of a gradient is clipped, not the norm. The model is not in training mode.",
        5: "The learning rate changes only at the end. The model is not in training mode.",
        6: "The gradients are not set to zero. The gradients are not clipped. The model is not in training mode.",
        7: "The model is not in training mode.",
        8: "The model is not in training mode.",
        9: "The gradients are not set to zero.",
        10: "The gradients are clipped after the step.",
        11: "The learning rate changes before the step.",
        12: "Each number of a gradient is clipped, not the norm.",
        13: "The learning rate changes only at the end.",
        14: "The gradients are not set to zero. The gradients are not clipped.",
    },
    "greedy_decoding": {
        2: "Finished texts go on instead of having padding.",
        3: "All texts stop when one is finished.",
        4: "The prompt is returned too. Finished texts go on instead of having padding.",
    },
    "top_k_filter": {
        1: "Removed logits are 0, not minus infinity.",
        2: "The k-th token is removed too.",
    },
    "top_p_filter": {
        1: "The token that reaches p is removed.",
        2: "Each probability is compared with 1 - p.",
    },
    "shift_right": {
        1: "Labels to be ignored are not replaced by padding.",
        2: "The labels are shifted to the left.",
    },
}

CONVENTIONS: dict[str, dict[int, str]] = {
    "layer_norm": {
        6: "The gain is one plus the gain.",
        7: "The mean is not subtracted (RMSNorm).",
    },
    "gelu": {
        1: "The approximation with a sigmoid.",
        6: "The tanh approximation.",
    },
    "split_heads": {2: "The columns of the heads alternate."},
    "merge_heads": {2: "The columns of the heads alternate."},
    "causal_mask": {3: "True means masked."},
    "padding_mask": {
        2: "The padding is taken to be on the left.",
        3: "True means padding.",
    },
    "sinusoidal_positions": {6: "All sines first, then all cosines."},
    "rotary_positions": {
        1: "The rotation is in the other direction.",
        2: "Columns i and i + d/2 form a pair.",
    },
    "cross_entropy": {2: "The logarithm has base 2."},
    "label_smoothing_loss": {1: "ε is shared by the wrong classes only."},
    "adamw_step": {
        2: "No bias correction, as in Google's code.",
        4: "The weight decay is not multiplied by the learning rate.",
    },
    "warmup_linear_schedule": {
        2: "The decay is divided by all steps, not by those after the warm-up.",
        3: "Steps are counted from 0.",
    },
    "encoder_layer": {5: "Pre-norm."},
    "bert_embeddings": {3: "The word embeddings are multiplied by √d."},
    "greedy_decoding": {1: "The prompt is returned too."},
}

UNSAFE: dict[str, dict[int, str]] = {
    "scaled_dot_product_attention": {14: "Masked scores are -1e9, not minus infinity."},
    "softmax": {
        5: "The maximum is not subtracted.",
        12: "The maximum is that of all rows.",
    },
    "cross_entropy": {8: "The logarithm is taken of the softmax."},
    "training_steps": {17: "The loss of a batch without a masked position is NaN."},
}


def answers() -> Iterator[Answer]:
    """Yield all answers, exercise by exercise: set by set."""
    first = {Kind.WRONG: WRONG, Kind.CONVENTION: CONVENTIONS, Kind.UNSAFE: UNSAFE}
    for exercise, (module, start) in SOURCES.items():
        yield from _answers_in(module, start, exercise, first, module.__name__.rpartition(".")[2])
    for name, words in (("second", second), ("third", third), ("fourth", fourth)):
        other = {Kind.WRONG: words.WRONG, Kind.CONVENTION: words.CONVENTIONS, Kind.UNSAFE: words.UNSAFE}
        for exercise in sorted({*words.WRONG, *words.CONVENTIONS, *words.UNSAFE}):
            module = import_module(f"tests.classroom.students.{name}.{exercise}")
            yield from _answers_in(module, "answer", exercise, other, f"{name}.{exercise}")


def _answers_in(module: ModuleType, start: str, exercise: str, tables: dict[Kind, Words], prefix: str) -> Iterator[Answer]:
    for name, function in vars(module).items():
        if not name.startswith(f"{start}_") or not name[len(start) + 1 :].isdigit():
            continue
        number = int(name[len(start) + 1 :])
        found = [(kind, text) for kind, table in tables.items() if (text := table.get(exercise, {}).get(number))]
        kind, words = found[-1] if found else (Kind.RIGHT, "")
        yield Answer(exercise, f"{prefix}.{name}", function, kind, words)


ANSWERS = tuple(answers())
