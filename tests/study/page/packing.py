"""Tensors on their way between Python and the scripts of a live page."""

import base64
from typing import Any

import torch
from torch import Tensor

PACKING = """
  const packed = ({ shape, data }) => {
    const bytes = new Uint8Array(data.slice().buffer);
    let text = "";
    for (let start = 0; start < bytes.length; start += 8192) {
      text += String.fromCharCode(...bytes.subarray(start, start + 8192));
    }
    return { shape, data: btoa(text) };
  };
  const tensorOf = ({ shape, data }) => new FloatTensor(shape, Float32Array.from(data));
"""
"""Functions of a script: `packed` for `unpacked`, and a tensor of numbers in JSON."""


def unpacked(tensor: dict[str, Any]) -> Tensor:
    """Return a tensor that a script has packed."""
    return torch.frombuffer(bytearray(base64.b64decode(tensor["data"])), dtype=torch.float32).reshape(tensor["shape"])
