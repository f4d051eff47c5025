"""A user's own attention function, run in a subprocess with limits on time, memory and file size.

The limits protect against accidents (an endless loop, a huge tensor, a crash), not against an attacker.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from minibert.model import load
from minibert.observe import observe
from minibert.study.verify.inputs import Inputs
from minibert.study.verify.stages import Stages, minibert_stages

CPU_SECONDS = 120
"""Limit of processor time. The time limit of the whole subprocess is twice as long."""
MEMORY_BYTES = 8 * 2**30
"""Limit of the address space."""
FILE_BYTES = 2**30
"""Limit of the size of a file that the subprocess writes."""
STDERR_BYTES = 10_000
"""Length of the end of the error output that is searched for the error message."""


class UserCodeError(Exception):
    """An error in the user's code. The message is that of the code."""


def user_attention_stages(location: str, source: str | Path, inputs: Inputs, dtype: torch.dtype) -> Stages:
    """Compute `minibert_stages` with a user's attention function, in a subprocess.

    Args:
        location: file and function, such as `my.py:my_attention`.
        source: the checkpoint.
        inputs: the inputs of the network.
        dtype: type of the weights.

    Raises: UserCodeError with the message of the code, or if a limit is exceeded.
    """
    with tempfile.TemporaryDirectory() as folder:
        inputs_file, stages_file = Path(folder) / "inputs.safetensors", Path(folder) / "stages.safetensors"
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in inputs.items()}, inputs_file)
        arguments = [str(source), location, str(dtype).removeprefix("torch."), str(inputs_file), str(stages_file)]
        command = [sys.executable, "-m", "minibert.study.verify.sandbox", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (Path(folder) / "stderr.txt").open("w+", encoding="utf-8", errors="replace") as stderr:
            try:
                process = subprocess.run(
                    command, stdout=subprocess.DEVNULL, stderr=stderr, timeout=2 * CPU_SECONDS, env=environment, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise UserCodeError(f"{location}: not finished after {2 * CPU_SECONDS} seconds, so stopped") from error
            stderr.seek(max(0, stderr.tell() - STDERR_BYTES))
            message = stderr.read()
        if process.returncode or not stages_file.is_file():
            raise UserCodeError(f"{location}: {_error_message(process.returncode, message)}")
        return safetensors.torch.load_file(stages_file)


def load_function(location: str) -> Callable[..., Any]:
    """Import the function at `FILE.py:NAME`.

    Raises: UserCodeError if there is no such function, and any exception of the file itself.
    """
    file, _, name = location.rpartition(":")
    spec = importlib.util.spec_from_file_location("user_code", file)
    if not Path(file).is_file() or spec is None or spec.loader is None:
        raise UserCodeError(f"Python file {file!r} not found: give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        raise UserCodeError(f"{file} has no function {name!r}")
    return function


def _error_message(exit_code: int, stderr: str) -> str:
    """Return the last line of the error output, which is the exception, or a description of the exit code."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    if exit_code < 0:
        limits = f"{CPU_SECONDS} s of processor time, {MEMORY_BYTES // 2**30} GB of memory"
        return f"stopped by signal {-exit_code}. The limits are {limits}"
    return lines[-1] if lines else f"exit code {exit_code} without an error message"


def _main(source: str, location: str, dtype: str, inputs_file: str, stages_file: str) -> None:
    """Compute the stages in the subprocess, and save them."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    function = load_function(location)

    def attention(*arguments: Any) -> Any:
        return observe("context", function(*arguments))

    model = load(source, attention=attention, dtype=getattr(torch, dtype))
    stages = minibert_stages(model, safetensors.torch.load_file(inputs_file))
    safetensors.torch.save_file({name: tensor.contiguous().clone() for name, tensor in stages.items()}, stages_file)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except UserCodeError as error:
        sys.exit(str(error))
