"""Damaged and hostile checkpoints: files that are not files, lies in configs and headers, and pickles with code."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch
import torch

from benchmarks.review.hostile.case import (
    ESCAPES,
    MARKUP,
    Case,
    Damage,
    change_json,
    damaged,
    instead,
    make_socket,
    write_safetensors,
    written,
)
from benchmarks.review.hostile.judge import CANARY

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FILL, VERIFY = "fill-mask bert [MASK]", "verify bert --ids 1 2"


class Runs:
    """An object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


def cases(seed: int) -> Iterator[Case]:
    """Yield each damage with the commands that load a checkpoint."""
    for kind, table in KINDS.items():
        for name, (damage, reason, *command) in table.items():
            yield Case("checkpoints", f"{kind}: {name}", command[0] if command else FILL, damaged("bert", damage), reason)


def _config(**fields: object) -> Damage:
    return lambda bert: change_json(bert / CONFIG, **fields)


def _raw_config(field: str, value: str) -> Damage:
    """Add a field with a value that Python's json would not write."""

    def damage(bert: Path) -> None:
        text = (bert / CONFIG).read_text()
        (bert / CONFIG).write_text(f'{text.rstrip()[:-1]}, "{field}": {value}}}')

    return damage


def _tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    """Write other tensors."""
    return lambda bert: safetensors.torch.save_file(change(safetensors.torch.load_file(bert / WEIGHTS)), bert / WEIGHTS)


def _header(change: Callable[[dict[str, dict[str, object]]], object]) -> Damage:
    """Write another header in front of the same data."""

    def damage(bert: Path) -> None:
        content = (bert / WEIGHTS).read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        changed = change(header)
        write_safetensors(bert / WEIGHTS, header if changed is None else changed, content[8 + length :])

    return damage


def _overlapping(header: dict[str, dict[str, object]]) -> None:
    first, second = [name for name in header if name != "__metadata__"][:2]
    header[second]["data_offsets"] = header[first]["data_offsets"]


def _duplicate_names(header: dict[str, dict[str, object]]) -> bytes:
    text = json.dumps(header)
    name = next(name for name in header if name != "__metadata__")
    return f'{text[:-1]}, "{name}": {json.dumps(header[name])}}}'.encode()


def _pickled(make: Callable[[Path], object]) -> Damage:
    """Write `pytorch_model.bin` instead of the safetensors file."""

    def damage(bert: Path) -> None:
        (bert / WEIGHTS).unlink()
        make(bert / "pytorch_model.bin")

    return damage


def _zip_with_code(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Runs()}))
        archive.writestr("archive/version", "3\n")


def _zip_bomb(file: Path) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/data/0", bytes(2**30))


def _loop(file: Path) -> None:
    file.symlink_to(file)


def _gone(bert: Path) -> None:
    shutil.rmtree(bert)
    bert.symlink_to("nowhere")


def _with_code(bert: Path) -> None:
    change_json(bert / CONFIG, auto_map={"AutoModel": "modeling.Evil"}, trust_remote_code=True)
    (bert / "modeling.py").write_text(f"import os; os.system('touch {CANARY}')\nclass Evil: pass\n")


def _many_labels(bert: Path) -> None:
    change_json(bert / CONFIG, id2label={str(n): ESCAPES + str(n) for n in range(3)}, architectures=[ESCAPES])


