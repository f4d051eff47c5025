"""The length of the quickstart: as many steps as this machine can do in the time that was asked for."""

import json
import platform
import time
from dataclasses import dataclass

import numpy as np
import torch

from minibert.files import cache_directory, write_atomically
from minibert.study.quickstart import FINE_TUNING_SEEDS, QuickstartData, pretraining_task
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.options import DeviceOptions

FINE_TUNING_SHARE = 0.15 / 0.85
"""Share of the time of training that is for fine-tuning; the rest is for pretraining."""
MAX_EPOCHS = 8
"""Maximum number of fine-tuning epochs. With twice as many, training from scratch comes closer to fine-tuning."""
MEASURED_STEPS = 24


@dataclass(frozen=True)
class Plan:
    """Length of the quickstart. It is chosen before pretraining and kept on resume."""

    steps: int
    """Optimizer updates of pretraining."""
    epochs: int
    """Epochs of each fine-tuning."""


def make_plan(data: QuickstartData, seconds: float, seed: int) -> Plan:
    """Choose as many steps and epochs as this machine can do in `seconds` of training.

    The speed of the machine is measured once and stored in the cache, so that the same seed gives the same results again.
    """
    machine = f"{platform.node()}-{torch.get_num_threads()}-torch-{torch.__version__}"
    cache = cache_directory() / f"speed-{machine}.json"
    try:
        seconds_per_step = float(json.loads(cache.read_text(encoding="utf-8"))["seconds_per_step"])
    except (OSError, ValueError, TypeError, KeyError):  # not in the cache, or damaged
        seconds_per_step = _measure_seconds_per_step(data, seed)
        write_atomically(cache, json.dumps({"seconds_per_step": seconds_per_step}))
    steps = seconds / seconds_per_step
    steps_per_epoch = len(FINE_TUNING_SEEDS) * 2 * 2  # time of an epoch for every seed and start, in pretraining steps
    return Plan(
        steps=max(8, round((1 - FINE_TUNING_SHARE) * steps)),
        epochs=min(MAX_EPOCHS, max(1, int(FINE_TUNING_SHARE * steps / steps_per_epoch))),
    )


def _measure_seconds_per_step(data: QuickstartData, seed: int) -> float:
    """Measure the median duration of a pretraining step."""
    run = pretraining_task(data, MEASURED_STEPS, seed).make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
    times = [time.perf_counter() for _ in run.run()]
    return float(np.median(np.diff(times)[MEASURED_STEPS // 4 :]))
