"""A user's own attention function, run in a subprocess with limits on time, memory and file size.

The limits protect against accidents (an endless loop, a huge tensor, a crash), not against an attacker.
"""

import contextlib
import faulthandler
import importlib.util
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from minibert.model import load
from minibert.study.checked_attention import CheckedAttention, UserCodeError
from minibert.study.verify.inputs import Inputs
from minibert.study.verify.stages import Stages, minibert_stages

TIME_LIMIT = 60.0
"""Default limit of the time for the user's file and function, in seconds."""
LOADING_SECONDS = 120
"""Limit of the time to start Python and to load the checkpoint."""
MEMORY_BYTES = 8 * 2**30
"""Limit of the address space."""
FILE_BYTES = 2**30
"""Limit of the size of a file that the subprocess writes."""
PRINTED_BYTES = 10_000
"""Length of the printed text that is passed on."""
MESSAGE_LENGTH = 500
"""Length of an error message that is passed on."""

ENVIRONMENT = re.compile(
    r"PATH|HOME|LANG|LC_\w+|LD_LIBRARY_PATH|TMPDIR|XDG_CACHE_HOME|HF_(HOME|HUB_CACHE|HUB_OFFLINE)|MINIBERT_\w+|\w+_THREADS"
)
"""Variables of the environment that the subprocess gets. The others may be secrets."""

PROBE = "probe."
"""Prefix of the results of the function on the inputs of `probes`, in the file of the stages."""
INPUTS, STAGES, ERROR, PRINTED, TIMEOUT = "inputs.safetensors", "stages.safetensors", "error.json", "printed.txt", "timeout.txt"


@dataclass(frozen=True)
class UserRun:
    """The results of a user's attention function."""

    stages: Stages
    """The stages of the network with this function."""
    probes: dict[str, Tensor]
    """The results of the function for `probes`, without those that it cannot process."""


def run_user_attention(
    location: str,
    source: str | Path,
    inputs: Inputs,
    dtype: torch.dtype,
    show: Callable[[str], None],
    time_limit: float = TIME_LIMIT,
) -> UserRun:
    """Run a network with a user's attention function, and the function alone on `probes`, in a subprocess.

    Args:
        location: file and function, such as `my.py:my_attention`.
        source: the checkpoint.
        inputs: the inputs of the network.
        dtype: type of the weights.
        show: a function that receives everything that the user's code prints, also before an error.
        time_limit: seconds after which the code is stopped.

    Raises: UserCodeError for an exception or an invalid result of the code, with its line, or if a limit is exceeded.
    """
    settings = [str(source), str(dtype).removeprefix("torch.")]
    tensors = run_limited("minibert.study.verify.sandbox", location, settings, inputs, show, time_limit)
    probed = {name: tensors.pop(f"{PROBE}{name}") for name in probes(dtype) if f"{PROBE}{name}" in tensors}
    return UserRun(tensors, probed)


