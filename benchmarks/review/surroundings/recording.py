"""`record` in two processes, with DDP and FSDP: what is recorded equals a recording of the same model in one process."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.review.surroundings.cases import Case
from tests.processes import ForkedJob

USES = ("tensors", "gradients", "edit", "trace", "one process", "without gradients", "recompute", "wrapped model")
EDITED = "layers.0.attention.context"
CODE = "from benchmarks.review.surroundings.recording import check; check({sharding!r}, {use!r}, {seed})"


def recording_cases(seed: int) -> Iterator[Case]:
    """Run every use of `record` with both kinds of parallelism."""
    for sharding in ("ddp", "fsdp"):
        for use in USES:
            job = ForkedJob(["-c", CODE.format(sharding=sharding, use=use, seed=seed)], processes=2)
            shown, _ = job.communicate(timeout=120)
            is_refused = "ValueError: trace: a sharded model (FSDP) cannot be traced" in shown
            outcome = (
                "refused" if is_refused else "crashed" if job.returncode else "differing" if "differs" in shown else "equal"
            )
            yield Case("record in two processes", sharding, outcome, f"{use}: {shown[-500:]}")


def check(sharding: Any, use: str, seed: int) -> None:
    """Compare a recording in one of two processes with that of a copy of the model. Print what differs."""
    from minibert.training.distributed import start_processes

    processes = start_processes("cpu")
    _compare(sharding, use, seed, processes)
    processes.close()  # after the parallel model is deleted, which may wait for the other process


def _compare(sharding: Any, use: str, seed: int, processes: Any) -> None:
    from minibert.training.distributed import parallelize, reshard

    model = _model(seed)
    alone = copy.deepcopy(model)
    model.set_recompute(use == "recompute")
    alone.set_recompute(use == "recompute")
    torch.manual_seed(seed + processes.rank)
    ids, keep = torch.randint(5, 30, (2, 7)), torch.rand(2, 7) > 0.2
    parallel = parallelize(model, sharding, processes)
    expected = _recorded(alone, alone, ids, keep, use, processes.rank)
    found = _recorded(parallel, parallel if use == "wrapped model" else model, ids, keep, use, processes.rank)
    reshard(model)
    if [*expected] != [*found]:
        print(f"differs: {sorted({*expected} ^ {*found})}")
    for path in expected:
        if not torch.allclose(expected[path], found[path], rtol=0, atol=1e-6):
            print(f"differs: {path}")


def _model(seed: int) -> Any:
    from minibert.model import BertConfig, BertForMaskedLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    sizes |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForMaskedLM(BertConfig(vocab_size=30, max_position_embeddings=16, **sizes))


def _recorded(run: nn.Module, model: nn.Module, ids: Tensor, keep: Tensor, use: str, rank: int) -> dict[str, Tensor]:
    """Run a forward and a backward pass. Return all recorded tensors, with their gradients if they are asked for."""
    from minibert import record

    options: dict[str, Any] = {"gradients": use == "gradients", "trace": use == "trace"}
    if use == "edit":
        options["edit"] = {EDITED: torch.zeros_like}
    if use == "one process" and rank == 1:
        run(ids, keep).logits.square().mean().backward()
        return {}
    with torch.set_grad_enabled(use != "without gradients"), record(model, **options) as recording:
        logits = run(ids, keep).logits
        if use != "without gradients":
            logits.square().mean().backward()
    found = {path: recording[path].detach() for path in recording}
    if use == "gradients":
        found |= {
            f"gradient of {path}": recording.gradient(path) for path in recording.paths if recording[path].grad is not None
        }
    if use == "trace":
        found |= {f"{path} = {recording.origin(path).expression}": torch.zeros(1) for path in recording}
    return {**found, "logits": logits.detach()}
