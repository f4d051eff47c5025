import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from minibert.text.file_formats import CorpusError
from minibert.text.labeled.findings import LabeledDataError
from minibert.text.labeled.squad import find_repeated, read_squad, read_squad_rows, write_repaired
from minibert.text.labeled.squad_checks import Answer, Question, SquadChecks

CONTEXT = "Ada met Grace in Zürich. Grace wrote a compiler; Ada wrote notes."
HEAD = '{"version": "1.1", "data": [{"title": "T", "paragraphs": [\n{"context": %s, "qas": [\n'
GOOD = '{"id": "a", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]},\n'
TAIL = "\n]}]}]}\n"
LINE = 4
"""Line of the damaged question in the files below."""


def squad_file(question: str, context: str = CONTEXT, version: str = "1.1") -> str:
    return HEAD.replace("1.1", version) % json.dumps(context) + GOOD + question + TAIL


def with_answer(answer: object, **fields: object) -> str:
    return json.dumps({"id": "b", "question": "What?", "answers": [answer]} | fields)


def answer(text: object, start: object) -> str:
    return with_answer({"text": text, "answer_start": start})


def read(tmp_path: Path, content: str | bytes, name: str = "data.json", **options: bool):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_squad([path], **options)


REPAIRED = {
    "off by one": (answer("compiler", 40), "compiler", 39),
    "off by minus one": (answer("compiler", 38), "compiler", 39),
    "off by one, and the text again elsewhere": (answer("Grace", 26), "Grace", 25),
    "bytes": (answer("Grace", 26), "Grace", 25),
    "zero": (answer("compiler", 0), "compiler", 39),
    "negative": (answer("compiler", -1), "compiler", 39),
    "beyond the context": (answer("compiler", 10_000), "compiler", 39),
    "no answer_start": (with_answer({"text": "compiler"}), "compiler", 39),
    "null answer_start": (answer("compiler", None), "compiler", 39),
    "answer_start as text": (answer("compiler", "39"), "compiler", 39),
    "answer_start as a float": (answer("compiler", 39.0), "compiler", 39),
    "a fraction": (answer("compiler", 39.5), "compiler", 39),
    "a truth value": (answer("compiler", True), "compiler", 39),
    "NaN": (answer("compiler", float("nan")), "compiler", 39),
    "infinite": (answer("compiler", float("inf")), "compiler", 39),
    "blanks at the ends, offset of the blank": (answer(" compiler ", 38), "compiler", 39),
    "blanks at the ends, offset of the text": (answer(" compiler ", 39), "compiler", 39),
    "no-break space at the end": (answer("compiler\u00a0", 39), "compiler", 39),
    "zero-width space at the end": (answer("compiler\u200b", 39), "compiler", 39),
    "line break at the end": (answer("compiler\r\n", 39), "compiler", 39),
    "capital letters": (answer("COMPILER", 39), "compiler", 39),
    "decomposed": (answer("Zu\u0308rich", 17), "Zürich", 17),
    "two spaces": (answer("a  compiler", 37), "a compiler", 37),
    "line break instead of a space": (answer("a\ncompiler", 37), "a compiler", 37),
    "one answer without a list": (with_answer(None, answers={"text": "compiler", "answer_start": 39}), "compiler", 39),
    "no id": (with_answer({"text": "compiler", "answer_start": 39}, id=None), "compiler", 39),
    "id as a number": (with_answer({"text": "compiler", "answer_start": 39}, id=7), "compiler", 39),
    "id as a list": (with_answer({"text": "compiler", "answer_start": 39}, id=[7]), "compiler", 39),
    "empty id": (with_answer({"text": "compiler", "answer_start": 39}, id=" "), "compiler", 39),
    "id of another question": (with_answer({"text": "compiler", "answer_start": 39}, id="a"), "compiler", 39),
    "is_impossible as text": (with_answer({"text": "compiler", "answer_start": 39}, is_impossible="false"), "compiler", 39),
    "is_impossible as a number": (with_answer({"text": "compiler", "answer_start": 39}, is_impossible=0), "compiler", 39),
}
"""Damaged questions that can be repaired, with the repaired answer."""


