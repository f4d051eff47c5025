"""Stopping and going on: checkpoints that are whole or not there, and everything that is random."""

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from minibert.files import write_atomically
from minibert.training.distributed import Processes

CHECKSUMS = "checksums.json"


class Checkpoints:
    """The last checkpoints of a run: folders `step-000100` and so on, each whole or not there at all.

    Args:
        directory: where the folders are.
        keep: how many of them stay.
    """

    def __init__(self, directory: Path, keep: int = 2) -> None:
        self.directory = directory
        self.keep = keep

    def save(self, step: int, write: Callable[[Path], None]) -> Path:
        """Makes the checkpoint of a step of what `write` puts into the folder that it is given.

        It is written beside, brought to the disk, and then renamed. Only after that an old one is deleted.

        Raises: OSError for a full disk or a folder that is read-only; the checkpoints before are then as they were.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        for left_over in self.directory.glob(".*.partial"):
            shutil.rmtree(left_over)
        final = self.directory / f"step-{step:06d}"
        partial = self.directory / f".{final.name}.partial"
        partial.mkdir()
        try:
            write(partial)
            loss_sums = {file.name: _checksum(file) for file in sorted(partial.iterdir())}
            write_atomically(partial / CHECKSUMS, json.dumps(loss_sums, indent=1) + "\n")
            _flush(partial)
            shutil.rmtree(final, ignore_errors=True)  # there only if it is damaged: a whole one would have been gone on from
            partial.rename(final)
            _flush(self.directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        newer = [folder for folder in self._folders() if _step(folder) > step]  # damaged, or it would have been gone on from
        for old in newer + self._folders()[len(newer) + self.keep :]:
            shutil.rmtree(old)
        return final

    def newest(self) -> Path | None:
        """The last checkpoint that is as it was written; None if there is none."""
        return next((folder for folder in self._folders() if _is_whole(folder)), None)

    def _folders(self) -> list[Path]:
        """Newest first."""
        found = [path for path in self.directory.glob("step-*") if re.fullmatch(r"step-\d+", path.name)]
        return sorted(found, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _is_whole(folder: Path) -> bool:
    try:
        loss_sums = json.loads((folder / CHECKSUMS).read_text())
        return all(_checksum(folder / name) == expected for name, expected in loss_sums.items())
    except (OSError, ValueError):
        return False


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _flush(folder: Path) -> None:
    """Brings the names in a folder to the disk, which writing the files does not."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def random_states(processes: Processes) -> list[dict[str, Any]]:
    """What the next random numbers depend on, of each process: torch on the CPU and its GPU, numpy, Python."""
    kind, keys, *place = np.random.get_state(legacy=True)  # noqa: NPY002 - the one that other libraries draw from
    own = {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(processes.device) if processes.device.type == "cuda" else None,
        "numpy": [kind, np.asarray(keys).tolist(), *place],
        "python": random.getstate(),
    }
    if processes.count == 1:
        return [own]
    every: list[Any] = [None] * processes.count
    distributed.all_gather_object(every, own)
    return every


def set_random_state(states: list[dict[str, Any]], processes: Processes) -> None:
    """Puts back what `random_states` has seen; a process that was not there then keeps its own."""
    if processes.rank >= len(states):
        return
    state = states[processes.rank]
    torch.set_rng_state(state["torch"])
    if processes.device.type == "cuda" and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"], processes.device)
    kind, keys, *place = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *place))  # noqa: NPY002
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
