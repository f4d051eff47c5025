"""The explanations of `minibert tokenize`: every stage of WordPiece and of byte-level BPE, as text or JSON."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minibert.commands.terminal import say, say_table, styled
from minibert.printable import printable

if TYPE_CHECKING:
    from rich.table import Table
    from tokenizers import AddedToken, Tokenizer

    from minibert.text.byte_pair_encoding import ByteLevelText, MergeStep
    from minibert.text.wordpiece_encoding import EncodedText, MatchStep

ADDED = "added token: found before the text is split into words"
MAX_SHOWN_BYTES = 100
"""Maximum length of a word whose bytes and merges are shown."""


@dataclass(frozen=True)
class Explanation(ABC):
    """The stages of tokenization, and a comparison with the `tokenizers` library."""

    agrees: bool
    """True if `tokenizers` computes the same ids."""

    @abstractmethod
    def lines(self) -> dict[str, str]:
        """Return the stages of the whole text, by name."""

    @abstractmethod
    def table(self) -> "Table":
        """Return the stages of each word."""


def explain(tokenizer: "Tokenizer", text: str) -> Explanation:
    """Compute the stages. Raises: ValueError for a tokenizer that is neither BERT's WordPiece nor byte-level BPE."""
    from minibert.text.tokenizer import bert_difference, byte_level_difference

    is_bpe = json.loads(tokenizer.to_str())["model"]["type"] == "BPE"
    if difference := byte_level_difference(tokenizer) if is_bpe else bert_difference(tokenizer):
        kind = "byte-level BPE" if is_bpe else "BERT's WordPiece"
        raise ValueError(f"--explain supports BERT's WordPiece and byte-level BPE; {kind} has {difference}")
    return _explain_byte_pairs(tokenizer, text) if is_bpe else _explain_wordpiece(tokenizer, text)


def show(explanation: Explanation) -> None:
    """Print an explanation."""
    for name, line in explanation.lines().items():
        say(styled(f"{name:<12}", "bold") + printable(line))
    say_table(explanation.table())
    if not explanation.agrees:
        say(
            "The `tokenizers` library computes other pieces, shown below. The text may contain a character that is newer "
            "than the Unicode tables of `tokenizers` or of Python."
        )


@dataclass(frozen=True)
class WordPieceExplanation(Explanation):
    """The stages of WordPiece, and the pieces that were looked up for each word."""

    stages: "EncodedText"
    matches: "list[list[MatchStep]]"

    def lines(self) -> dict[str, str]:
        stages = self.stages
        return {"text": repr(stages.text), "normalized": repr(stages.normalized), "words": " | ".join(stages.words)}

    def table(self) -> "Table":
        table, stages = _empty_table("word", "in the vocabulary? (longest match first)", "pieces", "ids"), self.stages
        rows = zip(stages.words, stages.added, stages.pieces, self.matches, _ids_by_word(stages), strict=True)
        for word, added, pieces, steps, ids in rows:
            table.add_row(printable(word), ADDED if added else _searches(pieces, steps), printable(" ".join(pieces)), ids)
        return table


@dataclass(frozen=True)
class BytePairExplanation(Explanation):
    """The stages of byte-level BPE, and the merges that were applied to each word."""

    stages: "ByteLevelText"
    merges: "list[list[MergeStep]]"

    def lines(self) -> dict[str, str]:
        return {"text": repr(self.stages.text), "words": " | ".join(map(repr, self.stages.words))}

    def table(self) -> "Table":
        table, stages = _empty_table("word", "bytes", "merges (rank: pieces)", "pieces", "ids"), self.stages
        rows = zip(stages.words, stages.letters, stages.added, stages.pieces, self.merges, _ids_by_word(stages), strict=True)
        for word, letters, added, pieces, steps, ids in rows:
            if added or len(letters) > MAX_SHOWN_BYTES:
                reason = ADDED if added else f"not shown: longer than {MAX_SHOWN_BYTES} bytes"
                table.add_row(printable(repr(word)), "", reason, printable(" ".join(pieces)), ids)
                continue
            numbers = " ".join(f"{byte:02x}" for byte in word.encode())
            states = [" ".join(letters), *(f"{step.rank}: {' '.join(step.pieces)}" for step in steps)]
            table.add_row(printable(repr(word)), numbers, "\n".join(states), " ".join(pieces), ids)
        return table


def _explain_wordpiece(tokenizer: "Tokenizer", text: str) -> WordPieceExplanation:
    from minibert.text.wordpiece_encoding import MAX_WORD_CHARACTERS, encode, match_steps

    fields, vocabulary = json.loads(tokenizer.to_str()), tokenizer.get_vocab(with_added_tokens=False)
    normalizer = fields["normalizer"]
    stages = encode(
        text,
        vocabulary,
        normalizer["lowercase"],
        _tokens_found_early(tokenizer),
        normalizer["strip_accents"],
        normalizer["handle_chinese_chars"],
        fields["model"]["unk_token"],
    )
    steps = [
        list(match_steps(word, vocabulary)) if not is_added and len(word) <= MAX_WORD_CHARACTERS else []
        for word, is_added in zip(stages.words, stages.added, strict=True)
    ]
    return WordPieceExplanation(_agrees(tokenizer, stages), stages, steps)


def _explain_byte_pairs(tokenizer: "Tokenizer", text: str) -> BytePairExplanation:
    from minibert.text.byte_pair_encoding import encode_byte_pairs, merge_steps

    fields = json.loads(tokenizer.to_str())
    merges = [(first, second) for first, second in fields["model"]["merges"]]
    stages = encode_byte_pairs(
        text,
        tokenizer.get_vocab(with_added_tokens=False),
        merges,
        _tokens_found_early(tokenizer),
        fields["pre_tokenizer"]["add_prefix_space"],
    )
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    steps = [
        list(merge_steps(letters, ranks)) if not is_added and len(letters) <= MAX_SHOWN_BYTES else []
        for letters, is_added in zip(stages.letters, stages.added, strict=True)
    ]
    return BytePairExplanation(_agrees(tokenizer, stages), stages, steps)


def _tokens_found_early(tokenizer: "Tokenizer") -> "dict[int, AddedToken]":
    """Return the added tokens that are found in a text, by their ids."""
    added = tokenizer.get_added_tokens_decoder()
    return {index: token for index, token in added.items() if not (token.special and tokenizer.encode_special_tokens)}


def _agrees(tokenizer: "Tokenizer", stages: "EncodedText | ByteLevelText") -> bool:
    return list(stages.ids) == tokenizer.encode(stages.text, add_special_tokens=False).ids


def _ids_by_word(stages: "EncodedText | ByteLevelText") -> Iterator[str]:
    ids = iter(stages.ids)
    for pieces in stages.pieces:
        yield " ".join(str(next(ids)) for _ in pieces)


def _empty_table(*titles: str) -> "Table":
    from rich.table import Table

    table = Table(show_lines=True)
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def _searches(pieces: tuple[str, ...], steps: "list[MatchStep]") -> str:
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
