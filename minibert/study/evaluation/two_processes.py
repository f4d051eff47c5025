"""The computation of logits in two processes: each loads the model again and computes a part of the examples."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessException, spawn

from minibert.text.batching import IntArray, split_micro_batches
from minibert.text.labeled.examples import Example
from minibert.training.logits import compute_logits
from minibert.training.task_type import Logits
from minibert.training.trained import TrainedModel, load_trained

PROCESSES = 2


def logits_in_two_processes(trained: TrainedModel[Any], examples: Sequence[Example], pad_id: int) -> list[Logits]:
    """Compute the logits of every example, in order and without padding, in two new processes.

    The examples are split as in training. The processes exchange their results with gloo, on the device of the model.

    Raises: RuntimeError with the message of a process that failed.
    """
    parameter = next(trained.network.parameters())
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, trained.source, examples, pad_id, str(parameter.device), parameter.dtype)
        try:
            spawn(_work, arguments, nprocs=PROCESSES)  # type: ignore[no-untyped-call]
        except ProcessException as error:  # raised in a process, or a process that was killed
            raise RuntimeError(str(error).strip().splitlines()[-1]) from error
        collected: list[Logits] = torch.load(_result_file(folder), weights_only=False)
    return collected


def _result_file(folder: str) -> Path:
    return Path(folder) / "logits.pt"


def _work(
    rank: int, folder: str, source: str, examples: Sequence[Example], pad_id: int, device: str, dtype: torch.dtype
) -> None:
    """Compute the part of one process, and collect all parts in the first process."""
    torch.set_num_threads(max(1, torch.get_num_threads() // PROCESSES))
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    trained = load_trained(source, device, dtype)
    indices = part_of(rank, examples)
    own = compute_logits(trained.network, trained.type, [examples[index] for index in indices], pad_id)
    parts: list[Any] = [None] * PROCESSES
    distributed.all_gather_object(parts, dict(zip(indices.tolist(), own, strict=True)))
    if rank == 0:
        collected = {index: logits for part in parts for index, logits in part.items()}
        torch.save([collected[index] for index in range(len(examples))], _result_file(folder))
    distributed.destroy_process_group()


def part_of(rank: int, examples: Sequence[Example]) -> IntArray:
    """Return the indices of the examples of a process."""
    lengths = np.array([len(example.input_ids) for example in examples], dtype=np.int64)
    (indices,) = split_micro_batches(np.arange(len(examples)), lengths, rank, PROCESSES)
    return indices
