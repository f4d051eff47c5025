"""Checkpoint folders that are either complete or absent, and the states of the random number generators."""

import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from minibert.files import flush_folder, make_folder, write_atomically
from minibert.training.distributed import Processes

CHECKSUMS_FILE = "checksums.json"


class Checkpoints:
    """The latest checkpoints of a run: folders `step-000100` and so on, each complete or absent.

    Args:
        directory: the parent folder of the checkpoints.
        keep: number of checkpoints to keep, at least 1. Older ones are deleted, except that of `kept_step`.
    """

    kept_step: int | None = None
    """A step whose checkpoint is not deleted, such as that of the best evaluation."""

    def __init__(self, directory: str | Path, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep {keep}: must be at least 1")
        self.directory = Path(directory)
        self.keep = keep

    def __repr__(self) -> str:
        return f"Checkpoints({str(self.directory)!r}, keep={self.keep})"

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Create the checkpoint of a step from the files that `write` puts into the folder passed to it.

        The files are written to a temporary folder and flushed to the disk. Then the folder is renamed. Old checkpoints are
        deleted last.

        Raises: OSError for a full disk or a read-only folder. Earlier checkpoints are then unchanged.
        """
        make_folder(self.directory)
        for leftover in self.directory.glob(".*.partial"):
            shutil.rmtree(leftover)
        final = self.directory / f"step-{step:06d}"
        partial = self.directory / f".{final.name}.partial"
        partial.mkdir()
        try:
            write(partial)
            files = sorted(path for path in partial.rglob("*") if path.is_file())
            checksums = {file.relative_to(partial).as_posix(): _checksum(file) for file in files}
            write_atomically(partial / CHECKSUMS_FILE, json.dumps(checksums, indent=1) + "\n")
            for folder in (partial, *{file.parent for file in files}):
                flush_folder(folder)
            shutil.rmtree(final, ignore_errors=True)  # exists only if it is damaged: else the run had resumed from it
            partial.rename(final)
            flush_folder(self.directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        newer = [folder for folder in self._folders() if _step(folder) > step]  # damaged, for the same reason
        for old in newer + self._folders()[len(newer) + self.keep :]:
            if _step(old) != self.kept_step:
                shutil.rmtree(old)
        return final

    def newest(self) -> Path | None:
        """Return the latest undamaged checkpoint; None if there is none."""
        return next((folder for folder in self._folders() if _is_complete(folder)), None)

    def of_step(self, step: int) -> Path | None:
        """Return the checkpoint of a step; None if there is none, or if it is damaged."""
        return next((folder for folder in self._folders() if _step(folder) == step and _is_complete(folder)), None)

    def _folders(self) -> list[Path]:
        """List all checkpoint folders, newest first."""
        folders = [path for path in self.directory.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
        return sorted(folders, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _is_complete(folder: Path) -> bool:
    try:
        checksums = json.loads((folder / CHECKSUMS_FILE).read_text())
        is_table = isinstance(checksums, dict) and len(checksums) > 0
        return is_table and all(_checksum(folder / name) == expected for name, expected in checksums.items())
    except (OSError, ValueError, RecursionError):
        return False


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def set_seed(seed: int) -> None:
    """Seed the generators whose states a checkpoint has. Otherwise equal runs would write different checkpoints."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator, used by other libraries
    random.seed(seed)


def random_states(processes: Processes) -> list[dict[str, Any]]:
    """Collect the random number generator states of every process: torch (CPU and its GPU), numpy and Python."""
    kind, keys, *position = np.random.get_state(legacy=True)  # noqa: NPY002 - the global generator, used by other libraries
    own = {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(processes.device) if processes.device.type == "cuda" else None,
        "numpy": [kind, np.asarray(keys).tolist(), *position],
        "python": random.getstate(),
    }
    if processes.world_size == 1:
        return [own]
    states: list[Any] = [None] * processes.world_size
    distributed.all_gather_object(states, own)
    return states


def set_random_state(states: list[dict[str, Any]], processes: Processes) -> None:
    """Restore this process's state from `random_states`. A process without a stored state keeps its current one."""
    if processes.rank >= len(states):
        return
    state = states[processes.rank]
    torch.set_rng_state(state["torch"])
    if processes.device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], processes.device)
    kind, keys, *position = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *position))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
