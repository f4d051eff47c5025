"""The input of a comparison: a small batch with padding, for any network."""

import inspect
import math
from pathlib import Path

import torch
from torch import Tensor

from minibert.model.config import TextConfig
from minibert.model.pretrained import PretrainedModel
from minibert.printable import with_article
from minibert.text.tokenizer_loading import load_tokenizer

Inputs = dict[str, Tensor]
"""The arguments of a forward pass by name. minibert and transformers use the same names."""

DEFAULT_TEXT = "What you see is what you get, and [MASK] is what you verify."
RANDOM_TOKENS = 16
"""Length of the random input for a checkpoint without a tokenizer."""
TOKEN_TYPES, TARGET_MASK = "token_type_ids", "decoder_attention_mask"


def make_inputs(
    model: PretrainedModel,
    source: str | Path,
    text: str | None = None,
    ids: list[int] | None = None,
    other: PretrainedModel | None = None,
) -> Inputs:
    """Create the inputs of a comparison.

    For a network of token ids, it is a batch of two rows: a sequence of tokens, and its first half with padding. The second
    half of the first row is sentence B, if the network has segments. A network with a decoder gets a target of another length,
    so that every mask and every segment takes part in the comparison. Other networks make random inputs themselves.

    Args:
        source: the checkpoint with the tokenizer.
        text: the text to tokenize. Default: an example sentence, truncated to the positions of the network, or random ids if
            the checkpoint has no tokenizer.
        ids: token ids, instead of a text.
        other: another network of the same architecture, which must be able to process the same input.

    Raises: ValueError for ids or a text that the network cannot process.
    """
    if (random_inputs := model.random_inputs()) is not None:
        if text is not None or ids is not None:
            kind, names = with_article(type(model).__name__), ", ".join(random_inputs)
            raise ValueError(f"{source}: {kind} reads {names}, not texts: leave out --text and --ids")
        return random_inputs
    configs = [model.text_config] if other is None else [model.text_config, other.text_config]
    vocab_size, positions = (min(getattr(each, name) for each in configs) for name in ("vocab_size", "max_tokens"))
    row = _token_ids(source, text, ids, vocab_size, positions)
    _check_length(len(row), min(configs, key=lambda each: each.max_tokens))
    return _token_inputs(model, row, configs, positions)


def _token_ids(source: str | Path, text: str | None, ids: list[int] | None, vocab_size: int, positions: int) -> list[int]:
    """Return the token ids of the first row; the arguments and errors are those of `make_inputs`.

    Ids that this function chooses are not more than `positions`.
    """
    if text is not None:
        ids = load_tokenizer(source).encode(text).ids
    elif ids is None:
        try:
            ids = load_tokenizer(source).encode(DEFAULT_TEXT).ids[:positions]
        except FileNotFoundError:
            length = min(RANDOM_TOKENS, positions)
            ids = torch.randint(vocab_size, (length,), generator=torch.Generator().manual_seed(0)).tolist()
    if not ids:
        raise ValueError("the input has no tokens: give --text or --ids")
    if outside := [number for number in ids if not 0 <= number < vocab_size]:
        raise ValueError(f"id {outside[0]} is outside the vocabulary of {vocab_size} pieces")
    return ids


def _check_length(tokens: int, config: TextConfig) -> None:
    limit, rows = config.max_tokens, config.max_position_embeddings
    if tokens > limit:
        padding = f", {rows - limit} of them for padding" if rows > limit else ""
        raise ValueError(
            f"there are {tokens} tokens, but at most {limit} are allowed (max_position_embeddings is {rows}{padding}): "
            "give a shorter input"
        )


def _token_inputs(model: PretrainedModel, ids: list[int], configs: list[TextConfig], positions: int) -> Inputs:
    """Return the ids as the arguments of a network; `configs` are those of all networks with these inputs."""
    arguments, padding = inspect.signature(model.forward).parameters, configs[0].pad_token_id or 0
    rows, mask = _two_rows(ids, padding)
    inputs = {"input_ids": rows, "attention_mask": mask}
    if TOKEN_TYPES in arguments and all(getattr(each, "has_segments", True) for each in configs):
        has_segments = min(getattr(each, "type_vocab_size", 1) for each in configs) > 1
        second_half = (torch.arange(len(ids)) >= _half(ids)).long() * has_segments
        inputs[TOKEN_TYPES] = torch.stack([second_half, torch.zeros_like(second_half)])
    if TARGET_MASK in arguments:  # of another length than the source, which tells the tokens of both apart
        target = ids[1:] if len(ids) > 2 else [*ids, ids[0]][:positions]
        inputs["labels"], inputs[TARGET_MASK] = _two_rows(target, padding)
    return inputs


def _half(ids: list[int]) -> int:
    return math.ceil(len(ids) / 2)


def _two_rows(ids: list[int], padding: int) -> tuple[Tensor, Tensor]:
    """Return the ids and their first half with padding, and the mask of both rows."""
    row, first_half = torch.tensor(ids), torch.arange(len(ids)) < _half(ids)
    return torch.stack([row, row.where(first_half, padding)]), torch.stack([torch.ones_like(row), first_half.long()])


def without_padding(stage: Tensor, inputs: Inputs) -> Tensor:
    """Return the values of a stage at tokens that are not padding.

    Tokens are the second axis from the end, in (batch, tokens, width) and in (batch, heads, tokens, width). The mask of the
    same length belongs to them. A stage without a token axis is returned whole.
    """
    for name, mask in inputs.items():
        if name.endswith("attention_mask") and stage.dim() > 2 and stage.shape[-2] == mask.shape[1]:
            tokens = stage.movedim(-2, 1)
            return tokens.expand(len(mask), *tokens.shape[1:])[mask.bool()]
    return stage
