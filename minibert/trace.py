"""The operations that produced a tensor, traced while a network runs: `div(matmul(query, transpose(key)), 8.0)`.

`record(model, trace=True)` uses a `Tracer`. Each recorded tensor then has an `Origin`: a tree of operations whose leaves are
earlier recorded tensors, parameters, and constants such as token ids or masks.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import FrameType
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LeafKind = Literal["step", "parameter", "input", "constant"]

MACHINERY = (__name__, "minibert.observe", "torch.", "jaxtyping", "beartype")
"""Beginnings of the names of modules that stand between a function and the tracer."""
EQUATIONS = "minibert.equations."
"""Beginning of the names of modules whose functions are equations."""
NAMES = {
    "flatten": "reshape", "view": "reshape", "squeeze": "reshape", "masked_fill_": "masked_fill",
    "rpow": "pow", "truediv": "div", "rtruediv": "div", "radd": "add", "rmul": "mul", "rsub": "sub", "rdiv": "div",
    "true_divide": "div", "divide": "div", "multiply": "mul", "subtract": "sub", "negative": "neg", "absolute": "abs",
    "bmm": "matmul", "mm": "matmul", "mv": "matmul", "dot": "matmul", "rmatmul": "matmul",
    "swapaxes": "transpose", "swapdims": "transpose",
    "concat": "cat", "concatenate": "cat",
}  # fmt: skip
"""Names of operations that have several in PyTorch."""
AXES = ("dim0", "dim1", "axis0", "axis1")
"""Keywords of the two axes of a transposition."""
REVERSED = ("rpow", "rdiv", "rtruediv", "rsub", "rmatmul")
"""Operations that get their arguments in reverse order."""
KEYWORDS = ("condition", "input", "tensors", "query", "key", "other", "mat2", "mask", "weight", "bias", "value", "exponent")
"""Names of arguments that can be tensors, in the order of the positional ones."""
PARTS = {"unbind": 1, "split": 2, "chunk": 2, "tensor_split": 2}
"""Operations that return the parts of a tensor along an axis, and the place of the axis among their arguments."""
UNCHANGED = ("to", "float", "double", "detach", "contiguous", "clone", "alias")
"""Operations whose result has the values of their argument, in another type or place in memory."""
MAX_OPERATIONS = 150
"""Largest number of operations of an expression. A longer one has only its leaves."""


@dataclass(frozen=True, eq=False)
class Leaf:
    """A tensor that an operation begins with."""

    kind: LeafKind
    """An earlier step of the recording, a parameter or an input of the model, or a constant, such as a mask."""
    name: str
    """Path of the step, name of the parameter or of the input; empty for a constant."""
    value: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class Call:
    """A call of an equation."""

    equation: str
    """Name of the function in `minibert.equations`."""
    arguments: Mapping[str, Any] = field(repr=False)
    """All arguments by name, also those that have their default value."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One operation of PyTorch and its arguments."""

    name: str
    """PyTorch's name, such as "matmul". Transpositions are "transpose"; views and flattening are "reshape"."""
    arguments: tuple[Any, ...]
    """Nodes for tensors; other arguments, such as numbers and axes, as they are."""
    options: Mapping[str, Any]
    """Keyword arguments."""
    shape: tuple[int, ...]
    """Shape of the result."""
    call: Call | None = None
    """The call of the equation that ran the operation, if one did."""

    @property
    def equation(self) -> str | None:
        """The equation that ran the operation, if one did."""
        return None if self.call is None else self.call.equation

    @cached_property
    def size(self) -> int:
        """Number of operations of the expression, with repetitions."""
        return 1 + sum(each.size for each in self.arguments if isinstance(each, Operation))


Node: TypeAlias = Leaf | Operation


@dataclass(frozen=True)
class Origin:
    """The computation of a recorded tensor."""

    expression: Node
    """The operations since the last recorded tensors."""
    module: str
    """Module of the function that named the tensor with `observe`."""
    function: str
    """Qualified name of that function, such as `MultiHeadAttention.forward`."""
    line: int
    """Line of the call of `observe`."""
    call: Call | None = None
    """The call of the equation that observed or returned the tensor, if one did."""


