"""Damaged and hostile tokenizers, with and without `tokenizer.json`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.review.hostile.case import ESCAPES, MARKUP, Case, Damage, change_json, damaged, write

TOKENIZE = "tokenize bert film"
SPECIAL = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"


def cases(seed: int) -> Iterator[Case]:
    """Yield each damage with `tokenize`, and some with commands that use the tokenizer."""
    for kind, table in KINDS.items():
        for name, (damage, reason, *command) in table.items():
            words = command[0] if command else TOKENIZE
            yield Case("tokenizers", f"{kind}: {name}", words, damaged("bert", damage), reason)


def _vocabulary(content: str | bytes) -> Damage:
    """Leave only a vocab.txt."""

    def damage(bert: Path) -> None:
        for file in bert.glob("*token*"):
            file.unlink()
        write(bert / "vocab.txt", content)

    return damage


def _stored(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change tokenizer.json."""

    def damage(bert: Path) -> None:
        file = bert / "tokenizer.json"
        fields = json.loads(file.read_text(encoding="utf-8"))
        change(fields)
        file.write_text(json.dumps(fields), encoding="utf-8")

    return damage


def _added(number: int, content: str) -> Damage:
    """Add a special token to tokenizer.json."""
    token = {"id": number, "content": content, "special": True}
    token |= dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return _stored(lambda fields: fields["added_tokens"].append(token))


def _settings(**fields: object) -> Damage:
    return lambda bert: change_json(bert / "tokenizer_config.json", **fields)


