"""A user's function in the sandbox: code that does not end, uses too much or breaks things gives one clear sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from minibert.sandbox import Limits
from minibert.study.checked_attention import UserCodeError
from minibert.study.user_code import UserCode

LIMITS = Limits(seconds=5, memory=2**30, files=4 * 2**20, printed=2**20, answer=2**20, processes=4)
FORK_BOMB = """
    import _posixsubprocess
    for _ in range(64):
        read, write = os.pipe()
        _posixsubprocess.fork_exec([sys.executable.encode(), b"-c", b"import time; time.sleep(600)"], [sys.executable.encode()],
            True, (), None, None, -1, -1, -1, -1, -1, -1, read, write, False, True, -1, None, None, None, -1, None, True)
    time.sleep(600)
"""
HOSTILE = {
    "an endless loop": (
        "\n    while True: pass",
        "line 4: The code did not finish in 0.5 seconds. Is there an endless loop? Yes.",
    ),
    "os._exit": ("os._exit(0)", "The code ends its process, with exit code 0."),
    "a fork bomb": ("\n    for _ in range(64): os.fork()", "The code starts a process."),
    "a fork bomb that is not seen by Python": (FORK_BOMB, "The code started more than 4 processes."),
    "10 GB": ("torch.ones(10 * 2**30, dtype=torch.uint8)", "The code needs more than 1 GB of memory."),
    "10 GB of bytes": ("bytes(10 * 2**30)", "The code needs more than 1 GB of memory."),
    "a flood": ("\n    while True: print('x' * 1000)", "The code printed more than 1 MB."),
    "a crash": ("os.abort()", "The code crashes its process (SIG"),
    "sys.exit": ("sys.exit(3)", "The code ends Python with SystemExit: 3"),
    "its parent": ("os.kill(os.getppid(), 9)", "The code sends a signal to a process."),
    "a large result": ("return torch.ones(2**20)", "The function returned more than 1 MB."),
    "an exception": ("1 / 0", "line 3, in mine: ZeroDivisionError: division by zero"),
    "no numbers": ("return torch.ones(2, device='meta')", "meta tensor"),
}


def compute(function: Callable[..., Any], *arguments: Any) -> tuple[str, dict[str, Any]]:
    return "done", {"output": function(*arguments)}


def file_with(folder: Path, body: str) -> Path:
    (folder / "mine.py").write_text(f"import os, shutil, sys, time, torch, pathlib\ndef mine(x):\n    {body}\n    return x\n")
    return folder / "mine.py"


@pytest.mark.parametrize(("body", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_code_gives_one_sentence(tmp_path: Path, body: str, message: str) -> None:
    """For every call, also after the first one."""
    limits = Limits(seconds=0.5) if "endless" in message else LIMITS
    file = file_with(tmp_path, body)
    with UserCode(f"{file}:mine", compute, print, limits, "Yes.") as code:
        for _ in range(2):
            with pytest.raises(UserCodeError) as caught:
                code(torch.ones(2))
            assert message in str(caught.value)
            assert str(caught.value).startswith(str(file))


def test_code_that_deletes_its_folder_deletes_a_copy(tmp_path: Path) -> None:
    file = file_with(tmp_path, "shutil.rmtree(pathlib.Path(__file__).parent); shutil.rmtree('.', ignore_errors=True)")
    with UserCode(f"{file}:mine", compute, print, LIMITS) as code:
        description, tensors = code(torch.ones(2))
    assert (description, tensors["output"].tolist()) == ("done", [1.0, 1.0])
    assert file.is_file()


def test_printed_text_is_shown_at_the_end(tmp_path: Path) -> None:
    shown: list[str] = []
    with UserCode(f"{file_with(tmp_path, 'print(1)')}:mine", compute, shown.append, LIMITS) as code:
        code(torch.ones(1))
        code(torch.ones(1))
    assert shown == ["1\n1"]
