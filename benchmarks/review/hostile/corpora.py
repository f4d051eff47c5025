"""Hostile corpora: files that are no text, and text with characters that terminals and pages could obey."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.review.hostile.case import ESCAPES, MARKUP, Case, make_socket, written

PRETRAIN = "pretrain --text text{} --out out --steps 1 --batch-size 2 --max-length 16 --vocab-size 80 --pairs none --device cpu"
EMBED = "embed ../stock/bert text{} --out vectors.npy"
PREDICT = "predict ../stock/classifier text{}"
ENOUGH = "".join(f"A line of text number {n}. Another sentence.\n\n" for n in range(40))


def cases(seed: int) -> Iterator[Case]:
    """Yield each file as the text of pretraining; single lines also as texts to embed and to predict."""
    for kind, table in KINDS.items():
        for name, (suffix, content, reason, *others) in table.items():
            commands = (PRETRAIN, EMBED, PREDICT)[: 1 + len(others)]
            for command, expected in zip(commands, (reason, *others), strict=True):
                code = 1 if expected is not None and command == PREDICT and "line" in expected else 2
                which = f"{kind}: {name} ({command.split()[0]})"
                yield Case("corpora", which, command.format(suffix), written(f"text{suffix}", content), expected, code)


def _folder(*names: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        folder.mkdir()
        for name in names:
            (folder / name).write_text(ENOUGH, encoding="utf-8")

    return make


def _loop(folder: Path) -> None:
    folder.mkdir()
    (folder / "text.txt").write_text(ENOUGH, encoding="utf-8")
    (folder / "again").symlink_to(folder)


def _pipe_inside(folder: Path) -> None:
    folder.mkdir()
    (folder / "text.txt").write_text(ENOUGH, encoding="utf-8")
    os.mkfifo(folder / "pipe.txt")


TEXT = r"text\.txt"
KINDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "no text": {
        "a folder named like a file": (".txt", _folder(), r"text\.txt", r"text\.txt", r"text\.txt"),
        "a pipe": (".txt", os.mkfifo, TEXT),
        "a socket": (".txt", make_socket, TEXT, TEXT, TEXT),
        "an endless device": (".txt", lambda file: file.symlink_to("/dev/zero"), TEXT),
        "an empty device": (".txt", lambda file: file.symlink_to("/dev/null"), TEXT),
        "a link to itself": (".txt", lambda file: file.symlink_to(file), TEXT, TEXT, TEXT),
        "null characters": (".txt", bytes(9999), TEXT, TEXT, TEXT),
        "only spaces": (".txt", " \t\n" * 999, TEXT, None, None),
        "only a byte-order mark": (".txt", b"\xef\xbb\xbf", TEXT, TEXT, r"text\.txt: has no rows"),
        "a PDF": (".txt", b"%PDF-1.4\n" + bytes(range(256)), TEXT),
        "UTF-16": (".txt", ENOUGH.encode("utf-16"), TEXT + ".*UTF-16", TEXT, TEXT),
        "UTF-32": (".txt", ENOUGH.encode("utf-32"), TEXT, TEXT, TEXT),
        "invalid UTF-8": (".txt", ENOUGH.encode() + b"\xff\xfe\n", TEXT + ".*line", TEXT + ".*line", "line"),
        "invalid UTF-8 at the end": (".txt", ENOUGH.encode() + b"caf\xc3", TEXT + ".*line", TEXT + ".*line", "line"),
        "overlong UTF-8": (".txt", ENOUGH.encode() + b"\xc0\xaf\n", TEXT + ".*line", TEXT + ".*line", "line"),
        "surrogates in UTF-8": (".txt", ENOUGH.encode() + b"\xed\xa0\x80\n", TEXT + ".*line", TEXT + ".*line", "line"),
        "an empty folder": ("", _folder(), "text.*no"),
        "a folder of other files": ("", _folder("a.py", "b.bin"), "text.*no"),
        "a folder of hidden files": ("", _folder(".a.txt"), "text"),
        "a folder in itself": ("", _loop, None),
        "a folder with a pipe": ("", _pipe_inside, None),
        "a JSON array": (".json", '[{"text": "one"}, {"text": "two"}]', r"text\.json.*jsonl"),
        "a JSON object": (".json", '{"text": "one"}', r"text\.json.*jsonl", r"text\.json.*jsonl"),
        "a SQuAD file": (".json", '{"data": []}', r"text\.json"),
        "a program": (".txt", b"\x7fELF" + bytes(500), TEXT),
    },
    "compressed": {
        "not gzip": (".txt.gz", ENOUGH, r"text\.txt\.gz", r"text\.txt\.gz", r"text\.txt\.gz"),
        "cut": (".txt.gz", gzip.compress(ENOUGH.encode(), mtime=0)[:-9], r"text\.txt\.gz", r"text\.txt\.gz"),
        "twice": (".txt.gz", gzip.compress(gzip.compress(ENOUGH.encode())), r"text\.txt\.gz", r"text\.txt\.gz"),
        "garbage after the end": (".txt.gz", gzip.compress(ENOUGH.encode()) + b"garbage", r"text\.txt\.gz"),
        "empty": (".txt.gz", b"", r"text\.txt\.gz"),
        "a bomb": (".txt.gz", gzip.compress(bytes(2**28)), r"text\.txt\.gz"),
    },
    "characters": {
        "terminal escapes": (".txt", ENOUGH + f"{ESCAPES} in a line.\n" * 9, None, None, None),
        "markup": (".txt", ENOUGH + f"{MARKUP} in a line.\n" * 9, None, None, None),
        "carriage returns": (".txt", ENOUGH.replace("\n", "\r"), None, None, None),
        "one giant line": (".txt", "word " * 400_000, None),
        "one giant word": (".txt", "x" * 2_000_000 + "\n\n" + ENOUGH, None),
        "combining characters": (".txt", ENOUGH + "a" + "\u0301" * 50_000 + "\n", None),
        "vertical tabs and separators": (".txt", ENOUGH.replace(" ", "\x0b") + "\u2028\u2029\x85\x1c", None, None, None),
        "emoji": (".txt", "\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f \n\n" * 200, None, None, None),
        "private and unassigned": (".txt", ENOUGH + "\ue000\uffff\U0010ffff\ufdd0\n", None, None, None),
        "one letter": (".txt", "a", None),
        "one line": (".txt", "A line.", None),
        "the names of special tokens": (".txt", "[MASK] [CLS] [SEP] [PAD] [UNK]\n\n" * 50, None, None, None),
        "10,000 documents of a letter": (".txt", "".join(f"{chr(97 + n % 26)}\n\n" for n in range(10_000)), None),
        "50,000 different characters": (".txt", "".join(f"{chr(0x4E00 + n % 20000)} " for n in range(50_000)), "alphabet_size"),
    },
    "tables": {
        "hostile column names": (".jsonl", f'{{"{MARKUP.replace(chr(34), "")}": "x"}}\n', r"text\.jsonl"),
        "a column that is a list": (".jsonl", '{"text": ["a", "b"]}\n', r"text\.jsonl.*text"),
        "null as text": (".jsonl", '{"text": null}\n' * 9, r"text\.jsonl"),
        "the same key twice": (".jsonl", '{"text": "a good film.", "text": "bad"}\n' * 50, r"text\.jsonl.*twice"),
        "NaN": (".jsonl", '{"text": NaN}\n', r"text\.jsonl"),
        "a deep nest": (".jsonl", '{"text": ' + "[" * 90_000 + "]" * 90_000 + "}\n", r"text\.jsonl"),
        "a comma after each line": (".jsonl", '{"text": "a"},\n{"text": "b"},\n', r"text\.jsonl.*line 1"),
        "formulas": (".csv", 'text\n=cmd|"/c calc"!A1\n@SUM(1)\n' * 40, None),
        "a quote that does not end": (".csv", 'text\n"open\n' + "more\n" * 9999, r"text\.csv"),
        "null characters": (".csv", b"text\na\x00b\n" * 20, r"text\.csv.*binary"),
        "a million columns": (".tsv", "text" + "\tx" * 10**6 + "\n", r"text\.tsv"),
        "Parquet of a PNG": (".parquet", b"\x89PNG\r\n\x1a\n" + bytes(99), r"text\.parquet"),
        "Parquet without an end": (".parquet", b"PAR1" + bytes(99) + b"PAR1", r"text\.parquet"),
    },
}
"""Of each kind: the extension, the content, and the pattern of the message in pretraining, embedding and prediction."""
