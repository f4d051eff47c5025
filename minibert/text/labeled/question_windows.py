"""Model inputs for questions: [CLS] question [SEP] context [SEP], with overlapping windows of long contexts.

Source: Devlin et al. 2019, section 4.2, and the sliding windows of Google's run_squad.py.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import regex
from tokenizers import Tokenizer

from minibert.equations import IGNORE_INDEX
from minibert.text.labeled.examples import Example
from minibert.text.labeled.options import WINDOW_SPECIAL_TOKENS, check_windows
from minibert.text.labeled.squad_checks import Question
from minibert.text.layout import layout
from minibert.text.tokenizer import without_special_tokens

MARKS = regex.compile(r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]+")
"""Characters that belong to the character before them, such as combining accents. BERT's normalization removes most of them."""
NO_ANSWER = 0
"""Position of [CLS]: the target of windows that do not contain the answer."""

Span = tuple[int, int]
"""Start and end of a part of a context, in characters."""


@dataclass(frozen=True)
class QuestionWindow(Example):
    """A window as a model input. Its targets are the positions of the first and the last token of the answer."""

    shares_padding: ClassVar[bool] = True  # the softmax is over all tokens of a batch
    first: int = 0
    """Position of the first token of the context."""
    spans: Sequence[Span] = ()
    """The part of the context of each of these tokens. A span includes the combining accents after it."""


def max_question_length(max_length: int, overlap: int) -> int:
    """Return the maximum number of tokens of a question. The context has at least half of the window.

    It also has room for the overlap and for new tokens, an eighth of the window, so that a long context has few windows.
    """
    room = max_length - WINDOW_SPECIAL_TOKENS
    return min(room // 2, room - overlap - room // 8)


def encode_questions(rows: Sequence[Question], tokenizer: Tokenizer, max_length: int, overlap: int) -> list[QuestionWindow]:
    """Encode questions as `[CLS] question [SEP] context [SEP]`. A literal [MASK] in a text is text.

    A context that is too long is split into windows with the same question. A window in which the answer is not complete has
    the target [CLS], like an unanswerable question. The end of a question that is too long is cut off.

    Args:
        max_length: maximum number of tokens of a window, including special tokens.
        overlap: number of tokens of the context that a window shares with the one before.

    Raises: ValueError for sizes that do not fit together.
    """
    check_windows(max_length, overlap)
    plain, parts = without_special_tokens(tokenizer), layout(tokenizer)
    max_length -= len(parts.between) - 1  # room for the second separator of RoBERTa's family
    contexts = list(dict.fromkeys(row.context for row in rows))
    encoded = plain.encode_batch(contexts, add_special_tokens=False)
    context_tokens = {
        context: (encoding.ids, _whole_characters(context, encoding.offsets))
        for context, encoding in zip(contexts, encoded, strict=True)
    }
    questions = plain.encode_batch([row.question for row in rows], add_special_tokens=False)
    limit = max_question_length(max_length, overlap)
    windows = []
    for number, (row, question) in enumerate(zip(rows, questions, strict=True)):
        head = [parts.cls, *question.ids[:limit], *parts.between]
        ids, spans = context_tokens[row.context]
        room = max_length - WINDOW_SPECIAL_TOKENS - min(len(question.ids), limit)
        answer = _answer_tokens(row, spans)
        for start in range(0, max(1, len(ids) - overlap), room - overlap):
            part = ids[start : start + room]
            windows.append(
                QuestionWindow(
                    [*head, *part, parts.sep],
                    [0] * len(head) + [parts.second_segment] * (len(part) + 1),
                    _targets(answer, start, len(part), len(head)),
                    number,
                    is_cut=len(question.ids) > limit and start == 0,  # once per question, so that they can be counted
                    first=len(head),
                    spans=spans[start : start + room],
                )
            )
    return windows


def _whole_characters(text: str, offsets: Sequence[Span]) -> list[Span]:
    """Extend the spans of tokens to the ends of the characters that they end in, up to the next token."""
    following = [start for start, _ in offsets[1:]] + [len(text)]
    return [
        (start, max(end, min(marks.end(), limit)) if (marks := MARKS.match(text, end)) else end)
        for (start, end), limit in zip(offsets, following, strict=False)  # one limit more if there are no tokens
    ]


def _answer_tokens(row: Question, spans: Sequence[Span]) -> Span | None:
    """Return the first and the last token of the answer of a row.

    They are (-1, -1) if there is no answer. None: there is no target, because the answer is not known, or has no tokens.
    """
    if row.answers is None:
        return None
    if not row.answers:
        return -1, -1
    answer = row.answers[0]
    first = bisect_right([end for _, end in spans], answer.start)
    last = bisect_left([start for start, _ in spans], answer.start + len(answer.text)) - 1
    return (first, last) if first <= last else None


def _targets(answer: Span | None, start: int, size: int, first: int) -> dict[str, int]:
    """Return the positions of an answer in a window, which has `size` tokens of the context from `start`."""
    if answer is None:
        positions = IGNORE_INDEX, IGNORE_INDEX
    elif start <= answer[0] and answer[1] < start + size:
        positions = first + answer[0] - start, first + answer[1] - start
    else:
        positions = NO_ANSWER, NO_ANSWER
    return {"start_positions": positions[0], "end_positions": positions[1]}
