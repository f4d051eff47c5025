"""The labels of a backward pass: the true word of each [MASK], the true class, the true answer, or the next tokens."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.study.fill_mask import piece_of
from minibert.study.stepthrough.predictions import problem_type
from minibert.study.stepthrough.walk import StepBuilder, pair_classes
from minibert.text.tokenizer import MASK, UNK, special_token

Labels = dict[str, Tensor]
"""Arguments of the forward pass."""


def labels(builder: StepBuilder, logits: dict[str, Tensor], axes: dict[str, tuple[str, ...]], truth: Sequence[str]) -> Labels:
    """Return the labels that the network's own loss needs.

    Args:
        logits, axes: the scores of each head by path, and the names of their axes.
        truth: what is true; see `backward_walk`. Where it is missing, the model's own prediction is the label.

    Raises: ValueError if there is no head, and for a truth that does not belong to the input.
    """
    if not logits:
        raise ValueError("the network has no head, so it has no loss to go back from: choose a checkpoint with a head")
    given = [*truth]
    found: Labels = {}
    for path, scores in logits.items():
        found |= HEADS[axes[path]](builder, scores[0], given)
    if given:
        raise ValueError(f"too many true values: {', '.join(map(repr, given))} left over")
    return {name: value.to(builder.arguments["input_ids"].device) for name, value in found.items()}


def _vocabulary(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The true word of each [MASK]; for a decoder the next tokens."""
    if builder.is_decoder:
        if given:
            raise ValueError("the labels of this network are the next tokens of its text: leave out the true words")
        return {"labels": _next_tokens(builder)}
    tokenizer, text = builder.tokenizer, builder.source
    ids = torch.tensor(text.ids)
    mask = special_token(tokenizer, MASK)
    places = [place for place, index in enumerate(text.ids) if index == tokenizer.token_to_id(mask)]
    words = [given.pop(0) for _ in places if given]
    if not places:
        hidden = torch.tensor([start == end for start, end in text.spans])
        return {"labels": ids.masked_fill(hidden, IGNORE_INDEX)[None]}
    if len(words) not in (0, len(places)):
        raise ValueError(f"the text has {len(places)} {mask}, but there is {len(words)} true word: give one for each {mask}")
    result = torch.full_like(ids, IGNORE_INDEX)
    result[places] = torch.tensor([_piece(builder, word) for word in words]) if words else logits[places].argmax(-1).cpu()
    return {"labels": result[None]}


def _piece(builder: StepBuilder, word: str) -> int:
    """Return the id of a word that is one piece."""
    tokenizer, mask = builder.tokenizer, special_token(builder.tokenizer, MASK)
    known = tokenizer.token_to_id(word)
    ids = tokenizer.encode(word, add_special_tokens=False).ids if known is None else [known]
    if len(ids) != 1:
        pieces = ", ".join(piece_of(tokenizer, index) for index in ids) or "none"
        raise ValueError(f"the true word {word!r} has {len(ids)} pieces ({pieces}), but a {mask} is one piece: give one piece")
    if known is None and ids[0] == tokenizer.token_to_id(special_token(tokenizer, UNK)):
        raise ValueError(f"the true word {word!r} is not in the vocabulary: give a word that is")
    return int(ids[0])


def _next_tokens(builder: StepBuilder) -> Tensor:
    """Return the labels of a decoder: its own tokens, which GPT-2 shifts itself, or the target and its end."""
    if builder.decoded is None:
        if len(builder.source.ids) < 2:
            raise ValueError("the text has one token, which has no next token: give a longer text")
        return torch.tensor([builder.source.ids])
    config: Any = builder.model.config
    return torch.tensor([[*builder.decoded.ids[1:], config.eos_token_id]])


