"""Stopping and going on: everything that a training run needs besides its model and its place in the data."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.files import write_atomically


def save_state(path: Path, step: int, optimizer: Optimizer, schedule: LRScheduler) -> None:
    """Writes the number of the last finished step, the optimizer, the schedule and torch's random state, atomically."""
    buffer = BytesIO()
    stored = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(), "random": torch.get_rng_state()}
    torch.save({"step": step, **stored}, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path, optimizer: Optimizer, schedule: LRScheduler) -> int:
    """Puts optimizer, schedule and torch's random state back as they were, and returns the number of the last step."""
    stored: dict[str, Any] = torch.load(path, weights_only=True)
    optimizer.load_state_dict(stored["optimizer"])
    schedule.load_state_dict(stored["schedule"])
    torch.set_rng_state(stored["random"])
    return int(stored["step"])
