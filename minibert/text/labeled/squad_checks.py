"""Checks and repairs of questions in SQuAD's format."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from minibert.text.labeled.answer_places import find_answer, shorten
from minibert.text.labeled.findings import Finding
from minibert.text.labeled.located_json import Lines, LocatedList, LocatedObject
from minibert.text.labeled.text_faults import SHAPE
from minibert.text.table import SURROGATE

TRUTH_VALUES = {True: True, False: False, "true": True, "false": False}
"""Values of `is_impossible`. 1 and 0 are equal to True and False."""


@dataclass(frozen=True)
class Answer:
    """An answer: a part of the context."""

    text: str
    start: int
    """Index of its first character in the context."""


@dataclass(frozen=True)
class Question:
    """A question about a context."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None = None
    """All correct answers. The first one is the target of training. (): the context does not answer the question. None: the
    answer is not known."""
    line: int | None = None
    """Line of the file, starting at 1; or row, in data without lines."""
    file: str = ""
    """Path of the file, or name of the dataset."""
    unit: Literal["line", "row"] = "line"


class SquadChecks:
    """Checks questions, repairs them in place, and collects them with the findings.

    Args:
        labeled: a question without answers is an error. If False, answers are not read.
    """

    def __init__(self, labeled: bool) -> None:
        self.labeled = labeled
        self.file = ""
        """The current file or dataset."""
        self.questions: list[Question] = []
        self.findings: list[Finding] = []
        self.error_count = 0
        self.repeated_names: list[Finding] = []
        """Errors about objects that have a name twice. Only one of the values is read."""
        self.lines: Lines | None = None
        """Lines of the file; None if it has rows instead of lines."""
        self.line = 1
        """Line or row of the current question."""
        self.by_id: dict[str, Question] = {}

    def check_document(self, document: Any, line: int) -> list[Any]:
        """Check one JSON value: a SQuAD file, a list of questions, or one question with its context.

        Returns: the repaired value; nothing if it is a copy of an earlier question.
        """
        self.line = line
        if isinstance(document, dict) and "data" in document:
            self._check_articles(document)
            return [document]
        if isinstance(document, list):
            return [[fields for fields in document if self._check_row(fields)]]
        return [document] if self._check_row(document) else []

    @property
    def unit(self) -> Literal["line", "row"]:
        return "row" if self.lines is None else "line"

    def report(self, line: int | None, message: str, is_repaired: bool = False) -> None:
        """Add a finding: an error, or a fault that is repaired."""
        self.findings.append(Finding(self.file, line, message, not is_repaired, is_repaired, self.unit))
        self.error_count += not is_repaired

    def _report(self, values: Any, key: Any, message: str, is_repaired: bool = False) -> None:
        """Add a finding about `values[key]`, a value of an object or a list."""
        self.report(self._line(values, key), message, is_repaired)

    def _line(self, values: Any, key: Any = None) -> int:
        """Return the line of a value of an object or a list; without a key, the line of the object itself."""
        if self.lines is None or not isinstance(values, LocatedObject | LocatedList):
            return self.line
        if isinstance(values, LocatedList):
            return self.lines.number(values.positions[key])
        return self.lines.number(values.positions.get(key, values.position))

    def _check_row(self, fields: Any) -> bool:
        """Check a question that has its own context. Return False if it should be deleted."""
        if not isinstance(fields, dict):
            self._report({}, None, f"{_as_json(fields)} is not a question: it must be an object")
            return True
        self.line = self._line(fields)
        context = self._text(fields, "context", "a question")
        return context is None or self._check_question(fields, context, None)

    def _check_articles(self, document: dict[str, Any]) -> None:
        paragraphs = [
            paragraph
            for article in self._objects(document, "data", "the file")
            for paragraph in self._objects(article, "paragraphs", "an article")
        ]
        with_questions = [(paragraph, self._objects(paragraph, "qas", "a paragraph")) for paragraph in paragraphs]
        is_marked = any("is_impossible" in fields for _, questions in with_questions for fields in questions)
        is_version_2 = is_marked or str(document.get("version", "")).lstrip("v").startswith("2")
        for paragraph, questions in with_questions:
            context = self._text(paragraph, "context", "a paragraph")
            if context is not None and questions:
                paragraph["qas"] = [
                    fields
                    for fields in paragraph["qas"]
                    if not isinstance(fields, dict) or self._check_question(fields, context, is_version_2)
                ]

    def _objects(self, parent: dict[str, Any], name: str, owner: str) -> list[dict[str, Any]]:
        """Return the objects in a list."""
        values = parent.get(name)
        if not isinstance(values, list):
            self._report(parent, name, f"{owner} has no list {name!r}; {_describe_names(parent)}")
            return []
        self._check_names(parent)
        for number, value in enumerate(values):
            if not isinstance(value, dict):
                self._report(values, number, f"{name!r} contains {_as_json(value)}, where an object is expected")
        return [value for value in values if isinstance(value, dict)]

    def _check_names(self, fields: dict[str, Any]) -> None:
        for name in getattr(fields, "repeated", ()):
            self._report(fields, name, f"{shorten(name)} stands twice in an object: delete one of them")
            self.repeated_names.append(self.findings[-1])

    def _text(self, fields: dict[str, Any], name: str, owner: str) -> str | None:
        """Return a text that must not be empty; None if it cannot be used."""
        value = fields.get(name)
        if value is None:
            self._report(fields, name, f"{owner} has no {name!r}; {_describe_names(fields)}")
        elif not isinstance(value, str):
            self._report(fields, name, f"{name!r} of {owner} is not text but {_as_json(value)}")
        elif not SHAPE.search(value):
            self._report(fields, name, f"{name!r} of {owner} is empty: write it, or delete the question")
        elif half := SURROGATE.search(value):
            self._report(fields, name, f"{name!r} of {owner} contains \\u{ord(half[0]):x}, half a surrogate pair: remove it")
        else:
            return value
        return None

    def _check_question(self, fields: dict[str, Any], context: str, is_version_2: bool | None) -> bool:
        """Check a question. Return False if it should be deleted, because it stands in the data twice.

        Args:
            is_version_2: True if questions without an answer are marked with `is_impossible`; False if there are none; None in
                the format of one question per row, where they have an empty list of answers.
        """
        self.line = self._line(fields)
        errors = self.error_count
        self._check_names(fields)
        identifier = self._identifier(fields)
        owner = f"question {shorten(identifier)}"
        question = self._text(fields, "question", owner)
        answers = self._answers(fields, context, owner, is_version_2) if self.labeled else None
        if question is None or self.error_count > errors:
            return True
        row = Question(identifier, question, context, answers, self.line, self.file, self.unit)
        if (earlier := self.by_id.get(identifier)) is not None:
            if replace(row, line=earlier.line, file=earlier.file, unit=earlier.unit) == earlier:
                message = f"{owner} is a copy of that in {self._place(earlier)}: left out"
                self._report(fields, "id", message, is_repaired=True)
                return False
            row = self._rename(fields, row, earlier)
        self.by_id[row.id] = row
        self.questions.append(row)
        return True

    def _identifier(self, fields: dict[str, Any]) -> str:
        """Return the id of a question. It is made if there is none, and converted if it is a number."""
        value = fields.get("id")
        if isinstance(value, str) and value.strip() and not SURROGATE.search(value):
            return value
        is_number = isinstance(value, int) and not isinstance(value, bool)
        identifier = fields["id"] = str(value) if is_number else f"question-{len(self.questions) + 1}"
        problem = "a question has no 'id'" if value is None else f"'id' of a question is {_as_json(value)}, which is not text"
        self._report(fields, "id", f"{problem}: it is now {identifier!r}", is_repaired=True)
        return identifier

    def _rename(self, fields: dict[str, Any], row: Question, earlier: Question) -> Question:
        number = next(number for number in range(2, len(self.by_id) + 3) if f"{row.id}-{number}" not in self.by_id)
        fields["id"] = f"{row.id}-{number}"
        message = f"question {shorten(row.id)} has the id of another question, in {self._place(earlier)}"
        self._report(fields, "id", f"{message}: its id is now {shorten(fields['id'])}", is_repaired=True)
        return replace(row, id=fields["id"])

    def _place(self, row: Question) -> str:
        """Describe where an earlier question stands."""
        place = f"{row.unit} {row.line}"
        return place if row.file == self.file else f"{row.file}, {place}"

    def _answers(
        self, fields: dict[str, Any], context: str, owner: str, is_version_2: bool | None
    ) -> tuple[Answer, ...] | None:
        """Check the answers of a question; None after an error."""
        mark = fields.get("is_impossible")
        if mark is not None and (not isinstance(mark, int | str) or mark not in TRUTH_VALUES):
            self._report(fields, "is_impossible", f"'is_impossible' of {owner} is {_as_json(mark)}: write true or false")
            return None
        is_impossible = None if mark is None else TRUTH_VALUES[mark]
        if is_impossible is not None and type(mark) is not bool:
            fields["is_impossible"] = is_impossible
            message = f"'is_impossible' of {owner} is {_as_json(mark)}: it is now {_as_json(is_impossible)}"
            self._report(fields, "is_impossible", message, is_repaired=True)
        answers = self._answer_objects(fields, owner)
        if answers is None:
            return None
        if is_impossible and answers:
            if any(not isinstance(answer.get("text"), str) or answer["text"].strip() for answer in answers):
                message = f"{owner} is marked as impossible, but has answers: delete them, or write 'is_impossible': false"
                self._report(fields, "answers", message)
                return None
            self._report(fields, "answers", f"{owner} is impossible: its empty answers were removed", is_repaired=True)
            answers = []
        if not answers and not is_impossible and (is_version_2 is not None or is_impossible is False):
            message = f"{owner} has no answer: add one, or mark the question with 'is_impossible': true, as in SQuAD 2.0"
            self._report(fields, "answers", message)
            return None
        found = tuple(self._answer(answer, context, owner) for answer in answers)
        _store_answers(fields, answers)
        return tuple(answer for answer in found if answer is not None)

    def _answer_objects(self, fields: dict[str, Any], owner: str) -> list[dict[str, Any]] | None:
        """Return the answers of a question as objects, whether they are a list of objects or an object of lists."""
        value = fields.get("answers")
        if isinstance(value, dict) and isinstance(value.get("text"), list):
            texts, starts = value["text"], value.get("answer_start")
            starts = [None] * len(texts) if starts is None else starts
            if not isinstance(starts, list) or len(starts) != len(texts):
                self._report(value, "answer_start", f"'answers' of {owner} needs as many numbers in 'answer_start' as texts")
                return None
            return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        if isinstance(value, dict) and "text" in value:
            self._report(fields, "answers", f"'answers' of {owner} is one object: it is now a list", is_repaired=True)
            value = fields["answers"] = [value]
        if value is None and "answers" not in fields:
            if fields.get("is_impossible"):
                return []
            self._report(fields, None, f"{owner} has no 'answers'; {_describe_names(fields)}")
        elif not isinstance(value, list) or not all(isinstance(answer, dict) for answer in value):
            self._report(fields, "answers", f"'answers' of {owner} is not a list of objects but {_as_json(value)}")
        else:
            return value
        return None

    def _answer(self, answer: dict[str, Any], context: str, owner: str) -> Answer | None:
        """Check one answer and repair it in place."""
        self._check_names(answer)
        text, start = answer.get("text"), answer.get("answer_start")
        if not isinstance(text, str):
            problem = f"is not text but {_as_json(text)}" if "text" in answer else f"is missing; {_describe_names(answer)}"
            self._report(answer, "text", f"'text' of an answer to {owner} {problem}")
            return None
        try:
            place = find_answer(context, text, start)
        except ValueError as error:
            self._report(answer, "answer_start", f"{owner}: {error}")
            return None
        if place.note:
            self._report(answer, "answer_start", f"{owner}: {place.note}", is_repaired=True)
            answer |= {"text": place.text, "answer_start": place.start}
        return Answer(place.text, place.start)


def _store_answers(fields: dict[str, Any], answers: list[dict[str, Any]]) -> None:
    """Store repaired answers in the form in which the question has them: a list of objects, or an object of lists."""
    if isinstance(columns := fields.get("answers"), dict):
        columns |= {name: [answer[name] for answer in answers] for name in ("text", "answer_start")}
    else:
        fields["answers"] = answers


def _describe_names(fields: Mapping[str, Any]) -> str:
    return f"it has {', '.join(map(shorten, fields))[:200]}" if fields else "it is empty"


def _as_json(value: object) -> str:
    return shorten(json.dumps(value, ensure_ascii=False, default=str), quote=False)
