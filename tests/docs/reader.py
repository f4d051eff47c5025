"""The folder of a reader who follows a guide, and a shell that runs the commands in this process."""

import io
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np

from minibert import BertForPreTraining
from minibert.commands import main
from minibert.text.corpus import Corpus, Document
from tests.docs.guides import programs
from tests.trained_models import write_checkpoint, write_gpt2

TEXT = """a new returns return with the same shape tensor list of files name cat garden true if file exists .
an honest and moving film good too long , without single idea bad scene music loud sat on mat"""
WORDS = sorted({*TEXT.split()})
MODELS = ("runs/quickstart", "runs/other", "runs/finetuned", "google-bert/bert-base-uncased", "CHECKPOINT")
ATTENTION = """import torch

def attention(query, key, value, keep=None, dropout=0.0):
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if keep is None:
        return torch.softmax(scores, -1) @ value
    weights = torch.softmax(scores.masked_fill(~keep, -torch.inf), -1)
    return weights.nan_to_num() @ value
"""
OWN_ATTENTION = ATTENTION.replace("attention", "my_attention")
EXERCISE = ATTENTION.replace("attention", "scaled_dot_product_attention")
LETTERS = ["d a c b", "a b", "b a c", "c a", "b d", "a c d"]
SENTENCES = ["a man is in the garden .", "the cat sat on the mat .", "a new film .", "a list of files .", "a dog ."]


def random_documents(count: int) -> list[list[str]]:
    """Return documents of four sentences with six words."""
    generator = np.random.default_rng(0)
    return [[" ".join(generator.choice(WORDS, 6)) for _ in range(4)] for _ in range(count)]


def small_corpus() -> Corpus:
    """Return a text in place of the docstrings of Python."""
    documents = [Document(f"module{number}", tuple(found)) for number, found in enumerate(random_documents(60))]
    return Corpus("a small text", "small", documents, ("random words",))


def write_files() -> None:
    """Write small models, texts, tables and code to the current folder, under the names that the guides use."""
    for name in MODELS:
        write_checkpoint(name, WORDS, BertForPreTraining, max_position_embeddings=64)
    write_gpt2("gpt2", WORDS)
    train = "sentence\tlabel\nan honest and moving film\tgood\ntoo long , and without a single idea\tbad\n"
    documents = "\n\n".join("\n".join(sentences) for sentences in random_documents(60))
    german = "\n".join(sentence.upper() for sentence in SENTENCES) + "\n"
    english = "\n".join(SENTENCES) + "\n"
    files = {
        "texts.txt": "a tensor\na list of files\nthe same cat\n",
        "texts.tsv": "text\nthe cat\na garden\n",
        "new.txt": "a moving film\n",
        "my_text/text.txt": documents,
        "my.py": OWN_ATTENTION,
        "my_attention.py": ATTENTION,
        "FILE.py": EXERCISE,
        "exercises/04_scaled_dot_product_attention.py": EXERCISE,
        "train.tsv": train,
        "validation.tsv": train.replace("film", "scene").replace("idea", "scene"),
        **dict.fromkeys(("train.de", "val.de", "test.de"), german),
        **dict.fromkeys(("train.en", "val.en"), english),
        "submissions/Ada/softmax.py": "import torch\n\ndef softmax(scores):\n    return torch.softmax(scores, -1)\n",
        "some_submission/softmax.py": "import torch\n\ndef softmax(scores):\n    return torch.softmax(scores, -1)\n",
    }
    for name, content in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")


def run_line(line: str, more: Sequence[str] = (), entered: str = "") -> str:
    """Run a line of a console, and return what its last program prints.

    Args:
        more: options that are added to a command of minibert, such as fewer steps.
        entered: text that the reader types.
    """
    printed, parts = "", list(programs(line))
    for (operator, words), (next_operator, next_words) in zip(parts, [*parts[1:], ("", [])], strict=True):
        if operator == ">":
            Path(words[0]).write_text(printed, encoding="utf-8")
        elif operator != "<":
            piped = printed if operator == "|" else entered
            printed = run_program(words, Path(next_words[0]).read_text() if next_operator == "<" else piped, more)
    return printed


def run_program(words: list[str], entered: str, more: Sequence[str]) -> str:
    """Run a program in the current folder with a text as its standard input, and return what it prints."""
    if words[0] != "minibert":
        command = ["bash", "-c", shlex.join(words)]  # with assignments before the name of the program
        return subprocess.run(command, input=entered, stdout=subprocess.PIPE, text=True, check=True).stdout
    with (
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(entered.encode()), encoding="utf-8")),
        redirect_stdout(io.StringIO()) as output,
    ):
        code = main([*words[1:], *more])
    assert code == 0, output.getvalue()
    return output.getvalue()
