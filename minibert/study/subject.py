"""The model, tokenizer and input of a forward pass to show: of a checkpoint, or of a preset with random weights."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from minibert.model import (
    PRESETS,
    TRANSFORMERS,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    Transformer,
    load,
)
from minibert.model.config import TextConfig
from minibert.model.pretrained import PretrainedModel
from minibert.study.tokenized_text import TokenizedText, from_ids, tokenize
from minibert.text.tokenizer import CLS, PAD, SEP, SPECIAL_TOKENS, build_tokenizer, check_id, token_id, vocabulary_size
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.text.wordpiece_training import count_words

RANDOM_NETWORKS: Mapping[str, tuple[type[PretrainedModel], TextConfig]] = {
    **{name: (BertForPreTraining, config) for name, config in PRESETS.items()},
    **{f"transformer-{name}": (Transformer, config) for name, config in TRANSFORMERS.items()},
    "gpt2": (GPT2LMHeadModel, GPT2Config()),
}
"""Presets: BERT with both pretraining heads, the 2017 Transformer, and GPT-2."""
SEED = 0
SPECIAL_IDS = {"pad_token_id": PAD, "decoder_start_token_id": CLS, "eos_token_id": SEP}
"""Fields of configs, and the special tokens whose ids they are."""
TARGET_FACTOR = 2
"""A target is generated with at most so many times the tokens of its source."""


def load_subject(
    checkpoint: str | Path | None = None,
    preset: str | None = None,
    texts: Sequence[str] = (),
    tokenizer: str | Path | None = None,
) -> tuple[PretrainedModel, Tokenizer]:
    """Load a checkpoint and its tokenizer, or build a preset with random weights, the same ones every time.

    Args:
        checkpoint: a folder, a file with weights, or the id of a model on the hub.
        preset: one of `RANDOM_NETWORKS`, instead of a checkpoint.
        texts: for a preset without a tokenizer: the texts whose words are the vocabulary, each word one piece.
        tokenizer: a folder with another tokenizer than that of the checkpoint.

    Raises: ValueError for an unknown preset, without a checkpoint or preset and with both; for a file that cannot be used;
    FileNotFoundError for a missing one.
    """
    if checkpoint is not None and preset is None:
        model = load(checkpoint)
        try:
            _ = model.text_config
        except ValueError as error:
            raise ValueError(f"{checkpoint}: {error}; look inside with `minibert.record`, as in docs/vit.md") from None
        return model, load_tokenizer(checkpoint if tokenizer is None else tokenizer)
    if preset is None or checkpoint is not None:
        raise ValueError(f"give a checkpoint, or else a preset: {', '.join(RANDOM_NETWORKS)}")
    if preset not in RANDOM_NETWORKS:
        raise ValueError(f"there is no preset {preset!r}, only {', '.join(RANDOM_NETWORKS)}")
    network, config = RANDOM_NETWORKS[preset]
    pieces = tokenizer_of(texts) if tokenizer is None else load_tokenizer(tokenizer)
    if tokenizer is None and network is GPT2LMHeadModel:
        pieces.post_processor = None  # GPT-2 has no [CLS] and [SEP]
    return random_network(network, config, pieces), pieces


def tokenizer_of(texts: Sequence[str]) -> Tokenizer:
    """Build a WordPiece tokenizer whose vocabulary is BERT's special tokens and the words of these texts.

    >>> tokenizer_of(["the cat saw the [MASK] 猫"]).encode("the cat 猫 [MASK] dog").tokens
    ['[CLS]', 'the', 'cat', '猫', '[MASK]', '[UNK]', '[SEP]']
    """
    special = build_tokenizer(SPECIAL_TOKENS)
    plain = [_without_special_tokens(special.encode(text, add_special_tokens=False), text) for text in texts]
    return build_tokenizer([*SPECIAL_TOKENS, *sorted(count_words(plain))])


def _without_special_tokens(encoding: Encoding, text: str) -> str:
    """Return the text with a space in place of each special token; the vocabulary has no other token than [UNK]."""
    for token, (start, end) in reversed([*zip(encoding.tokens, encoding.offsets, strict=True)]):
        if text[start:end] == token:
            text = f"{text[:start]} {text[end:]}"
    return text


def random_network(network: type[PretrainedModel], config: TextConfig, tokenizer: Tokenizer) -> PretrainedModel:
    """Build a network with the vocabulary of a tokenizer and random weights, in evaluation mode. The seed is fixed.

    Raises: ValueError if the tokenizer has no special token that the config names.
    """
    names = {field.name for field in fields(config)}
    special: dict[str, Any] = {name: token_id(tokenizer, token) for name, token in SPECIAL_IDS.items() if name in names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return network(replace(config, vocab_size=vocabulary_size(tokenizer), **special)).eval()


@dataclass(frozen=True)
class ModelInput:
    """One text or pair of texts as the input of a network."""

    arguments: dict[str, Tensor]
    """The arguments of the forward pass, with a batch of one."""
    source: TokenizedText
    """The text of `input_ids`."""
    target: TokenizedText | None = None
    """The text of `decoder_input_ids`, for a network with an encoder and a decoder."""

    @property
    def tokens(self) -> list[str]:
        """The pieces of `input_ids`."""
        return [*self.source.pieces]

    @property
    def targets(self) -> list[str]:
        """The pieces of `decoder_input_ids`, for a network with an encoder and a decoder; otherwise empty."""
        return [] if self.target is None else [*self.target.pieces]


@torch.no_grad()
def model_input(model: PretrainedModel, tokenizer: Tokenizer, text: str, pair: str | None = None) -> ModelInput:
    """Tokenize a text or a pair of texts for a network of any architecture.

    Args:
        pair: for BERT, the second segment; for a network with an encoder and a decoder, the target. Without a target, it is
            the one that the network generates by greedy search.

    Raises: ValueError for a text without tokens, and for a tokenizer of another model.
    """
    parameters = inspect.signature(model.forward).parameters
    has_decoder = "decoder_input_ids" in parameters
    source = tokenize(tokenizer, text, None if has_decoder else pair)
    if not source.ids:
        raise ValueError("the text has no tokens")
    check_id(tokenizer, max(source.ids), model.text_config.vocab_size)
    device = next(model.parameters()).device
    arguments = {"input_ids": source.batch(device)}
    if "token_type_ids" in parameters and getattr(model.config, "type_vocab_size", 1) > 1:
        arguments["token_type_ids"] = torch.tensor([source.segments], device=device)
    if not has_decoder:
        return ModelInput(arguments, source)
    target = _generate(model, tokenizer, arguments["input_ids"]) if pair is None else tokenize(tokenizer, pair)
    target = _decoder_input(target, tokenizer, model.config)
    check_id(tokenizer, max(target.ids), model.text_config.vocab_size)
    arguments["decoder_input_ids"] = target.batch(device)
    return ModelInput(arguments, source, target)


def _generate(model: Any, tokenizer: Tokenizer, input_ids: Tensor) -> TokenizedText:
    maximum = min(TARGET_FACTOR * input_ids.shape[1], model.config.max_tokens)
    return from_ids(tokenizer, model.generate(input_ids, beams=1, max_new_tokens=maximum)[0].tokens)


def _decoder_input(target: TokenizedText, tokenizer: Tokenizer, config: Any) -> TokenizedText:
    """Return the target with the start token, and without the end token, after which nothing is predicted."""
    start, end = config.decoder_start_token_id, config.eos_token_id
    first, last = int(target.ids[:1] == (start,)), len(target.ids) - int(target.ids[-1:] == (end,))
    return from_ids(tokenizer, [start]) + target[first : max(first, last)]