class Tracer(TorchFunctionMode):
    """A context in which the results of all operations remember their arguments.

    Args:
        parameters, inputs: names of the tensors that a network is called with.
    """

    def __init__(self, parameters: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._nodes: dict[int, Node] = {id(value): Leaf("input", name, value) for name, value in inputs.items()}
        self._nodes |= {id(value): Leaf("parameter", name, value) for name, value in parameters.items()}
        self._alive: list[Tensor] = []  # otherwise a later tensor could get the id of one that was deleted
        self._observed = 0
        """Number of tensors at the last recorded one."""
        self.failed: tuple[Exception, Operation] | None = None
        """The last operation that raised an exception. Its shape is empty."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if args and _is_in_place(function) and isinstance(self._nodes.get(id(args[0])), Operation):
            self._set(args[0].clone(), self._nodes[id(args[0])])  # the operation before remains, with its result
        try:
            result = function(*args, **options)
        except Exception as error:
            self.failed = error, self._operation(function, args, options, ())
            raise
        if isinstance(result, Tensor) and result.is_floating_point():
            self._note(function, args, options, result)
        elif function is Tensor.__setitem__:
            self._note_assignment(*args)
        elif isinstance(result, tuple | list):
            self._note_parts(function, args, options, result)
        return result

    def node(self, tensor: Tensor) -> Node:
        """Return the operation that produced a tensor, or a leaf."""
        if id(tensor) not in self._nodes:
            self._set(tensor, Leaf("constant", "", tensor))
        return self._nodes[id(tensor)]

    def origin(self, tensor: Tensor) -> Origin:
        """Return the computation of a tensor that the running function observes."""
        node, frame = self.node(tensor), _caller()
        call = _call(frame) or (node.call if isinstance(node, Operation) else None)
        return Origin(node, frame.f_globals.get("__name__", ""), frame.f_code.co_qualname, frame.f_lineno, call)

    def name_step(self, path: str, tensor: Tensor, value: Tensor) -> None:
        """Make a recorded tensor a leaf of the operations after it. A tensor with two paths has its first one.

        Args:
            value: the tensor, or a copy of it if it may be changed in place later.
        """
        known = self._nodes.get(id(tensor))
        if not (isinstance(known, Leaf) and known.kind == "step"):
            known = Leaf("step", path, value.detach())
            self._set(tensor, known)
        self._set(value, known)
        self._observed = len(self._alive)

    def operations(self, unobserved: bool) -> list[tuple[Operation, Tensor]]:
        """Return the operations whose results have no name, with their results: all, or those since the last named one.

        A tensor that was changed in place has its place after the last change.
        """
        nodes = [(self._nodes[id(tensor)], tensor) for tensor in self._alive[self._observed if unobserved else 0 :]]
        found = {id(node): (node, tensor) for node, tensor in reversed(nodes) if isinstance(node, Operation)}
        return [*found.values()][::-1]

    def _note(self, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], result: Tensor) -> None:
        name = _name(function)
        if (name in UNCHANGED and args) or (name == "dropout" and not options.get("training")):
            node = self.node(args[0])
            if not (isinstance(node, Leaf) and node.kind == "constant"):
                self._set(result, node)
            return
        operation = self._operation(function, args, options, tuple(result.shape))
        if any(isinstance(argument, Leaf | Operation) for argument in operation.arguments):  # not for such as torch.arange
            self._set(result, operation)

    def _operation(
        self, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
    ) -> Operation:
        name = _name(function)
        args = (*args, *(options.pop(keyword) for keyword in KEYWORDS if keyword in options))
        arguments = tuple(self.node(value) if isinstance(value, Tensor) else value for value in _flat(args))
        if name in REVERSED:
            arguments = arguments[::-1]
        if name == "mT" or (name in ("T", "t") and len(shape) == 2):
            name, arguments = "transpose", (*arguments, -2, -1)
        arguments = (*arguments, *(options.pop(axis) for axis in AXES if axis in options))
        operation = Operation(NAMES.get(name, name), arguments, options, shape, _call(_caller()))
        if operation.size > MAX_OPERATIONS:
            return Operation("many_operations", tuple(leaves(operation)), {}, shape)
        return operation

    def _note_assignment(self, tensor: Tensor, index: Any, value: Any) -> None:
        """Note an assignment to a part of a tensor. It has the leaves of all assignments, because loops have thousands."""
        before, shape = self.node(tensor), tuple(tensor.shape)
        assigned, is_number = (self.node(value), value.ndim == 0) if isinstance(value, Tensor) else (value, True)
        if isinstance(index, Tensor) and index.dtype == torch.bool and index.shape == tensor.shape and is_number:
            self._set(tensor, Operation("masked_fill", (before, self.node(index), assigned), {}, shape))
            return
        inputs = leaves(Operation("setitem", (before, assigned), {}, shape))
        self._set(tensor, Operation("setitem", tuple(leaf for leaf in inputs if leaf.value is not tensor), {}, shape))

    def _note_parts(
        self, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], parts: Sequence[Any]
    ) -> None:
        """Note the results of an operation that returns several tensors."""
        name, end = _name(function), 0
        for number, part in enumerate(each for each in parts if isinstance(each, Tensor)):
            if name in PARTS:
                axis = options.get("dim", args[PARTS[name]] if len(args) > PARTS[name] else 0) % args[0].ndim
                start, end = end, end + (0 if name == "unbind" else part.shape[axis])
                index = (*(slice(None),) * axis, number if name == "unbind" else slice(start, end))
                self._set(part, Operation("getitem", (self.node(args[0]), index), {}, tuple(part.shape)))
            elif part.is_floating_point():
                self._note(function, args, options, part)

    def _set(self, tensor: Tensor, node: Node) -> None:
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)


def _is_in_place(function: Callable[..., Any]) -> bool:
    """Return True for an operation that changes its first argument, such as `masked_fill_` or `x += 1`."""
    name = function.__name__
    return name.endswith("_") and not name.endswith("__")


def leaves(node: Node) -> list[Leaf]:
    """Return the leaves of a tree of operations from left to right, each one once."""
    found: dict[int, Leaf] = {}
    for leaf in _leaves(node):
        found.setdefault(id(leaf.value), leaf)
    return [*found.values()]


def operations(node: object) -> Iterator[Operation]:
    """Yield the operations of a tree, from the root to the leaves."""
    if isinstance(node, Operation):
        yield node
        for argument in node.arguments:
            yield from operations(argument)


def _leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        for argument in node.arguments:
            if isinstance(argument, Leaf | Operation):
                yield from _leaves(argument)


def _name(function: Callable[..., Any]) -> str:
    name: str = function.__name__
    if name == "__get__":  # a property, such as `key.mT`
        name = function.__self__.__name__  # type: ignore[attr-defined]
    return name.strip("_")


def _flat(args: tuple[Any, ...]) -> Iterator[Any]:
    """Yield arguments, and the tensors in a list, such as that of `torch.stack`."""
    for value in args:
        if isinstance(value, list | tuple) and value and all(isinstance(part, Tensor) for part in value):
            yield from value
        else:
            yield value


def _caller() -> FrameType:
    """Return the frame of the function that called PyTorch or `observe`, without decorators that check shapes."""
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_globals.get("__name__", "").startswith(MACHINERY) or frame.f_code.co_filename.startswith("<@beartype")
    ):
        frame = frame.f_back
    return frame


def _call(frame: FrameType) -> Call | None:
    """Return the call that a frame belongs to, if its function is an equation."""
    if not frame.f_globals.get("__name__", "").startswith(EQUATIONS):
        return None
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return Call(code.co_name, {name: values[name] for name in names if name in values})