@pytest.mark.parametrize(("question", "text", "start"), REPAIRED.values(), ids=REPAIRED)
def test_repair(tmp_path: Path, question: str, text: str, start: int) -> None:
    """The question has the right answer, and a finding says what was repaired, with the line."""
    version = "2.0" if "is_impossible" in question else "1.1"
    data = read(tmp_path, squad_file(question, version=version))
    impossible = [finding for finding in data.errors if "'a'" in finding.message]  # its mark is missing in version 2.0
    assert data.errors == impossible
    assert data.rows[-1].answers == (Answer(text, start),)
    assert data.rows[-1].line == LINE
    assert [finding.line for finding in data.findings if not finding.is_error] == [LINE]


UNUSABLE = {
    "answer not in the context": (answer("Babbage", 0), "the answer 'Babbage' is not in the context"),
    "ambiguous": (answer("Ada", 30), "stands at 0, 49: write the right one"),
    "ambiguous zero": (answer("wrote", 0), "stands at 31, 53: write the right one"),
    "ambiguous without a number": (answer("Ada", "first"), "answer_start is 'first', and the answer 'Ada' stands at 0, 49"),
    "empty answer": (answer("", 0), "an answer is empty"),
    "blank answer": (answer(" \u200b", 0), "an answer is empty"),
    "no answer in version 1.1": (with_answer(None, answers=[]), "has no answer: add one, or mark"),
    "answers missing": ('{"id": "b", "question": "What?"}', "has no 'answers'; it has 'id', 'question'"),
    "null answers": (with_answer(None, answers=None), "is not a list of objects but null"),
    "answers as text": (with_answer(None, answers="compiler"), 'is not a list of objects but "compiler"'),
    "answers as a list of texts": (with_answer("compiler"), 'is not a list of objects but ["compiler"]'),
    "answers as a list of lists": (with_answer(["compiler", 39]), "is not a list of objects"),
    "lists of different lengths": (
        with_answer(None, answers={"text": ["compiler"], "answer_start": [1, 2]}),
        "needs as many numbers in 'answer_start' as texts",
    ),
    "answer as a number": (answer(1843, 0), "is not text but 1843"),
    "answer missing": (with_answer({"answer_start": 39}), "is missing; it has 'answer_start'"),
    "impossible with an answer": (with_answer({"text": "Ada", "answer_start": 0}, is_impossible=True), "but has answers"),
    "is_impossible unreadable": (with_answer({"text": "Ada", "answer_start": 0}, is_impossible="maybe"), "write true or false"),
    "is_impossible a list": (with_answer({"text": "Ada", "answer_start": 0}, is_impossible=[]), "write true or false"),
    "empty question": (with_answer({"text": "Ada", "answer_start": 0}, question=" "), "'question' of question 'b' is empty"),
    "invisible question": (
        with_answer({"text": "Ada", "answer_start": 0}, question="\u200b"),
        "'question' of question 'b' is empty",
    ),
    "null question": (with_answer({"text": "Ada", "answer_start": 0}, question=None), "has no 'question'; it has"),
    "question as a number": (with_answer({"text": "Ada", "answer_start": 0}, question=3), "is not text but 3"),
    "half a surrogate pair": (with_answer({"text": "Ada", "answer_start": 0}, question="\ud83d"), "half a surrogate pair"),
    "a name twice": ('{"id": "b", "question": "?", "answers": [], "answers": []}', "'answers' stands twice"),
    "a name of an answer twice": (
        '{"id": "b", "question": "?", "answers": [{"text": "Ada", "text": "Ada", "answer_start": 0}]}',
        "'text' stands twice",
    ),
    "question as text": ('"What?"', "where an object is expected"),
    "null instead of a question": ("null", "where an object is expected"),
    "comma missing": ('{"id": "b" "question": "?"}', "is not JSON: Expecting ',' delimiter in column 12"),
    "comma too many": ('{"id": "b",}', "is not JSON: "),
    "single quotation marks": ("{'id': 'b'}", "is not JSON: "),
    "control character": ('{"id": "b\t"}', "is not JSON: Invalid control character"),
    "wrong escape": ('{"id": "\\x"}', "is not JSON: Invalid \\\\escape"),
    "a huge number": ('{"id": ' + "9" * 5000 + "}", "is not JSON: "),
}
"""Damaged questions that cannot be used, with a part of the message."""


