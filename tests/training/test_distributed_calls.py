"""What one process asks of torch.distributed. The tests play the other processes; test_distributed.py has real ones."""

from typing import Any

import pytest
import torch
from torch import distributed, nn

from minibert.model.layers import EncoderLayer
from minibert.training import distributed as module
from minibert.training.checkpoints import random_states
from minibert.training.distributed import (
    SINGLE_PROCESS,
    Processes,
    is_sharded,
    parallelize,
    read_numbers,
    reshard,
    set_gradient_sync,
    start_processes,
)

PROCESSES = Processes(rank=1, world_size=3, local_rank=1)


class Replicated(nn.Module):
    """It stands for DistributedDataParallel."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__()
        self.model, self.options = model, options


class Sharded(nn.Module):
    """It stands for FSDPModule."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.calls: list[Any] = []

    def set_requires_gradient_sync(self, enabled: bool) -> None:
        self.calls.append(enabled)

    def reshard(self) -> None:
        self.calls.append("reshard")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Replace what sends or waits. Return the list of the calls without a result."""
    noted: list[Any] = []

    def gather(received: list[Any], own: Any) -> None:
        assert len(received) == PROCESSES.world_size
        received[:] = ["" if own == "" else f"first {own}", own, "third"] if isinstance(own, str) else [own] * len(received)

    monkeypatch.setattr(distributed, "all_reduce", lambda totals: totals.mul_(PROCESSES.world_size))
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    monkeypatch.setattr(distributed, "barrier", lambda **options: noted.append(("barrier", options)))
    monkeypatch.setattr(distributed, "destroy_process_group", lambda: noted.append("destroy"))
    monkeypatch.setattr(distributed, "init_process_group", lambda backend, timeout: noted.append((backend, timeout)))
    monkeypatch.setattr(module, "DistributedDataParallel", Replicated)
    monkeypatch.setattr(module, "FSDPModule", Sharded)
    monkeypatch.setattr(module, "init_device_mesh", lambda *arguments: arguments)
    monkeypatch.setattr(module, "fully_shard", lambda part, mesh: noted.append((type(part), mesh)))
    monkeypatch.setattr(module, "register_fsdp_forward_method", lambda _, method: noted.append(method))
    return noted


@pytest.mark.usefixtures("calls")
def test_sums_are_those_of_all_processes() -> None:
    """Of tensors and of numbers. A single process has its own."""
    assert read_numbers(PROCESSES.all_reduce_sum({"a": torch.tensor(2), "b": 0.5})) == [{"a": 6.0, "b": 1.5}]
    assert PROCESSES.sum_numbers({"a": 2.0, "b": 0.5}) == {"a": 6.0, "b": 1.5}
    assert SINGLE_PROCESS.sum_numbers({"a": 2.0}) == {"a": 2.0}
    assert read_numbers(SINGLE_PROCESS.all_reduce_sum({"a": torch.tensor(2)})) == [{"a": 2.0}]


@pytest.mark.usefixtures("calls")
def test_the_first_error_is_that_of_the_process_with_the_lowest_number() -> None:
    assert (PROCESSES.first_error("own"), PROCESSES.first_error("")) == ("first own", "third")
    assert Processes(world_size=3).first_error("") == "third"


@pytest.mark.usefixtures("calls")
def test_random_states_are_those_of_all_processes() -> None:
    states = random_states(PROCESSES)
    assert [state["torch"].tolist() for state in states] == [torch.get_rng_state().tolist()] * 3


def test_only_several_processes_wait_for_each_other(calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """They join a group, wait in it, and leave it."""
    for count in ("1", "2"):
        monkeypatch.setenv("WORLD_SIZE", count)
        processes = start_processes("cpu")
        processes.barrier()
        processes.close()
        assert processes.world_size == int(count)
    assert calls == [("gloo", module.TIMEOUT), ("barrier", {"device_ids": None}), "destroy"]


@pytest.mark.parametrize("unused", [{}, {"unused_parameters": True}])
def test_a_replicated_model(calls: list[Any], unused: dict[str, bool]) -> None:
    """All parameters are expected to have a gradient, unless it is said. A single process keeps its model."""
    model = nn.Linear(1, 1)
    assert parallelize(model, "ddp", SINGLE_PROCESS, **unused) is model
    replicated = parallelize(model, "ddp", PROCESSES, **unused)
    assert isinstance(replicated, Replicated)
    assert replicated.model is model
    assert replicated.options == {"device_ids": None, "find_unused_parameters": bool(unused)}
    assert calls == []


class Layer(EncoderLayer):
    """A layer without parts."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


class Translator(nn.Sequential):
    """A model that is also called in other ways."""

    def encode(self) -> None: ...

    def decode(self) -> None: ...


@pytest.mark.parametrize(("kind", "methods"), [(nn.Sequential, []), (Translator, ["encode", "decode"])])
def test_the_parts_of_a_sharded_model(calls: list[Any], kind: type[nn.Sequential], methods: list[str]) -> None:
    """Each layer, then the rest. The calls besides `forward` gather the weights too, if the model has them."""
    model = kind(nn.Linear(1, 1), Layer(), Layer())
    assert parallelize(model, "fsdp", PROCESSES) is model
    mesh = ("cpu", (3,))
    assert calls == [(Layer, mesh), (Layer, mesh), (kind, mesh), *methods]
    with pytest.raises(ValueError, match="cannot change between epochs: use ddp"):
        parallelize(model, "fsdp", PROCESSES, unused_parameters=True)


@pytest.mark.usefixtures("calls")
def test_gradients_are_exchanged_as_the_kind_of_model_does_it() -> None:
    """A model of a single process has none to exchange."""
    plain, replicated, sharded = nn.Linear(1, 1), Replicated(nn.Linear(1, 1)), Sharded()
    for enabled in (False, True):
        for model in (plain, replicated, sharded):
            set_gradient_sync(model, enabled)
        assert replicated.require_backward_grad_sync is enabled
    assert sharded.calls == [False, True]
    assert not any(hasattr(model, "require_backward_grad_sync") for model in (plain, sharded))


@pytest.mark.usefixtures("calls")
def test_every_sharded_part_frees_its_weights() -> None:
    """Also the whole model. A model with one sharded part is sharded."""
    inner = Sharded()
    outer = Sharded(nn.Linear(1, 1), inner)
    reshard(nn.Sequential(nn.Linear(1, 1), outer))
    reshard(outer)
    assert inner.calls == outer.calls == ["reshard"] * 2
    assert is_sharded(nn.Sequential(nn.Linear(1, 1), inner))
    assert not is_sharded(nn.Linear(1, 1))
