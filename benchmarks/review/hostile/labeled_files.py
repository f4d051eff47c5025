"""Damaged labeled data and their hostile names, in training, checking, evaluation and prediction."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.review.hostile.case import ESCAPES, MARKUP, Case, written

TINY = "--from ../stock/bert --out out --steps 1 --batch-size 2 --max-length 16 --device cpu"
CHECK = f"finetune {{}} --train {{}} --check {TINY}"
TRAIN = f"finetune {{}} --train {{}} {TINY}"
REPAIR = f"finetune {{}} --train {{}} --check --write-repaired repaired{{}} {TINY}"
MODELS = {"classify": "classifier", "tag": "tagger", "answer": "answerer"}
ROWS = [(f"a good film number {n}", "good" if n % 2 else "bad") for n in range(20)]


def cases(seed: int) -> Iterator[Case]:
    """Yield each file with a check and with training; the hostile ones also with a repaired copy, evaluation and prediction."""
    for kind, (task, table) in KINDS.items():
        for name, (suffix, content, reason, *hostile) in table.items():
            file, overlap = f"data{suffix}", "" if task == "classify" else " --overlap 4"
            commands = [CHECK.format(task, file) + overlap, TRAIN.format(task, file) + overlap]
            if hostile:
                commands += [
                    REPAIR.format(task, file, suffix) + overlap,
                    f"evaluate ../stock/{MODELS[task]} --data {file} --resamples 9 --out report",
                    f"predict ../stock/{MODELS[task]} {file}",
                ]
            for command in commands:
                which = f"{kind}: {name} ({command.split()[0]})"
                code = None if "--check" in command else 2  # 1 for faults in rows
                expected = hostile[0] if hostile and command not in commands[:2] and "--check" not in command else reason
                yield Case("labeled files", which, command, written(file, content), expected, code, may_pass=bool(hostile))


def _tsv(*more: str, header: str = "text\tlabel") -> str:
    return f"{header}\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS) + "".join(f"{line}\n" for line in more)


def _csv(*more: str) -> str:
    return _tsv(*more).replace("\t", ",")


def _jsonl(*more: object) -> str:
    rows = [{"text": text, "label": label} for text, label in ROWS]
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in [*rows, *more])


def _labels(*labels: str) -> str:
    """Write rows with these labels, each of them many times."""
    return "text\tlabel\n" + "".join(f"a film number {n}\t{labels[n % len(labels)]}\n" for n in range(10 * len(labels)))


def _conll(*more: str) -> str:
    return "".join(f"good{n} B-PER\nfilm O\n\n" for n in range(20)) + "".join(f"{line}\n" for line in more)


def _squad(*more: object, title: str = "", **fields: object) -> str:
    question = {"question": "very good", "answers": [{"text": "bad", "answer_start": 2}]} | fields
    paragraphs = [{"context": f"a bad film {n}", "qas": [question | {"id": str(n)}]} for n in range(12)]
    return json.dumps({"data": [{"title": title, "paragraphs": [*paragraphs, *more]}]})


DATA = r"data\.\w+"
PLAIN = ESCAPES.replace("\u2028", "")  # some readers take a line separator for the end of a line
KINDS: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {
    "TSV and CSV": (
        "classify",
        {
            "a row with too many columns": (".tsv", _tsv("a\tgood\tmore"), DATA + ".*line 22.*columns"),
            "a row with too few columns": (".tsv", _tsv("a"), DATA + ".*line 22.*column"),
            "no label column": (".tsv", _tsv(header="text\tsomething"), None, None),
            "no header": (".tsv", _tsv().partition("\n")[2], DATA + ".*(header|column)"),
            "two columns of the same name": (".tsv", _tsv(header="text\ttext"), DATA + ".*text"),
            "an empty header": (".tsv", _tsv(header="\t"), DATA),
            "only a header": (".tsv", "text\tlabel\n", DATA + ".*(no rows|empty|contains no|no )"),
            "empty": (".tsv", "", DATA),
            "an empty label": (".tsv", _tsv("a film\t"), DATA + ".*line 22.*label"),
            "an empty text": (".tsv", _tsv("\tgood"), None, None),
            "one class": (".tsv", _labels("good"), "at least two classes|all training rows have the label"),
            "a class for each row": (
                ".tsv",
                "text\tlabel\n" + "".join(f"film {n}\tc{n}\n" for n in range(30)),
                None,
                "labels of the data",
            ),
            "labels NaN": (".tsv", _labels("nan", "good"), None, None),
            "numbers NaN": (".tsv", _labels("nan", "0.5", "1.5"), DATA + "|nan|label", DATA + "|nan|label"),
            "numbers that are infinite": (".tsv", _labels("inf", "1e999", "0.5"), DATA + "|inf|label", DATA + "|inf|label"),
            "a quote that does not end": (".csv", _csv('"a film,good'), DATA + ".*line 22.*(quot|CSV)"),
            "quotes inside of a field": (".csv", _csv('a "good" film,good'), None, None),
            "semicolons": (".csv", _csv().replace(",", ";"), DATA + ".*;"),
            "UTF-16": (".csv", _csv().encode("utf-16"), DATA + ".*UTF-16"),
            "a byte-order mark": (".csv", b"\xef\xbb\xbf" + _csv().encode(), None, None),
            "a null character": (".csv", _csv("a\0film,good"), None, None),
            "line ends of old Macs": (".tsv", _tsv().replace("\n", "\r"), None, None),
            "mixed line ends": (".tsv", _tsv().replace("\n", "\r\n", 5), None, None),
            "a spreadsheet": (".csv", b"PK\x03\x04" + bytes(99), DATA + ".*(zip|Excel|binary)"),
            "a folder": (".csv", Path.mkdir, DATA + ".*folder"),
            "a link to itself": (".csv", lambda file: file.symlink_to(file), DATA),
            "no permission": (".csv", lambda file: (file.write_text(_csv()), file.chmod(0)), None, None),
            "an endless device": (".csv", lambda file: file.symlink_to("/dev/zero"), DATA),
        },
    ),
    "hostile labels": (
        "classify",
        {
            "terminal escapes": (".tsv", _labels(PLAIN, "good"), None, None),
            "markup": (".tsv", _labels(MARKUP, "good"), None, None),
            "formulas": (".csv", _labels("=cmd|' /c calc'!A1", "@SUM(1)").replace("\t", ","), None, r"--label-names '=cmd\|"),
            "a name of 100,000 characters": (".tsv", _labels("x" * 100_000, "good"), None, None),
            "direction overrides in texts": (".tsv", _tsv(*[f"{PLAIN} film {n}\tgood" for n in range(9)]), None, None),
            "markup in texts": (".tsv", _tsv(*[f"{MARKUP} film {n}\tgood" for n in range(9)]), None, None),
            "hostile columns": (".tsv", _tsv(header=f"{PLAIN}\tlabel"), DATA + ".*column", DATA + ".*column|label"),
        },
    ),
    "JSONL": (
        "classify",
        {
            "a list": (".jsonl", _jsonl([1, 2]), DATA + ".*line 21"),
            "a number": (".jsonl", _jsonl("3"), DATA + ".*line 21"),
            "cut": (".jsonl", _jsonl('{"text": "a", "lab'), DATA + ".*line 21.*JSON"),
            "NaN as label": (".jsonl", _jsonl('{"text": "a", "label": NaN}'), DATA + ".*line 21"),
            "null as label": (".jsonl", _jsonl({"text": "a", "label": None}), DATA + ".*line 21"),
            "a list as text": (".jsonl", _jsonl({"text": ["a"], "label": "good"}), DATA + ".*line 21"),
            "an object as label": (".jsonl", _jsonl({"text": "a", "label": {"b": 1}}), DATA + ".*line 21"),
            "a huge number as label": (".jsonl", _jsonl({"text": "a", "label": 10**400}), None, None),
            "no label": (".jsonl", _jsonl({"text": "a"}), DATA + ".*line 21.*label"),
            "half a surrogate pair": (".jsonl", _jsonl('{"text": "\\ud800", "label": "good"}'), DATA + ".*line 21"),
            "a deep nest": (".jsonl", _jsonl('{"text": ' + "[" * 9000 + "]" * 9000 + "}"), DATA + ".*line 21"),
            "a JSON array": (".json", "[" + ",".join(_jsonl().splitlines()) + "]", DATA + ".*jsonl"),
            "hostile labels": (".jsonl", _jsonl(*[{"text": f"film {n}", "label": ESCAPES} for n in range(9)]), None, None),
            "hostile keys": (".jsonl", _jsonl({ESCAPES: "a", MARKUP: "good"}), DATA + ".*line 21"),
        },
    ),
    "CoNLL": (
        "tag",
        {
            "a word without a tag": (".txt", _conll("good"), DATA + ".*line 61"),
            "a tag without a scheme": (".txt", _conll("good B-PER", "film XYZ-9"), DATA + ".*line 62"),
            "other numbers of columns": (".txt", _conll("good B-PER", "film NN NP O"), DATA + ".*line 62"),
            "no blank lines": (".txt", "good B-PER\nfilm O\n" * 40, None, None),
            "only blank lines": (".txt", "\n" * 99, DATA),
            "a giant sentence": (".txt", "good B-PER\nfilm O\n" * 5000 + "\n" + _conll(), None, None),
            "terminal escapes": (".txt", _conll("", f"{PLAIN.replace(' ', '')} O", ""), None, None),
            "hostile tags": (".txt", _conll("", f"good B-{MARKUP.replace(' ', '')}", ""), None, None),
            "binary": (".txt", bytes(range(256)) * 30, DATA + ".*binary"),
            "UTF-16": (".txt", _conll().encode("utf-16"), DATA + ".*UTF-16"),
            "a pipe": (".txt", os.mkfifo, DATA),
            "prose": (".txt", "This is a text, and not a table of words.\nIt has lines.\n\n" * 9, DATA),
            "JSON": (".json", '[{"words": ["a"], "tags": ["O"]}]', DATA + ".*JSONL"),
        },
    ),
    "SQuAD": (
        "answer",
        {
            "empty": (".json", "", DATA),
            "a list": (".json", "[]", DATA),
            "no data": (".json", "{}", DATA + ".*context"),
            "cut": (".json", _squad()[:-9], DATA + ".*JSON"),
            "an answer far away": (".json", _squad(answers=[{"text": "bad", "answer_start": 10**18}]), None, None),
            "a negative place": (".json", _squad(answers=[{"text": "bad", "answer_start": -5}]), None, None),
            "NaN as place": (".json", _squad(answers=[{"text": "bad", "answer_start": float("nan")}]), DATA, DATA),
            "a text as place": (".json", _squad(answers=[{"text": "bad", "answer_start": "2"}]), None, DATA),
            "a list of contexts": (".json", _squad({"context": ["a"], "qas": []}), DATA),
            "no contexts": (".json", _squad({"qas": []}), DATA),
            "a giant context": (
                ".json",
                _squad(
                    {
                        "context": "word " * 20_000,
                        "qas": [{"id": "x", "question": "q", "answers": [{"text": "word", "answer_start": 0}]}],
                    }
                ),
                None,
            ),
            "the same id twice": (
                ".json",
                _squad(
                    {
                        "context": "a bad one",
                        "qas": [{"id": "1", "question": "q", "answers": [{"text": "bad", "answer_start": 2}]}],
                    }
                ),
                None,
            ),
            "hostile ids and questions": (
                ".json",
                _squad(
                    {
                        "context": f"{ESCAPES} bad {MARKUP}",
                        "qas": [
                            {"id": ESCAPES, "question": MARKUP, "answers": [{"text": "bad", "answer_start": len(ESCAPES) + 1}]}
                        ],
                    },
                    title=MARKUP,
                ),
                None,
                None,
            ),
            "a deep nest": (".json", "[" * 90_000 + "]" * 90_000, DATA),
            "CSV": (".csv", "id,context,question,answers\n1,a,b,c\n", DATA + ".*SQuAD"),
        },
    ),
}
"""Of each kind: the task, and of each file the extension, the content, the pattern of the message in training, and, for data
that may be used, the pattern in evaluation."""
