"""Training, at whatever step it stands: what trains, where it is in the data, and how both are kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.files import write_atomically
from minibert.model.pretrained import PretrainedModel
from minibert.text.batching import IntArray, share_of
from minibert.text.prefetch import prefetch
from minibert.training.checkpoints import Checkpoints, random_states, set_random_state
from minibert.training.distributed import SINGLE_PROCESS, Processes, parallelize, reshard
from minibert.training.loop import Objective, Score, Step, evaluate, train
from minibert.training.options import Sharding

STATE_FILE = "training-state.pt"
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)

BatchSampler = Callable[[IntArray, np.random.Generator], list[IntArray]]
"""Cuts the examples of an epoch, by their lengths, into those of each step."""


BatchT = TypeVar("BatchT")


@runtime_checkable
class Batch(Protocol):
    """What a model is trained on at a time."""

    def to(self: BatchT, device: torch.device) -> BatchT:
        """The same on another device."""
        ...


ModelT = TypeVar("ModelT", bound=PretrainedModel)
Some = TypeVar("Some", bound=Batch)
Made = TypeVar("Made", bound=Batch, covariant=True)


@runtime_checkable
class Epoch(Protocol[Made]):
    """All examples once, numbered."""

    @property
    def lengths(self) -> IntArray:
        """Tokens of each example."""
        ...

    def in_batches(self, cut: BatchSampler) -> list[IntArray]:
        """The numbers of all examples, cut into batches by a function of their lengths, in this epoch's random order."""
        ...

    def batch(self, chosen: IntArray) -> Made:
        """Some examples; where none is chosen, one without anything to learn."""
        ...


@runtime_checkable
class Examples(Protocol[Made]):
    """All examples, of as many epochs as one likes; each depends on its epoch and its number alone."""

    def epoch(self, number: int) -> Epoch[Made]:
        """Every example once."""
        ...


@dataclass(frozen=True)
class DataPosition:
    """The first step that has not been taken: its epoch, and its number there."""

    epoch: int = 0
    step: int = 0


class TrainingRun(Generic[ModelT, Some]):
    """The training of one model, which can be kept at any step and taken up from there, bit for bit.

    Args:
        model: with the heads that are trained.
        examples: what it learns from.
        objective: what is made small.
        cut: which examples come together in a step, such as `partial(batches_by_count, 64)`.
        optimizer: makes the optimizer of a model, `schedule` the schedule of an optimizer.
        steps: updates in all.
        micro_batch: examples that are worked on at a time, at most; more of a step are worked on one after the other.
        processes: that train together, by `sharding`.
    """

    def __init__(
        self,
        model: ModelT,
        examples: Examples[Some],
        objective: Objective[Some],
        cut: BatchSampler,
        optimizer: Callable[[nn.Module], Optimizer],
        schedule: Callable[[Optimizer], LRScheduler],
        steps: int,
        max_grad_norm: float = 1.0,
        autocast: torch.dtype | None = None,
        micro_batch: int | None = None,
        sharding: Sharding = "ddp",
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.model = model
        self.model.to(processes.device)
        self.trained = parallelize(self.model, sharding, processes)
        self.optimizer = optimizer(self.trained)
        self.schedule = schedule(self.optimizer)
        self.objective = objective
        self.examples, self.cut, self.steps, self.max_grad_norm = examples, cut, steps, max_grad_norm
        self.autocast, self.micro_batch, self.processes = autocast, micro_batch, processes
        self.done = 0
        self.place = DataPosition()
        self.current: list[Some] = []
        """The micro-batches of the last step."""

    def run(self) -> Iterator[Step]:
        """The steps that are left."""
        for step in train(
            self.trained,
            self._consumed(),
            self.objective,
            self.optimizer,
            self.schedule,
            self.max_grad_norm,
            first=self.done + 1,
            autocast=self.autocast,
            processes=self.processes,
        ):
            self.done = step.number
            yield step

    def batches(self) -> Iterator[tuple[DataPosition, list[Some]]]:
        """The micro-batches of each step from here on, with the place of the next step. It does not end."""
        for number in count(self.place.epoch):
            epoch = self.examples.epoch(number)
            plan, lengths = epoch.in_batches(self.cut), epoch.lengths
            begin = self.place.step if number == self.place.epoch else 0
            for place in range(begin, len(plan)):
                shares = share_of(plan[place], lengths, self.processes.rank, self.processes.count, self.micro_batch)
                yield DataPosition(number, place + 1), [epoch.batch(some).to(self.processes.device) for some in shares]

    def _consumed(self) -> Iterator[list[Some]]:
        for place, batches in prefetch(islice(self.batches(), self.steps - self.done)):
            self.place, self.current = place, batches
            yield batches

    def evaluate(self, batches: Sequence[Some], objective: Objective[Some] | None = None) -> dict[str, Score]:
        """Scores of the model as it is. With several processes all of them call this, and have the same answer.

        Args:
            objective: another than what is made small, such as one without label smoothing.
        """
        some = (batch.to(self.processes.device) for batch in batches)
        scores = evaluate(self.model, some, objective or self.objective)
        reshard(self.model)
        return scores

    def save(self, checkpoints: Checkpoints, beside: Callable[[Path], None] = lambda folder: None) -> None:
        """Keeps everything that `resume` needs, as a checkpoint that anybody can load. All processes call this.

        The state of the optimizer is kept whole and by the names of the parameters, so that any number of processes can go
        on from it.

        Args:
            beside: puts more into the folder, such as the tokenizer.
        """
        state = {
            "step": self.done,
            "place": (self.place.epoch, self.place.step),
            "optimizer": get_optimizer_state_dict(self.model, self.optimizer, options=WHOLE),
            "schedule": self.schedule.state_dict(),
            "random": random_states(self.processes),
        }

        weights = self._weights()

        def write(folder: Path) -> None:
            self.model.save_pretrained(folder, weights)
            buffer = BytesIO()
            torch.save(state, buffer)
            write_atomically(folder / STATE_FILE, buffer.getbuffer())
            beside(folder)

        if self.processes.is_main:
            checkpoints.save(self.done, write)
        self.processes.wait()

    def export(self, folder: Path) -> None:
        """Writes the model as anybody loads it, and nothing else. All processes call this."""
        weights = self._weights()
        if self.processes.is_main:
            self.model.save_pretrained(folder, weights)

    def _weights(self) -> dict[str, Tensor]:
        return cast("dict[str, Tensor]", get_model_state_dict(self.model, options=WHOLE))

    def resume(self, folder: Path) -> None:
        """Takes up what `save` has kept. All processes call this."""
        stored: dict[str, Any] = torch.load(folder / STATE_FILE, map_location="cpu", weights_only=True)
        found, _, _ = self.model.read(folder)
        names = get_model_state_dict(self.model)
        set_model_state_dict(self.model, {name: found[name.removeprefix("bert.")] for name in names}, options=WHOLE)
        set_optimizer_state_dict(self.model, self.optimizer, stored["optimizer"], options=WHOLE)
        self.schedule.load_state_dict(stored["schedule"])
        set_random_state(stored["random"], self.processes)
        self.done, self.place = stored["step"], DataPosition(*stored["place"])