def run_limited(
    module: str,
    location: str,
    settings: Sequence[str],
    inputs: Mapping[str, Tensor],
    show: Callable[[str], None],
    time_limit: float = TIME_LIMIT,
) -> dict[str, Tensor]:
    """Run a module that calls `run_child`, with a user's file, in a subprocess with limits.

    Args:
        module: name of a module of minibert. Its arguments are the folder for the files, the time limit, the location, and the
            settings.
        location, show, time_limit: as in `run_user_attention`.
        settings: more arguments of the module.
        inputs: tensors that the module can read from the file `INPUTS` in the folder.

    Raises: UserCodeError, as `run_user_attention`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        safetensors.torch.save_file({name: tensor.contiguous().clone() for name, tensor in inputs.items()}, folder / INPUTS)
        exit_code = _run_python(["-u", "-m", module, name, str(time_limit), location, *settings], folder / PRINTED, time_limit)
        if printed := _beginning(folder / PRINTED):
            show(printed)
        if (folder / ERROR).is_file():
            raise UserCodeError(json.loads((folder / ERROR).read_text(encoding="utf-8")))
        if exit_code or not (folder / STAGES).is_file():
            raise UserCodeError(_why_ended(location, exit_code, time_limit, folder / TIMEOUT))
        return safetensors.torch.load_file(folder / STAGES)


def _run_python(arguments: list[str], printed: Path, time_limit: float) -> int | None:
    """Run Python with its output in a file, and return the exit code. At the end, end all processes that it started."""
    kept = {name: value for name, value in os.environ.items() if ENVIRONMENT.fullmatch(name)}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8:backslashreplace"}
    with printed.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            return process.wait(time_limit + LOADING_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _beginning(printed: Path) -> str:
    with printed.open("rb") as file:
        text = file.read(PRINTED_BYTES).decode("utf-8", "replace").expandtabs().rstrip("\n")
    size = printed.stat().st_size
    return text + (f"\n[{size - PRINTED_BYTES:,} more bytes]" if size > PRINTED_BYTES else "")


def _why_ended(location: str, exit_code: int | None, time_limit: float, timeout: Path) -> str:
    """Describe the end of a subprocess that has left neither a result nor an error."""
    stack = timeout.read_text(errors="replace") if timeout.is_file() else ""
    if stack or exit_code is None:
        shown = location.rpartition(":")[0]
        file = str(Path(shown).resolve()).encode("ascii", "backslashreplace").decode()  # as faulthandler writes it
        line = re.search(rf'File "{re.escape(file)}", line (\d+) in (.*)', stack)
        where = f"{shown}, line {line[1]}, in {line[2]}" if line else location
        return f"{where}: not finished after {time_limit:g} seconds, so stopped. --time-limit SECONDS changes this limit"
    if exit_code < 0:
        return f"{location}: ended by signal {-exit_code}. The limit of the memory is {MEMORY_BYTES // 2**30} GB"
    return f"{location}: ended Python with exit code {exit_code} before the result was complete"


def load_function(location: str) -> Callable[..., Any]:
    """Import the function at `FILE.py:NAME`. Modules in the folder of the file can be imported by it.

    Raises: UserCodeError if there is no such function, and any exception of the file itself.
    """
    shown, _, name = location.rpartition(":")
    file = Path(shown).resolve()
    if not shown or not file.is_file() or file.suffix != ".py":
        raise UserCodeError(f"Python file {shown or location} not found: give FILE.py:FUNCTION")
    sys.argv[:], sys.path[:0] = [str(file)], [str(file.parent)]
    spec = importlib.util.spec_from_file_location("user_code", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[..., Any] | None = getattr(module, name, None)
    if not callable(function):
        own = [each for each, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == spec.name]
        raise UserCodeError(f"{shown} has no function {name!r}; it has {', '.join(own) or 'none'}")
    return function


def probes(dtype: torch.dtype) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return inputs of attention that tell typical mistakes apart: query, key, value and keep.

    The weights of a network may be so small that a mistake hardly changes its outputs. Here the scores have a size of about 2.
    One mask has a row for each query; every row and every column of it has kept and masked entries. The other mask is that of
    padding, the same for all queries.
    """
    generator = torch.Generator().manual_seed(0)
    query, key, value = (1.5 * torch.randn(2, 3, 6, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    distance = (torch.arange(6) - torch.arange(6)[:, None]) % 6
    masks = {
        "rows": torch.stack([distance < 2, distance == 1])[:, None],
        "padding": torch.tensor([[1, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 0]]).bool()[:, None, None, :],
    }
    return {name: (query.to(dtype), key.to(dtype), value.to(dtype), keep) for name, keep in masks.items()}


@torch.no_grad()
def _probe(function: Callable[..., Tensor], dtype: torch.dtype) -> Stages:
    """Run a function on `probes`, without its printed text. It may be made for the shapes of its network only."""
    outputs = {}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        for name, arguments in probes(dtype).items():
            with contextlib.suppress(Exception):
                outputs[f"{PROBE}{name}"] = function(*arguments, 0.0)
    return outputs


def describe_error(error: BaseException, shown: str) -> str:
    """Describe an exception with the last line of the user's file that it passed through."""
    file = str(Path(shown).resolve())
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{shown}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f"{shown}, line {frames[-1].lineno}, in {frames[-1].name}" if frames else shown
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    return f"{where}: {text[:MESSAGE_LENGTH]}"


def limit_resources() -> None:
    """Limit the memory and the size of the files of this process."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_child(folder: Path, time_limit: float, location: str, compute: Callable[[], Mapping[str, Tensor]]) -> None:
    """Call a function that runs a user's code, in the subprocess of `run_limited`, and save its tensors or the error."""
    with (folder / TIMEOUT).open("w") as timeout:
        faulthandler.dump_traceback_later(time_limit, exit=True, file=timeout)
        try:
            tensors = compute()
        except UserCodeError as error:
            (folder / ERROR).write_text(json.dumps(str(error)), encoding="utf-8")
        except BaseException as error:
            message = describe_error(error, location.rpartition(":")[0])
            (folder / ERROR).write_text(json.dumps(message), encoding="utf-8")
        else:
            safetensors.torch.save_file({path: x.contiguous().clone() for path, x in tensors.items()}, folder / STAGES)
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.flush()
    os._exit(0)  # threads of the user's code may still run


def _main(name: str, time_limit: str, location: str, source: str, dtype_name: str) -> None:
    """Compute the stages in the subprocess."""
    folder, dtype = Path(name), getattr(torch, dtype_name)
    limit_resources()
    inputs = safetensors.torch.load_file(folder / INPUTS)
    with warnings.catch_warnings(action="ignore"):  # the calling process has shown them
        model = load(source, dtype=dtype)

    def compute() -> Stages:
        function = CheckedAttention(load_function(location), location)
        return minibert_stages(model.set_attention(function), inputs) | _probe(function, dtype)

    run_child(folder, float(time_limit), location, compute)


if __name__ == "__main__":
    _main(*sys.argv[1:])