@pytest.mark.parametrize(("question", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_error(tmp_path: Path, question: str, message: str) -> None:
    """The error has the line, and the message says what is wrong. The other question can be used."""
    version = "2.0" if "impossible with" in message else "1.1"
    data = read(tmp_path, squad_file(question, version=version))
    found = [error for error in data.errors if message.replace("\\\\", "\\") in error.message]
    assert [error.line for error in found] == [1 if "9999" in question else LINE], data.findings
    assert all(row.id != "b" for row in data.rows)


STRUCTURES = {
    "empty file": ("", None, "contains no questions"),
    "blank file": ("\n \n", None, "contains no questions"),
    "no articles": ('{"data": []}', None, "contains no questions"),
    "only a list": ("[]", None, "contains no questions"),
    "no data": ('{"version": "1.1",\n"articles": []}', 1, "a question has no 'context'; it has 'version', 'articles'"),
    "data as an object": ('{"version": "1.1",\n"data": {"title": "T"}}', 2, "the file has no list 'data'"),
    "no paragraphs": (
        '{"data": [\n{"title": "T", "context": "c", "qas": []}]}',
        2,
        "an article has no list 'paragraphs'; it has",
    ),
    "paragraph without questions": ('{"data": [{"paragraphs": [\n{"context": "c"}]}]}', 2, "a paragraph has no list 'qas'"),
    "article as text": ('{"data": ["T"]}', 1, "'data' contains \"T\", where an object is expected"),
    "context missing": ('{"data": [{"paragraphs": [\n{"qas": []}]}]}', 2, "a paragraph has no 'context'"),
    "context empty": ('{"data": [{"paragraphs": [{\n"context": "", "qas": []}]}]}', 2, "'context' of a paragraph is empty"),
    "context a list": ('{"data": [{"paragraphs": [{\n"context": ["c"], "qas": []}]}]}', 2, 'is not text but ["c"]'),
    "cut off": (squad_file(answer("compiler", 39))[:-3], 5, "is not JSON: "),
    "cut off in a text": (squad_file(answer("compiler", 39))[:80], 2, "is not JSON: Unterminated string"),
    "a number": ("5", 1, "5 is not a question: it must be an object"),
    "a list of numbers": ("[5,\n6]", 1, "5 is not a question"),
    "text": ("Who wrote it?", 1, "is not JSON: "),
    "XML": ("<data>\n</data>", 1, "is not JSON: "),
    "too many brackets": ("[" * 100_000, 1, "is not JSON: "),
    "text after the end": ('{"data": []}\n}', 2, "is not JSON: "),
    "a name of the file twice": ('{"data": [],\n"data": []}', 2, "'data' stands twice in an object: delete one of them"),
    "a name of a paragraph twice": ('{"data": [{"paragraphs": [{"context": "c", "qas": [],\n"qas": []}]}]}', 2, "'qas' stands"),
}
"""Damaged files: contents, line and part of the message of the first error."""


@pytest.mark.parametrize(("content", "line", "message"), STRUCTURES.values(), ids=STRUCTURES)
def test_wrong_structure(tmp_path: Path, content: str, line: int | None, message: str) -> None:
    error = read(tmp_path, content).errors[0]
    assert error.line == line
    assert message in error.message


def test_a_paragraph_without_a_context_is_one_error(tmp_path: Path) -> None:
    data = read(tmp_path, '{"data": [{"paragraphs": [\n{"qas": [{"id": "a", "question": "?", "answers": []}]}]}]}')
    assert [(error.line, error.message) for error in data.errors] == [(2, "a paragraph has no 'context'; it has 'qas'")]
    assert not data.rows


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("id", None, "a question has no 'id': it is now 'question-2'"),
        ("id", 7, "'id' of a question is 7, which is not text: it is now '7'"),
        ("id", "a", "question 'a' has the id of another question, in line 3: its id is now 'a-2'"),
        ("is_impossible", 0, "'is_impossible' of question 'b' is 0: it is now false"),
        ("answers", {"text": "compiler", "answer_start": 39}, "'answers' of question 'b' is one object: it is now a list"),
    ],
)
def test_repaired_fields_are_described_with_their_own_line(tmp_path: Path, name: str, value: object, message: str) -> None:
    fields = json.loads(with_answer({"text": "compiler", "answer_start": 39})) | {name: value}
    question = json.dumps(dict(sorted(fields.items())), indent=0)
    good = GOOD.replace("}]}", '}], "is_impossible": false}')
    data = read(tmp_path, squad_file(question).replace(GOOD, good))
    line = LINE + [line.startswith(f'"{name}"') for line in question.splitlines()].index(True)
    assert [(finding.line, finding.message, finding.is_repaired) for finding in data.findings] == [(line, message, True)]