FILE = r"tokenizer\.json"
KINDS: dict[str, dict[str, tuple[Damage, str | None] | tuple[Damage, str | None, str]]] = {
    "vocab.txt": {
        "empty": (_vocabulary(""), r"vocab\.txt"),
        "only line ends": (_vocabulary("\n\n\n\n"), r"vocab\.txt"),
        "no [UNK]": (_vocabulary("[PAD]\n[CLS]\n[SEP]\n[MASK]\nfilm\n"), r"vocab\.txt.*\[UNK\]"),
        "no [CLS]": (_vocabulary("[PAD]\n[UNK]\n[SEP]\n[MASK]\nfilm\n"), r"vocab\.txt.*\[CLS\]"),
        "no line end": (_vocabulary(SPECIAL + "film"), None),
        "Windows line ends": (_vocabulary((SPECIAL + "film\n").replace("\n", "\r\n")), None),
        "a byte-order mark": (_vocabulary("\ufeff" + SPECIAL + "film\n"), r"vocab\.txt.*byte-order mark"),
        "UTF-16": (_vocabulary((SPECIAL + "film\n").encode("utf-16")), r"vocab\.txt.*UTF-8"),
        "latin-1": (_vocabulary(SPECIAL.encode() + b"caf\xe9\n"), r"vocab\.txt.*UTF-8"),
        "duplicates": (_vocabulary(SPECIAL + "film\nfilm\n"), None),
        "an empty line": (_vocabulary(SPECIAL + "\nfilm\n"), None),
        "control characters": (_vocabulary(SPECIAL + f"film\n{ESCAPES.replace(chr(0x2028), '')}\n"), None),
        "null characters": (_vocabulary(SPECIAL + "film\na\0b\n"), None),
        "markup": (_vocabulary(SPECIAL + f"film\n{MARKUP}\n"), None),
        "a giant piece": (_vocabulary(SPECIAL + "film\n" + "x" * 10**7), None),
        "a million pieces": (_vocabulary(SPECIAL + "film\n" + "".join(f"p{n}\n" for n in range(10**6))), None),
        "a column of ids": (
            _vocabulary("".join(f"{piece}\t{n}\n" for n, piece in enumerate(SPECIAL.split()))),
            r"vocab\.txt.*has no",
        ),
        "JSON": (_vocabulary(json.dumps({"[UNK]": 0})), r"vocab\.txt"),
        "binary": (_vocabulary(bytes(range(256)) * 9), r"vocab\.txt"),
        "smaller than the model": (_vocabulary(SPECIAL + "film\n"), None),
        "larger than the model": (
            _vocabulary(SPECIAL + "".join(f"p{n}\n" for n in range(500))),
            "the id 405, .*another model",
            "fill-mask bert p400[MASK]",
        ),
        "no [MASK], filled": (_vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\nfilm\n"), r"\[MASK\]", "fill-mask bert [MASK]"),
        "no [MASK], pretrained on": (
            _vocabulary("[PAD]\n[UNK]\n[CLS]\n[SEP]\nfilm\n"),
            r"\[MASK\]",
            "pretrain --tokenizer bert --text ../stock/corpus.txt --steps 1 --out out",
        ),
        "markup on a page": (
            _vocabulary(SPECIAL + f"film\n{MARKUP}\n" + "".join(f"p{n}\n" for n in range(16))),
            None,
            "study --checkpoint bert [MASK] --out page.html --top 30",
        ),
    },
    "tokenizer.json": {
        "no model": (_stored(lambda fields: fields.pop("model")), FILE),
        "no vocabulary": (_stored(lambda fields: fields["model"].pop("vocab")), FILE),
        "an empty vocabulary": (_stored(lambda fields: fields["model"].update(vocab={})), FILE),
        "strings for ids": (_stored(lambda fields: fields["model"].update(vocab={"[UNK]": "0"})), FILE),
        "negative ids": (_stored(lambda fields: fields["model"]["vocab"].update(film=-1)), FILE),
        "huge ids": (_stored(lambda fields: fields["model"]["vocab"].update(film=2**32)), FILE),
        "ids with a gap": (_stored(lambda fields: fields["model"]["vocab"].update(film=10**9)), FILE + ".*id 1000000000"),
        "the same id twice": (_stored(lambda fields: fields["model"]["vocab"].update(film=5, was=5)), r"tokenizer\.json"),
        "a list as vocabulary": (_stored(lambda fields: fields["model"].update(vocab=["[UNK]", "film"])), FILE),
        "another unknown piece": (_stored(lambda fields: fields["model"].update(unk_token="[nothing]")), None),
        "an endless prefix": (_stored(lambda fields: fields["model"].update(continuing_subword_prefix="x" * 10**6)), None),
        "words of no length": (_stored(lambda fields: fields["model"].update(max_input_chars_per_word=0)), None),
        "an empty added token": (_added(7, ""), None),
        "an added token with another id": (_added(10**9, "film"), None),
        "hostile added tokens": (_added(25, ESCAPES), None),
        "NaN": (lambda bert: (bert / "tokenizer.json").write_text('{"model": NaN}'), FILE),
        "the same key twice": (lambda bert: (bert / "tokenizer.json").write_text('{"model": 1, "model": {}}'), FILE),
        "cut": (lambda bert: (bert / "tokenizer.json").write_text((bert / "tokenizer.json").read_text()[:-30]), FILE),
        "UTF-16": (lambda bert: (bert / "tokenizer.json").write_text((bert / "tokenizer.json").read_text(), "utf-16"), FILE),
    },
    "settings": {
        "a length of zero": (_settings(model_max_length=0), None),
        "a negative length": (_settings(model_max_length=-5), None),
        "an infinite length": (_settings(model_max_length=1e30), None),
        "a length that is text": (_settings(model_max_length=ESCAPES), None),
        "another mask": (_settings(mask_token="film"), None),
        "a hostile mask": (_settings(mask_token=ESCAPES), "the text has no", "fill-mask bert [MASK]"),
        "a hostile class": (_settings(tokenizer_class=ESCAPES), "tokenizer_class"),
        "code of the author": (_settings(auto_map={"AutoTokenizer": ["evil.Evil", None]}), "auto_map"),
        "a list": (lambda bert: (bert / "tokenizer_config.json").write_text("[]"), r"tokenizer_config\.json"),
        "no JSON": (lambda bert: (bert / "tokenizer_config.json").write_text("{"), r"tokenizer_config\.json"),
        "a number for lowercase": (_settings(do_lower_case="yes"), r"tokenizer_config\.json.*do_lower_case"),
    },
}
"""Of each kind: the damage, the pattern of the message (None: the command works), and the command, if it is not tokenize."""
