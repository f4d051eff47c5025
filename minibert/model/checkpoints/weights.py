"""Reading and writing the weights of a checkpoint: safetensors or pickled files, in one piece or in shards.

Files may be damaged or hostile: everything in them is checked before it is used.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from minibert.files import file_kind, write_atomically
from minibert.hub import fetch

WEIGHTS_FILE = "model.safetensors"
PICKLED_FILE = "pytorch_model.bin"
INDEX = ".index.json"
FORMS = (WEIGHTS_FILE, WEIGHTS_FILE + INDEX, PICKLED_FILE, PICKLED_FILE + INDEX)
"""File names of weights, the safer format first. An index lists the files of sharded weights."""
FOREIGN_FILES = ("*.h5", "*.msgpack", "*.onnx", "*.ckpt*", "*.gguf", "*.npz", "*.mlmodel", "*.tflite")
"""File names of weights for other libraries than PyTorch."""
SAVE_WEIGHTS = "save the weights alone, with `model.save_pretrained(folder)` or `torch.save(model.state_dict(), path)`"
PICKLE_SIGNATURES = (b"PK\x03\x04", b"\x80")
"""First bytes of PyTorch's pickled files: a zip archive, or before PyTorch 1.6 a pickle."""
FLOAT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types that weights may have."""


def find_weights(source: str | Path) -> Path:
    """Return the file with a checkpoint's weights, or their index. Raises: FileNotFoundError if there is none."""
    if Path(source).is_file():
        return Path(source)
    for name in FORMS:
        if (found := fetch(source, name)) is not None:
            return found
    if readable := sorted(file.name for file in Path(source).glob("*.safetensors") if file.is_file()):
        hint = f". To load {readable[0]}, give the path of that file"
    else:
        hint = foreign_hint(Path(source))
    raise FileNotFoundError(f"{source}: is not a checkpoint, it has none of {', '.join(FORMS)}{hint}")


def foreign_hint(folder: Path) -> str:
    """Return what to do with the weights of another library in a folder, for an error message; "" if there are none."""
    foreign = sorted(file.name for pattern in FOREIGN_FILES for file in folder.glob(pattern))
    return f". {foreign[0]} is of another library: load it there and save it for PyTorch" if foreign else ""


def read_weights(source: str | Path) -> tuple[Mapping[str, Tensor], Path]:
    """Read all tensors of a checkpoint; return them by name, with the path of their file or index.

    Raises: ValueError, naming file and tensor, for damaged files and anything that is not a dense tensor; FileNotFoundError
    for a missing file.
    """
    path = find_weights(source)
    tensors = _read_shards(source, path) if path.name.endswith(INDEX) else _read_file(path)
    _check_storage(tensors, path)
    return tensors, path


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of one file. Raises: as `read_weights`."""
    tensors = _read_file(path)
    _check_storage(tensors, path)
    return tensors


def _check_storage(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"{path}: tensor {name} is not stored as a dense tensor on the CPU")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            # A few bytes would fill the memory when copied.
            raise ValueError(f"{path}: tensor {name} has a shape larger than its stored data")


def check_parameter(name: str, tensor: Tensor, path: Path) -> None:
    """Raise ValueError for a tensor that cannot be a parameter: quantized, complex, or with infinite or NaN values."""
    if tensor.dtype not in FLOAT_TYPES:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(f"{path}: tensor {name} has the type {kind}: quantized weights are not supported")
    if not tensor.to(torch.float32).isfinite().all():
        raise ValueError(f"{path}: tensor {name} has infinite or NaN values")


def write_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors to a safetensors file, atomically. Tensors that share memory are written as separate ones."""
    storages = Counter(tensor.untyped_storage().data_ptr() for tensor in tensors.values())
    separate = {
        name: tensor.clone() if storages[tensor.untyped_storage().data_ptr()] > 1 else tensor
        for name, tensor in tensors.items()
    }
    write_atomically(path, safetensors.torch.save(separate, metadata={"format": "pt"}))


def _read_shards(source: str | Path, index: Path) -> dict[str, Tensor]:
    """Read the files that an index lists. Raises: as `read_weights`, also if index and files do not agree."""
    try:
        files = {name: str(file) for name, file in json.loads(index.read_text(encoding="utf-8-sig"))["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{index}: is not an index of weights ({type(error).__name__})") from error
    tensors: dict[str, Tensor] = {}
    for file in sorted(set(files.values())):
        if Path(file).name != file:
            raise ValueError(f"{index}: {file!r} is not a plain file name")
        path = fetch(source, file)
        if path is None:
            raise FileNotFoundError(f"{index}: lists {file}, which is missing")
        shard = _read_file(path)
        if twice := tensors.keys() & shard.keys():
            raise ValueError(f"{index}: tensor {min(twice)} is in two of its files")
        if lost := [name for name in files if files[name] == file and name not in shard]:
            raise ValueError(f"{index}: lists tensor {lost[0]} in {file}, which does not have it")
        tensors |= shard
    return tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    """Read one file of weights. Its first bytes decide about the format, or else its name.

    A safetensors file begins with 8 bytes for the length of its header, and the header is JSON.
    """
    with path.open("rb") as file:
        start = file.read(9)
    is_pickle = start.startswith(PICKLE_SIGNATURES) or path.suffix != ".safetensors"
    return _read_pickled(path) if is_pickle and start[8:] != b"{" else _read_safetensors(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a file in one piece. A memory-mapped file that another program overwrites meanwhile would end this process.

    Returns: the tensors in the order of their names; the library has another one every time.
    """
    content = path.read_bytes()
    try:
        return dict(sorted(safetensors.torch.load(content).items()))
    except safetensors.SafetensorError as error:
        kind = file_kind(path)
        what = f"{kind}, not a checkpoint" if kind else f"not a complete safetensors file ({error})"
        raise ValueError(f"{path}: is {what}") from error
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: has tensors that cannot be read ({error!r})") from error


def load_pickled(path: Path) -> Any:
    """Read a pickle with `weights_only`: a pickle can run any program, this restricts it to tensors and numbers.

    Raises: ValueError that names the file. PyTorch's own message is not passed on: it advises to read the file without this
    restriction.
    """
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the version of the pickle, and archives of TorchScript
        return _load_pickled(file, path)


def _load_pickled(file: IO[bytes], path: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)  # of a path, it would judge the format by the name
    except Exception as error:  # a damaged or hostile pickle can raise anything, also an OSError
        if kind := file_kind(path):
            raise ValueError(f"{path}: is {kind}, not a checkpoint") from error
        if python_object := re.search(r"GLOBAL ([\w.]+)|(TorchScript)", str(error)):
            content = f"the Python object {python_object[1]}" if python_object[1] else "a TorchScript program"
            raise ValueError(f"{path}: contains {content}, not only tensors; {SAVE_WEIGHTS}") from error
        raise ValueError(f"{path}: is not a complete file of PyTorch weights ({type(error).__name__})") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    stored = load_pickled(path)
    if not isinstance(stored, dict):
        raise ValueError(f"{path}: contains a {type(stored).__name__} instead of named tensors; {SAVE_WEIGHTS}")
    for name, value in stored.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"{path}: its entry {name!r} ({type(value).__name__}) is not a named tensor; {SAVE_WEIGHTS}")
    return stored
