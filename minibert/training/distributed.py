"""Training in several processes with PyTorch's DDP or FSDP2, started by `torchrun`. A single process runs the same code."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from minibert.model.layers import EncoderLayer
from minibert.training.options import Sharding

TIMEOUT = timedelta(hours=24)
"""Maximum wait for another process. It is long because one process may be preparing a large corpus. A process that exits is
noticed immediately."""
CPU = torch.device("cpu")
TORCHRUN = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
"""Environment variables set by torchrun, with the values used without it."""


@dataclass(frozen=True)
class Processes:
    """The group of processes that train one model, and the place of this process in it."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """True for the process that writes files and prints."""
        return self.rank == 0

    def all_reduce_sum(self, values: Mapping[str, Tensor | float]) -> dict[str, Tensor]:
        """Sum each entry over all processes. The sums stay on the device; see `read_numbers`."""
        totals = torch.zeros(len(values), dtype=torch.float64, device=self.device)
        for position, value in enumerate(values.values()):
            totals[position] = value
        if self.world_size > 1:
            distributed.all_reduce(totals)
        return dict(zip(values, totals, strict=True))

    def sum_numbers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sum numbers of the host over all processes. A single process does not wait for its device."""
        return dict(values) if self.world_size == 1 else read_numbers(self.all_reduce_sum(values))[0]

    def first_error(self, message: str) -> str:
        """Return the first non-empty error message of any process, the same in all of them; "" if there is none."""
        if self.world_size == 1:
            return message
        messages: list[Any] = [None] * self.world_size
        distributed.all_gather_object(messages, message)
        return next((text for text in messages if text), "")

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.world_size > 1:
            distributed.barrier(device_ids=[self.local_rank] if self.device.type == "cuda" else None)

    def close(self) -> None:
        """Leave the process group."""
        if self.world_size > 1:
            distributed.destroy_process_group()


SINGLE_PROCESS = Processes()


def read_numbers(*groups: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Copy groups of numbers from the device to the host, all at once: the host waits until the device has computed them."""
    return copy_numbers(*groups)()


def copy_numbers(*groups: Mapping[str, Tensor]) -> Callable[[], list[dict[str, float]]]:
    """Begin what `read_numbers` does, and return a function that waits for it, but not for what the device is asked later."""
    values = [value.double() for group in groups for value in group.values()]
    numbers = torch.stack(values) if values else torch.empty(0, dtype=torch.float64)
    on_host, is_copied = numbers, None
    if numbers.is_cuda:
        on_host = torch.empty_like(numbers, device=CPU, pin_memory=True).copy_(numbers, non_blocking=True)
        is_copied = torch.cuda.current_stream(numbers.device).record_event()

    def wait() -> list[dict[str, float]]:
        if is_copied is not None:
            is_copied.synchronize()
        read = iter(on_host.tolist())
        return [{name: next(read) for name in group} for group in groups]

    return wait


def start_processes(device: str = "auto") -> Processes:
    """Join the process group that `torchrun` has started. Without torchrun this process is the only one.

    Args:
        device: "cpu", "cuda", or "auto" for CUDA if it is available. Each process of a machine uses one GPU.

    Raises: ValueError if there is no such device.
    """
    device = choose_device(device)
    rank, count, local_rank = (int(os.environ.get(name, default)) for name, default in TORCHRUN.items())
    own_device = torch.device("cuda", local_rank) if device == "cuda" else CPU
    if own_device.type == "cuda":
        if local_rank >= torch.cuda.device_count():
            raise ValueError(f"process {local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}")
        torch.cuda.set_device(own_device)
    if count > 1:
        distributed.init_process_group("nccl" if own_device.type == "cuda" else "gloo", timeout=TIMEOUT)
    return Processes(rank, count, local_rank, own_device)


def choose_device(device: str) -> str:
    """Resolve "auto" to "cuda" if CUDA is available, else "cpu".

    Raises: ValueError for an unknown device, or for "cuda" without CUDA.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r}: must be auto, cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("there is no CUDA device here, or this torch was built without CUDA: use --device cpu")
    return device


def parallelize(model: nn.Module, sharding: Sharding, processes: Processes, unused_parameters: bool = False) -> nn.Module:
    """Wrap or shard a model for training in all `processes`.

    The model must be on `processes.device` and have the same weights in every process.

    Args:
        unused_parameters: True if parameters that are trained now may be frozen for some steps.

    Raises: ValueError for such parameters in a sharded model.
    """
    if processes.world_size == 1:
        return model
    if sharding == "ddp":
        device_ids = [processes.local_rank] if processes.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=device_ids, find_unused_parameters=unused_parameters)
    if unused_parameters:
        raise ValueError("the trained parameters of a sharded model cannot change between epochs: use ddp")
    mesh = init_device_mesh(processes.device.type, (processes.world_size,))
    for layer in [module for module in model.modules() if isinstance(module, EncoderLayer)]:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for method in ("encode", "decode"):  # generation calls these instead of `forward`, which gathers the weights
        if hasattr(model, method):
            register_fsdp_forward_method(model, method)
    return model


def set_gradient_sync(model: nn.Module, enabled: bool) -> None:
    """Choose if the next backward pass exchanges gradients: only the last micro-batch of a step needs to."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = enabled
    elif isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(enabled)


def is_sharded(model: nn.Module) -> bool:
    """Return True for a model whose parameters are distributed over processes."""
    return any(isinstance(module, FSDPModule) for module in model.modules())


def reshard(model: nn.Module) -> None:
    """Free the gathered weights of a sharded model after a forward pass without a backward pass."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def clip_gradients(model: nn.Module, max_grad_norm: float) -> Float[Tensor, ""]:
    """Scale the whole gradient down to norm `max_grad_norm` if it is longer. Return the norm before clipping."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
