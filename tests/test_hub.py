"""Downloading checkpoints from the hub, with a small local server in its place."""

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
from pathlib import Path
from minibert import Bert, load_tokenizer
for word in sys.argv[1:]:
    if Path(word).is_file():
        Path(word).unlink()
    else:
        weight = Bert.from_pretrained(word).embeddings.words.weight
        print(float(weight.sum()), load_tokenizer(word).get_vocab_size())
"""
"""Loads models, and deletes files between them."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "tiny")
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *"abcdefg"]), tmp_path / "tiny")
    (tmp_path / "tiny" / "tf_model.h5").write_bytes(b"not needed")
    return tmp_path / "tiny"


@pytest.fixture
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Start a server with one model, `somebody/tiny`, and return its address and the list of its requests."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            start, _, name = self.path.partition("/resolve/main/")
            file = folder / name
            known = start == "/somebody/tiny"
            requests.append(name if body else f"HEAD {name}")
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
    yield f"http://127.0.0.1:{server.server_address[1]}", requests
    server.shutdown()


def load_in_a_new_process(words: list[str], home: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Load models in a separate process, because the address of the hub is read once per process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    variables = {**clean, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "no_proxy": "*", **environment}
    return subprocess.run([sys.executable, "-c", LOAD, *words], capture_output=True, text=True, env=variables, timeout=120)


@pytest.mark.slow
def test_model_is_downloaded_once_and_cached(hub: tuple[str, list[str]], folder: Path, tmp_path: Path) -> None:
    """Only the needed files are downloaded. Later they are loaded without the hub. The error for an unknown model names it."""
    address, requests = hub
    done = load_in_a_new_process(["somebody/tiny", "somebody/else"], tmp_path / "home", HF_ENDPOINT=address)
    weight = BertForPreTraining.from_pretrained(folder).bert.embeddings.words.weight
    assert "somebody/else: neither a local folder nor a model on the Hugging Face hub" in done.stderr
    assert done.stdout.split() == [str(float(weight.sum())), "12"]
    assert {name for name in requests if name and not name.startswith("HEAD")} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    again = load_in_a_new_process(["somebody/tiny"], tmp_path / "home", HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr


@pytest.mark.slow
def test_missing_files_are_remembered_offline(hub: tuple[str, list[str]], folder: Path, tmp_path: Path) -> None:
    """Weights in the older format load again offline. After an incomplete download, the error says that the hub is needed."""
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    done = load_in_a_new_process(["somebody/tiny"], tmp_path / "home", HF_ENDPOINT=hub[0])
    assert done.returncode == 0, done.stderr
    weights = next((tmp_path / "home").rglob("pytorch_model.bin"))
    words = ["somebody/tiny", str(weights), "somebody/tiny"]
    again = load_in_a_new_process(words, tmp_path / "home", HF_HUB_OFFLINE="1")
    assert again.stdout == done.stdout
    assert "the Hugging Face hub cannot be reached" in again.stderr


def test_error_without_the_hub_says_what_to_do() -> None:
    """The tests run with HF_HUB_OFFLINE."""
    with pytest.raises(
        FileNotFoundError, match="somebody/tiny: not a local folder, and the Hugging Face hub cannot be reached"
    ):
        fetch("somebody/tiny", "config.json")


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "a/b/c", "docs/nowhere", Path("nowhere")])
def test_a_path_is_not_used_as_a_hub_id(source: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that starts with an existing folder is a path."""
    monkeypatch.chdir(Path(__file__).parents[1])
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        fetch(source, "config.json")


@pytest.mark.parametrize("source", ["x" * 5000, "a/" * 2000, "a\0b", "münchen/bert", "user/name@main", "-x"])
def test_what_cannot_be_a_name_is_no_such_folder(source: str) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder or file") as error:
        fetch(source, "config.json")
    assert len(str(error.value)) < 300


def test_link_without_a_target_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError, match="link: no such folder or file"):
        fetch("link", "config.json")


def test_address_of_a_page_is_answered_with_the_id() -> None:
    with pytest.raises(FileNotFoundError, match=r"Give the id of the model, such as google-bert/bert-base-uncased$"):
        fetch("https://huggingface.co/google-bert/bert-base-uncased/tree/main", "config.json")
