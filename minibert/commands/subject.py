"""Options for the model and the text of one forward pass that a command shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minibert.commands.errors import UsageError, check_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.model.pretrained import PretrainedModel
    from minibert.study.subject import ModelInput


@dataclass(frozen=True, kw_only=True)
class SubjectOptions:
    """A checkpoint, or a preset with random weights, and a text or a pair of texts."""

    checkpoint: str | None = None
    """A folder with a checkpoint and its tokenizer, such as runs/quickstart, or the id of a model on the Hugging Face hub."""
    preset: str | None = None
    """A model with random weights instead of a checkpoint: tiny, mini, small, medium, base or large (BERT), transformer-tiny,
    -small, -base or -big (the 2017 Transformer), gpt2. Its vocabulary is the words of the text."""
    tokenizer: str | None = None
    """A folder with a tokenizer, for a preset, or for a checkpoint that has none."""
    text: str | None = None
    """The text."""
    pair: str | None = None
    """The second text: for BERT the second segment; for a 2017 Transformer the target, which it generates by default."""


def load_model(options: SubjectOptions, words: Sequence[str] = ()) -> "tuple[PretrainedModel, Tokenizer]":
    """Load the model and its tokenizer. Raises: UsageError for what cannot be used.

    Args:
        words: more words for the vocabulary of a preset.
    """
    if (options.checkpoint is None) == (options.preset is None):
        raise UsageError("give a model: either --checkpoint CHECKPOINT or --preset PRESET, such as --preset tiny")
    texts = [text for text in (options.text, options.pair, *words) if text is not None]
    for text in texts:
        check_text(text)
    from minibert.study.subject import load_subject

    try:
        return load_subject(options.checkpoint, options.preset, texts, options.tokenizer)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error


def load(options: SubjectOptions) -> "tuple[PretrainedModel, Tokenizer, ModelInput]":
    """Load the model and its tokenizer, and tokenize the text. Raises: UsageError for what cannot be used."""
    if options.text is None:
        raise UsageError("give the text: --text TEXT")
    model, tokenizer = load_model(options)
    from minibert.study.subject import model_input

    try:
        return model, tokenizer, model_input(model, tokenizer, options.text, options.pair)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
