"""Recording of the intermediate tensors of a forward pass.

An equation names a tensor with `scores = observe("scores", ...)`. Without a recording, `observe` is the identity and costs
nothing, also under `torch.compile(fullgraph=True)`. Inside `with record(model) as recording:` every observed tensor is stored
under its path, such as `layers.0.attention.scores`, and can be replaced (`edit=`). With `trace=True`, it also remembers the
operations that produced it.
"""

import difflib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minibert.display import Shown, data_type, first_and_last, first_values, shape, table
from minibert.trace import Leaf, Operation, Origin, Tracer

Edit = Tensor | Callable[[Tensor], Tensor]

WRAPPERS = frozenset({"bert", "vit", "module", "_orig_mod", "_checkpoint_wrapped_module", "base_model", "model"})
"""Module names that are left out of the names of parameters in a trace: a head's encoder (`bert`, `vit`), torch.compile,
DataParallel, activation checkpointing, peft."""
OMITTED_MODULES = WRAPPERS | {"feed_forward"}
"""Module names that are left out of recorded paths.

`feed_forward` is the module with the two linear maps of a layer; its steps are recorded as steps of the layer
(`layers.0.intermediate`, `layers.0.activation`, `layers.0.feed_forward`). Only module names are left out, not the names
given to `observe`.
"""

MAX_LINES = 30
"""Maximum number of paths that the text of a `Recording` lists."""
_active: "list[Recording]" = []
"""The recordings of all threads. Without one, `observe` returns at once, which torch.compile can follow."""
_recordings: "ContextVar[tuple[Recording, ...]]" = ContextVar("recordings", default=())
"""The recordings of this thread or asyncio task."""
_renamed: ContextVar[Mapping[nn.Module, str]] = ContextVar("renamed", default={})  # noqa: B039 - it is never changed
"""Other last names of modules, such as layers that run several times."""
_modules: ContextVar[tuple[nn.Module, ...]] = ContextVar("modules", default=())
"""The recorded modules that are running in this thread or asyncio task, from the outermost to the innermost."""


def observe(name: str, tensor: Tensor) -> Tensor:
    """Return `tensor`. Inside a `record` block, also store it under the path of `name`, or return its replacement."""
    if not _active:
        return tensor
    for recording in _recordings.get():
        tensor = recording._store(name, tensor)
    return tensor


