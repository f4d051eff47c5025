"""The effect of a learner's function in a real model: on the stages of a forward pass, and on the predictions."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.classroom.checking import check_function
from minibert.classroom.exercise import Arguments, Exercise
from minibert.classroom.report import Report
from minibert.classroom.sandbox import SandboxRunner
from minibert.classroom.swapping import swapped, without_hooks
from minibert.equations import softmax
from minibert.model import load, read_checkpoint
from minibert.model.modes import evaluation_mode
from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.printable import printable
from minibert.study.checked_attention import UserCodeError
from minibert.study.fill_mask import piece_of
from minibert.study.user_code import limits_of
from minibert.study.verify.comparison import Comparison, compare
from minibert.study.verify.diagnosis import Names
from minibert.study.verify.inputs import Inputs, make_inputs
from minibert.study.verify.stages import Stages, minibert_stages, transformers_stages
from minibert.text.tokenizer import MASK, special_token, token_id
from minibert.text.tokenizer_loading import load_tokenizer

TEXTS = (
    "What you see is what you get, and the rest is what you verify.",
    "The cat sat on the mat and looked out of the window.",
    "Return a list of the files in this directory, if the directory exists.",
    "She opened the door, turned on the light and read the letter again.",
)
"""Texts whose predictions are compared if no other text is given."""
TOP = 5


@dataclass(frozen=True)
class Cases:
    """Inputs with one prediction each: for a masked-LM head, a text with one token replaced by [MASK]."""

    inputs: Inputs
    positions: Tensor
    """Row and token of each prediction; shape (cases, 2). A classifier of texts has one prediction for each row."""
    labels: list[str]
    """The token of each case, in brackets, between its neighbors."""
    texts: list[str]
    """The texts of the rows, for a classifier of texts."""


@dataclass(frozen=True)
class SwapResult:
    """The model with minibert's function and with the learner's."""

    comparison: Comparison
    """The stages of both, compared with transformers or with minibert itself."""
    cases: Cases | None
    """None for a network without a head."""
    before: Tensor | None
    """Scores of the classes in each case, of shape (cases, classes), with minibert's function."""
    after: Tensor | None
    names: list[str]
    """Names of the classes."""
    calls: int
    """Number of calls of the learner's function."""
    report: Report
    """The check of the function alone, which may name the mistake."""

    @property
    def labels(self) -> list[str]:
        """A description of each case."""
        if self.cases is None or self.before is None:
            return []
        return self.cases.labels if len(self.before) == len(self.cases.labels) else self.cases.texts

    @property
    def changed(self) -> int:
        """Number of cases with another top prediction."""
        return len(self._changed_cases())

    def examples(self, count: int) -> list[int]:
        """Return cases to show: the first ones whose top prediction changes, or else the first one."""
        if not self.labels:
            return []
        return self._changed_cases()[:count] or [0]

    def _changed_cases(self) -> list[int]:
        """Return the cases with another top prediction, or with scores that are not finite."""
        if self.before is None or self.after is None:
            return []
        broken = ~self.after.isfinite().all(dim=-1)
        differs = broken | (self.before.argmax(-1) != self.after.argmax(-1))
        return [int(case) for case in differs.nonzero()[:, 0]]

    def predictions(self, case: int) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        """Return the most probable classes of a case, with minibert's function and with the learner's."""
        assert self.before is not None
        assert self.after is not None
        return top_predictions(self.before[case], self.names), top_predictions(self.after[case], self.names)


def swap(
    exercise: Exercise,
    location: str,
    source: str | Path,
    show: Callable[[str], None],
    text: str | None = None,
    layer: int | None = None,
    time_limit: float = 60.0,
) -> SwapResult:
    """Run a checkpoint with a learner's function, in a subprocess with limits.

    Its stages are compared with those of transformers, if it is installed and has this network, or else of minibert.

    Args:
        location: file and function, such as `my.py:softmax`.
        text: the text of the cases. Default: `TEXTS`.
        layer: number of the only layer in which the function is replaced. Default: all.
        show: receives what the learner's code prints.

    Raises: UserCodeError for errors of the learner's code; ValueError and FileNotFoundError for a checkpoint or a text that
        cannot be used.
    """
    model = load(source, attention="explicit")
    tokenizer = _tokenizer(source)
    inputs = make_inputs(model, source, text)
    cases = None if tokenizer is None else make_cases(model, tokenizer, TEXTS if text is None else (text,))
    file, _, name = location.rpartition(":")
    with (
        SandboxRunner(exercise, Path(file), name, limits_of(time_limit)) as runner,
        swapped(exercise, partial(_call, runner, location)) as swap,
    ):
        changed = load(source, attention="explicit")
        if layer is not None:
            swap.only_inside = layers_of(changed, layer)
        stages = minibert_stages(changed, inputs)
        after = None if cases is None else case_scores(changed, cases.inputs, cases.positions)
    if runner.printed:
        show(runner.printed)
    with SandboxRunner(exercise, Path(file), name) as runner:
        report = check_function(exercise, runner, find=None)
    if not swap.calls:
        raise ValueError(f"{source}: this model does not compute {exercise.name}, so {location} was never called")
    before = case_scores(model, cases.inputs, cases.positions) if cases is not None else None
    reference, library = _reference(source, model, inputs)
    inside = minibert_stages(model, inputs).keys() - stages.keys()  # steps of minibert's function: the learner's has others
    reference = {name: stage for name, stage in reference.items() if name not in inside}
    comparison = compare(reference, stages, inputs, model, Names(library, printable(location)))
    shown = cases if before is not None else None
    return SwapResult(comparison, shown, before, after, _class_names(model, tokenizer, before), swap.calls, report)


