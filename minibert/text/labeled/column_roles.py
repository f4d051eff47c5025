"""Columns of labeled tables: the text, the second text of a pair, and the label."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minibert.text.file_formats import CorpusError
from minibert.text.labeled.options import TableColumns
from minibert.text.table import INVISIBLE, separator_hint

PAIRS = (
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("#1 string", "#2 string"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("text", "text_pair"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
)
"""Names of the columns of a pair of texts, in lower case."""
TEXTS = frozenset(
    {
        "text",
        "sentence",
        "content",
        "document",
        "review",
        "comment",
        "comment_text",
        "utterance",
        "tweet",
        "title",
        "body",
        "message",
        "question",
        "query",
    }
)
"""Names of the column of a single text, in lower case."""
TEXT_NAMES = TEXTS | {name for pair in PAIRS for name in pair}
LABELS = frozenset(
    {
        "label",
        "labels",
        "gold_label",
        "class",
        "target",
        "category",
        "quality",
        "score",
        "stars",
        "rating",
        "sentiment",
        "emotion",
        "intent",
        "is_duplicate",
        "similarity",
        "similarity_score",
    }
)
"""Names of the column of the label, in lower case."""
UNUSED = "_"
"""Name of columns that are not used, in the names given for a file without a header."""


@dataclass(frozen=True)
class ColumnRoles:
    """The columns that are used."""

    text: str
    pair: str | None = None
    labels: tuple[str, ...] = ()
    """Column of the label. Several: one for each of several independent classes, with 0 and 1. None: texts without labels."""
    reasons: tuple[str, ...] = ()
    """Descriptions of the columns, and why they were chosen."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns of the texts."""
        return (self.text,) if self.pair is None else (self.text, self.pair)

    @property
    def used(self) -> tuple[str, ...]:
        """All columns that are used."""
        return (*self.texts, *self.labels)


def header_kind(cells: Mapping[str, Any], roles: ColumnRoles, is_first: bool) -> Literal["row", "header", "other order"]:
    """Classify a row: a text with its label, or a header, or a header with the columns in another order.

    Args:
        cells: the values of the row by column.
        is_first: True for the first row of a file whose columns were named with an option.
    """
    if not all(column in cells for column in roles.used):
        return "row"
    found = {column: str(cell).strip(f'{INVISIBLE}"').lower() for column, cell in cells.items()}
    names = [column.lower() for column in found]
    if len(found) > 1 and [*found.values()] == names:
        return "header"
    if len(roles.used) == 1 and not is_first:  # a single word may be a text
        return "row"
    is_swapped = all(found[column] in (LABELS if column in roles.texts else TEXT_NAMES) for column in roles.used)
    if is_swapped or (len(found) > 1 and sorted(found.values()) == sorted(names)):
        return "other order"
    if all(found[column] in (TEXT_NAMES if column in roles.texts else LABELS) | {column.lower()} for column in roles.used):
        own = tuple(map(str.lower, roles.texts))
        is_reversed = roles.pair is not None and (found[roles.pair], found[roles.text]) in (*PAIRS, own)
        return "other order" if is_reversed else "header"
    return "row"


def find_roles(names: Sequence[str], options: TableColumns, is_labeled: bool, location: str) -> ColumnRoles:
    """Choose the columns of the texts and the label: those of the options, else those with known names.

    Args:
        names: names of all columns.
        is_labeled: False for texts without labels.
        location: beginning of error messages.

    Raises: CorpusError that lists the columns and names an option, if the choice is not clear.
    """
    chooser = _Chooser(names, location)
    labels = chooser.given(options.label_columns, "label") if is_labeled else ()
    texts = chooser.given(tuple(filter(None, (options.text_column, options.pair_column))), "text")
    if is_labeled and not labels:
        labels = chooser.known_label()
    if options.text_column is None:
        texts = (*chooser.known_texts(is_single=options.pair_column is not None), *texts)
    if is_labeled and not labels:
        labels = chooser.only_other("label", "--label-column")
    return ColumnRoles(texts[0], texts[1] if texts[1:] else None, labels, tuple(chooser.reasons))


class _Chooser:
    """Choice of columns. A column that is chosen is not free any more."""

    def __init__(self, names: Sequence[str], location: str) -> None:
        self.names, self.location = names, location
        self.free = [name for name in names if name not in (UNUSED, "")]
        self.reasons: list[str] = []

    def given(self, columns: Sequence[str], role: str) -> tuple[str, ...]:
        """Choose the columns of an option."""
        for column in columns:
            if column not in self.free:
                raise self.error(f"has no column {column!r} for the {role}")
        return self._choose(columns, role, "as given")

    def known_label(self) -> tuple[str, ...]:
        """Choose the column with a known name of a label. Returns: () if there is none."""
        found = [name for name in self.free if name.lower() in LABELS]
        if len(found) > 1:
            raise self.error(f"has several columns that may be the label: {listed(found)}", "--label-column")
        return self._choose(found, "label", "known name")

    def known_texts(self, is_single: bool) -> tuple[str, ...]:
        """Choose the columns with known names of one text or a pair, else the only column that is left."""
        lower = {name.lower(): name for name in self.free}
        pairs = [] if is_single else [(lower[a], lower[b]) for a, b in PAIRS if a in lower and b in lower]
        singles = [(name,) for name in self.free if name.lower() in TEXTS and not any(name in pair for pair in pairs)]
        choices = [*pairs, *singles]
        if len(choices) > 1:
            found = dict.fromkeys(name for choice in choices for name in choice)
            raise self.error(f"has several columns that may be the text: {listed([*found])}", "--text-column")
        if not choices:
            return self.only_other("text", "--text-column")
        [choice] = choices
        return self._choose(choice, "text", "known names" if pairs else "known name")

    def only_other(self, role: str, option: str) -> tuple[str, ...]:
        """Choose the only column that is left."""
        if len(self.free) != 1:
            raise self.error(f"has no column with a known name of a {role}", option)
        return self._choose([*self.free], role, "the only other column")

    def _choose(self, columns: Sequence[str], role: str, reason: str) -> tuple[str, ...]:
        for column in columns:
            if (count := [*self.names].count(column)) > 1:
                raise self.error(f"has {count} columns {column!r}")
            self.free.remove(column)
        if columns:
            shown = " and ".join(map(repr, columns[:2])) + (f" and {len(columns) - 2} more" if columns[2:] else "")
            self.reasons.append(f"{role}: column {shown} ({reason})")
        return tuple(columns)

    def error(self, problem: str, option: str = "") -> CorpusError:
        """Return an error that lists the columns."""
        columns = f"its columns: {listed(self.names)}"
        if hint := separator_hint([name.lower() for name in self.names], TEXTS | LABELS):
            return CorpusError(f"{self.location}: {problem}; {columns}{hint}; save it with commas as CSV, or with tabs as TSV")
        if any(name[:1] == name[-1:] == '"' for name in self.names):
            return CorpusError(f"{self.location}: {problem}; {columns}. A TSV has no quoted cells; save it as CSV")
        advice = f". Choose one with {option}; for a file without a header, name its columns with --columns" if option else ""
        return CorpusError(f"{self.location}: {problem}; {columns}{advice}")


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for display, shortened.

    >>> listed(["text", "label", "id", "x" * 41], most=2)
    "'text', 'label' and 2 more"
    """
    shown = ", ".join(repr(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if names[most:] else "")
