"""The steps of a forward pass, from the characters of a text to the predictions."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from minibert.kernels import AttentionImplementation
from minibert.model.attention import MultiHeadAttention
from minibert.model.modes import evaluation_mode
from minibert.model.pretrained import PretrainedModel
from minibert.observe import Recording, record
from minibert.study.checked_attention import CheckedAttention
from minibert.study.equations.registry import REPOSITORY, registry
from minibert.study.fill_mask import piece_of
from minibert.study.stepthrough.arithmetic import ELEMENTWISE, REDUCTIONS
from minibert.study.stepthrough.documentation import StepText, documented_step
from minibert.study.stepthrough.failure import UnobservedResult, describe_failure
from minibert.study.stepthrough.lowering import lowered
from minibert.study.stepthrough.predictions import ENDINGS, add_independent_predictions, predicted_positions, problem_type
from minibert.study.stepthrough.step import Axis, Failure, Step, Walk, layer_of
from minibert.study.stepthrough.symbols import INPUT, has_symbol, in_layer, with_input
from minibert.study.stepthrough.text_steps import SOURCE, TARGET, text_steps
from minibert.study.subject import model_input
from minibert.text.examples import LABELS
from minibert.text.tokenizer import MASK, special_token
from minibert.trace import Leaf, Node, Operation, Origin, leaves

ANY_AXES = "*batch"
UNOBSERVED = "A result inside the code that failed. Name it with `observe` to keep it as a step."
SCALE = r"\sqrt{d_k}"
BIAS = r"(W\w*\^\\top) \+ b(_\w+)?$"
"""The end of the formula of a linear map."""
NO_PAIR = "This text has no sentence B, so the numbers say nothing about it."
ENDS = ("start", "end")
"""Labels of the scores of an answer's first and last token."""


@torch.no_grad()
def walk(model: PretrainedModel, tokenizer: Tokenizer, text: str, pair: str | None = None) -> Walk:
    """Run the forward pass of a text and return all its steps, in order.

    The network computes with explicit attention and in evaluation mode. The numbers of the steps are the recorded ones.

    Args:
        model: any network of minibert, with or without a head.
        tokenizer: its tokenizer; see `load_tokenizer`.
        text: the text. Predictions are shown at each [MASK], or else at all tokens; for a decoder, at the last token.
        pair: for BERT, sentence B; for a network with an encoder and a decoder, the target. Without a target, it is the one
            that the network generates by greedy search.

    A forward pass that fails, such as one with a user's own attention function that raises an exception or returns a wrong
    shape or NaN, gives the steps until there, and a `failure`.

    Raises: ValueError for a text without tokens or with more tokens than the model has positions, and for a tokenizer of
        another model.
    """
    with _attention(model, lambda own: "auto" if callable(own) else own):
        builder = StepBuilder(model, tokenizer, text, pair)
    failure: Failure | None = None
    unobserved: list[UnobservedResult] = []
    with (
        evaluation_mode(model),
        _attention(model, lambda own: CheckedAttention(own, finite=True) if callable(own) else "explicit"),
        record(model, trace=builder.named_inputs) as recording,
    ):
        try:
            model(**builder.arguments)
        except Exception as error:
            if not recording.paths:  # an invalid input
                raise
            failure, unobserved = describe_failure(error, recording)
        else:
            builder.add_predictions(recording)
    steps = (*builder.steps(recording), *map(builder.unobserved_step, unobserved))
    return Walk(builder.title, steps, recording, failure)


@contextmanager
def _attention(
    model: PretrainedModel, replacement: Callable[[AttentionImplementation], AttentionImplementation]
) -> Iterator[None]:
    """Replace the attention of a model until the block ends."""
    modules = [module for module in model.modules() if isinstance(module, MultiHeadAttention)]
    before = [module.implementation for module in modules]
    for module, own in zip(modules, before, strict=True):
        module.set_attention(replacement(own))
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            module.set_attention(own)