def _call(runner: SandboxRunner, location: str, arguments: Arguments) -> Any:
    """Call the learner's function. Raises: UserCodeError, with the line, if it fails or is stopped."""
    with without_hooks(arguments):
        outcome = runner(arguments, gradients=False)
    if problem := outcome.stopped or outcome.error:
        line = f", line {outcome.line}" if outcome.line else ""
        raise UserCodeError(f"{location.rpartition(':')[0]}{line}: {problem}")
    return outcome.outputs.get("output")


def layers_of(model: PretrainedModel, number: int) -> list[nn.Module]:
    """Return the layers with this number, of the encoder and of the decoder. Raises: ValueError if there are none."""
    stacks = [module for module in model.modules() if isinstance(module, LayerStack)]
    chosen = [stack[number] for stack in stacks if 0 <= number < len(stack)]
    if not chosen:
        raise ValueError(f"--layer {number}: the model has layers 0 to {max(map(len, stacks)) - 1}")
    return chosen


def _class_names(model: PretrainedModel, tokenizer: Tokenizer | None, scores: Tensor | None) -> list[str]:
    """Return the names of the classes of these scores: the labels of the config, or the pieces of the vocabulary."""
    if scores is None or tokenizer is None:
        return []
    labels: dict[int, str] = getattr(model.config, "id2label", {})
    if len(labels) == scores.shape[-1]:
        return [labels[index] for index in range(len(labels))]
    return [piece_of(tokenizer, index) for index in range(scores.shape[-1])]


def _tokenizer(source: str | Path) -> Tokenizer | None:
    try:
        return load_tokenizer(source)
    except FileNotFoundError:
        return None


def _reference(source: str | Path, model: PretrainedModel, inputs: Inputs) -> tuple[Stages, str]:
    """Return the stages of transformers, or else of minibert, and the name of the library."""
    try:
        return transformers_stages(read_checkpoint(source), model, inputs), "transformers"
    except (ImportError, ValueError):
        return minibert_stages(model, inputs), "minibert"


def make_cases(model: PretrainedModel, tokenizer: Tokenizer, texts: Sequence[str]) -> Cases | None:
    """Return the cases of some texts.

    For a masked-LM head, a case is a [MASK] of a text, or each token masked once if the text has none. For other heads, it is
    a token or a text.
    """
    parameters = inspect.signature(model.forward).parameters
    if "decoder_input_ids" in parameters:
        return None
    limit = model.text_config.max_tokens
    encodings = [tokenizer.encode(text) for text in texts]
    rows: list[list[int]] = []
    positions: list[tuple[int, int]] = []
    labels: list[str] = []
    masked_lm = hasattr(model, "mlm")
    for encoding in encodings:
        ids = encoding.ids[:limit]
        if masked_lm:
            mask = token_id(tokenizer, MASK)
            places = [place for place, index in enumerate(ids) if index == mask] or [
                place for place, special in enumerate(encoding.special_tokens_mask[:limit]) if not special
            ]
            for place in places:
                positions.append((len(rows), place))
                rows.append([*ids[:place], mask, *ids[place + 1 :]])
                labels.append(_shown(tokenizer, rows[-1], place))
        else:
            positions += [(len(rows), place) for place in range(len(ids))]
            labels += [_shown(tokenizer, ids, place) for place in range(len(ids))]
            rows.append(ids)
    if not rows:
        return None
    longest, padding = max(map(len, rows)), model.text_config.pad_token_id or 0
    input_ids = torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
    keep = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return Cases({"input_ids": input_ids, "attention_mask": keep}, torch.tensor(positions), labels, list(texts))


def _shown(tokenizer: Tokenizer, ids: Sequence[int], place: int) -> str:
    """Return the tokens around one, which is in brackets."""
    pieces = [piece_of(tokenizer, index) for index in ids]
    if pieces[place] != special_token(tokenizer, MASK):
        pieces[place] = f"[{pieces[place]}]"
    return " ".join(pieces[max(0, place - 4) : place + 5])


@torch.no_grad()
def case_scores(model: PretrainedModel, inputs: Inputs, positions: Tensor) -> Tensor | None:
    """Return the scores of the classes at each prediction; None for a network without a head."""
    with evaluation_mode(model):
        output: Any = model(**inputs)
    for name in ("prediction_logits", "logits"):
        if isinstance(scores := getattr(output, name, None), Tensor):
            return scores[positions[:, 0], positions[:, 1]] if scores.ndim == 3 else scores
    return None


def top_predictions(scores: Tensor, names: Sequence[str]) -> list[tuple[str, float]]:
    """Return the most probable classes of one case with their probabilities; none for scores that are not finite."""
    if not scores.isfinite().all():
        return []
    best = softmax(scores).topk(min(TOP, len(scores)))
    return [(names[index], value) for index, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
