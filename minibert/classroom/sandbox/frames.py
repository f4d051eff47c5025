"""Messages between the processes of a sandbox, and the outcome of a call as a message: JSON and safetensors, never pickle."""

import json
import socket
import struct
from enum import IntEnum
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from minibert.classroom.running import Outcome
from minibert.classroom.sandbox.limits import Limits, Stopped
from minibert.classroom.trail import Entry

HEADER = struct.Struct(">4sBQ")
SECONDS = struct.Struct(">d")
"""The time that is left, at the beginning of a message to a learner's process."""
MAGIC = b"mini"
"""First bytes of a message. Other bytes were not written by the sandbox."""
MESSAGE_LENGTH = 2000
"""Length of an error message that is passed on."""


class Tag(IntEnum):
    """Kind of a message."""

    OPEN = 1
    """Run this code. The answer is DONE, when it is imported."""
    CALL = 2
    """Call its function. The answer is DONE, with the outcome."""
    CLOSE = 3
    """End it. The answer is DONE, with the printed text."""
    DONE = 4
    STOPPED = 5
    """The code was stopped: reason, line and printed text."""


def pack(tag: Tag, body: bytes = b"") -> bytes:
    return HEADER.pack(MAGIC, tag, len(body)) + body


def send(connection: socket.socket, tag: Tag, body: bytes = b"") -> None:
    connection.sendall(pack(tag, body))


def receive(connection: socket.socket) -> tuple[Tag, bytes]:
    """Receive a message.

    Raises: EOFError if the other side has ended; ValueError for bytes that are no message.
    """
    tag, size = header(_exactly(connection, HEADER.size))
    return tag, _exactly(connection, size)


def header(data: bytes) -> tuple[Tag, int]:
    """Return kind and length of a message."""
    magic, tag, size = HEADER.unpack(data)
    if magic != MAGIC:
        raise ValueError("not a message of the sandbox")
    return Tag(tag), size


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), 2**20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


TENSORS = ("outputs", "gradients", "after")
"""Fields of an outcome that have tensors by name."""
TEXTS = ("error", "line", "line_text", "gradient_error", "leaves_torch", "repeatable", "printed")
"""Fields with a text, a number or a truth value."""


def encode(outcome: Outcome, limits: Limits) -> bytes:
    """Return an outcome as a message.

    Raises: Stopped if it is too large.
    """
    named = {name: list(getattr(outcome, name).items()) for name in TENSORS}
    named["trail"] = [(number, entry.value) for number, entry in enumerate(outcome.trail)]
    if sum(tensor.numel() * tensor.element_size() for pairs in named.values() for _, tensor in pairs) > limits.answer:
        raise Stopped(limits.too_large_answer)
    try:
        tensors = {f"{name}:{number}": _plain(each[1]) for name, pairs in named.items() for number, each in enumerate(pairs)}
        blob = safetensors.torch.save(tensors)
    except Exception as error:
        return encode(Outcome(error=f"TypeError: the result cannot be read as numbers ({error})", line=outcome.line), limits)
    head: dict[str, Any] = {name: getattr(outcome, name) for name in TEXTS}
    head["names"] = {name: [str(key) for key, _ in pairs] for name, pairs in named.items()}
    head["trail"] = [(entry.line, entry.text, entry.label) for entry in outcome.trail]
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "big") + text + blob


def _plain(tensor: Tensor) -> Tensor:
    """Return a copy without subclass, sparsity, device or shared memory."""
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
    return tensor.resolve_conj().resolve_neg().contiguous().clone()


def decode(data: bytes) -> Outcome:
    """Read an outcome. The bytes may come from anywhere.

    Raises: Stopped for what `encode` does not write.
    """
    try:
        size = int.from_bytes(data[:8], "big")
        head = json.loads(data[8 : 8 + size])
        tensors = safetensors.torch.load(data[8 + size :])
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
        raise Stopped(WROTE_TO_SANDBOX) from error


def _checked(name: str, value: Any) -> Any:
    """Return the value of a field.

    Raises: TypeError if it has another type than the field.
    """
    default = getattr(Outcome(), name)
    kinds = {"line": (int, type(None))}.get(name, (type(default),) if default is not None else (str, type(None)))
    if not isinstance(value, kinds):
        raise TypeError(name)
    return value[:MESSAGE_LENGTH] if isinstance(value, str) else value


WROTE_TO_SANDBOX = "The code wrote to a file descriptor that it did not open."
