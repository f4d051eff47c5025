"""`minibert tokenize`: the word pieces and ids of a text, with an explanation of each step."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from minibert.commands.errors import UsageError, check_text
from minibert.commands.terminal import say, say_json
from minibert.commands.tokenize_view import explain, show
from minibert.printable import printable

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Tokenize:
    """Tokenize a text and print its pieces and their ids. With --explain, print every stage of the tokenization."""

    tokenizer: Positional[str]
    """A folder with a tokenizer, such as runs/quickstart, or its vocab.txt; a hub id; or another .txt with a vocabulary (cased
    if it has capital letters)."""
    text: Positional[str]
    """The text to tokenize."""
    explain: bool = False
    """Also print every stage. For each word, WordPiece has the pieces that were tried; byte-level BPE, as in RoBERTa and GPT-2,
    has the bytes and their merges."""
    json: bool = False
    """Print JSON instead of text."""


def run(options: Tokenize) -> int:
    """Print the pieces on one line and their ids on the next."""
    check_text(options.text)
    try:
        tokenizer = _load(options.tokenizer)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(error) from error
    try:
        encoding = tokenizer.encode(options.text)
    except Exception as error:  # `tokenizers` raises plain Exception
        raise UsageError(f"{options.tokenizer}: cannot encode the text ({error})") from error
    try:
        explanation = explain(tokenizer, options.text) if options.explain else None
    except ValueError as error:
        raise UsageError(f"{options.tokenizer}: {error}. Leave out --explain") from error
    if options.json:
        output: dict[str, Any] = {"pieces": encoding.tokens, "ids": encoding.ids}
        say_json(output if explanation is None else output | asdict(explanation))
        return 0
    if explanation is not None:
        show(explanation)
    say(printable(" ".join(encoding.tokens)), " ".join(map(str, encoding.ids)))
    return 0


def _load(source: str) -> "Tokenizer":
    from tokenizers import models

    from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
    from minibert.text.tokenizer_loading import load_tokenizer

    path = Path(source)
    if path.suffix != ".txt":
        return load_tokenizer(source)
    if not path.is_file():
        raise FileNotFoundError(f"{source}: file not found")
    if path.name == "vocab.txt":  # with the settings of the files next to it
        tokenizer = load_tokenizer(source)
        here = set(models.WordPiece.read_file(source).items())
        if any(token and (token, index) not in here for token, index in tokenizer.get_vocab(with_added_tokens=False).items()):
            raise ValueError(
                f"{source}: differs from the vocabulary in tokenizer.json next to it. Give the folder to use tokenizer.json, "
                "or copy vocab.txt to another folder"
            )
        return tokenizer
    try:
        vocabulary = path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        cased = any(piece != piece.lower() for piece in set(vocabulary) - set(SPECIAL_TOKENS))
        return build_tokenizer(vocabulary, lowercase=not cased)
    except ValueError as error:
        raise ValueError(f"{source}: not a WordPiece vocabulary ({error})") from error