def test_a_name_that_stands_twice_is_an_error_in_the_line_of_its_last_value(tmp_path: Path) -> None:
    data = read(tmp_path, squad_file('{"id": "b", "question": "?",\n"answers": [],\n"answers": []}'))
    assert [error.line for error in data.errors if "'answers' stands twice" in error.message] == [LINE + 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.json", squad_file(answer("compiler", 39)).encode("utf-16"), "is not UTF-8 but UTF-16"),
        ("data.json", squad_file(answer("x", 39)).replace("What", "Où").encode("cp1252"), "line 4: is not UTF-8"),
        ("data.json.gz", gzip.compress(b'{"data": [' + b" " * 1000, mtime=0)[:-9], "cannot be decompressed"),
        ("data.json", gzip.compress(b'{"data": []}', mtime=0), "its name must end in .gz"),
        ("data.parquet", b"PAR1 PAR1", "is not Parquet, or damaged"),
        ("data.tsv", b"question", "questions are read from JSON in SQuAD's format, JSONL or Parquet, not from .tsv"),
        ("data.parquet", b"", "is not Parquet, or damaged"),
    ],
)
def test_unreadable_file(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read(tmp_path, content, name)


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LabeledDataError, match="is no regular file"):
        read_squad([tmp_path / "pipe"])


def test_all_errors_are_collected(tmp_path: Path) -> None:
    questions = [answer("Babbage", 0), answer("compiler", 39), with_answer(None, answers=[])]
    data = read(tmp_path, squad_file(",\n".join(questions)))
    assert [error.line for error in data.errors] == [4, 6]
    assert [row.line for row in data.rows] == [3, 5]


@pytest.mark.parametrize("indent", [None, 0, 1, 4])
def test_lines_in_any_layout(tmp_path: Path, indent: int | None) -> None:
    """The line is that of the wrong value, also where ids and texts repeat, and if the file is a single line."""
    document = json.loads(squad_file(answer("compiler", 5)))
    question = document["data"][0]["paragraphs"][0]["qas"][1]
    document["data"][0]["paragraphs"][0]["qas"].append(
        question | {"id": "a", "answers": [{"answer_start": 777, "text": "met"}]}
    )
    content = json.dumps(document, indent=indent)
    data = read(tmp_path, content)
    lines = content.splitlines()
    wrong = [next(n for n, line in enumerate(lines, 1) if value in line) for value in ('"answer_start": 5', ": 777")]
    assert [f.line for f in data.findings if "answer_start" in f.message] == wrong
    assert [lines[row.line - 1].strip()[:1] for row in data.rows] == ["{"] * 3
    assert [lines[f.line - 1].count('"id": "a"') for f in data.findings if "its id is now" in f.message] >= [1]


