"""Peak memory of a computation: what it adds to the memory that its process or its GPU has in use before."""

from collections.abc import Callable
from pathlib import Path

import torch


def added_mebibytes(compute: Callable[[], object]) -> float:
    """Run a computation and return the largest number of mebibytes that it adds.

    On a CPU, use a new process for each measurement: freed memory that a process keeps would be used again, unnoticed.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        compute()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts again at the memory of now
    before = _kibibytes("VmRSS")
    compute()
    return (_kibibytes("VmHWM") - before) / 2**10


def _kibibytes(name: str) -> int:
    """Return a number that Linux has about this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
