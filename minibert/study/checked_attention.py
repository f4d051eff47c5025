"""A user's own attention function, whose arguments and result are checked."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minibert.observe import observe

ARGUMENTS = ("query", "key", "value", "keep", "dropout")


class UserCodeError(Exception):
    """An error in the user's code. The message names the file and the line."""


class CheckedAttention:
    r"""A user's attention function that also checks its result: type, shape, data type, and arguments left as they were.

    A call raises UserCodeError, with the line of the user's function, for an invalid result.

    Args:
        function: a function of query, key, value, keep and dropout, and for ALiBi also of bias.
        location: file and function, such as `my.py:my_attention`, for messages. Default: the function's own.
        finite: also raise for a result with NaN or infinite numbers.

    Steps:
        context (batch heads queries value_width): $$C = \mathrm{attention}(Q, K, V)$$ The result of your attention function.
    """

    def __init__(self, function: Callable[..., Any], location: str | None = None, finite: bool = False) -> None:
        self.function, self.finite = function, finite
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        code = getattr(inspect.unwrap(function), "__code__", None)
        if location is None:
            location = f"{code.co_filename}:{self.__name__}" if code is not None else self.__name__
        shown, _, name = location.rpartition(":")
        self.name = name
        self.where = f"{shown}, line {code.co_firstlineno}, {name}" if code is not None else location

    def __call__(self, *arguments: Any, **options: Any) -> Tensor:
        self._check_signature(options)
        copies = [argument.clone() if isinstance(argument, Tensor) else argument for argument in arguments]
        result = self.function(*copies, **options)
        for name, argument, copy in zip(ARGUMENTS, arguments, copies, strict=True):
            if isinstance(argument, Tensor) and not _same(argument, copy):
                raise UserCodeError(f"{self.where}: changed its argument {name} in place: compute a new tensor instead")
        if problem := self._problem_of(result, arguments[0], arguments[2]):
            raise UserCodeError(f"{self.where}: returned {problem}")
        return observe("context", result)

    def _check_signature(self, options: dict[str, Any]) -> None:
        try:
            inspect.signature(self.function).bind(*ARGUMENTS, **options)
        except TypeError as error:
            advice = f"Define it as def {self.name}({', '.join(['query, key, value, keep=None, dropout=0.0', *options])})"
            raise UserCodeError(f"{self.where}: {error}. {advice}") from error
        except ValueError:  # a function in C has no signature
            pass

    def _problem_of(self, output: object, query: Tensor, value: Tensor) -> str | None:
        """Describe an invalid result; None if it has the right type, shape and data type."""
        expected = (*query.shape[:-1], value.shape[-1])
        if output is None:
            return "None: is a return statement missing?"
        if isinstance(output, tuple | list):
            return f"a {type(output).__name__} of {len(output)}: return one tensor, the context"
        if not isinstance(output, Tensor):
            return f"an object of type {type(output).__name__}: return a tensor"
        if tuple(output.shape) != expected:
            return f"a tensor of shape {tuple(output.shape)}: it must be {expected} = (batch, heads, queries, width of a value)"
        if output.dtype != query.dtype:
            return f"a tensor of {output.dtype}: it must be {query.dtype}, the type of the query"
        if output.device != query.device or output.layout != torch.strided:
            return f"a tensor with device {output.device} and {output.layout}: it must be dense, on {query.device}"
        if self.finite and (count := int((~output.isfinite()).sum())):
            return f"a tensor in which {count} of {output.numel()} numbers are NaN or infinite"
        return None


def _same(old: Tensor, new: Tensor) -> bool:
    """Return True if two tensors are equal, also where both are NaN."""
    return old.shape == new.shape and bool(((old == new) | ((old != old) & (new != new))).all())
