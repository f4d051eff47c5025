"""The tensors in a checkpoint's files, whatever form these have. Files come from strangers: nothing in them is believed."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from minibert.hub import fetch

WEIGHTS_FILE = "model.safetensors"
PICKLED_FILE = "pytorch_model.bin"
INDEX = ".index.json"
FORMS = (WEIGHTS_FILE, WEIGHTS_FILE + INDEX, PICKLED_FILE, PICKLED_FILE + INDEX)
"""Where the tensors may be, what is safer first; an index names the files that share them."""
NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights may have."""


def find_weights(source: str | Path) -> Path:
    """The file with a checkpoint's weights, or with their index. Raises: FileNotFoundError if there is none."""
    if Path(source).is_file():
        return Path(source)
    for name in FORMS:
        if (found := fetch(source, name)) is not None:
            return found
    raise FileNotFoundError(f"{source}: is no checkpoint, there is none of {', '.join(FORMS)} in it")


def read_weights(source: str | Path) -> tuple[Mapping[str, Tensor], Path]:
    """All tensors of a checkpoint by name, and the file that they, or their index, came from.

    Raises: ValueError that names file and tensor for what is damaged, not finite, or not tensors at all;
    FileNotFoundError if a file is missing.
    """
    path = find_weights(source)
    tensors = _read_shards(source, path) if path.name.endswith(INDEX) else _read_file(path)
    for name, tensor in tensors.items():
        if reason := _why_unusable(name, tensor):
            raise ValueError(f"{path}: tensor {name} {reason}")
    return tensors, path


def _why_unusable(name: str, tensor: Tensor) -> str | None:
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return "is not stored as numbers in a row"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return "says that it is larger than what is stored"  # a few bytes that would fill the memory when they are copied
    if tensor.dtype in (torch.int32, torch.int64) and name.endswith("_ids"):
        return None  # positions, which are no parameters
    if tensor.dtype not in NUMBERS:
        return f"has the type {str(tensor.dtype).removeprefix('torch.')}: quantized weights are not supported"
    return None if tensor.to(torch.float32).isfinite().all() else "has numbers that are infinite or NaN"


def _read_shards(source: str | Path, index: Path) -> dict[str, Tensor]:
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index}: is no index of weights ({error!r})") from error
    tensors: dict[str, Tensor] = {}
    for name in sorted(map(str, names)):
        if Path(name).name != name:
            raise ValueError(f"{index}: {name!r} is no plain file name")
        shard = fetch(source, name)
        if shard is None:
            raise FileNotFoundError(f"{index}: names {name}, which is not there")
        tensors |= _read_file(shard)
    return tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: is not a whole safetensors file ({error})") from error
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: holds tensors that cannot be read ({error!r})") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    """A pickle can run any program; `weights_only` lets it make tensors and nothing else."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile pickle makes its reader raise
        reason = str(error).partition("\n")[0][:200] or repr(error)
        raise ValueError(f"{path}: is not a whole file of PyTorch weights ({reason})") from error
    if not isinstance(stored, Mapping):
        raise ValueError(f"{path}: holds {type(stored).__name__}, not tensors by name")
    if wrong := [name for name, value in stored.items() if not (isinstance(name, str) and isinstance(value, Tensor))]:
        raise ValueError(f"{path}: {wrong[0]!r} is no tensor")
    return dict(stored)
