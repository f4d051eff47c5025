"""Messages between the processes of a sandbox, and results as a message: JSON and safetensors, never pickle."""

import json
import socket
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from minibert.sandbox.limits import Limits, Stopped

HEADER = struct.Struct(">4sBQ")
SECONDS = struct.Struct(">d")
"""The time that is left, at the beginning of a message to a learner's process."""
MAGIC = b"mini"
"""First bytes of a message. Other bytes were not written by the sandbox."""
WROTE_TO_SANDBOX = "The code wrote to a file descriptor that it did not open."


class Tag(IntEnum):
    """Kind of a message."""

    OPEN = 1
    """Run this code. The answer is DONE, when it is imported."""
    CALL = 2
    """Call its function. The answer is DONE, with the results."""
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


def encode(head: Any, tensors: Mapping[str, Tensor], limits: Limits) -> bytes:
    """Return results as a message.

    Args:
        head: anything that JSON can represent.

    Raises: Stopped if the tensors are too large, and other exceptions for tensors without numbers.
    """
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > limits.answer:
        raise Stopped(limits.too_large_answer)
    text = json.dumps(head).encode()
    return len(text).to_bytes(8, "big") + text + safetensors.torch.save({name: _plain(each) for name, each in tensors.items()})


def _plain(tensor: Tensor) -> Tensor:
    """Return a copy without subclass, sparsity, device or shared memory."""
    tensor = tensor.detach().as_subclass(Tensor).cpu()
    tensor = tensor if tensor.layout is torch.strided else tensor.to_dense()
    return tensor.resolve_conj().resolve_neg().contiguous().clone()


def decode(data: bytes) -> tuple[Any, dict[str, Tensor]]:
    """Read results: their head and their tensors. The bytes may come from anywhere.

    Raises: Stopped for what `encode` does not write.
    """
    try:
        size = int.from_bytes(data[:8], "big")
        return json.loads(data[8 : 8 + size]), safetensors.torch.load(data[8 + size :])
    except Exception as error:
        raise Stopped(WROTE_TO_SANDBOX) from error