def test_byte_order_mark_and_line_ends(tmp_path: Path) -> None:
    content = squad_file(answer("compiler", 0))
    data = read(tmp_path, b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())
    assert [finding.line for finding in data.findings] == [LINE]
    packed = read(tmp_path, gzip.compress(content.encode()), "data.json.gz")
    assert [replace(row, file="") for row in data.rows] == [replace(row, file="") for row in packed.rows]


def test_texts_are_kept_exactly(tmp_path: Path) -> None:
    r"""White space, \r\n and control characters in a context are characters of it."""
    context = "a\r\nb\t\u2028 c\u0000\u00a0d\u0301 \U0001f469\u200d\U0001f467 ende "
    data = read(tmp_path, squad_file(answer("ende", context.index("ende")), "Ada" + context.replace("ende", "ende")))
    assert data.rows[1].context == "Ada" + context


class TestUnanswerable:
    def test_version_2(self, tmp_path: Path) -> None:
        questions = [
            with_answer(None, answers=[], is_impossible=True, plausible_answers=[{"text": "wrong", "answer_start": 9}]),
            with_answer({"text": "compiler", "answer_start": 39}, id="c", question="Which?", is_impossible=False),
            '{"id": "d", "question": "?", "is_impossible": true}',
        ]
        data = read(tmp_path, squad_file(",\n".join(questions), version="v2.0").replace(GOOD, ""))
        assert data.findings == []
        assert [row.answers for row in data.rows] == [(), (Answer("compiler", 39),), ()]

    def test_empty_answers_of_an_impossible_question_are_removed(self, tmp_path: Path) -> None:
        data = read(tmp_path, squad_file(with_answer({"text": "", "answer_start": -1}, is_impossible=True)))
        assert data.rows[-1].answers == ()
        assert "its empty answers were removed" in data.findings[-1].message

    def test_a_question_that_is_not_marked_must_have_an_answer(self, tmp_path: Path) -> None:
        for fields in ({}, {"is_impossible": False}, {"is_impossible": None}):
            data = read(tmp_path, squad_file(with_answer(None, answers=[], **fields), version="v2.0"))
            assert "mark the question with 'is_impossible': true" in data.errors[-1].message

    def test_rows_have_no_mark(self) -> None:
        rows = [{"id": "a", "context": CONTEXT, "question": "?", "answers": {"text": [], "answer_start": []}}]
        assert read_squad_rows(rows, "squad_v2", "").rows[0].answers == ()
        assert read_squad_rows([rows[0] | {"is_impossible": True}], "squad_v2", "").rows[0].answers == ()
        [error] = read_squad_rows([rows[0] | {"is_impossible": False}], "squad_v2", "").errors
        assert "question 'a' has no answer: add one" in error.message


