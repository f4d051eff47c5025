"""One training run: model, data and optimizer, with saving and resuming at any step."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from minibert.files import write_atomically
from minibert.model.adapters.adapter import ADAPTER_FOLDER
from minibert.model.checkpoints.weights import load_pickled
from minibert.model.pretrained import PretrainedModel
from minibert.text.batching import Batch, BatchSampler, Examples, split_micro_batches
from minibert.text.prefetch import prefetch
from minibert.text.tokenizer import save_tokenizer
from minibert.training.best import BestEvaluation
from minibert.training.checkpoints import Checkpoints, random_states, set_random_state
from minibert.training.distributed import SINGLE_PROCESS, Processes, parallelize, reshard
from minibert.training.loop import Score, Step, evaluate, train
from minibert.training.objective import Objective
from minibert.training.options import Sharding
from minibert.training.transfer_report import TransferReport

STATE_FILE = "training-state.pt"
COMPLETE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""State dictionaries that are complete in one process, also for sharded models."""


ModelT = TypeVar("ModelT", bound=PretrainedModel)
BatchT = TypeVar("BatchT", bound=Batch)


@dataclass(frozen=True)
class DataPosition:
    """Position of the next step in the data: its epoch, and its number in that epoch."""

    epoch: int = 0
    step: int = 0
    ends_epoch: bool = field(default=False, compare=False)
    """True if the step before this position was the last one of its epoch. Not saved."""