class StepBuilder:
    """Makes the steps of a recording of one text or pair of texts; see `walk`."""

    def __init__(self, model: PretrainedModel, tokenizer: Tokenizer, text: str, pair: str | None) -> None:
        made = model_input(model, tokenizer, text, pair)
        self.model, self.tokenizer, self.source, self.decoded = model, tokenizer, made.source, made.target
        self.title = text if pair is None else f"{text} / {pair}"
        self.arguments = {**made.arguments, "attention_mask": torch.ones_like(made.arguments["input_ids"])}
        """The arguments of the forward pass."""
        self.texts = {"input_ids": (SOURCE, made.source)}
        """For each argument with token ids: the beginning of the paths of its steps, and its text."""
        if made.target is not None:
            self.texts["decoder_input_ids"] = (TARGET, made.target)
        self.is_decoder = made.target is not None or "token_type_ids" not in inspect.signature(model.forward).parameters
        self.positions: list[int] = []
        self.axes: dict[str, tuple[str, ...]] = {}
        """Names of the axes of each step."""
        self.equations = registry()
        self.symbols: dict[str, str] = {}
        self.inputs: dict[str, set[str]] = {}
        """Paths of the steps that each step was computed from."""

    @property
    def named_inputs(self) -> dict[str, Tensor]:
        """The tensors of the text steps, by path."""
        named = {f"{name}.ids": self.arguments[argument] for argument, (name, _) in self.texts.items()}
        if "token_type_ids" in self.arguments:
            named[f"{SOURCE}.segments"] = self.arguments["token_type_ids"]
        return named

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All pieces, in the order of their ids."""
        return tuple(piece_of(self.tokenizer, index) for index in range(self.model.text_config.vocab_size))

    def add_predictions(self, recording: Recording) -> None:
        """Record the steps from the scores of each head to probabilities."""
        predicted = self.decoded or self.source
        mask = self.tokenizer.token_to_id(special_token(self.tokenizer, MASK))
        self.positions = predicted_positions(torch.tensor(predicted.ids), mask, self.is_decoder)
        for path, axes in self.heads(recording).items():
            ending = ENDINGS[axes]
            if "classes" in axes and (kind := problem_type(self.model.config)):
                if kind == "regression":
                    continue
                ending = add_independent_predictions if kind == "multi_label_classification" else ending
            ending(recording, path, self.positions)

    def heads(self, recording: Recording) -> dict[str, tuple[str, ...]]:
        """Return the paths of the scores of each head, and their axes."""
        texts = {path: documented_step(recording.origin(path), path) for path in recording.paths if path.endswith("logits")}
        return {path: text.axes for path, text in texts.items() if text is not None and text.axes in ENDINGS}

    def steps(self, recording: Recording) -> Iterator[Step]:
        """Return the steps from the characters to the end of a recording, in order."""
        for argument, (name, tokenized) in self.texts.items():
            yield from text_steps(name, tokenized, self.arguments[argument])
        first: dict[str, str] = {}
        for path in recording.paths:
            expression = recording.origin(path).expression
            if isinstance(expression, Leaf) and expression.kind == "step":
                first[path] = expression.name
        for path in recording.paths:
            if path not in first:
                aliases = tuple(alias for alias, name in first.items() if name == path)
                yield self._step(path, recording[path], recording.origin(path), aliases)

    def _step(self, path: str, output: Tensor, origin: Origin, aliases: tuple[str, ...]) -> Step:
        expression = lowered(origin.expression)
        text = self._with_own_symbols(path, documented_step(origin, path) or StepText("", (), ""), expression)
        self.axes[path] = self._axis_names(text.axes, output, expression)
        return Step(
            path=path,
            output=output.detach(),
            axes=tuple(self._axis(path, name, size) for name, size in zip(self.axes[path], output.shape, strict=True)),
            formula=text.formula,
            symbol=self.symbols[path],
            explanation=" ".join([text.explanation, *self._notes(path, text, expression)]),
            expression=expression,
            equation=origin.expression.equation if isinstance(origin.expression, Operation) else None,
            code=_code(origin),
            aliases=aliases,
        )

    def _notes(self, path: str, text: StepText, expression: Node) -> Iterator[str]:
        """Yield sentences about a step that hold for this forward pass only."""
        if SCALE in text.formula and isinstance(expression, Operation) and isinstance(expression.arguments[-1], int | float):
            scale = float(expression.arguments[-1])
            yield f"Here √d_k = √{scale**2:.6g} = {scale:.6g}."
        if "next_sentence" in self.axes[path] and not any(self.source.segments):
            yield NO_PAIR

    def _with_own_symbols(self, path: str, text: StepText, expression: Node) -> StepText:
        """Return the documentation of a step with the symbol of its own input, the name of its own function, and its own bias.

        If one input is not in the formula, it takes the place of a letter: of x, the module's input, or of a step that this
        forward pass does not have, such as the masked scores. An input that is computed from the others, such as their mean,
        needs no symbol.
        """
        self.symbols[path] = text.symbol or path.rpartition(".")[2]
        inputs = {leaf.name for leaf in leaves(expression)} & {*self.symbols}
        self.inputs[path] = inputs
        outer = [each for each in inputs if not self.inputs[each] or not self.inputs[each] <= inputs]
        symbols = {in_layer(self.symbols[each], layer_of(path), layer_of(each)) for each in outer}
        right = text.formula.partition(" = ")[2]
        unnamed = [symbol for symbol in symbols if not has_symbol(right, symbol)]
        letters = [each for each in (INPUT, *self.symbols.values()) if each not in symbols and has_symbol(right, each)]
        formula = with_input(text.formula, letters[0], unnamed[0]) if letters and len(unnamed) == 1 else text.formula
        if not any(leaf.name.endswith("bias") for leaf in leaves(expression)):
            formula = re.sub(BIAS, r"\1", formula)
        equation = self.equations.get(expression.equation or "") if isinstance(expression, Operation) else None
        if equation is not None and (name := re.match(r"\\mathrm\{\w+\}(?=\()", equation.formula)):
            formula = formula.replace("f(", f"{name[0]}(")
        explanation = text.explanation
        if equation is not None and equation.name == "rms_norm":  # T5 has it in the layers of other networks
            formula = formula.replace("LayerNorm", "RMSNorm")
            explanation = re.sub("[Ll]ayer normalization", "RMS normalization", explanation)
        return replace(text, formula=formula, explanation=explanation)

    def unobserved_step(self, result: UnobservedResult) -> Step:
        """Return a result that no `observe` has named as a step."""
        step = self._step(result.path, result.output, Origin(result.expression, "", "", 0, result.expression.call), ())
        return replace(step, explanation=UNOBSERVED)

    def _axis_names(self, documented: Sequence[str], output: Tensor, expression: Node) -> tuple[str, ...]:
        """Return the documented names. `*batch` stands for the first axes of the first input that has so many."""
        own = [name for name in documented if name != ANY_AXES]
        count = output.ndim - len(own)
        if count < 0 or (count > 0 and ANY_AXES not in documented):  # another shape than documented, in a user's code
            return traced_axes(expression, self.axes)
        for leaf in leaves(expression):
            names = self.axes.get(leaf.name, ())
            if len(names) >= count and leaf.value.shape[:count] == output.shape[:count]:
                return (*names[:count], *own)
        return (*(f"axis {number}" for number in range(count)), *own)

    def _axis(self, path: str, name: str, size: int) -> Axis:
        labels = self._labels(path, name)
        return Axis(name, size, labels if labels is not None and len(labels) == size else None)

    def _labels(self, path: str, axis: str) -> tuple[str, ...] | None:
        in_decoder = self.decoded is not None and not path.startswith("encoder.")
        text = self.decoded if in_decoder and self.decoded is not None else self.source
        match axis:
            case "keys" if "cross_attention" in path:
                return self.source.pieces
            case "tokens" | "queries" | "keys":
                return text.pieces
            case "positions":
                return tuple(text.pieces[position] for position in self.positions)
            case "vocabulary":
                return self.vocabulary
            case "classes":
                return tuple(self.model.config.id2label.values()) if hasattr(self.model.config, "id2label") else None
            case "next_sentence":
                return pair_classes(self.model.config)
            case "ends":
                return ENDS
        return None


def pair_classes(config: Any) -> tuple[str, str]:
    """Return the classes of the head for sentence pairs, in words: those of the task that the paper of the family has."""
    return LABELS[config.pair_task][1]


def traced_axes(node: Node, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return names for the axes of a result that no docstring describes: those of the inputs, where they are the same.

    Args:
        known: names of the axes of other steps.
    """
    shape = node.value.shape if isinstance(node, Leaf) else node.shape
    names: Sequence[str] = ()
    if isinstance(node, Leaf):
        names = known.get(node.name, ())
    else:
        inputs = [traced_axes(each, known) for each in node.arguments if isinstance(each, Leaf | Operation)]
        if node.name == "transpose" and len(node.arguments) == 3:
            swapped, (one, other) = [*inputs[0]], node.arguments[1:]
            swapped[one], swapped[other] = swapped[other], swapped[one]
            names = swapped
        elif node.name == "matmul":
            names = (*inputs[0][:-1], *inputs[1][-1:])
        elif node.name in (*ELEMENTWISE, *REDUCTIONS, "softmax"):
            names = max(inputs, key=len)
    return tuple(names) if len(names) == len(shape) else tuple(f"axis {number}" for number in range(len(shape)))


def _code(origin: Origin) -> str:
    """Return the file and the line of the code of a step."""
    module = sys.modules.get(origin.module)
    if module is None or not getattr(module, "__file__", None):
        return ""
    file = Path(inspect.getfile(module))
    inside = file.is_relative_to(REPOSITORY)
    return f"{file.relative_to(REPOSITORY).as_posix() if inside else file.name}:{origin.line}"
