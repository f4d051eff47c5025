"""A training step of minibert and of transformers, for the benchmarks: the same weights, batches, dtype and dropout."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from minibert.model.bert import PretrainedBert
from minibert.training.loop import train
from minibert.training.objective import Objective
from minibert.training.optimizer import adamw, warmup_linear

DTYPES = {"float32": None, "bfloat16": torch.bfloat16}
"""The dtype of autocast."""
Columns = Mapping[str, Tensor]
"""Arguments of a model of transformers, with the labels."""


def both_models(network: type[PretrainedBert], config: Any, attention: str = "sdpa") -> tuple[nn.Module, nn.Module]:
    """Return the same network twice: minibert's, and transformers' with one of its implementations of attention."""
    torch.manual_seed(0)
    ours = network(config)
    theirs = getattr(transformers, network.architecture)._from_config(
        transformers.BertConfig(**config.hub_fields()), attn_implementation=attention
    )
    theirs.load_state_dict(network.export_weights(ours.state_dict(), config), strict=False)
    return ours, theirs


def our_steps(
    model: nn.Module, batches: Sequence[Any], objective: Objective[Any], dtype: torch.dtype | None = None
) -> Callable[[], object]:
    """Return a function that trains minibert's model for one step, on one batch after another."""
    optimizer = adamw(model, 1e-4)
    schedule = warmup_linear(optimizer, 10_000)
    steps = train(model, ([batch] for batch in cycle(batches)), objective, optimizer, schedule, autocast_dtype=dtype)
    return lambda: next(steps)


def their_steps(model: nn.Module, batches: Sequence[Columns], dtype: torch.dtype | None = None) -> Callable[[], object]:
    """Return a function that trains transformers' model for one step, in the usual way."""

    def steps() -> Iterator[float]:
        model.train()
        optimizer = adamw(model, 1e-4)
        schedule = warmup_linear(optimizer, 10_000)
        device = next(model.parameters()).device.type
        for columns in cycle(batches):
            with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
                loss = model(**columns).loss
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            yield loss.item()

    running = steps()
    return lambda: next(running)


def check_equality(
    ours: nn.Module, theirs: nn.Module, batch: Any, objective: Objective[Any], columns: Columns
) -> dict[str, float]:
    """Compare loss and gradients in float64 without dropout. Raises: AssertionError if they differ."""
    ours, theirs = (model.double().eval() for model in (ours, theirs))
    counts = objective.target_counts(batch)
    our_loss = sum(term.loss / counts[name] for name, term in objective.loss_sums(ours, batch).items())
    peer_loss = theirs(**columns).loss
    our_loss.backward()
    peer_loss.backward()
    config = ours.config
    gradients = type(ours).export_weights({name: each.grad for name, each in ours.named_parameters()}, config)
    differences = [
        (gradients[name] - each.grad).abs().max().item() for name, each in theirs.named_parameters() if name in gradients
    ]
    found = {"loss": abs(our_loss.item() - peer_loss.item()), "gradients": max(differences)}
    assert max(found.values()) < 1e-9, found
    return found