class TestRows:
    """One question per row: JSONL, Parquet, and datasets of the hub."""

    ROWS = (
        {"id": "a", "title": "T", "context": CONTEXT, "question": "Who?", "answers": {"text": ["Ada"], "answer_start": [0]}},
        {"id": "b", "title": "T", "context": CONTEXT, "question": "?", "answers": {"text": ["compiler"], "answer_start": [3]}},
    )

    def check(self, data) -> None:
        assert [row.answers for row in data.rows] == [(Answer("Ada", 0),), (Answer("compiler", 39),)]
        assert [(finding.line, finding.is_error) for finding in data.findings] == [(2, False)]

    def test_jsonl(self, tmp_path: Path) -> None:
        content = "\n".join(map(json.dumps, self.ROWS))
        for name in ("data.jsonl", "data.json", "data.jsonl.gz"):
            self.check(read(tmp_path, gzip.compress(content.encode()) if name.endswith("gz") else content, name))

    def test_a_list(self, tmp_path: Path) -> None:
        self.check(read(tmp_path, json.dumps(self.ROWS).replace("}, {", "},\n{")))

    def test_parquet_and_datasets_count_rows(self, tmp_path: Path) -> None:
        parquet.write_table(pyarrow.Table.from_pylist(list(self.ROWS)), tmp_path / "data.parquet")
        data = read_squad([tmp_path / "data.parquet"])
        self.check(data)
        assert "data.parquet, row 2: question 'b'" in str(data.findings[0])
        self.check(read_squad_rows(self.ROWS, "squad", ""))

    def test_a_damaged_line_does_not_hide_the_next_ones(self, tmp_path: Path) -> None:
        lines = [json.dumps(self.ROWS[0]), '{"id": "x"', "", "[", json.dumps(self.ROWS[1]), "null", '{"id": "y"}']
        for name in ("data.jsonl", "data.json"):
            data = read(tmp_path, "\n".join(lines), name)
            assert [row.id for row in data.rows] == ["a", "b"]
            assert [error.line for error in data.errors] == [2, 4, 6, 7]

    def test_a_damaged_first_line_does_not_hide_the_next_ones(self, tmp_path: Path) -> None:
        data = read(tmp_path, f'{{"id": "x"\n5\n6\n{json.dumps(self.ROWS[0])}', "data.jsonl")
        assert [(row.id, row.line) for row in data.rows] == [("a", 4)]
        assert [error.line for error in data.errors] == [1, 2, 3]

    def test_answers_as_a_list_of_objects(self, tmp_path: Path) -> None:
        row = self.ROWS[0] | {"answers": [{"text": "Ada", "answer_start": 0}]}
        assert read(tmp_path, json.dumps(row), "data.jsonl").rows[0].answers == (Answer("Ada", 0),)


def test_several_files_in_one(tmp_path: Path) -> None:
    """Files that were concatenated are read one after the other; a question that stands in both is read once."""
    first = squad_file(answer("compiler", 39))
    second = squad_file(answer("notes", 59).replace('"b"', '"c"').replace("What?", "Which?"))
    data = read(tmp_path, first + second)
    assert [row.id for row in data.rows] == ["a", "b", "c"]
    assert [(f.line, f.message[:23]) for f in data.findings] == [
        (8, "question 'a' is a copy "),
        (6, "2 JSON files in one: th"),
    ]
    assert all(finding.is_repaired for finding in data.findings)


def test_a_question_in_two_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.json", "two.json")]
    for file, other in zip(files, (answer("compiler", 39), answer("notes", 59).replace("What?", "Which?")), strict=True):
        file.write_text(squad_file(other))
    data = read_squad(files)
    assert [row.id for row in data.rows] == ["a", "b", "b-2"]
    assert [finding.file for finding in data.findings] == [str(files[1])] * 2
    assert f"is a copy of that in {files[0]}, line 3" in data.findings[0].message


