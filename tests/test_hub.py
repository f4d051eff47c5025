"""Checkpoints from the hub: a small server stands in for it, and only the files that are needed are asked for."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minibert import BertConfig, BertForPreTraining
from minibert.hub import fetch
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

CONFIG = BertConfig(
    vocab_size=12, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4, max_position_embeddings=8
)
LOAD = """
import sys
from minibert import Bert, load_tokenizer
print(float(Bert.from_pretrained(sys.argv[1]).embeddings.words.weight.sum()), load_tokenizer(sys.argv[1]).get_vocab_size())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "there")
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *"abcdefg"]), tmp_path / "there")
    (tmp_path / "there" / "tf_model.h5").write_bytes(b"not needed")
    return tmp_path / "there"


@pytest.fixture
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that has one model, `somebody/tiny`, and what it has been asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            start, _, name = self.path.partition("/resolve/main/")
            file = folder / name
            known = start == "/somebody/tiny"
            asked.append(name if body else f"HEAD {name}")
            if not (known and name and file.is_file()):
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
                self.send_header("X-Repo-Commit", "0" * 40)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("ETag", f'"{len(content)}-{name}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()


def run(model: str, home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Loads a model in a process of its own, since the hub's address is read once."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables = {**clean, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "no_proxy": "*", **environment}
    return subprocess.run([sys.executable, "-c", LOAD, model], capture_output=True, text=True, env=variables, timeout=120)


def test_a_model_is_downloaded_once_and_then_kept(hub: tuple[str, list[str]], folder: Path, tmp_path: Path) -> None:
    """Only what is needed; afterwards it is there without the hub. What the hub does not have is named."""
    address, asked = hub
    done = run("somebody/tiny", tmp_path / "home", HF_ENDPOINT=address)
    weight = BertForPreTraining.from_pretrained(folder).bert.embeddings.words.weight
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(float(weight.sum())), "12"]
    assert {name for name in asked if name and not name.startswith("HEAD")} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    }
    again = run("somebody/tiny", tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert again.stdout == done.stdout, again.stderr
    missing = run("somebody/else", tmp_path / "home", HF_ENDPOINT=address)
    assert "somebody/else: is no checkpoint folder here, and the hub has no such model" in missing.stderr


def test_what_the_hub_did_not_have_is_known_without_it(hub: tuple[str, list[str]], folder: Path, tmp_path: Path) -> None:
    """Older weights are found again offline; where a download was broken off, it is said that the hub is needed."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    done = run("somebody/tiny", tmp_path / "home", HF_ENDPOINT=hub[0])
    assert done.returncode == 0, done.stderr
    assert run("somebody/tiny", tmp_path / "home", HF_HUB_OFFLINE="1").stdout == done.stdout
    next((tmp_path / "home").rglob("pytorch_model.bin")).unlink()
    assert "the hub cannot be reached" in run("somebody/tiny", tmp_path / "home", HF_HUB_OFFLINE="1").stderr


def test_without_the_hub_it_is_said_what_to_do() -> None:
    """These tests run with HF_HUB_OFFLINE."""
    with pytest.raises(FileNotFoundError, match="somebody/tiny: is no checkpoint folder here, and the hub cannot be reached"):
        fetch("somebody/tiny", "config.json")


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "a/b/c", "docs/nowhere", Path("nowhere")])
def test_a_path_is_not_taken_for_a_name_on_the_hub(source: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with a folder that is there was meant as a path."""
    monkeypatch.chdir(Path(__file__).parents[1])
    with pytest.raises(FileNotFoundError, match="there is no such folder or file"):
        fetch(source, "config.json")
