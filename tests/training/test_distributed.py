"""Devices, and what the processes of one job exchange: numbers, errors, gradients and sharded weights."""

import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from minibert.model import BertConfig, BertForMaskedLM
from minibert.model.transformer import Transformer, TransformerConfig
from minibert.training.distributed import (
    SINGLE_PROCESS,
    Processes,
    choose_device,
    clip_gradients,
    is_sharded,
    parallelize,
    read_numbers,
    reshard,
    set_gradient_sync,
    start_processes,
)
from tests.processes import ForkedJob

SIZES = {"vocab_size": 7, "hidden_size": 4, "num_attention_heads": 1, "intermediate_size": 4, "max_position_embeddings": 4}
IDS = torch.tensor([[1, 5, 3]])


def in_two_processes(function: Callable[[Processes], Any]) -> list[Any]:
    """Call a function of this file in the two processes of a job. Return both results, which must be JSON."""
    with tempfile.TemporaryDirectory() as folder:
        code = f"from tests.training.test_distributed import *; report({function.__name__}, Path({folder!r}))"
        job = ForkedJob(["-c", code], processes=2)
        output, _ = job.communicate(timeout=60)
        assert job.returncode == 0, output
        return [json.loads(Path(folder, f"{rank}").read_text()) for rank in range(2)]


def report(function: Callable[[Processes], Any], folder: Path) -> None:
    """Write the result of a function in this process of the job."""
    processes = start_processes("cpu")
    result = function(processes)
    processes.close()
    assert not distributed.is_initialized()
    (folder / f"{processes.rank}").write_text(json.dumps(result))


def exchanged(processes: Processes) -> dict[str, Any]:
    """Return what this process receives, and whether it has waited for the other one."""
    own, errors = float(processes.rank + 1), ("", f"error {processes.rank}")
    results = {
        "sums": processes.sum_numbers({"own": own, "one": 1.0}),
        "tensors": read_numbers(processes.all_reduce_sum({"own": torch.tensor(own)})),
        "errors": [processes.first_error(errors[number]) for number in (0, processes.rank, 1)],
    }
    began = time.monotonic()
    time.sleep(0.3 * processes.rank)
    processes.barrier()
    return results | {"has waited": time.monotonic() - began > 0.25}


def test_numbers_and_errors_of_all_processes() -> None:
    """Sums over all, and the first error of any, are the same in all. A barrier is passed when all have reached it."""
    sums, errors = {"own": 3.0, "one": 2.0}, ["", "error 1", "error 0"]
    assert (
        in_two_processes(exchanged)
        == [
            {"sums": sums, "tensors": [{"own": 3.0}], "errors": errors, "has waited": True},
        ]
        * 2
    )


def test_a_single_process_exchanges_nothing() -> None:
    assert not distributed.is_initialized()
    SINGLE_PROCESS.barrier()
    SINGLE_PROCESS.close()
    assert SINGLE_PROCESS.first_error("gone") == "gone"
    assert SINGLE_PROCESS.sum_numbers({"one": 1.0}) == {"one": 1.0}
    assert read_numbers(SINGLE_PROCESS.all_reduce_sum({}), {"one": torch.tensor(1)}) == [{}, {"one": 1.0}]
    assert read_numbers({}) == [{}]