class TrainingRun(Generic[ModelT, BatchT]):
    """Training of one model. It can be saved after any step and resumed from there, bit for bit.

    Args:
        model: a model with the heads that the objective needs.
        examples: the training data.
        objective: the loss terms.
        batch_sampler: the choice of the examples of each step, such as `partial(batches_by_count, batch_size=64)`.
        optimizer: a function that creates the optimizer of a model, such as `partial(adamw, learning_rate=1e-3)`.
        schedule: a function that creates the schedule of an optimizer, such as `partial(warmup_linear, steps=1000)`.
        steps: number of optimizer updates in the whole run.
        max_grad_norm: maximum norm of the whole gradient; a longer gradient is scaled down to it.
        autocast_dtype: dtype of matrix products, such as torch.bfloat16; None for the dtype of the weights.
        micro_batch_size: maximum number of examples computed at a time. A larger step is split into micro-batches.
        start_epoch: a function that is called with the number of an epoch before its first step, and before the first step
            after resuming. It may choose the parameters that are trained, such as `GradualUnfreezing.start_epoch`.
        report: the report on the trained parameters, for display before the first step and after the last one.
        processes: the processes that train together, with `sharding` of the model.
    """

    def __init__(
        self,
        model: ModelT,
        examples: Examples[BatchT],
        objective: Objective[BatchT],
        batch_sampler: BatchSampler,
        optimizer: Callable[[nn.Module], Optimizer],
        schedule: Callable[[Optimizer], LRScheduler],
        steps: int,
        max_grad_norm: float = 1.0,
        autocast_dtype: torch.dtype | None = None,
        micro_batch_size: int | None = None,
        start_epoch: Callable[[int], None] | None = None,
        report: TransferReport | None = None,
        sharding: Sharding = "ddp",
        processes: Processes = SINGLE_PROCESS,
    ) -> None:
        self.model = model
        self.model.to(processes.device)
        self.parallel_model = parallelize(self.model, sharding, processes, unused_parameters=start_epoch is not None)
        self.optimizer = optimizer(self.parallel_model)
        self.schedule = schedule(self.optimizer)
        self.objective = objective
        self.examples, self.batch_sampler, self.steps = examples, batch_sampler, steps
        self.max_grad_norm, self.autocast_dtype, self.micro_batch_size = max_grad_norm, autocast_dtype, micro_batch_size
        self.start_epoch, self.report = start_epoch, report
        self.processes = processes
        self.steps_done = 0
        self.skipped_in_a_row = 0
        """Number of consecutive steps before the next one that were skipped; see `train`."""
        self.position = DataPosition()
        self.best = BestEvaluation()
        """The best evaluation so far. The caller of `run` updates it after each evaluation."""
        self.last_batches: list[BatchT] = []
        """The micro-batches of the last step, in the memory of the CPU: their sizes can be read without waiting for a GPU."""
        self.notes: list[str] = []
        """Lines to print before the first step."""
        self.extra_files: dict[str, str] = {}
        """Text files, by name, that are written next to the model with every checkpoint and export."""

    def __repr__(self) -> str:
        return f"TrainingRun({type(self.model).__name__}, {self.objective}, step {self.steps_done} of {self.steps})"

    def run(self) -> Generator[Step, None, None]:
        """Run the remaining steps and yield the result of each.

        The background thread that prepares batches has ended when this iterator is exhausted or closed, also after an error.
        """
        with closing(prefetch(islice(self._copied_batches(), self.steps - self.steps_done))) as prefetched:
            for step in train(
                self.parallel_model,
                self._track_position(prefetched),
                self.objective,
                self.optimizer,
                self.schedule,
                self.max_grad_norm,
                first_step=self.steps_done + 1,
                skipped_in_a_row=self.skipped_in_a_row,
                autocast_dtype=self.autocast_dtype,
                processes=self.processes,
            ):
                self.steps_done = step.number
                self.skipped_in_a_row = self.skipped_in_a_row + 1 if step.skipped else 0
                yield step

    def batches(self) -> Iterator[tuple[DataPosition, list[BatchT]]]:
        """Yield the micro-batches of each step from the current position, with the position after that step. It never ends.

        They are in the memory of the CPU.
        """
        for number in count(self.position.epoch):
            epoch = self.examples.epoch(number)
            step_indices, lengths = epoch.batch_indices(self.batch_sampler), epoch.lengths
            first = self.position.step if number == self.position.epoch else 0
            for step in range(first, len(step_indices)):
                rank, processes = self.processes.rank, self.processes.world_size
                micro_batches = split_micro_batches(step_indices[step], lengths, rank, processes, self.micro_batch_size)
                yield (
                    DataPosition(number, step + 1, ends_epoch=step + 1 == len(step_indices)),
                    [epoch.batch(indices) for indices in micro_batches],
                )

    def _copied_batches(self) -> Iterator[tuple[DataPosition, list[BatchT], list[BatchT]]]:
        for position, batches in self.batches():
            yield position, batches, [batch.to(self.processes.device) for batch in batches]

    def _track_position(self, steps: Iterable[tuple[DataPosition, list[BatchT], list[BatchT]]]) -> Iterator[list[BatchT]]:
        epoch = None
        for position, batches, on_device in steps:
            if self.start_epoch is not None and position.epoch != epoch:
                self.start_epoch(position.epoch)
            epoch = position.epoch
            self.position, self.last_batches = position, batches
            yield on_device

    def evaluate(self, batches: Sequence[BatchT], objective: Objective[BatchT] | None = None) -> dict[str, Score]:
        """Evaluate the current model. All processes must call this; each returns the same scores.

        Args:
            objective: an objective other than that of training, such as one without label smoothing.
        """
        on_device = (batch.to(self.processes.device) for batch in batches)
        scores = evaluate(self.model, on_device, objective or self.objective, self.autocast_dtype)
        reshard(self.model)
        return scores

    def save(self, checkpoints: Checkpoints, tokenizer: Tokenizer | None = None) -> None:
        """Save a checkpoint that `resume` can continue from, bit for bit. All processes must call this.

        The state file holds the weights, the optimizer and the schedule under the model's own parameter names, the position in
        the data and the random states. It can be resumed with any number of processes. The folder also has everything that
        `export` writes.
        """
        weights = self.weights()
        state = {
            "step": self.steps_done,
            "skipped_in_a_row": self.skipped_in_a_row,
            "position": (self.position.epoch, self.position.step),
            "best": astuple(self.best),
            "model": weights,
            "optimizer": self._optimizer_state(),
            "schedule": self.schedule.state_dict(),
            "random": random_states(self.processes),
        }

        def write(folder: Path) -> None:
            self._write_export(folder, weights, tokenizer)
            buffer = BytesIO()
            torch.save(state, buffer)
            write_atomically(folder / STATE_FILE, buffer.getbuffer())

        if self.processes.is_main:
            checkpoints.save(self.steps_done, write)
        self.processes.barrier()

    def export(self, folder: str | Path, tokenizer: Tokenizer | None = None) -> None:
        """Write the model, and the tokenizer if given, in Hugging Face's format. All processes must call this."""
        weights = self.weights()
        if self.processes.is_main:
            self._write_export(Path(folder), weights, tokenizer)

    def _write_export(self, folder: Path, weights: dict[str, Tensor], tokenizer: Tokenizer | None) -> None:
        self.model.save_pretrained(folder, weights)
        subfolders = self.model.subfolders if self.model.adapter is None else (*self.model.subfolders, ADAPTER_FOLDER)
        for place in [folder, *(folder / name for name in subfolders)]:
            if tokenizer is not None:
                save_tokenizer(tokenizer, place, self.model.text_config.max_tokens)
            for name, text in self.extra_files.items():
                write_atomically(place / name, text)

    def weights(self) -> dict[str, Tensor]:
        """Collect the whole model in the memory of the main process, by parameter name. All processes must call this."""
        return cast("dict[str, Tensor]", get_model_state_dict(self.model, options=COMPLETE))

    def resume(self, folder: str | Path) -> None:
        """Continue from a checkpoint that `save` has written. All processes must call this.

        If this run has more steps than the saved one, the learning rates from here on are those of its own schedule.

        Raises: ValueError for a damaged file, FileNotFoundError for a missing one.
        """
        state: dict[str, Any] = load_pickled(Path(folder) / STATE_FILE)
        set_model_state_dict(self.model, state["model"], options=COMPLETE)
        self._load_optimizer(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if isinstance(self.schedule, LambdaLR):  # the saved learning rate is that of the schedule of the saved run
            for group, factor, peak in zip(
                self.optimizer.param_groups, self.schedule.lr_lambdas, self.schedule.base_lrs, strict=True
            ):
                group["lr"] = peak * factor(self.schedule.last_epoch)
        set_random_state(state["random"], self.processes)
        self.steps_done, self.position = state["step"], DataPosition(*state["position"])
        self.skipped_in_a_row = state.get("skipped_in_a_row", 0)
        self.best = BestEvaluation(*state.get("best", ()))
        self._read_extra_files(Path(folder))

    def restore_weights(self, folder: str | Path) -> None:
        """Give the model the weights and the extra files of another checkpoint. All processes must call this.

        This is for the end of a run: the optimizer and the position in the data stay as they are. Raises: as `resume`.
        """
        state: dict[str, Any] = load_pickled(Path(folder) / STATE_FILE)
        set_model_state_dict(self.model, state["model"], options=COMPLETE)
        self._read_extra_files(Path(folder))

    def _read_extra_files(self, folder: Path) -> None:
        """Read the extra files that the checkpoint has, such as those with settings chosen in an evaluation."""
        for name in self.extra_files:
            if (folder / name).is_file():
                self.extra_files[name] = (folder / name).read_text(encoding="utf-8")

    def _optimizer_state(self) -> dict[str, Any]:
        """Collect the state of the optimizer. Before the first update there is none: PyTorch would add one of one step."""
        has_none = not self.optimizer.state
        saved: dict[str, Any] = get_optimizer_state_dict(self.model, self.optimizer, options=COMPLETE)
        if has_none:
            self.optimizer.state.clear()
            saved["state"] = {}
        return saved

    def _load_optimizer(self, saved: dict[str, Any]) -> None:
        """Restore the optimizer. A parameter that had no step yet has no saved state, and has none afterwards."""
        if not saved["state"]:
            self.optimizer.state.clear()
            return
        waiting = [each for name, each in self.model.named_parameters() if each.requires_grad and name not in saved["state"]]
        for parameter in waiting:
            self.optimizer.state.pop(parameter, None)
            parameter.requires_grad_(False)  # PyTorch would make a state for it, and refuse to leave it without a saved one
        set_optimizer_state_dict(self.model, self.optimizer, saved, options=COMPLETE)
        for parameter in waiting:
            parameter.requires_grad_(True)
