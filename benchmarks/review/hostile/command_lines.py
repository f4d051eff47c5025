"""Wrong values of every option of every command."""

import json
import random
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.review.hostile.case import ESCAPES, STOCK, Case
from minibert.commands import COMMANDS

TINY = "--batch-size 2 --max-length 16 --device cpu --steps 1"
BERT, CORPUS, ROWS, COURSE = f"{STOCK}/bert", f"{STOCK}/corpus.txt", f"{STOCK}/rows.tsv", f"{STOCK}/course/course.toml"
MULTI = f"{{}}=classify\x1f--train\x1f{ROWS}"
BASES = {
    "quickstart": "--out file",
    "pretrain": f"--text {CORPUS} --vocab-size 60 {TINY}",
    "distill": f"{BERT} --text {CORPUS} {TINY}",
    "finetune classify": f"--train {ROWS} --from {BERT} {TINY}",
    "finetune tag": f"--train tags.txt --from {BERT} {TINY}",
    "finetune answer": f"--train squad.json --from {BERT} --overlap 4 {TINY}",
    "finetune multi": f"{MULTI.format('a')} {MULTI.format('b')} --from {BERT} --steps 1 --batch-size 2 --device cpu",
    "runs": f"{STOCK}/run",
    "bench": "--tokens 16 --rounds 1 --device cpu",
    "train-letters": "--batch-tokens 32 --device cpu --steps 1",
    "train-translator": "--text pairs.tsv --batch-tokens 64 --vocab-size 40 --device cpu --steps 1",
    "translate": f"{STOCK}/translator",
    "tokenize": f"{BERT} film",
    "predict": f"{STOCK}/classifier {CORPUS}",
    "evaluate": f"{STOCK}/classifier --data {ROWS} --resamples 10",
    "embed": f"{BERT} {CORPUS} --out vectors.npy",
    "fill-mask": f"{BERT} [MASK]",
    "generate": f"{STOCK}/gpt2 film --max-new-tokens 4",
    "plot attention": f"--checkpoint {BERT} --text film --out a.svg",
    "plot positions": "--out a.svg",
    "plot rotation": "--out a.svg",
    "plot embeddings": f"--checkpoint {BERT} --text film --out a.svg",
    "plot lens": f"--checkpoint {BERT} --text [MASK] --out a.svg",
    "study": f"--checkpoint {BERT} [MASK]",
    "verify": f"{BERT} --ids 1 2 3",
    "equations": "softmax",
    "learn": "",
    "check": f"softmax --folder {STOCK}/exercises",
    "hint": f"softmax --folder {STOCK}/exercises",
    "reveal": f"softmax --yes --folder {STOCK}/exercises",
    "reset": f"softmax --folder {STOCK}/exercises",
    "progress": f"--folder {STOCK}/exercises",
    "swap": f"solution.py --exercise softmax --checkpoint {BERT}",
    "lessons": "1 --notebooks notebooks",
    "docs build": "--out file",
    "docs open": "--site file",
    "class release": "new-course --exercises softmax",
    "class grade": f"submissions --course {COURSE} --jobs 1",
    "class gradescope": f"out.zip --course {COURSE}",
    "class nbgrader": f"nb --course {COURSE}",
    "class new": "own_norm",
}
"""Words that make each command valid and quick. In an argument, \\x1f stands for a space."""
SLOW = ("quickstart", "docs build")
"""Commands that take minutes. The last of their words is a file where a folder is needed."""
NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "-1",
    "-1e-300",
    "9" * 30,
    "9" * 400,
    "",
    " ",
    "0x10",
    "1,5",
    "1_000",
    "ten",
    ESCAPES,
    "\ud800",
]
WORDS = ["", " ", ESCAPES, "x" * 5000, "no/such/path", "-1", "~nobody/x", "caf\udce9", "[red]", "--", "%s{0}$(id)", "."]
CHOICES = ["", "AUTO", "nan", ESCAPES, "x" * 5000]
PER_OPTION = 1
"""Number of values that are tried for each option. Another seed draws others."""


