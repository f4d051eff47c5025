"""Limits of the process that runs a learner's code."""

import resource
from dataclasses import dataclass
from pathlib import Path


class Stopped(Exception):
    """The code exceeded a limit or did what it must not do. The text is the reason, a sentence for the learner."""

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


@dataclass(frozen=True)
class Limits:
    """Limits of one session."""

    seconds: float = 10.0
    """Time to import the code and for all calls together."""
    memory: int = 2 * 2**30
    """Bytes of memory, in addition to PyTorch itself."""
    processes: int = 8
    """Processes that run at the same time."""
    files: int = 64 * 2**20
    """Bytes of a file, and of all files in the temporary folder together."""
    printed: int = 8 * 2**20
    """Bytes of printed text. Only the beginning is kept."""
    answer: int = 64 * 2**20
    """Bytes of the results of one call."""

    @property
    def too_slow(self) -> str:
        return f"The code did not finish in {self.seconds:g} seconds. Is there an endless loop?"

    @property
    def too_much_memory(self) -> str:
        return f"The code needs more than {_size(self.memory)} of memory."

    @property
    def too_many_processes(self) -> str:
        return f"The code started more than {self.processes} processes."

    @property
    def too_large_files(self) -> str:
        return f"The code wrote more than {_size(self.files)} to files."

    @property
    def too_much_text(self) -> str:
        return f"The code printed more than {_size(self.printed)}."

    @property
    def too_large_answer(self) -> str:
        return f"The function returned more than {_size(self.answer)}."

    def exceeded_in(self, error: str) -> str | None:
        """Return the limit that caused an exception, given its type and text."""
        if is_out_of_memory(error):
            return self.too_much_memory
        return self.too_large_files if "[Errno 27]" in error else None  # EFBIG

    def apply(self) -> None:
        """Set the limits of the operating system for this process and for those that it starts."""
        statm = Path("/proc/self/statm")
        used = int(statm.read_text().split()[0]) * resource.getpagesize() if statm.exists() else 2**33
        seconds = int(4 * self.seconds) + 4  # of the processor. The supervisor measures time; this is for what escapes from it.
        for limit, most in (
            (resource.RLIMIT_AS, used + self.memory),
            (resource.RLIMIT_FSIZE, self.files),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_CPU, seconds),
        ):
            hard = resource.getrlimit(limit)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(limit, (most, most))


def is_out_of_memory(error: str) -> bool:
    """Return True if an exception, given its type and text, is about memory."""
    return any(
        words in error.lower() for words in ("memoryerror", "can't allocate memory", "cannot allocate memory", "bad_alloc")
    )


def _size(count: int) -> str:
    return f"{count / 2**30:g} GB" if count >= 2**30 else f"{count / 2**20:g} MB"
