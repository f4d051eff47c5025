"""Hugging Face's checkpoint files. Names are translated by `model.names`."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from minibert.files import write_atomically
from minibert.hub import fetch
from minibert.model.checkpoints.names import BERT, NameTable
from minibert.model.checkpoints.weights import read_weights
from minibert.model.config import BertConfig

CONFIG_FILE = "config.json"

DECODER, DECODER_BIAS = "mlm.decoder.weight", "mlm.decoder.bias"
"""The masked-LM decoder, which is the word embeddings if it is tied; and its bias, a second copy of `mlm.bias`."""
NOT_PARAMETERS = {"embeddings.position_ids", "embeddings.token_type_ids"}
ENCODER = ("embeddings", "layers")


def config_file(source: str | Path) -> Path:
    """The `config.json` of a checkpoint. Raises: FileNotFoundError if it has none."""
    path = fetch(source, CONFIG_FILE)
    if path is None:
        begun = sorted(Path(source).glob(f"checkpoints/*/{CONFIG_FILE}"))
        hint = f"; its run has not ended: go on with --resume, or take {begun[-1].parent}" if begun else ""
        raise FileNotFoundError(f"{source}: is no checkpoint, there is no {CONFIG_FILE} in it{hint}")
    return path


def heads_in(source: str | Path) -> set[str]:
    """Which parts beside the encoder a checkpoint has, by our names: of `pooler`, `mlm`, `nsp`, `classifier`, `span`."""
    names = (ours for name in read_weights(source)[0] for ours in BERT.ours(name))
    return {name.split(".")[0] for name in names} - set(ENCODER)


def save_weights(weights: Mapping[str, Tensor], path: Path, names: NameTable = BERT) -> None:
    """Writes the parameters of a model as a safetensors file under Hugging Face's names, atomically."""
    bare = names is BERT and not any(name.startswith("bert.") for name in weights)
    tensors = names.write({name.removeprefix("bert."): tensor for name, tensor in weights.items()}, prefixed=not bare)
    if DECODER in weights:
        tensors[BERT.theirs(DECODER_BIAS)] = weights["mlm.bias"].clone()
    write_atomically(path, safetensors.torch.save(tensors, metadata={"format": "pt"}))


def read_checkpoint(source: str | Path, config: BertConfig) -> tuple[dict[str, Tensor], BertConfig, Path]:
    """The tensors of a checkpoint under our names, without `bert.`; the configuration that they have; and their file.

    A decoder that differs from the word embeddings is one of its own, whatever the configuration says: so does
    transformers. What no model here has keeps its name.

    Raises: as `read_weights`; and ValueError for sizes that the file does not have.
    """
    tensors, path = read_weights(source)
    found = BERT.read(tensors)
    _check_sizes(found, config, path)
    own = DECODER in found and not torch.equal(found[DECODER], found["embeddings.words.weight"])
    tied = config.tie_word_embeddings and not own
    bias = found.pop(DECODER_BIAS, None)
    if bias is not None:
        found["mlm.bias"] = bias
    elif not tied:
        found.pop("mlm.bias", None)  # transformers adds the other copy, and starts it afresh
    if tied:
        found.pop(DECODER, None)
    return found, replace(config, tie_word_embeddings=tied), path


def check_shapes(model: nn.Module, found: Mapping[str, Tensor], path: Path, names: NameTable = BERT) -> None:
    """Whether a model's parameters, of which only the shapes matter, are what `read_checkpoint` has found in a file.

    Raises: ValueError that names file and tensor, for an encoder of which a part is missing, and for a tensor of another
    shape.
    """
    wanted = {name.removeprefix("bert."): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    inner = [name for name in wanted if names is not BERT or name.startswith(ENCODER)]
    if lost := [names.theirs(name) for name in inner if name not in found]:
        raise ValueError(f"{path}: has no {_list(lost)}. Is this a model with as many layers as its config.json says?")
    for name in wanted.keys() & found.keys():
        check_shape(names.theirs(name), found[name], wanted[name], path)


def load_weights(model: nn.Module, found: Mapping[str, Tensor], path: Path, names: NameTable = BERT) -> None:
    """Fills a model with what `read_checkpoint` has found in a file, and `check_shapes` has found to fit.

    A head that the file does not have keeps its fresh weights, with a warning that names it; what the file has and the
    model does not is passed over, named in the same warning.

    Tests: tests/model/checkpoints/test_loading.py::TestLoadWeights
    """
    wanted = {name.removeprefix("bert."): tensor for name, tensor in model.state_dict().items()}
    missing = [names.theirs(name) for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted and name.removeprefix("bert.") not in NOT_PARAMETERS]
    unexpected = [names.theirs(name) or name for name in unknown]
    if missing or unexpected:
        warnings.warn(_surprises(path, missing, unexpected), stacklevel=3)
    with torch.no_grad():
        for name in wanted.keys() & found.keys():
            wanted[name].copy_(found[name])


def _check_sizes(found: Mapping[str, Tensor], config: BertConfig, path: Path) -> None:
    """Before even the shapes of a model are made: a config.json that says a billion layers is not taken at its word."""
    check_depth(found, "layers", config.num_hidden_layers, path)
    shapes = {
        "embeddings.words.weight": (config.vocab_size, config.hidden_size),
        "embeddings.positions.weight": (config.max_position_embeddings, config.hidden_size),
        "embeddings.segments.weight": (config.type_vocab_size, config.hidden_size),
        "layers.0.intermediate.weight": (config.intermediate_size, config.hidden_size),
    }
    for name, shape in shapes.items():
        if name not in found:
            raise ValueError(f"{path}: has no {BERT.theirs(name)}. Is this a BERT?")
        check_shape(BERT.theirs(name), found[name], shape, path)


def check_depth(found: Mapping[str, Tensor], stack: str, depth: int, path: Path) -> None:
    """Raises: ValueError that names the file, if a stack of layers is not as deep in it as its config.json says."""
    layers = sum(name.startswith(f"{stack}.") and name.endswith(".attention.query.weight") for name in found)
    if layers != depth:
        raise ValueError(f"{path}: has {layers} layers ({stack}), config.json says {depth}")


def check_shape(name: str, tensor: Tensor, shape: tuple[int, ...], path: Path) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(
            f"{path}: tensor {name} has shape {tuple(tensor.shape)}, config.json asks for {shape}. "
            "Is this the config of another model?"
        )


def _surprises(path: Path, missing: list[str], unexpected: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"not in the file, so initialized afresh and to be trained: {_list(missing)}")
    if unexpected:
        parts.append(f"in the file, but not in this model: {_list(unexpected)}")
    return f"{path}: " + "; ".join(parts)


def _list(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
