"""Looking inside a forward pass with one word.

An equation says `scores = observe("scores", ...)`. While nobody records, that is the identity and costs nothing, under
`torch.compile(fullgraph=True)` too. Inside `with record(model) as recording:` every observed tensor is kept under its
path, such as `layers.0.attention.scores`, and can be replaced on its way (`edit=`).
"""

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

Edit = Tensor | Callable[[Tensor], Tensor]

WRAPPERS = frozenset({"bert", "module", "_orig_mod", "_checkpoint_wrapped_module", "base_model", "model", "feed_forward"})
"""Parts of a module's name that say how it is wrapped, not where in BERT it stands."""

_recordings: "list[Recording]" = []


def observe(name: str, tensor: Tensor) -> Tensor:
    """The identity, unless somebody is recording: then `tensor` is kept, or replaced, under the path of `name`."""
    if not _recordings:
        return tensor
    for recording in _recordings:
        tensor = recording._take(name, tensor)
    return tensor


def is_recording() -> bool:
    """Whether a `record` block is open: fast paths then step aside for the formulas, which can be looked into."""
    return bool(_recordings)


class Recording:
    """What was observed, by path. A path observed several times (two forward passes) keeps every tensor, in order.

    >>> with record() as recording:
    ...     total = observe("sum", torch.ones(2) + 1)
    >>> recording["sum"], recording.paths
    (tensor([2., 2.]), ['sum'])
    """

    def __init__(self, names: Mapping[nn.Module, str] | None, gradients: bool, edit: Mapping[str, Edit]) -> None:
        self._names = names
        self._gradients = gradients
        self._edit = dict(edit)
        self._scopes: list[str] = []
        self._taken: dict[str, list[Tensor]] = {}

    @property
    def paths(self) -> list[str]:
        """Every path that was observed, in the order of the forward pass."""
        return list(self._taken)

    def every(self, path: str) -> list[Tensor]:
        """All tensors observed at `path`, in order. Raises KeyError, naming near paths, if there is none."""
        if path not in self._taken:
            raise KeyError(f"nothing was observed at {path!r}. {_near(path, self.paths)}")
        return self._taken[path]

    def __getitem__(self, path: str) -> Tensor:
        """The last tensor observed at `path`. Raises KeyError, naming near paths, if there is none."""
        return self.every(path)[-1]

    def __contains__(self, path: str) -> bool:
        return path in self._taken

    def __iter__(self) -> Iterator[str]:
        return iter(self._taken)

    def __len__(self) -> int:
        return len(self._taken)

    def gradient(self, path: str) -> Tensor:
        """The gradient of whatever `backward` was called on with respect to the tensor at `path`, in its shape.

        Raises: RuntimeError if the block did not ask for gradients, or nothing was propagated back to this tensor.
        """
        tensor = self[path]
        if not self._gradients:
            raise RuntimeError("this recording has no gradients: use record(model, gradients=True)")
        if tensor.grad is None:
            raise RuntimeError(f"no gradient has reached {path!r}: call backward() on something that depends on it")
        return tensor.grad

    def _take(self, name: str, tensor: Tensor) -> Tensor:
        if self._names is not None and not self._scopes:
            return tensor
        path = f"{self._scopes[-1]}.{name}".lstrip(".") if self._scopes else name
        if path in self._edit:
            tensor = self._replaced(path, tensor)
        if self._gradients and tensor.requires_grad:
            tensor.retain_grad()
        self._taken.setdefault(path, []).append(tensor if self._gradients else tensor.detach())
        return tensor

    def _replaced(self, path: str, tensor: Tensor) -> Tensor:
        edit = self._edit[path]
        new = edit if isinstance(edit, Tensor) else edit(tensor)
        if new.shape != tensor.shape or new.dtype != tensor.dtype:
            raise ValueError(
                f"edit of {path!r}: the new tensor is {tuple(new.shape)} {new.dtype}, "
                f"the one it replaces is {tuple(tensor.shape)} {tensor.dtype}"
            )
        return new

    def _check_edits(self) -> None:
        for path in self._edit:
            if path not in self._taken:
                raise KeyError(f"edit: nothing was observed at {path!r}. {_near(path, self.paths)}")


@contextmanager
def record(
    model: nn.Module | None = None, *, gradients: bool = False, edit: Mapping[str, Edit] | None = None
) -> Iterator[Recording]:
    """Records every observed tensor of `model` (without a model: of any equation) until the block ends.

    Args:
        model: paths are relative to the Bert inside it: `layers.0.attention.weights`, however it is wrapped.
        gradients: keep the tensors in the graph, so that `recording.gradient(path)` tells their gradient after `backward`.
        edit: by path, a tensor to put in the place of the observed one, or a function that makes it from the observed
            one: the rest of the forward pass goes on with it. It must keep shape and dtype.

    Compiled models run uncompiled inside the block. Raises: KeyError at the end of the block for an edit at a path that
    was not observed, naming near ones.
    """
    names = None if model is None else {module: _path(name) for name, module in model.named_modules()}
    recording = Recording(names, gradients, edit or {})
    with ExitStack() as stack:
        for module, path in (names or {}).items():
            enter = module.register_forward_pre_hook(partial(_enter, recording, path), prepend=True)
            stack.callback(enter.remove)
            leave = module.register_forward_hook(partial(_leave, recording), always_call=True)
            stack.callback(leave.remove)
        if "torch._dynamo" in sys.modules:  # else nothing can have been compiled, and importing it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        _recordings.append(recording)
        stack.callback(_recordings.remove, recording)
        yield recording
    recording._check_edits()


def _enter(recording: Recording, path: str, module: nn.Module, inputs: object) -> None:
    recording._scopes.append(path)


def _leave(recording: Recording, module: nn.Module, inputs: object, output: object) -> None:
    recording._scopes.pop()


def _path(module_name: str) -> str:
    return ".".join(part for part in module_name.split(".") if part not in WRAPPERS)


def _near(path: str, paths: list[str]) -> str:
    if not paths:
        return "Nothing was observed at all: was the model called inside the block?"
    near = difflib.get_close_matches(path, paths, n=3, cutoff=0.0)
    inner = " Inner steps of attention are not observed with attention='fused'." if ".attention." in path else ""
    return f"Near ones: {', '.join(near)}.{inner}"
