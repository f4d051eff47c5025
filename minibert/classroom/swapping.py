"""A learner's function in place of minibert's own, everywhere in the package."""

import inspect
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any
from unittest import mock

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from minibert import kernels
from minibert.classroom.exercise import Arguments, Exercise
from minibert.observe import observe, unrecorded
from minibert.study.checked_attention import UserCodeError

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_pre_hooks_with_kwargs",
    "_forward_hooks_always_called",
)


@dataclass
class Swap:
    """The replacement of one function. It counts its calls, and can be limited to some modules."""

    exercise: Exercise
    function: Callable[[Arguments], Any]
    calls: int = 0
    """Number of calls of the learner's function."""
    only_inside: list[nn.Module] = field(default_factory=list)
    """The modules in which the function is replaced; none for everywhere."""
    _depth: int = 0
    _is_comparing: bool = False

    @property
    def is_active(self) -> bool:
        """True if a call goes to the learner's function."""
        return not self._is_comparing and (not self.only_inside or self._depth > 0)

    def _enter(self, module: nn.Module, *_: Any) -> None:
        self._depth += module in self.only_inside

    def _leave(self, module: nn.Module, *_: Any) -> None:
        self._depth -= module in self.only_inside

    def replacement_of(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls the learner's with the arguments that `original` gets."""
        signature = inspect.signature(original)
        observed = re.search(r'return observe\("(\w+)"', inspect.getsource(self.exercise.reference))

        @wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            if not self.is_active:
                return original(*args, **kwargs)
            self.calls += 1
            bound = signature.bind(*args, **kwargs)
            with self._comparing():
                expected = original(*args, **kwargs)
            result = self._checked(self.function(self._given(bound.arguments)), expected)
            return observe(observed[1], result) if observed else result

        return replacement

    @contextmanager
    def _comparing(self) -> Iterator[None]:
        """Use minibert's functions without recording them. A kernel calls the equation, which is replaced too."""
        self._is_comparing = True
        try:
            with unrecorded():
                yield
        finally:
            self._is_comparing = False

    def _checked(self, result: Any, expected: Any) -> Tensor:
        """Return the result in the data type that the model needs. Raises: UserCodeError for a result of another shape."""
        if not isinstance(expected, Tensor):
            raise UserCodeError(f"{self.exercise.name} is no stage of a model: its result is no tensor")
        if not isinstance(result, Tensor) or result.shape != expected.shape:
            found = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise UserCodeError(f"{self.exercise.name} returned {found}, expected a tensor of shape {tuple(expected.shape)}")
        return result.to(expected.dtype)

    def _given(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments without those that the exercise does not have. Raises: UserCodeError if one is needed."""
        parameters = inspect.signature(self.exercise.reference).parameters
        given = {}
        for name, value in arguments.items():
            if name in self.exercise.parameters:
                given[name] = value
            elif name not in parameters or not _equal(value, parameters[name].default):
                raise UserCodeError(
                    f"this model calls {self.exercise.name} with the argument {name}, which the exercise does not have, "
                    "so it cannot be replaced"
                )
        return given


def _equal(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, bool | int | float | str) and value == default)


@contextmanager
def without_hooks(arguments: Arguments) -> Iterator[None]:
    """Remove the hooks of all modules in arguments until the block ends. A recording cannot be sent to another process."""
    modules = [inner for value in arguments.values() if isinstance(value, nn.Module) for inner in value.modules()]
    with ExitStack() as stack:
        for module in modules:
            for name in HOOKS:
                stack.enter_context(mock.patch.object(module, name, OrderedDict()))
        yield


@contextmanager
def swapped(exercise: Exercise, function: Callable[[Arguments], Any]) -> Iterator[Swap]:
    """Replace the reference of an exercise by a learner's function in all modules of minibert, until the block ends.

    Networks must be made inside the block: they keep their activation function.

    Args:
        function: gets the arguments by name, as the reference names them.
    """
    swap, reference = Swap(exercise, function), inspect.unwrap(exercise.reference)
    with ExitStack() as stack:
        # Hooks of a module itself would be copied with it, if it is an argument of the learner's function.
        stack.callback(register_module_forward_pre_hook(swap._enter).remove)
        stack.callback(register_module_forward_hook(swap._leave, always_call=True).remove)
        owner, _, name = reference.__qualname__.rpartition(".")
        if owner:
            kind = getattr(sys.modules[reference.__module__], owner)
            stack.enter_context(mock.patch.object(kind, name, swap.replacement_of(getattr(kind, name))))
        else:
            targets = [reference, inspect.unwrap(getattr(kernels, reference.__name__, reference))]
            for table in _tables():
                for key, value in [*table.items()]:
                    if inspect.isfunction(value) and inspect.unwrap(value) in targets:
                        stack.enter_context(mock.patch.dict(table, {key: swap.replacement_of(value)}))
        yield swap


def _tables() -> list[dict[Any, Any]]:
    """Return the names of all loaded modules of minibert but the classroom, and the tables of functions in them."""
    modules = [module for name, module in sys.modules.items() if re.match(r"minibert\.(?!classroom)", name)]
    spaces = [vars(module) for module in modules]
    return [*spaces, *(value for space in spaces for value in space.values() if type(value) is dict)]
