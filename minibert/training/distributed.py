"""More than one process: PyTorch's own engines, started by `torchrun`. A single process runs the same lines."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from minibert.model.layers import EncoderLayer
from minibert.training.options import Sharding

TIMEOUT = timedelta(hours=24)
"""How long a process waits for the others: one of them may be reading a large corpus, or learning its vocabulary. That one of
them has gone is noticed at once."""


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """The processes that train one model, as one of them sees it."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """Whether this one writes the files and speaks to the user."""
        return self.rank == 0

    def total(self, parts: Mapping[str, Tensor | float]) -> dict[str, float]:
        """The sum over all processes, of each entry."""
        values = torch.zeros(len(parts), dtype=torch.float64, device=self.device)
        for place, value in enumerate(parts.values()):
            values[place] = value
        if self.count > 1:
            distributed.all_reduce(values)
        return dict(zip(parts, values.tolist(), strict=True))

    def agree(self, problem: str) -> str:
        """The first problem that any process has, in all of them; "" if there is none."""
        if self.count == 1:
            return problem
        every: list[Any] = [None] * self.count
        distributed.all_gather_object(every, problem)
        return next((text for text in every if text), "")

    def wait(self) -> None:
        """Goes on when all have come here."""
        if self.count > 1:
            distributed.barrier(device_ids=[self.local_rank] if self.device.type == "cuda" else None)

    def leave(self) -> None:
        """Ends the work in common."""
        if self.count > 1:
            distributed.destroy_process_group()


SINGLE_PROCESS = Processes()


def join(device: str = "auto") -> Processes:
    """Meets the other processes that `torchrun` has started; without it there is this one alone.

    Args:
        device: "cpu", "cuda", or "auto" for CUDA where there is one. Each process of a machine takes a GPU of its own.

    Raises: ValueError if there is no such device.
    """
    device = choose_device(device)
    rank, count, local_rank = (int(os.environ.get(name, default)) for name, default in TORCHRUN.items())
    here = torch.device("cuda", local_rank) if device == "cuda" else torch.device("cpu")
    if here.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ValueError(f"process {local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}")
        torch.cuda.set_device(here)
    if count > 1:
        distributed.init_process_group("nccl" if here.type == "cuda" else "gloo", timeout=TIMEOUT)
    return Processes(rank, count, local_rank, here)


def choose_device(device: str) -> str:
    """cpu or cuda: auto is CUDA where there is one. Raises: ValueError for what is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r}: must be auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here, or this torch was built without CUDA: take --device cpu")
    return device


TORCHRUN = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""What torchrun says in the environment, and what holds without it."""


def parallelize(model: nn.Module, sharding: Sharding, processes: Processes) -> nn.Module:
    """The model as all processes train it together; it must be the same in all of them, on `processes.device`."""
    if processes.count == 1:
        return model
    if sharding == "ddp":
        return DistributedDataParallel(model, device_ids=[processes.local_rank] if processes.device.type == "cuda" else None)
    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for layer in [module for module in model.modules() if isinstance(module, EncoderLayer)]:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for way_in in ("encode", "decode"):  # generation goes round `forward`, where the parts are put together
        if hasattr(model, way_in):
            register_fsdp_forward_method(model, way_in)
    return model


def set_gradient_sync(model: nn.Module, now: bool) -> None:
    """Whether the next backward pass hands the gradients around: after the last micro-batch of a step is soon enough."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = now
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(now)


def reshard(model: nn.Module) -> None:
    """Every process keeps its own part alone again: after a forward pass that no backward pass has followed."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def gradient_norm(model: nn.Module, max_grad_norm: float) -> float:
    """The length of all gradients together, which are then shortened to `max_grad_norm` if they are longer."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    return (norm.full_tensor() if isinstance(norm, DTensor) else norm).item()
