"""Reading and writing the weights of a checkpoint: safetensors or pickled files, in one piece or in shards.

Files may be damaged or hostile: everything in them is checked before it is used.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from minibert.files import write_atomically
from minibert.hub import fetch

WEIGHTS_FILE = "model.safetensors"
PICKLED_FILE = "pytorch_model.bin"
INDEX = ".index.json"
FORMS = (WEIGHTS_FILE, WEIGHTS_FILE + INDEX, PICKLED_FILE, PICKLED_FILE + INDEX)
"""File names of weights, the safer format first. An index lists the files of sharded weights."""
FLOAT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights may have."""


def find_weights(source: str | Path) -> Path:
    """Return the file with a checkpoint's weights, or their index. Raises: FileNotFoundError if there is none."""
    if Path(source).is_file():
        return Path(source)
    for name in FORMS:
        if (found := fetch(source, name)) is not None:
            return found
    raise FileNotFoundError(f"{source}: is not a checkpoint, it has none of {', '.join(FORMS)}")


def read_weights(source: str | Path) -> tuple[Mapping[str, Tensor], Path]:
    """Read all tensors of a checkpoint; return them by name, with the path of their file or index.

    Raises: ValueError, naming file and tensor, for damaged files, values that are not finite and anything that is not a
    tensor; FileNotFoundError for a missing file.
    """
    path = find_weights(source)
    tensors = _read_shards(source, path) if path.name.endswith(INDEX) else _read_file(path)
    for name, tensor in tensors.items():
        if reason := _why_unusable(name, tensor):
            raise ValueError(f"{path}: tensor {name} {reason}")
    return tensors, path


def write_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file, atomically."""
    write_atomically(path, safetensors.torch.save(dict(tensors), metadata={"format": "pt"}))


def _why_unusable(name: str, tensor: Tensor) -> str | None:
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return "is not stored as a dense tensor on the CPU"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "has a shape larger than its stored data"  # a few bytes would fill the memory when copied
    if tensor.dtype in (torch.int32, torch.int64) and name.endswith("_ids"):
        return None  # buffers of positions, not parameters
    if tensor.dtype not in FLOAT_TYPES:
        return f"has the type {str(tensor.dtype).removeprefix('torch.')}: quantized weights are not supported"
    return None if tensor.to(torch.float32).isfinite().all() else "has infinite or NaN values"


def _read_shards(source: str | Path, index: Path) -> dict[str, Tensor]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index}: is not an index of weights ({error!r})") from error
    tensors: dict[str, Tensor] = {}
    for name in sorted(map(str, names)):
        if Path(name).name != name:
            raise ValueError(f"{index}: {name!r} is not a plain file name")
        shard = fetch(source, name)
        if shard is None:
            raise FileNotFoundError(f"{index}: lists {name}, which is missing")
        tensors |= _read_file(shard)
    return tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: is not a complete safetensors file ({error})") from error
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: has tensors that cannot be read ({error!r})") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    """Read a pickle with `weights_only`: a pickle can run any program, this restricts it to tensors."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle can raise anything
        reason = str(error).partition("\n")[0][:200] or repr(error)
        raise ValueError(f"{path}: is not a complete file of PyTorch weights ({reason})") from error
    if not isinstance(stored, Mapping):
        raise ValueError(f"{path}: contains a {type(stored).__name__} instead of named tensors")
    if wrong := [name for name, value in stored.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise ValueError(f"{path}: {wrong[0]!r} is not a tensor")
    return dict(stored)