class Gated(nn.Module):
    """Two numbers, of which one may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.always, self.sometimes = (nn.Parameter(torch.ones(1)) for _ in range(2))

    def forward(self, factor: float, with_both: bool) -> torch.Tensor:
        return factor * (self.always + self.sometimes if with_both else self.always)


def data_parallel(processes: Processes) -> list[float]:
    """Return the gradients of some steps, each with two micro-batches. One parameter has none in each second step."""
    model = parallelize(Gated(), "ddp", processes, unused_parameters=True)
    gradients = []
    for step in range(4):
        for is_last in (False, True):
            set_gradient_sync(model, enabled=is_last)
            model(float(processes.rank + 1), step % 2 == 0).backward()
            gradients.append(model.module.always.grad.item())
        model.zero_grad()
    return gradients


def test_gradients_are_exchanged_after_the_last_micro_batch() -> None:
    """Before it, each process has its own. Parameters may be left out of some steps."""
    assert in_two_processes(data_parallel) == [[1.0, 3.0] * 4, [2.0, 3.0] * 4]


def sharded(processes: Processes) -> dict[str, Any]:
    """Return what a sharded model does: a step with two micro-batches, an evaluation, and the calls of a search."""
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=2)).eval()
    expected = model(IDS).logits
    expected.square().mean().backward()
    norm = math.sqrt(sum(parameter.grad.square().sum().item() for parameter in model.parameters()))
    model.zero_grad()
    results: dict[str, Any] = {"before": is_sharded(model)}
    with pytest.raises(ValueError, match="cannot change between epochs: use ddp"):
        parallelize(model, "fsdp", processes, unused_parameters=True)
    parallelize(model, "fsdp", processes)
    results["parts"] = [name for name, module in model.named_modules() if isinstance(module, FSDPModule)]
    with torch.no_grad():
        torch.testing.assert_close(model(IDS).logits, expected.detach())
    results["gathered"] = _gathered(model)
    reshard(model)
    results["after"] = [is_sharded(model), _gathered(model)]
    for is_last in (False, True):
        set_gradient_sync(model, enabled=is_last)
        ((1 + processes.rank) * model(IDS).logits.square().mean()).backward()
        results[f"exchanged {is_last}"] = all(isinstance(parameter.grad, DTensor) for parameter in model.parameters())
    results["norm"] = clip_gradients(model, 1.0).item() / norm
    translator = Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1)).eval()
    translations = translator.generate(IDS)
    results["generates"] = translations == parallelize(translator, "fsdp", processes).generate(IDS)
    return results


def _gathered(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]


def test_a_sharded_model() -> None:
    """It is the same model: its logits, the norm of its gradient, its translations. Each layer is gathered by itself.

    The rest stays gathered after the forward pass, for the backward pass. The norm is that of two micro-batches, for the mean
    of both processes, whose losses have the factors 1 and 2.
    """
    for result in in_two_processes(sharded):
        assert (result["before"], result["after"]) == (False, [True, []])
        assert result["parts"] == ["", "bert.layers.0", "bert.layers.1"]
        assert {name.split(".")[0] for name in result["gathered"]} == {"bert", "mlm"}
        assert (result["exchanged False"], result["exchanged True"]) == (False, True)
        assert result["norm"] == pytest.approx(2 * (1 + 2) / 2)
        assert result["generates"]


class TestDevice:
    @pytest.fixture
    def gpus(self, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
        """Pretend that this machine has two GPUs. Return the list of those that are chosen."""
        chosen: list[Any] = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
        return chosen

    def test_each_process_has_a_gpu_of_its_own(self, gpus: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert start_processes("auto") == Processes(local_rank=1, device=torch.device("cuda", 1))
        assert gpus == [torch.device("cuda", 1)]
        monkeypatch.setenv("LOCAL_RANK", "2")
        with pytest.raises(ValueError, match="process 2 of this machine has no GPU: there are 2"):
            start_processes("cuda")
        assert start_processes("cpu") == Processes(local_rank=2)
        assert len(gpus) == 1

    def test_auto_is_a_gpu_if_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for is_available, expected in ((True, "cuda"), (False, "cpu")):
            monkeypatch.setattr(torch.cuda, "is_available", lambda is_available=is_available: is_available)
            assert choose_device("auto") == expected
            assert choose_device("cpu") == "cpu"

    def test_a_device_that_does_not_exist(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        for device, message in (("tpu", "device 'tpu': must be auto, cpu or cuda"), ("cuda", "there is no CUDA device here")):
            for function in (choose_device, start_processes):
                with pytest.raises(ValueError, match=message):
                    function(device)