@contextmanager
def renamed(module: nn.Module, name: str) -> Iterator[None]:
    """Record the tensors of a module, and of those in it, under another last name in this block, such as "3" of "layers.3"."""
    token = _renamed.set({**_renamed.get(), module: name})
    try:
        yield
    finally:
        _renamed.reset(token)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Leave what is computed in this block out of all recordings."""
    token = _recordings.set(())
    try:
        yield
    finally:
        _recordings.reset(token)


def is_recording() -> bool:
    """Return True inside a `record` block. Models then use the equations instead of fused kernels, which record no steps."""
    return bool(_active) and bool(_recordings.get())


class Recording(Shown):
    """Observed tensors by path. A path that is observed several times (two forward passes) stores every tensor, in order.

    >>> with record() as recording:
    ...     total = observe("sum", torch.ones(2) + 1)
    >>> recording["sum"], recording.paths
    (tensor([2., 2.]), ['sum'])
    """

    def __init__(
        self,
        names: Mapping[nn.Module, str] | None,
        gradients: bool,
        edit: Mapping[str, Edit],
        tracer: Tracer | None = None,
    ) -> None:
        self._names = names
        self._gradients = gradients
        self._edit = dict(edit)
        self._tracer = tracer
        self._tensors: dict[str, list[Tensor]] = {}
        self._origins: dict[str, Origin] = {}

    def _text(self) -> str:
        """Return the number of paths and, one a line, the paths with their shapes; of many paths, the first and the last."""
        width = max(map(len, self._tensors), default=0)
        lines = [f"  {path:{width}}  {tuple(self[path].shape)}" for path in self._tensors]
        first, omitted, last = first_and_last(lines, MAX_LINES)
        return "\n".join([self.summary, *first, *([f"  … {omitted} more: see .paths"] if omitted else []), *last])

    @property
    def summary(self) -> str:
        """The number of paths."""
        return f"Recording of {len(self)} tensors"

    def _repr_html_(self) -> str:
        rows = [(path, shape(self[path]), data_type(self[path]), first_values(self[path])) for path in self._tensors]
        return table(["path", "shape", "type", "values"], rows, self.summary)

    @property
    def paths(self) -> list[str]:
        """All observed paths, in the order of the forward pass."""
        return list(self._tensors)

    def all(self, path: str) -> list[Tensor]:
        """Return all tensors observed at `path`, in order.

        Raises: KeyError that lists similar paths, if the path was not observed.
        """
        if path not in self._tensors:
            raise KeyError(f"no tensor was observed at {path!r}. {_hint(path, self.paths)}")
        return self._tensors[path]

    def __getitem__(self, path: str) -> Tensor:
        """Return the last tensor observed at `path`.

        Raises: KeyError that lists similar paths, if the path was not observed.
        """
        return self.all(path)[-1]

    def __contains__(self, path: str) -> bool:
        return path in self._tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def gradient(self, path: str) -> Tensor:
        """Return the gradient of the last tensor observed at `path`, after `backward()`.

        Raises: RuntimeError if the recording was made without `gradients=True`, or no gradient reached this tensor.
        """
        tensor = self[path]
        if not self._gradients:
            raise RuntimeError("this recording has no gradients: use record(model, gradients=True)")
        if tensor.grad is None:
            raise RuntimeError(f"no gradient has reached {path!r}: call backward() on a tensor that depends on it")
        return tensor.grad

    def origin(self, path: str) -> Origin:
        """Return the operations that produced the last tensor observed at `path`.

        Raises: KeyError as in `recording[path]`; RuntimeError if the recording was made without `trace=True`.
        """
        if self._tracer is None:
            raise RuntimeError("this recording has no operations: use record(model, trace=True)")
        self.all(path)
        return self._origins[path]

    def operations(self, unobserved: bool = False) -> list[tuple[Operation, Tensor]]:
        """Return the operations whose results no `observe` has named, with their results. Needs `trace=True`.

        Args:
            unobserved: only those since the last observed tensor.
        """
        return [] if self._tracer is None else self._tracer.operations(unobserved)

    def failed_operation(self, error: BaseException) -> Operation | None:
        """Return the operation that raised an exception, if one did. Its shape is empty. Needs `trace=True`."""
        failed = None if self._tracer is None else self._tracer.failed
        return failed[1] if failed is not None and failed[0] is error else None

    def path_of(self, module: object) -> str | None:
        """Return the path of a module of the recorded model, such as "layers.0.attention"; None for any other object."""
        return self._names.get(module) if self._names is not None and isinstance(module, nn.Module) else None

    def add(self, path: str, tensor: Tensor) -> Tensor:
        """Store a tensor that was computed outside of the model, such as probabilities from its logits, and return it."""
        return self._keep(path, tensor)

    def _store(self, name: str, tensor: Tensor) -> Tensor:
        path = name
        if self._names is not None:
            running = [module for module in _modules.get() if module in self._names]
            if not running:
                return tensor
            path = f"{self._names[running[-1]]}.{name}".lstrip(".")
            for module, other in _renamed.get().items():
                if (own := self._names.get(module)) is not None and path.startswith(f"{own}."):
                    path = f"{own[: own.rfind('.') + 1]}{other}{path.removeprefix(own)}"
        return self._keep(path, tensor)

    def _keep(self, path: str, tensor: Tensor) -> Tensor:
        if path in self._edit:
            tensor = self._edited(path, tensor)
        if torch._C._current_graph_task_id() != -1:  # in the backward pass, activation checkpointing repeats the forward pass
            return tensor
        if self._gradients and tensor.requires_grad:
            tensor.retain_grad()
        kept = tensor if self._gradients else tensor.detach()
        if self._tracer is not None:
            origin = self._tracer.origin(tensor)
            if not (isinstance(origin.expression, Leaf) and origin.expression.name == path):  # observed twice in a row
                self._origins[path] = origin
            if not (self._gradients or origin.module.startswith("minibert.")):  # a user's code may change it in place later
                kept = kept.clone()
            self._tracer.name_step(path, tensor, kept)
        self._tensors.setdefault(path, []).append(kept)
        return tensor

    def _edited(self, path: str, tensor: Tensor) -> Tensor:
        edit = self._edit[path]
        new = edit if isinstance(edit, Tensor) else edit(tensor)
        if new.shape != tensor.shape or new.dtype != tensor.dtype:
            raise ValueError(
                f"edit of {path!r}: the new tensor has shape {tuple(new.shape)} and dtype {new.dtype}; "
                f"it must have the shape {tuple(tensor.shape)} and dtype {tensor.dtype} of the observed tensor"
            )
        return new

    def _check_edits(self) -> None:
        for path in self._edit:
            if path not in self._tensors:
                raise KeyError(f"edit: no tensor was observed at {path!r}. {_hint(path, self.paths)}")


@contextmanager
def record(
    model: nn.Module | None = None,
    *,
    gradients: bool = False,
    edit: Mapping[str, Edit] | None = None,
    trace: bool | Mapping[str, Tensor] = False,
) -> Iterator[Recording]:
    """Record every observed tensor of `model` until the end of the `with` block.

    Args:
        model: the model to record. Paths are relative to its encoder, such as `layers.0.attention.weights`, even if the
            model is compiled or wrapped. None records every call of an equation; the paths are then the bare names.
        gradients: keep the tensors in the graph, so that `recording.gradient(path)` works after `backward()`.
        edit: replacements by path: a tensor, or a function of the observed tensor. The rest of the forward pass uses the
            replacement, which must have the same shape and dtype.
        trace: remember the operations that produced each tensor, for `recording.origin(path)`. A mapping also gives names
            to inputs of the model.

    Only calls in the thread or asyncio task of the block are recorded. Inside the block, compiled models run uncompiled in
    every thread, and `set_recompute` has no effect.

    Raises: KeyError at the end of the block, if the path of an edit was not observed; ValueError for a trace of a sharded
    model.
    """
    names = None if model is None else {module: _path(name) for name, module in model.named_modules()}
    tracer = None
    if trace is not False:
        parameters = {} if model is None else {parameter_name(name): value for name, value in model.named_parameters()}
        if any(hasattr(value, "full_tensor") for value in parameters.values()):  # a DTensor: FSDP computes with other tensors
            raise ValueError(
                "trace: a sharded model (FSDP) cannot be traced; load it in one process, or record without trace=True"
            )
        tracer = Tracer(parameters, {} if trace is True else trace)
    recording = Recording(names, gradients, edit or {}, tracer)
    with ExitStack() as stack:
        for module in names or ():
            stack.callback(module.register_forward_pre_hook(partial(_enter, recording), prepend=True).remove)
            stack.callback(module.register_forward_hook(partial(_leave, recording), always_call=True).remove)
        _start(recording)
        stack.callback(_stop, recording)
        if recording._tracer is not None:
            stack.enter_context(recording._tracer)
        yield recording
    recording._check_edits()


def _enter(recording: Recording, module: nn.Module, inputs: object) -> None:
    if recording in _recordings.get():  # otherwise another thread uses the model
        _modules.set((*_modules.get(), module))


def _leave(recording: Recording, module: nn.Module, inputs: object, output: object) -> None:
    if recording in _recordings.get():
        _modules.set(_modules.get()[:-1])


_lock = threading.Lock()
_eager: list[Any] = []
"""While there are recordings: the setting of torch.compile that runs compiled models uncompiled, in all threads."""


def _start(recording: Recording) -> None:
    _recordings.set((*_recordings.get(), recording))
    with _lock:
        _active.append(recording)
        if not _eager and "torch._dynamo" in sys.modules:  # otherwise nothing was compiled, and importing it takes seconds
            _eager.append(torch.compiler.set_stance("force_eager"))


def _stop(recording: Recording) -> None:
    _recordings.set(tuple(other for other in _recordings.get() if other is not recording))
    with _lock:
        _active.remove(recording)
        if not _active and _eager:
            _eager.pop().__exit__(None, None, None)


def _path(module_name: str) -> str:
    return ".".join(part for part in module_name.split(".") if part not in OMITTED_MODULES)


def parameter_name(name: str) -> str:
    """Return the name of a parameter in a trace: that of the module without `WRAPPERS`."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def similar_paths(path: str, paths: list[str]) -> list[str]:
    """Return up to three of the paths that are most similar to a mistyped one."""
    return difflib.get_close_matches(path, paths, n=3, cutoff=0.0)


def _hint(path: str, paths: list[str]) -> str:
    """Return the second sentence of the error for a path that was not observed."""
    if not paths:
        return "No tensor was observed at all: call the model inside the `with record(...)` block"
    near = similar_paths(path, paths)
    fused = ". With attention='fused' the steps inside attention are not observed" if ".attention." in path else ""
    return f"Similar paths: {', '.join(near)}{fused}"