def cases(seed: int) -> Iterator[Case]:
    """Yield the cases of all commands: a wrong value for each option, and odd lists of words."""
    generator = random.Random(seed)
    for name, (kind, _) in COMMANDS.items():
        base = base_words(name)
        for option, hint in options_of(kind):
            for value in generator.sample(values := values_of(hint), min(PER_OPTION, len(values))):
                words = re.findall(r"[ -Z^-~]+", value)  # without characters that a message has to escape
                named = option.replace("-", "[-_ ]") + (
                    f"|{re.escape(words[0][:12])}" if words else "|empty|column ''|outside the vocabulary"
                )
                given = [f"--{option}={value}"]
                if name in SLOW:
                    yield _case(name, [*given, *base], f"--{option} {value!r:.24}", f"{named}|file: ")
                else:
                    yield _case(name, [*base, *given], f"--{option} {value!r:.24}", named)
        yield _case(
            name, [*base, "--no-such-option", "1"], "an unknown option", "no[-_]such[-_]option|unrecognized", passes=False
        )
        if name not in ("runs", "docs build"):  # which take any number of words
            yield _case(name, [*base, ESCAPES, ESCAPES, ESCAPES], "too many words", "owned", passes=False)
        yield _case(name, [*base, "a\0b"], "a null character", "null character", passes=False)


def base_words(name: str) -> list[str]:
    """Return the words of a command in `BASES`."""
    return [word.replace("\x1f", " ") for word in BASES[name].split(" ") if word]


def _case(name: str, words: list[str], what: str, named: str, passes: bool = True) -> Case:
    return Case("command lines", f"{name}: {what}", [*name.split(), *words], write_files, f"(?i){named}", may_pass=passes)


def options_of(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and types of the options of a command that are no positional arguments and no switches."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for each in fields(kind):
        hint, extras = _bare(hints[each.name])
        if is_dataclass(hint):
            yield from options_of(typing.cast("type[Any]", hint))
        elif hint is not bool and not any(
            "Positional" in repr(extra) or "positional" in repr(extra).lower() for extra in extras
        ):
            yield _name(each, extras), hint


def _bare(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    extras = getattr(hint, "__metadata__", ())
    hint = hint.__origin__ if extras else hint
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [each for each in typing.get_args(hint) if each is not types.NoneType]
        return inner[0], extras
    return hint, extras


def _name(field: "Field[Any]", extras: tuple[Any, ...]) -> str:
    names = [extra.name for extra in extras if getattr(extra, "name", None)]
    return (names[0] if names else field.name).replace("_", "-")


def values_of(hint: Any) -> list[str]:
    """Return wrong values for an option of a type."""
    if typing.get_origin(hint) is Literal:
        return CHOICES
    return NUMBERS if hint in (int, float) or int in typing.get_args(hint) else WORDS


def write_files(here: Path) -> None:
    """Write the files that the commands need."""
    (here / "file").write_text("text\n", encoding="utf-8")
    (here / "tags.txt").write_text("good B-PER\nfilm O\n\nbad O\nfilm B-PER\n\n" * 8, encoding="utf-8")
    (here / "pairs.tsv").write_text("".join(f"a good film {n}\tein guter Film {n}\n" for n in range(60)), encoding="utf-8")
    question = {"question": "very good", "answers": [{"text": "bad", "answer_start": 2}]}
    paragraphs = [{"context": f"a bad film {n}", "qas": [question | {"id": str(n)}]} for n in range(12)]
    (here / "squad.json").write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}), encoding="utf-8")
    code = "import torch\n\ndef softmax(scores):\n    return torch.softmax(scores, dim=-1)\n"
    (here / "solution.py").write_text(code, encoding="utf-8")
    (here / "submissions").mkdir()
    (here / "submissions" / "ada.py").write_text(code, encoding="utf-8")
