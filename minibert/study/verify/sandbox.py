"""Somebody's own attention, run apart: in another process, which may use only so much time and memory.

It is a guard against accidents (a loop without end, a gigantic tensor, a crash), not against an attacker.
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

from minibert.observe import observe
from minibert.study.verify.stages import Inputs, Stages, our_stages

SECONDS, MEMORY, WRITTEN = 120, 8 * 2**30, 2**30
"""Of processor time, of address space in bytes, and of a file in bytes."""


class UserCodeError(Exception):
    """What went wrong in somebody's own code, in their words."""


def stages_with(place: str, source: str | Path, inputs: Inputs, dtype: torch.dtype) -> Stages:
    """`our_stages` with the attention of `place`, such as `my.py:my_attention`, computed in a process of its own.

    Raises: OwnCodeError with what the code said, or that it took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "inputs.safetensors", Path(folder) / "stages.safetensors"
        safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in inputs.arguments.items()}, given)
        words = [str(source), place, str(dtype).removeprefix("torch."), str(given), str(made)]
        command = [sys.executable, "-m", "minibert.study.verify.sandbox", *words]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (Path(folder) / "errors.txt").open("w+", encoding="utf-8", errors="replace") as errors:
            try:
                done = subprocess.run(
                    command, stdout=subprocess.DEVNULL, stderr=errors, timeout=2 * SECONDS, env=environment, check=False
                )
            except subprocess.TimeoutExpired as error:
                raise UserCodeError(f"{place}: was not ready after {2 * SECONDS} seconds") from error
            errors.seek(max(0, errors.tell() - 10_000))
            said = errors.read()
        if done.returncode or not made.is_file():
            raise UserCodeError(f"{place}: {_last_words(done.returncode, said)}")
        return safetensors.torch.load_file(made)


def load_function(place: str) -> Callable[..., Any]:
    """The function that `FILE.py:NAME` names. Raises: OwnCodeError if there is none; and whatever the file itself raises."""
    file, _, name = place.rpartition(":")
    spec = importlib.util.spec_from_file_location("own_attention", file)
    if not Path(file).is_file() or spec is None or spec.loader is None:
        raise UserCodeError(f"there is no Python file {file!r}: give FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        raise UserCodeError(f"{file} has no function {name!r}")
    return function


def _last_words(code: int, said: str) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    if code < 0:
        return f"was stopped by signal {-code}: more than {SECONDS} s or {MEMORY // 2**30} GB?"
    return lines[-1] if lines else f"ended with exit code {code} and said nothing"


def _main(source: str, place: str, dtype: str, given: str, made: str) -> None:
    """The other process."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN, WRITTEN))
    function = load_function(place)

    def attention(*arguments: Any) -> Any:
        return observe("context", function(*arguments))

    stages = our_stages(source, Inputs(**safetensors.torch.load_file(given)), getattr(torch, dtype), attention)
    safetensors.torch.save_file({name: tensor.contiguous().clone() for name, tensor in stages.items()}, made)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except UserCodeError as error:
        sys.exit(str(error))
