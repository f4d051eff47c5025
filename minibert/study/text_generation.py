"""Continuation of a text by a language model, as text that comes in whole characters."""

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
from minibert.text.tokenizer import UNK, check_id, special_token
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.text.unknown import count_unknown

MAX_NEW_TOKENS = 100
"""Number of new tokens, if none is given and the model has positions for them."""


@dataclass(frozen=True)
class Continuation:
    """A text and its continuation."""

    prompt: str
    """The text."""
    text: str
    """The continuation."""
    ids: list[int]
    """Ids of the new tokens; the last one is <|endoftext|>, unless the maximum length was reached before."""
    log_probability: float
    """Log-probability of the new tokens together, in nats."""


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


def load_generator(source: str | Path) -> tuple[GPT2LMHeadModel, Tokenizer]:
    """Load a network that generates text, and its tokenizer.

    Args:
        source: a folder with a checkpoint and its tokenizer, or the id of a model on the Hugging Face hub.

    Raises: FileNotFoundError if there is no checkpoint or no tokenizer. ValueError for a network of another kind.
    """
    checkpoint = read_checkpoint(source)
    if all(network.head != GPT2LMHeadModel.head for network in checkpoint.networks):
        raise ValueError(
            f"{source}: a model of type {checkpoint.model_type!r} does not continue texts; give a checkpoint of GPT-2, or use "
            "`minibert fill-mask` for BERT and its relatives, and `minibert translate` for a translator"
        )
    model = checkpoint.load(GPT2LMHeadModel.head)
    assert isinstance(model, GPT2LMHeadModel)
    return model, load_tokenizer(source)


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
    return Continuation(prompt, after[len(before) :], output.tokens, output.log_probability)


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
