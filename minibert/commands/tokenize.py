"""`minibert tokenize`: the word pieces and ids of a text, with an explanation of each step."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from minibert.commands.errors import UsageError, check_text
from minibert.commands.terminal import say, say_json, say_table, styled
from minibert.printable import printable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.text.wordpiece_encoding import EncodedText, MatchStep


@dataclass(frozen=True)
class Tokenize:
    """Tokenize a text and print its pieces and their ids. With --explain, print every stage of the tokenization."""

    tokenizer: Positional[str]
    """A folder with a tokenizer, such as runs/quickstart, or its vocab.txt; a hub id; or another .txt with a vocabulary (cased
    if it has capital letters)."""
    text: Positional[str]
    """The text to tokenize."""
    explain: bool = False
    """Also print the normalized text, its words, and the pieces tried for each word."""
    json: bool = False
    """Print JSON instead of text."""


@dataclass(frozen=True)
class Explanation:
    """The stages of tokenization, the pieces tried for each word, and a comparison with the `tokenizers` library."""

    stages: "EncodedText"
    matches: "list[list[MatchStep]]"
    agrees: bool
    """True if `tokenizers` computes the same ids."""


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
    explanation = _explain(tokenizer, options) if options.explain else None
    if options.json:
        output: dict[str, Any] = {"pieces": encoding.tokens, "ids": encoding.ids}
        say_json(output if explanation is None else output | asdict(explanation))
        return 0
    if explanation is not None:
        _show(explanation)
    say(printable(" ".join(encoding.tokens)), " ".join(map(str, encoding.ids)))
    return 0


def _load(source: str) -> "Tokenizer":
    from tokenizers import models

    from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, load_tokenizer

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


def _explain(tokenizer: "Tokenizer", options: Tokenize) -> Explanation:
    """Compute the stages. Raises: UsageError for a tokenizer that is not BERT's WordPiece."""
    from minibert.text.tokenizer import bert_difference
    from minibert.text.wordpiece_encoding import MAX_WORD_CHARACTERS, encode, match_steps

    if difference := bert_difference(tokenizer):
        raise UsageError(
            f"{options.tokenizer}: --explain supports BERT's WordPiece only, which has {difference}. Leave out --explain"
        )
    fields, vocabulary = json.loads(tokenizer.to_str()), tokenizer.get_vocab(with_added_tokens=False)
    normalizer, added = fields["normalizer"], tokenizer.get_added_tokens_decoder()
    stages = encode(
        options.text,
        vocabulary,
        normalizer["lowercase"],
        {index: token for index, token in added.items() if not (token.special and tokenizer.encode_special_tokens)},
        normalizer["strip_accents"],
        normalizer["handle_chinese_chars"],
        fields["model"]["unk_token"],
    )
    steps = [
        list(match_steps(word, vocabulary)) if not is_added and len(word) <= MAX_WORD_CHARACTERS else []
        for word, is_added in zip(stages.words, stages.added, strict=True)
    ]
    expected = tokenizer.encode(options.text, add_special_tokens=False).ids
    return Explanation(stages, steps, agrees=list(stages.ids) == expected)


def _show(explanation: Explanation) -> None:
    from rich.table import Table

    stages = explanation.stages
    for name, line in (
        ("text", repr(stages.text)),
        ("normalized", repr(stages.normalized)),
        ("words", " | ".join(stages.words)),
    ):
        say(styled(f"{name:<12}", "bold") + printable(line))
    table = Table(show_lines=True)
    for title in ("word", "in the vocabulary? (longest match first)", "pieces", "ids"):
        table.add_column(title, overflow="fold")
    ids = iter(stages.ids)
    for word, added, pieces, steps in zip(stages.words, stages.added, stages.pieces, explanation.matches, strict=True):
        search = "added token: found before the text is split into words" if added else _steps(pieces, steps)
        row = [printable(word), search, printable(" ".join(pieces)), " ".join(str(next(ids)) for _ in pieces)]
        table.add_row(*row)
    say_table(table)
    if not explanation.agrees:
        say(
            "The `tokenizers` library computes other pieces, shown below. The text may contain a character that is newer "
            "than the Unicode tables of `tokenizers` or of Python."
        )


def _steps(pieces: tuple[str, ...], steps: "list[MatchStep]") -> str:
    """Format the matching steps of a word, one per line: the pieces that were tried and the one that matched."""
    from minibert.text.wordpiece_encoding import MAX_WORD_CHARACTERS

    if not steps:
        return f"not searched: longer than {MAX_WORD_CHARACTERS} characters"
    lines = []
    for step in steps:
        misses = step.candidates if step.piece is None else step.candidates[:-1]
        listed = [misses[0], "…", misses[-1]] if len(misses) > 3 else misses
        missed = f"{', '.join(listed)}: no" if listed else ""
        result = f"{step.piece}: yes" if step.piece else f"the whole word becomes {pieces[0]}"
        lines.append(printable("; ".join(part for part in (missed, result) if part)))
    return "\n".join(lines)