CUT = r"model\.safetensors.*(complete|damaged|size|header|safetensors)"
NOT_JSON = r"bert/config\.json"
KINDS: dict[str, dict[str, tuple[Damage, str | None] | tuple[Damage, str | None, str]]] = {
    "no files": {
        "a folder for the weights": (instead(WEIGHTS, Path.mkdir), r"bert.*(no weights|has no|model\.safetensors)"),
        "a folder for the config": (instead(CONFIG, Path.mkdir), r"bert.*config\.json"),
        "a folder for the tokenizer": (instead("tokenizer.json", Path.mkdir), None),
        "a link to itself as weights": (instead(WEIGHTS, _loop), r"bert.*(no weights|has no|model\.safetensors)"),
        "a link to itself as config": (instead(CONFIG, _loop), r"bert.*config\.json"),
        "a link without a target": (instead(CONFIG, lambda file: file.symlink_to("nowhere")), r"bert.*config\.json"),
        "a pipe as config": (instead(CONFIG, os.mkfifo), r"bert.*config\.json"),
        "a pipe as weights": (instead(WEIGHTS, os.mkfifo), r"bert.*(no weights|has no|model\.safetensors)"),
        "a socket as weights": (instead(WEIGHTS, make_socket), r"bert.*(no weights|has no|model\.safetensors)"),
        "a device as weights": (instead(WEIGHTS, lambda file: file.symlink_to("/dev/zero")), r"model\.safetensors|has no"),
        "a device as config": (instead(CONFIG, lambda file: file.symlink_to("/dev/null")), r"config\.json"),
        "an endless device as config": (instead(CONFIG, lambda file: file.symlink_to("/dev/zero")), r"config\.json"),
        "a checkpoint that is a link without a target": (_gone, "bert: no such folder or file"),
        "a pipe as checkpoint": (lambda bert: (shutil.rmtree(bert), os.mkfifo(bert)), r"bert.*config\.json"),
        "a file as checkpoint": (lambda bert: (shutil.rmtree(bert), bert.write_text("x")), r"bert|config\.json"),
        "an empty folder": (lambda bert: (shutil.rmtree(bert), bert.mkdir()), r"bert.*(config\.json|tokenizer)"),
        "a tokenizer that is a pipe": (instead("tokenizer.json", os.mkfifo), None),
        "a vocabulary that is a folder": (instead("vocab.txt", Path.mkdir), None),
    },
    "config": {
        "the same key twice": (_raw_config("hidden_size", "8"), r"model\.safetensors|hidden_size"),
        "a number of a million digits": (_raw_config("note", "9" * 10**6), r"config\.json.*(digits|JSON)"),
        "NaN in an unused field": (_raw_config("note", "NaN"), None),
        "NaN as epsilon": (_raw_config("layer_norm_eps", "NaN"), r"config\.json.*layer_norm_eps"),
        "infinite epsilon": (_raw_config("layer_norm_eps", "1e999"), r"config\.json.*layer_norm_eps"),
        "negative epsilon": (_config(layer_norm_eps=-1), r"config\.json.*layer_norm_eps"),
        "fraction of heads": (_config(num_attention_heads=3), r"config\.json.*(num_attention_heads|heads)"),
        "a billion layers": (_config(num_hidden_layers=10**9), r"layers"),
        "a trillion positions": (_config(max_position_embeddings=10**12), r"position"),
        "a huge vocabulary": (_config(vocab_size=2**31), r"vocab_size|word_embeddings|words"),
        "dropout of 1": (_config(hidden_dropout_prob=1.0), r"config\.json.*hidden_dropout_prob"),
        "a class as model type": (_config(model_type={"a": 1}), r"config\.json.*model_type"),
        "no model type": (_config(model_type=None), None),
        "code of the author": (_with_code, None),
        "hostile labels": (_many_labels, None),
        "hostile activation": (_config(hidden_act=ESCAPES), r"config\.json.*hidden_act"),
        "hostile model type": (_config(model_type=ESCAPES), r"config\.json.*model_type"),
        "hostile key": (_raw_config("position_embedding_type", json.dumps(MARKUP)), r"config\.json.*position_embedding_type"),
        "a list of configs": (written(CONFIG, "[{}]"), NOT_JSON),
        "a cut file": (lambda bert: (bert / CONFIG).write_text((bert / CONFIG).read_text()[:-9]), NOT_JSON),
        "UTF-16": (lambda bert: (bert / CONFIG).write_text((bert / CONFIG).read_text(), "utf-16"), NOT_JSON),
        "a byte-order mark": (lambda bert: (bert / CONFIG).write_text((bert / CONFIG).read_text(), "utf-8-sig"), None),
        "comments": (lambda bert: (bert / CONFIG).write_text("// bert\n" + (bert / CONFIG).read_text()), NOT_JSON),
        "a page of an error": (written(CONFIG, "<!doctype html><title>404</title>"), NOT_JSON + ".*HTML"),
        "a nested bomb": (_raw_config("note", '{"a":' * 5000 + "1" + "}" * 5000), NOT_JSON),
        "a megabyte of spaces": (written(CONFIG, " " * 2**20), NOT_JSON),
        "lone surrogates": (_raw_config("hidden_act", r'"\ud800"'), r"config\.json.*hidden_act"),
        "padding outside the vocabulary": (_config(pad_token_id=10**6), r"config\.json.*pad_token_id"),
        "a string as padding": (_config(pad_token_id="0"), r"config\.json.*pad_token_id"),
        "a false number": (_config(num_hidden_layers=True), r"config\.json.*num_hidden_layers"),
    },
    "safetensors": {
        "one byte missing": (lambda bert: (bert / WEIGHTS).write_bytes((bert / WEIGHTS).read_bytes()[:-1]), CUT),
        "one byte more": (lambda bert: (bert / WEIGHTS).write_bytes((bert / WEIGHTS).read_bytes() + b"x"), CUT),
        "overlapping tensors": (_header(_overlapping), CUT),
        "the same name twice": (_header(_duplicate_names), None),
        "a header of 2^63 bytes": (written(WEIGHTS, (2**63 - 1).to_bytes(8, "little") + b"{}"), CUT),
        "a header that is a list": (_header(lambda header: [header]), CUT),
        "another data type": (
            _header(lambda header: [part.update(dtype="F64") for part in header.values() if "dtype" in part] and None),
            CUT,
        ),
        "reversed shapes": (
            _tensors(
                lambda all_: {name: tensor.t().contiguous() if tensor.ndim == 2 else tensor for name, tensor in all_.items()}
            ),
            r"shape|size",
        ),
        "no tensors": (_tensors(lambda all_: {}), r"model\.safetensors|bert"),
        "half of the layers": (
            _tensors(lambda all_: {name: tensor for name, tensor in all_.items() if "layer.1." not in name}),
            r"layer",
        ),
        "integers": (_tensors(lambda all_: {name: tensor.int() for name, tensor in all_.items()}), r"(int|data type)"),
        "all NaN": (_tensors(lambda all_: {name: tensor * torch.nan for name, tensor in all_.items()}), r"(NaN|finite)"),
        "one infinity": (
            _tensors(lambda all_: all_ | {(name := next(iter(all_))): all_[name].fill_(torch.inf)}),
            r"(NaN|finite)",
        ),
        "hostile names": (_tensors(lambda all_: {f"{ESCAPES}{name}": tensor for name, tensor in all_.items()}), r"bert"),
        "a PNG": (written(WEIGHTS, b"\x89PNG\r\n\x1a\n" + bytes(99)), r"model\.safetensors.*PNG"),
        "a pointer of Git LFS": (
            written(WEIGHTS, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
            r"model\.safetensors.*Git LFS",
        ),
        "a page of an error": (written(WEIGHTS, "<html><title>404</title>"), r"model\.safetensors.*HTML"),
        "a pickle": (instead(WEIGHTS, lambda file: file.write_bytes(pickle.dumps(Runs()))), r"model\.safetensors"),
        "a zip with code": (instead(WEIGHTS, _zip_with_code), r"model\.safetensors"),
    },
    "pickles": {
        "code as pickle": (_pickled(lambda file: file.write_bytes(pickle.dumps({"a": Runs()}))), r"pytorch_model\.bin"),
        "code in a zip": (_pickled(_zip_with_code), r"pytorch_model\.bin"),
        "code of torch": (_pickled(lambda file: torch.save({"a": Runs()}, file)), r"pytorch_model\.bin"),
        "a list": (_pickled(lambda file: torch.save([1, 2], file)), r"pytorch_model\.bin"),
        "numbers for tensors": (_pickled(lambda file: torch.save({"a": 1}, file)), r"pytorch_model\.bin"),
        "numbers for names": (_pickled(lambda file: torch.save({1: torch.ones(1)}, file)), r"pytorch_model\.bin"),
        "sparse tensors": (
            _pickled(lambda file: torch.save({"a": torch.ones(2, 2).to_sparse()}, file)),
            r"pytorch_model\.bin|bert",
        ),
        "tensors without data": (
            _pickled(lambda file: torch.save({"a": torch.ones(2, device="meta")}, file)),
            r"pytorch_model\.bin|bert",
        ),
        "a whole module": (_pickled(lambda file: torch.save(torch.nn.Linear(1, 1), file)), r"pytorch_model\.bin"),
        "a zip bomb": (_pickled(_zip_bomb), r"pytorch_model\.bin|bert"),
        "an empty zip": (_pickled(lambda file: zipfile.ZipFile(file, "w").close()), r"pytorch_model\.bin"),
        "a folder": (_pickled(Path.mkdir), r"bert"),
        "code, verified": (_pickled(lambda file: torch.save({"a": Runs()}, file)), r"pytorch_model\.bin", VERIFY),
        "code, embedded": (_pickled(_zip_with_code), r"pytorch_model\.bin", "embed bert ../stock/corpus.txt --out v.npy"),
        "code, trained on": (
            _pickled(_zip_with_code),
            r"pytorch_model\.bin",
            "pretrain --from bert --text ../stock/corpus.txt --out out --steps 1",
        ),
        "code, studied": (_pickled(_zip_with_code), r"pytorch_model\.bin", "study --checkpoint bert [MASK]"),
        "code, drawn": (_pickled(_zip_with_code), r"pytorch_model\.bin", "plot positions --checkpoint bert --out a.svg"),
    },
    "pages": {
        "hostile labels on a page": (_many_labels, None, "study --checkpoint bert [MASK] --out page.html"),
        "hostile architecture on a page": (
            _config(architectures=[MARKUP], _name_or_path=MARKUP),
            None,
            "study --checkpoint bert [MASK] --out page.html",
        ),
    },
}
"""Of each kind: the damage, the pattern of the message (None: it does not matter), and the command, if it is not fill-mask."""