def _classes(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The true class; for regression the true number; for independent classes all that are true."""
    kind = problem_type(builder.model.config)
    if kind == "regression":
        if len(given) < len(logits):
            raise ValueError(f"the network predicts {len(logits)} number(s): give the true one, since its own has no error")
        numbers = torch.tensor([_number(given.pop(0)) for _ in logits])
        return {"labels": numbers if len(logits) == 1 else numbers[None]}
    if kind == "multi_label_classification":
        own = (logits > 0).nonzero()[:, 0].tolist()
        true = [_class(builder, name) for name in given] or own
        given.clear()
        return {"labels": torch.zeros(1, len(logits)).index_fill(1, torch.tensor(true, dtype=torch.int64), 1.0)}
    return {"labels": torch.tensor([_class(builder, given.pop(0)) if given else int(logits.argmax())])}


def _token_classes(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The true class of each token that is not a special one."""
    places = [place for place, (start, end) in enumerate(builder.source.spans) if start < end]
    if given and len(given) != len(places):
        raise ValueError(f"the text has {len(places)} tokens, but there are {len(given)} true classes: give one for each token")
    result = torch.full((len(logits),), IGNORE_INDEX)
    classes = [_class(builder, given.pop(0)) for _ in places] if given else logits[places].argmax(-1).tolist()
    result[places] = torch.tensor(classes, dtype=torch.int64)
    return {"labels": result[None]}


def _next_sentence(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The true label of a sentence pair. A network that also has another head has this loss for a pair only."""
    parameters = inspect.signature(getattr(builder.model, "apply_head", builder.model.forward)).parameters
    name = "next_sentence_label" if "next_sentence_label" in parameters else "labels"
    if name != "labels" and 1 not in builder.source.segments:
        return {}
    label = _place(given.pop(0), pair_classes(builder.model.config)) if given else int(logits.argmax())
    return {name: torch.tensor([label])}


def _span(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The first and the last token of the true answer, which is a part of the text."""
    if not given:
        start, end = logits.argmax(0).tolist()
    else:
        answer, text = given.pop(0), builder.source
        first = text.characters.rfind(answer)  # the last place: of a question and a text, that in the text
        touched = [place for place, (left, right) in enumerate(text.spans) if left < first + len(answer) and first < right]
        if first < 0 or not touched:
            raise ValueError(f"the answer {answer!r} is not in the text: give a part of the text")
        start, end = touched[0], touched[-1]
    return {"start_positions": torch.tensor([start]), "end_positions": torch.tensor([end])}


def _replaced(builder: StepBuilder, logits: Tensor, given: list[str]) -> Labels:
    """The tokens that were replaced; special tokens are not among them."""
    pieces = builder.source.pieces
    if missing := [piece for piece in given if piece not in pieces]:
        raise ValueError(f"the text has no token {missing[0]!r}: the true values are the tokens that were replaced")
    replaced = torch.tensor([piece in given for piece in pieces]) if given else logits.cpu() > 0
    given.clear()
    special = torch.tensor([start == end for start, end in builder.source.spans])
    return {"labels": replaced.long().masked_fill(special, IGNORE_INDEX)[None]}


HEADS: dict[tuple[str, ...], Callable[[StepBuilder, Tensor, list[str]], Labels]] = {
    ("batch", "tokens", "vocabulary"): _vocabulary,
    ("batch", "classes"): _classes,
    ("batch", "tokens", "classes"): _token_classes,
    ("batch", "next_sentence"): _next_sentence,
    ("batch", "tokens", "ends"): _span,
    ("batch", "tokens"): _replaced,
}
"""Functions by the axes of the scores. They take what they need from the list of true values."""


def _class(builder: StepBuilder, name: str) -> int:
    names = getattr(builder.model.config, "id2label", {})
    return _place(name, tuple(names.values()))


def _place(name: str, names: Sequence[str]) -> int:
    if name in names:
        return names.index(name)
    if name.isascii() and name.isdecimal() and int(name) < len(names):
        return int(name)
    raise ValueError(f"there is no class {name!r}: choose one of {', '.join(names[:20])}, or its number")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"the true value {text!r} is not a number") from error
    if not torch.isfinite(torch.tensor(value)):
        raise ValueError(f"the true value {text!r} is not a finite number")
    return value