def test_the_digest_is_that_of_the_contents_of_all_files(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.json", "two.json", "copy.json")]
    for file, content in zip(files, ("[]", "{}", "[]"), strict=True):
        file.write_text(content)
    assert read_squad(files[0]).digest == read_squad(files[2]).digest
    orders = ([files[0]], [files[1]], files[:2], files[1::-1])
    assert len({read_squad(order).digest for order in orders}) == 4


def test_paths_of_every_kind(tmp_path: Path) -> None:
    data = read(tmp_path, squad_file(answer("compiler", 39)))
    path = tmp_path / "data.json"
    assert read_squad(path) == read_squad(str(path)) == read_squad([str(path)]) == data


def test_unlabeled_questions(tmp_path: Path) -> None:
    """Without `labeled`, answers are not needed and not checked."""
    for question in ('{"id": "b", "question": "What?"}', answer("Babbage", "?"), with_answer(None, answers=None)):
        data = read(tmp_path, squad_file(question), labeled=False)
        assert data.findings == []
        assert [row.answers for row in data.rows] == [None, None]


class TestWriteRepaired:
    @pytest.mark.parametrize("question", [question for question, _, _ in REPAIRED.values()], ids=REPAIRED)
    def test_the_copy_needs_no_repair(self, tmp_path: Path, question: str) -> None:
        before = read(tmp_path, squad_file(question))
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        after = read_squad([tmp_path / "copy.json"])
        assert [finding for finding in after.findings if not finding.is_error] == []
        assert [(row.id, row.answers) for row in after.rows] == [(row.id, row.answers) for row in before.rows]

    def test_everything_else_is_kept(self, tmp_path: Path) -> None:
        document = json.loads(squad_file(answer("compiler", 0)))
        document["license"] = "CC BY-SA"
        document["data"][0]["paragraphs"][0]["qas"][1] |= {"plausible_answers": [{"text": "né"}], "is_impossible": False}
        document["data"][0]["paragraphs"][0]["qas"][1]["answers"][0]["answer_id"] = 5
        document["data"][0]["paragraphs"][0]["qas"][0]["is_impossible"] = False
        read(tmp_path, json.dumps(document))
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        document["data"][0]["paragraphs"][0]["qas"][1]["answers"][0]["answer_start"] = 39
        written = (tmp_path / "copy.json").read_text(encoding="utf-8")
        assert written == json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def test_other_formats(self, tmp_path: Path) -> None:
        rows = list(TestRows.ROWS)
        parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "data.parquet")
        lines = "\n".join(map(json.dumps, [*rows, rows[0]]))
        (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
        for name in ("data.parquet", "data.jsonl.gz"):
            write_repaired([tmp_path / name], tmp_path / f"copy-{name}")
            data = read_squad([tmp_path / f"copy-{name}"])
            assert data.findings == []
            assert [row.answers for row in data.rows] == [(Answer("Ada", 0),), (Answer("compiler", 39),)]

    def test_concatenated_files_become_one(self, tmp_path: Path) -> None:
        read(tmp_path, squad_file(answer("compiler", 39)) + squad_file(answer("notes", 59).replace("What?", "Which?")))
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        data = read_squad([tmp_path / "copy.json"])
        assert data.findings == []
        assert [row.id for row in data.rows] == ["a", "b", "b-2"]

    def test_what_cannot_be_repaired_is_kept(self, tmp_path: Path) -> None:
        read(tmp_path, squad_file(answer("Babbage", 0) + "," + answer("compiler", 0).replace('"b"', '"c"')))
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        data = read_squad([tmp_path / "copy.json"])
        assert [finding.message[:33] for finding in data.findings] == ["question 'b': the answer 'Babbage"]

    def test_only_the_copy_of_a_question_is_left_out_of_a_list(self, tmp_path: Path) -> None:
        """Also if there is something in it that is no question."""
        read(tmp_path, squad_file(f'"Who?", {GOOD}null'))
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        [paragraph] = json.loads((tmp_path / "copy.json").read_text())["data"][0]["paragraphs"]
        assert paragraph["qas"] == [json.loads(GOOD.rstrip(",\n")), "Who?", None]

    def test_lines_that_are_not_json_are_kept(self, tmp_path: Path) -> None:
        lines = [json.dumps(TestRows.ROWS[1]), '{"id": "x"', json.dumps(TestRows.ROWS[0]) + " }", "null", '{"id": "\\ud800"}']
        before = read(tmp_path, "\n".join(lines), "data.jsonl")
        write_repaired([tmp_path / "data.jsonl"], tmp_path / "copy.jsonl")
        written = (tmp_path / "copy.jsonl").read_text().splitlines()
        assert json.loads(written[0])["answers"]["answer_start"] == [39]
        assert [written[1], written[3], written[4]] == [lines[1], "}", "null"]
        after = read_squad(tmp_path / "copy.jsonl")
        assert [row.id for row in after.rows] == [row.id for row in before.rows] == ["b", "a"]
        assert len(after.errors) == len(before.errors)

    def test_file_with_data_that_are_no_list(self, tmp_path: Path) -> None:
        read(tmp_path, squad_file(answer("compiler", 0)) + '{"data": null}')
        write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        assert [error.message[:31] for error in read_squad(tmp_path / "copy.json").errors] == [
            "the file has no list 'data'; it"
        ]

    def test_refusals(self, tmp_path: Path) -> None:
        read(tmp_path, squad_file(answer("compiler", 0)))
        with pytest.raises(LabeledDataError, match=r"has the format of data\.json"):
            write_repaired([tmp_path / "data.json"], tmp_path / "copy.jsonl")
        read(tmp_path, squad_file('{"id": "b", "id": "c", "question": "?", "answers": []}'))
        with pytest.raises(LabeledDataError, match="line 4: 'id' stands twice"):
            write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        read(tmp_path, '{"data"')
        with pytest.raises(LabeledDataError, match="line 1: is not JSON"):
            write_repaired([tmp_path / "data.json"], tmp_path / "copy.json")
        assert not (tmp_path / "copy.json").exists()


@given(st.data())
def test_nothing_that_is_damaged_by_chance_raises(tmp_path_factory, data) -> None:
    """A file with random damage gives findings, and every row has answers that stand in its context."""
    content = squad_file(with_answer({"text": "compiler", "answer_start": 39}, is_impossible=False))
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 20)))
    damaged = content[:start] + data.draw(st.text(max_size=5)) + content[end:]
    result = read(tmp_path_factory.getbasetemp(), damaged.encode("utf-8", "surrogatepass"))
    assert result.rows or result.errors
    for row in result.rows:
        assert all(row.context.startswith(found.text, found.start) for found in row.answers)


