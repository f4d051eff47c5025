"""Continuation of a text by a language model, and the target of a text by T5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor

from minibert.model import GPT2LMHeadModel
from minibert.model.checkpoints.loading import read_checkpoint
from minibert.model.modes import evaluation_mode
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.text.tokenizer import UNK, check_id, special_token
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.text.unknown import count_unknown

MAX_NEW_TOKENS = 100
"""Number of new tokens, if none is given and the model has positions for them."""


@dataclass(frozen=True)
class Continuation:
    """A text and its continuation, or the target of a source."""

    prompt: str
    """The text."""
    text: str
    """The continuation."""
    ids: list[int]
    """Ids of the new tokens; the last one is the end token, unless the maximum length was reached before."""
    log_probability: float
    """Log-probability of the new tokens together, in nats."""
    has_end: bool
    """True if the last token is the end token, False if the maximum number of tokens was reached before."""


class TextStream:
    """The text of token ids that come one after another, in whole characters. Special tokens have no text.

    The bytes of a character may be in several tokens. Its text comes with the last of them.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._stream = tokenizer, DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._length = 0

    def add(self, ids: Sequence[int]) -> str:
        """Return the text that these ids complete; it may be empty."""
        self._ids += ids
        text = "".join(self._stream.step(self._tokenizer, index) or "" for index in ids)
        self._length += len(text)
        return text

    def rest(self) -> str:
        """Return the text that is still missing at the end: bytes that are no character, as U+FFFD."""
        text: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return text[self._length :]


def load_generator(source: str | Path) -> tuple[GPT2LMHeadModel | T5ForConditionalGeneration, Tokenizer]:
    """Load a network that generates text, and its tokenizer.

    Args:
        source: a folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub.

    Raises: FileNotFoundError if there is no checkpoint or no tokenizer. ValueError for a network of another kind.
    """
    checkpoint = read_checkpoint(source)
    generators = (GPT2LMHeadModel, T5ForConditionalGeneration)
    network = next((each for each in checkpoint.networks if issubclass(each, generators)), None)
    if network is None:
        raise ValueError(
            f"{source}: a model of type {checkpoint.model_type!r} does not continue texts; give a checkpoint of GPT-2 or T5. "
            "For BERT there is `minibert fill-mask`, for a translator `minibert translate`"
        )
    model = checkpoint.load(network)
    assert isinstance(model, GPT2LMHeadModel | T5ForConditionalGeneration)
    return model, load_tokenizer(source)


def generate_text(
    model: GPT2LMHeadModel | T5ForConditionalGeneration,
    tokenizer: Tokenizer,
    text: str,
    max_new_tokens: int | None = None,
    show: Callable[[str], object] = lambda text: None,
    **choice: Any,
) -> Continuation:
    """Continue a text with a GPT-2 (`continue_text`), or compute the target of a source with a T5 (`target_of`)."""
    if isinstance(model, GPT2LMHeadModel):
        return continue_text(model, tokenizer, text, max_new_tokens, show, **choice)
    return target_of(model, tokenizer, text, max_new_tokens, show, **choice)


def target_of(
    model: T5ForConditionalGeneration,
    tokenizer: Tokenizer,
    source: str,
    max_new_tokens: int | None = None,
    show: Callable[[str], object] = lambda text: None,
    beams: int = 1,
    **draws: Any,
) -> Continuation:
    """Compute the target of a source: after pretraining, each sentinel such as <extra_id_0> and the text in its place.

    Args:
        max_new_tokens: default: `MAX_NEW_TOKENS`.
        show: a function that gets the target.
        draws: options of `GPT2LMHeadModel.generate`, which must be 0 or None: no token is drawn.

    Raises: ValueError for a tokenizer of another model, for draws, and as `T5ForConditionalGeneration.generate`.
    """
    if given := [name for name, value in draws.items() if value]:
        raise ValueError(f"{given[0]}: a T5 draws no tokens by chance; leave it out, or use beams")
    ids = tokenizer.encode(source).ids
    check_id(tokenizer, max(ids, default=0), model.config.vocab_size)
    with evaluation_mode(model):
        [output] = model.generate(
            torch.tensor([ids], device=model.words.weight.device),
            beams=beams,
            max_new_tokens=MAX_NEW_TOKENS if max_new_tokens is None else max_new_tokens,
        )
    written = [index for index in output.tokens if index not in (model.config.eos_token_id, model.config.pad_token_id)]
    text: str = tokenizer.decode(written, skip_special_tokens=False)
    show(text)
    has_end = output.tokens[-1] == model.config.eos_token_id
    return Continuation(source, text, output.tokens, output.log_probability, has_end)


