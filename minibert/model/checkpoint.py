"""Hugging Face's checkpoint files, and the one table of parameter names between here and there."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from minibert.files import write_atomically

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

HUGGING_FACE_NAMES = {
    "embeddings.words": "embeddings.word_embeddings",
    "embeddings.positions": "embeddings.position_embeddings",
    "embeddings.segments": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "layers.N.attention.query": "encoder.layer.N.attention.self.query",
    "layers.N.attention.key": "encoder.layer.N.attention.self.key",
    "layers.N.attention.value": "encoder.layer.N.attention.self.value",
    "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
    "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
    "layers.N.intermediate": "encoder.layer.N.intermediate.dense",
    "layers.N.feed_forward": "encoder.layer.N.output.dense",
    "layers.N.norm": "encoder.layer.N.output.LayerNorm",
    "pooler.dense": "pooler.dense",
    "mlm.transform": "cls.predictions.transform.dense",
    "mlm.norm": "cls.predictions.transform.LayerNorm",
    "mlm": "cls.predictions",
    "nsp": "cls.seq_relationship",
    "classifier": "classifier",
}
"""Our module names and Hugging Face's, without the `bert.` in front; each has a `weight`, a `bias` or both."""

OUR_NAMES = {theirs: ours for ours, theirs in HUGGING_FACE_NAMES.items()}
TIED_COPIES = {"cls.predictions.decoder.weight": "embeddings.words.weight", "cls.predictions.decoder.bias": "mlm.bias"}
"""Tensors that some files hold a second time: the masked-LM decoder is the word embeddings, with its own bias."""
NOT_PARAMETERS = {"embeddings.position_ids", "embeddings.token_type_ids"}
ENCODER, HEADS = ("embeddings", "layers"), ("mlm", "nsp", "classifier")


def heads_in(directory: Path) -> set[str]:
    """Which parts beside the encoder a checkpoint has, by our names: of `pooler`, `mlm`, `nsp`, `classifier`."""
    names = (_to_ours(name) for name in read_tensors(directory / WEIGHTS_FILE))
    return {name.split(".")[0] for name in names if name} - set(ENCODER)


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes a model's parameters as a safetensors file under Hugging Face's names, atomically."""
    bare = not any(name.startswith("bert.") for name in model.state_dict())
    tensors = {
        ("" if bare or name.startswith(("mlm", "nsp", "classifier")) else "bert.") + _to_theirs(name): tensor.contiguous()
        for name, tensor in model.state_dict().items()
    }
    write_atomically(path, safetensors.torch.save(tensors, metadata={"format": "pt"}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Fills a model from a safetensors file under Hugging Face's names, whatever heads the file or the model has.

    A head that the file does not have keeps its fresh weights, with a warning that names it; what the file has and the
    model does not is passed over, named in the same warning.

    Raises: ValueError that names file and tensor, for a file that is not safetensors, for an encoder of which a part is
    missing, for a tensor of another shape, and for a decoder that is not tied to the word embeddings.

    Tests: tests/model/test_checkpoint.py::TestLoadWeights
    """
    found, unexpected = {}, []
    tensors = read_tensors(path)
    for theirs, tensor in tensors.items():
        if ours := _to_ours(theirs):
            found[ours] = tensor
        elif theirs not in TIED_COPIES and theirs.removeprefix("bert.") not in NOT_PARAMETERS:
            unexpected.append(theirs)
    for copy, original in TIED_COPIES.items():
        if copy in tensors and original in found and not torch.equal(tensors[copy], found[original]):
            raise ValueError(f"{path}: {copy} differs from {original}; only a tied decoder is supported")

    wanted = {name.removeprefix("bert."): tensor for name, tensor in model.state_dict().items()}
    missing = [name for name in wanted if name not in found]
    if lost := [name for name in missing if name.startswith(ENCODER)]:
        raise ValueError(f"{path}: has no {_list(lost)}. Is this a BERT with as many layers as its config.json says?")
    for name in wanted.keys() & found.keys():
        if wanted[name].shape != found[name].shape:
            raise ValueError(
                f"{path}: tensor {_to_theirs(name)} has shape {tuple(found[name].shape)}, "
                f"config.json asks for {tuple(wanted[name].shape)}. Is this the config of another model?"
            )
    unexpected += [_to_theirs(name) for name in found if name not in wanted]
    if missing or unexpected:
        warnings.warn(_surprises(path, missing, unexpected), stacklevel=3)
    with torch.no_grad():
        for name in wanted.keys() & found.keys():
            wanted[name].copy_(found[name])


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """All tensors of a safetensors file. Raises: ValueError if it is not one, or is damaged; FileNotFoundError."""
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: is not a whole safetensors file ({error})") from error


def _to_theirs(ours: str) -> str:
    return _renamed(ours, HUGGING_FACE_NAMES)


def _to_ours(theirs: str) -> str:
    """Our name without `bert.`, or "" for a tensor that no model here has."""
    return _renamed(theirs, OUR_NAMES)


def _renamed(name: str, table: Mapping[str, str]) -> str:
    module, _, leaf = name.removeprefix("bert.").rpartition(".")
    number = re.search(r"\.(\d+)\.", module)
    pattern = re.sub(r"\.\d+\.", ".N.", module, count=1)
    if pattern not in table or leaf not in ("weight", "bias"):
        return ""
    return table[pattern].replace(".N.", number[0] if number else "") + "." + leaf


def _surprises(path: Path, missing: list[str], unexpected: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"not in the file, so initialised afresh and to be trained: {_list(missing)}")
    if unexpected:
        parts.append(f"in the file, but not in this model: {_list(unexpected)}")
    return f"{path}: " + "; ".join(parts)


def _list(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