@pytest.mark.parametrize(
    ("answers", "repaired"),
    [
        ({"text": ["compiler"], "answer_start": [3]}, {"text": ["compiler"], "answer_start": [39]}),
        ([{"text": "compiler", "answer_start": 3}], [{"text": "compiler", "answer_start": 39}]),
    ],
)
def test_repaired_answers_have_the_form_of_the_data(answers: object, repaired: object) -> None:
    fields = {"id": "a", "question": "What?", "context": CONTEXT}
    assert SquadChecks(labeled=True).check_document(fields | {"answers": answers}, 1) == [fields | {"answers": repaired}]


def test_an_impossible_question_without_answers_needs_no_repair() -> None:
    checks = SquadChecks(labeled=True)
    checks.check_document({"id": "a", "question": "?", "context": "c", "answers": [], "is_impossible": True}, 1)
    assert (len(checks.questions), checks.findings) == (1, [])


def test_the_first_question_is_the_one_that_is_repeated() -> None:
    first = Question("a", "Who?", CONTEXT, (), 1, "a.json")
    [finding] = find_repeated([first, replace(first, id="b", line=2), replace(first, id="c", question="What?", line=3)])
    assert str(finding) == "a.json, line 2: question b is that of a, in line 1, about the same context, with the same answers"


def test_a_question_with_two_ids_is_reported(tmp_path: Path) -> None:
    """It stays in the data, because two people may have asked it. Blanks make no difference."""
    same = [{"text": "Ada", "answer_start": 0}]
    rows = [
        ("a", "Who?", same),
        ("b", "Who?", [{"text": "Grace", "answer_start": 8}]),
        ("c", " Who? ", same),
        ("d", "Who met?", same),
    ]
    content = "\n".join(json.dumps({"id": name, "context": CONTEXT, "question": text, "answers": a}) for name, text, a in rows)
    data = read(tmp_path, content, "data.jsonl")
    assert [row.id for row in data.rows] == ["a", "b", "c", "d"]
    file = tmp_path / "data.jsonl"
    assert [*map(str, data.findings)] == [
        f"{file}, line 2: question b is that of a, in line 1, about the same context, with other answers",
        f"{file}, line 3: question c is that of a, in line 1, about the same context, with the same answers",
    ]
    assert not data.errors
