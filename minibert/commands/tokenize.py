"""`minibert tokenize`: the pieces and ids of a text, and how they come about."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from minibert.commands.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from minibert.text.wordpiece_encoding import Encoded, Match


@dataclass(frozen=True)
class Tokenize:
    """Shows the pieces of a text and their ids; with --explain, every stage on the way from one to the other."""

    tokenizer: Positional[str]
    """A folder with a tokenizer, such as runs/quickstart; a vocab.txt, cased if it has capital letters; an id on the hub."""
    text: Positional[str]
    """What to tokenize."""
    explain: bool = False
    """Show the text normalized, its words, and how each of them is split."""
    json: bool = False
    """Print JSON, not lines."""


@dataclass(frozen=True)
class Explanation:
    """The stages of a text, the steps through each of its words, and whether `tokenizers` comes to the same ids."""

    stages: "Encoded"
    matches: "list[list[Match]]"
    agrees: bool


def run(options: Tokenize) -> int:
    """Prints the pieces, and the ids below them."""
    try:
        options.text.encode()  # raises if the terminal's bytes were no text
        tokenizer = _load(options.tokenizer)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    try:
        encoding = tokenizer.encode(options.text)
    except Exception as error:  # what `tokenizers` raises has no class of its own
        raise UsageError(f"{options.tokenizer}: cannot encode the text ({error})") from error
    explanation = _explain(tokenizer, options) if options.explain else None
    if options.json:
        found: dict[str, Any] = {"pieces": encoding.tokens, "ids": encoding.ids}
        print(json.dumps(found if explanation is None else found | asdict(explanation), indent=2, ensure_ascii=False))
        return 0
    if explanation is not None:
        _show(explanation)
    print(*encoding.tokens)
    print(*encoding.ids)
    return 0


def _load(source: str) -> "Tokenizer":
    from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, load_tokenizer

    if not source.endswith(".txt"):
        return load_tokenizer(source)
    if not Path(source).is_file():
        raise FileNotFoundError(f"{source}: there is no such file")
    try:
        vocabulary = Path(source).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        cased = any(piece != piece.lower() for piece in set(vocabulary) - set(SPECIAL_TOKENS))
        return build_tokenizer(vocabulary, lowercase=not cased)
    except ValueError as error:
        raise ValueError(f"{source}: is not a vocabulary ({error})") from error


def _explain(tokenizer: "Tokenizer", options: Tokenize) -> Explanation:
    from minibert.text.wordpiece_encoding import LONGEST_WORD, encode, matches

    lowercase = _lowercase_of_berts(tokenizer, options.tokenizer)
    vocabulary = tokenizer.get_vocab()
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    stages = encode(options.text, vocabulary, lowercase, special)
    steps = [
        list(matches(word, vocabulary)) if word not in special and len(word) <= LONGEST_WORD else [] for word in stages.words
    ]
    expected = tokenizer.encode(options.text, add_special_tokens=False).ids
    return Explanation(stages, steps, agrees=list(stages.ids) == expected)


def _lowercase_of_berts(tokenizer: "Tokenizer", source: str) -> bool:
    """Whether BERT's WordPiece, as stored, is uncased. Raises: BadUse if another kind of tokenizer, or setting, is stored."""
    from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

    stored = json.loads(tokenizer.to_str())
    lowercase = bool((stored["normalizer"] or {}).get("lowercase"))
    berts = json.loads(build_tokenizer(SPECIAL_TOKENS, lowercase).to_str())
    for part in ("model", "normalizer", "pre_tokenizer"):
        for name, expected in berts[part].items():
            found = (stored[part] or {}).get(name)
            same = found == expected or (name == "strip_accents" and found == lowercase)  # which is what null means
            if name != "vocab" and not same:
                raise UsageError(
                    f"{source}: cannot be explained, only shown: its {part} has {name} {json.dumps(found)}, "
                    f"BERT's WordPiece has {json.dumps(expected)}"
                )
    return lowercase


def _show(explanation: Explanation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stages = explanation.stages
    console = Console()
    for name, shown in (
        ("text", repr(stages.text)),
        ("normalized", repr(stages.normalized)),
        ("words", " | ".join(stages.words)),
    ):
        console.print(Text.assemble((f"{name:<12}", "bold"), shown), soft_wrap=True)
    table = Table(show_lines=True)
    for title in ("word", "is it in the vocabulary? (longest first)", "pieces", "ids"):
        table.add_column(title, overflow="fold")
    ids = iter(stages.ids)
    for word, pieces, steps in zip(stages.words, stages.pieces, explanation.matches, strict=True):
        row = [word, _steps(word, steps), " ".join(pieces), " ".join(str(next(ids)) for _ in pieces)]
        table.add_row(*map(Text, row))
    console.print(table)
    if not explanation.agrees:
        told = "`tokenizers` gives the pieces below: a character may be newer than the Unicode tables of one of the two."
        console.print(told, soft_wrap=True)


def _steps(word: str, steps: "list[Match]") -> str:
    """One line a step: what was tried in vain, and what was taken."""
    from minibert.text.wordpiece_encoding import LONGEST_WORD

    if len(word) > LONGEST_WORD:
        return f"not looked for: it has more than {LONGEST_WORD} characters"
    if not steps:
        return "a special token: it is taken out of the text first"
    lines = []
    for step in steps:
        in_vain = step.tried if step.piece is None else step.tried[:-1]
        shown = [in_vain[0], "…", in_vain[-1]] if len(in_vain) > 3 else in_vain
        no = f"{', '.join(shown)}: no" if shown else ""
        yes = f"{step.piece}: yes" if step.piece else "so the whole word is unknown"
        lines.append("; ".join(part for part in (no, yes) if part))
    return "\n".join(lines)
