"""The outcome of a call as a message of the sandbox."""

from typing import Any

from torch import Tensor

from minibert.classroom.running import Outcome
from minibert.classroom.trail import Entry
from minibert.sandbox import Limits, Stopped, messages

MESSAGE_LENGTH = 2000
"""Length of an error message that is passed on."""
TENSORS = ("outputs", "gradients", "after")
"""Fields of an outcome that have tensors by name."""
TEXTS = ("error", "line", "line_text", "gradient_error", "is_list", "leaves_torch", "repeatable", "printed")
"""Fields with a text, a number or a truth value."""


def encode(outcome: Outcome, limits: Limits) -> bytes:
    """Return an outcome as a message.

    Raises: Stopped if it is too large.
    """
    named = {name: list(getattr(outcome, name).items()) for name in TENSORS}
    trail = [(number, entry.value) for number, entry in enumerate(outcome.trail)]
    tensors: dict[str, Tensor] = {
        f"{name}:{number}": each[1] for name, pairs in [*named.items(), ("trail", trail)] for number, each in enumerate(pairs)
    }
    head: dict[str, Any] = {name: getattr(outcome, name) for name in TEXTS}
    head["names"] = {name: [str(key) for key, _ in pairs] for name, pairs in named.items()}
    head["trail"] = [(entry.line, entry.text, entry.label) for entry in outcome.trail]
    try:
        return messages.encode(head, tensors, limits)
    except Stopped:
        raise
    except Exception as error:
        return encode(Outcome(error=f"TypeError: the result cannot be read as numbers ({error})", line=outcome.line), limits)


def decode(data: bytes) -> Outcome:
    """Read an outcome. The bytes may come from anywhere.

    Raises: Stopped for what `encode` does not write.
    """
    head, tensors = messages.decode(data)
    try:
        parts: dict[str, Any] = {
            name: {str(key): tensors[f"{name}:{number}"] for number, key in enumerate(head["names"][name])} for name in TENSORS
        }
        texts = {name: _checked(name, head[name]) for name in TEXTS}
        trail = [
            Entry(int(line), str(text)[:MESSAGE_LENGTH], str(label)[:MESSAGE_LENGTH], tensors[f"trail:{number}"])
            for number, (line, text, label) in enumerate(head["trail"])
        ]
        return Outcome(**parts, **texts, trail=trail)
    except Exception as error:
        raise Stopped(messages.WROTE_TO_SANDBOX) from error


def _checked(name: str, value: Any) -> Any:
    """Return the value of a field.

    Raises: TypeError if it has another type than the field.
    """
    default = getattr(Outcome(), name)
    kinds = {"line": (int, type(None))}.get(name, (type(default),) if default is not None else (str, type(None)))
    if not isinstance(value, kinds):
        raise TypeError(name)
    return value[:MESSAGE_LENGTH] if isinstance(value, str) else value
