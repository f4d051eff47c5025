"""The length of the quickstart: as many steps as this machine can do in the time that was asked for."""

import json
import math
import platform
import time
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch

from minibert.files import cache_directory, write_atomically
from minibert.study.quickstart import CURVE_RUNS, QuickstartData, pretraining_task
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.options import DeviceOptions

FINE_TUNING_SHARE = 0.35
"""Largest share of the time of training that is for fine-tuning; the rest is for pretraining."""
TEXTS_PER_STEP = 50
"""Number of labeled texts that fine-tuning processes in the time of a pretraining step."""
STEPS_PER_RUN = 4
"""Time of everything but training in a fine-tuning, such as its evaluation, in pretraining steps."""
MIN_EPOCH_FACTOR = 0.1
MEASURED_STEPS = 24
FASTEST = 1e-4
"""Seconds per step that no machine is faster than. A clock that stands still would give zero."""


@dataclass(frozen=True)
class Plan:
    """Length of the quickstart. It is chosen before pretraining and kept on resume."""

    steps: int
    """Optimizer updates of pretraining."""
    epoch_factor: float
    """Factor on the number of epochs of each fine-tuning, at most 1."""

    @property
    def pretraining_share(self) -> float:
        """Share of the time of training that is for pretraining."""
        return self.steps / (self.steps + _fine_tuning_steps(self.epoch_factor))


def make_plan(data: QuickstartData, seconds: float, seed: int) -> Plan:
    """Choose as many steps and epochs as this machine can do in `seconds` of training.

    The speed of the machine is measured once and stored in the cache, so that the same seed gives the same results again.
    """
    machine = f"{platform.node()}-{torch.get_num_threads()}-torch-{torch.__version__}"
    cache = cache_directory() / f"speed-{machine}.json"
    try:
        seconds_per_step = float(json.loads(cache.read_text(encoding="utf-8"))["seconds_per_step"])
        if not FASTEST <= seconds_per_step < math.inf:
            raise ValueError("not a duration")
    except (OSError, ValueError, TypeError, KeyError):  # not in the cache, or damaged
        seconds_per_step = max(FASTEST, _measure_seconds_per_step(data, seed))
        with suppress(OSError):  # the cache may be read-only
            write_atomically(cache, json.dumps({"seconds_per_step": seconds_per_step}))
    return divide_time(seconds / seconds_per_step)


def divide_time(steps: float) -> Plan:
    """Divide the time of this number of pretraining steps between pretraining and fine-tuning."""
    fixed = _fine_tuning_steps(0)
    factor = (FINE_TUNING_SHARE * steps - fixed) / (_fine_tuning_steps(1) - fixed)
    factor = round(min(1.0, max(MIN_EPOCH_FACTOR, factor)), 3)
    return Plan(max(8, round(steps - _fine_tuning_steps(factor))), factor)


def _fine_tuning_steps(epoch_factor: float) -> float:
    """Return the time of all fine-tunings, in pretraining steps."""
    texts = epoch_factor * sum(run.point.texts for run in CURVE_RUNS)
    return texts / TEXTS_PER_STEP + STEPS_PER_RUN * len(CURVE_RUNS)


def _measure_seconds_per_step(data: QuickstartData, seed: int) -> float:
    """Measure the median duration of a pretraining step."""
    run = pretraining_task(data, MEASURED_STEPS, seed).make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
    times = [time.perf_counter() for _ in run.run()]
    return float(np.median(np.diff(times)[MEASURED_STEPS // 4 :]))