def continue_text(
    model: GPT2LMHeadModel,
    tokenizer: Tokenizer,
    prompt: str,
    max_new_tokens: int | None = None,
    show: Callable[[str], object] = lambda text: None,
    **choice: Any,
) -> Continuation:
    """Continue a text until <|endoftext|>, or for at most `max_new_tokens` tokens.

    Args:
        prompt: the text; "" for a new text, which begins after <|endoftext|>.
        max_new_tokens: default: `MAX_NEW_TOKENS`, or fewer if the model has no more positions.
        show: a function that gets the text part by part: the prompt with the first new characters, then the next ones as soon
            as they are complete. With beams, everything comes at the end.
        choice: `temperature`, `top_k`, `top_p`, `seed` and `beams` of `GPT2LMHeadModel.generate`.

    Raises: as `start_ids` and `GPT2LMHeadModel.generate`.
    """
    start = start_ids(model, tokenizer, prompt)
    free_positions = model.config.max_position_embeddings - len(start) + 1
    stream, new = TextStream(tokenizer), [*start]

    def take(chosen: Tensor) -> None:
        new.extend(chosen.tolist())
        show(stream.add(new))
        new.clear()

    has_beams = choice.get("beams", 1) > 1
    with evaluation_mode(model):
        [output] = model.generate(
            torch.tensor([start], device=model.words.weight.device),
            max_new_tokens=min(MAX_NEW_TOKENS, free_positions) if max_new_tokens is None else max_new_tokens,
            eos_token_id=model.config.eos_token_id,
            streamer=None if has_beams else take,
            **choice,
        )
    if has_beams:
        take(torch.tensor(output.tokens))
    show(stream.rest())
    before, after = (tokenizer.decode(ids, skip_special_tokens=True) for ids in (start, start + output.tokens))
    has_end = output.tokens[-1] == model.config.eos_token_id
    return Continuation(prompt, after[len(before) :], output.tokens, output.log_probability, has_end)


def start_ids(model: GPT2LMHeadModel, tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Tokenize the text that a model continues. An empty one is <|endoftext|>, after which a new text begins.

    Raises: ValueError for a text with more tokens than positions or without tokens, an empty one if the model has no
    <|endoftext|>, and a tokenizer of another model.
    """
    ids: list[int] = tokenizer.encode(prompt).ids
    end, positions = model.config.eos_token_id, model.config.max_position_embeddings
    if not ids and prompt:
        raise ValueError("the tokenizer has none of the characters of the text: give another text")
    if not ids and end is None:
        raise ValueError("the text is empty, and this model has no <|endoftext|> to begin with: give a text")
    if len(ids) > positions:
        raise ValueError(f"the text has {len(ids):,} tokens, but this model has {positions:,} positions: shorten the text")
    check_id(tokenizer, max(ids, default=0), model.config.vocab_size)
    return ids or [cast("int", end)]


def unknown_characters(tokenizer: Tokenizer, text: str) -> int:
    """Count the characters of a text that are not in the vocabulary. White space is not counted; of bytes, none is unknown."""
    has_token = tokenizer.token_to_id(special_token(tokenizer, UNK)) is not None
    return count_unknown([text], tokenizer).unknown if has_token else 0
