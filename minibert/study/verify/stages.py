"""The stages of a forward pass: the tensors that minibert records, and the same tensors computed by transformers.

The reference values come from transformers alone: from hooks on its modules and, inside attention, from its attention
interface. Each network class declares which module computes which stage (`reference_stages`, `attention_modules`).
"""

import inspect
import json
import logging
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minibert.files import write_atomically
from minibert.model.checkpoints.config_file import CONFIG_FILE
from minibert.model.checkpoints.loading import Checkpoint
from minibert.model.checkpoints.names import insert_number, split_number
from minibert.model.checkpoints.weights import PICKLED_FILE, WEIGHTS_FILE, write_weights
from minibert.model.pretrained import PretrainedModel
from minibert.observe import record
from minibert.printable import printable
from minibert.study.verify.inputs import Inputs

Stages = dict[str, Tensor]
"""The tensor of each stage, by path, in the order of the forward pass."""

ATTENTION_STEPS = ("query", "key", "value", "scores", "weights", "context")
"""Steps inside attention, in the order of computation. In transformers, masked keys have a very low score."""
DECODER_START = "decoder_start_token_id"
INPUT_PREFIX = "inputs."
"""Prefix of the inputs in a file of stages."""


def minibert_stages(model: PretrainedModel, inputs: Inputs) -> Stages:
    """Run the forward pass of minibert and return every recorded tensor that depends on no newly initialized weight.

    Raises: ValueError if the network has no such inputs.
    """
    if unknown := inputs.keys() - inspect.signature(model.forward).parameters.keys():
        raise ValueError(f"{type(model).__name__} has no input {', '.join(sorted(unknown))}: the input is for another network")
    with torch.no_grad(), record(model) as recording:
        model(**inputs)
    skipped = _initialized_stages(model, inputs)
    return {path: recording[path] for path in recording.paths if path not in skipped}


def _initialized_stages(model: PretrainedModel, inputs: Inputs) -> set[str]:
    """Return the stages that depend on newly initialized weights, which differ between the two libraries.

    Only the initialized parameters require a gradient here, so a stage requires one if and only if it depends on them.
    """
    if not model.initialized:
        return set()
    before = [parameter.requires_grad for parameter in model.parameters()]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(model.names.relative(name) in model.initialized)
    try:
        with torch.enable_grad(), record(model, gradients=True) as recording:
            model(**inputs)
    finally:
        for parameter, required in zip(model.parameters(), before, strict=True):
            parameter.requires_grad_(required)
    return {path for path in recording.paths if recording[path].requires_grad}


def is_reference_stage(model: PretrainedModel, path: str) -> bool:
    """Return True if the network declares a module of transformers that computes this stage."""
    pattern, _ = split_number(path)
    parent, _, step = pattern.rpartition(".")
    return pattern in model.reference_stages or (parent in model.attention_modules and step in ATTENTION_STEPS)


def transformers_stages(checkpoint: Checkpoint, model: PretrainedModel, inputs: Inputs) -> Stages:
    """Run the forward pass of transformers and return its stages under the paths of minibert.

    Args:
        checkpoint: the checkpoint that transformers loads.
        model: minibert's network of this checkpoint. It declares the stages, and its type is the one to compute with.

    Raises: ImportError without transformers; ValueError for a network that transformers does not have.
    """
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
    from transformers.modeling_utils import AttentionInterface

    network = transformers_network(checkpoint, model)
    stages: Stages = {}
    attention = _RecordedAttention(stages)
    AttentionInterface.register(_RecordedAttention.NAME, attention)
    AttentionMaskInterface.register(_RecordedAttention.NAME, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    dtype = next(model.parameters()).dtype
    with silent_transformers(), _as_folder(checkpoint) as folder:
        settings = {"attn_implementation": _RecordedAttention.NAME, "chunk_size_feed_forward": 0}  # chunks would be stages
        reference = network.from_pretrained(folder, dtype=dtype, **settings).eval()
    if getattr(reference.config, DECODER_START, None) is None:  # transformers 5 has no default for T5
        setattr(reference.config, DECODER_START, getattr(model.config, DECODER_START, None))
    for path, name in model.attention_modules.items():
        attention.paths |= dict.fromkeys(_find_modules(reference, name), path)
    with torch.no_grad(), _hooks(reference, model.reference_stages, stages), FullPrecision():
        reference(**inputs)
    skipped = _initialized_stages(model, inputs)
    return {path: tensor for path, tensor in stages.items() if path not in skipped}


def transformers_network(checkpoint: Checkpoint, model: PretrainedModel) -> Any:
    """Return the class of transformers that computes the same as a network.

    Raises: ImportError without transformers; ValueError for a network that transformers does not have.
    """
    import transformers

    model_type = checkpoint.config.get("model_type")
    network = getattr(transformers, model.architecture, None)
    if network is None or (model_type is not None and model_type not in transformers.CONFIG_MAPPING):
        raise ValueError(
            f"{checkpoint.config_file}: transformers has no network that computes the same as this {type(model).__name__} "
            f"(model_type {model_type!r}), so there is nothing to compare with"
        )
    if not model.reference_stages:
        raise ValueError(f"{type(model).__name__} declares no reference_stages, so there is nothing to compare")
    return network


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Silence the reports and the progress bars of transformers."""
    from transformers.utils.logging import get_verbosity, set_verbosity

    before = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        with redirect_stderr(StringIO()):
            yield
    finally:
        set_verbosity(before)


@contextmanager
def _as_folder(checkpoint: Checkpoint) -> Iterator[str]:
    """Present a checkpoint as a folder for transformers, which loads no single files, wrappers' names and undecodable paths."""
    is_wrapped = checkpoint.weights.keys() != checkpoint.tensors.keys()
    is_copied = is_wrapped or not str(checkpoint.source).isprintable()
    if not Path(checkpoint.source).is_file() and not is_copied:
        yield str(checkpoint.source)
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_FILE).symlink_to(checkpoint.config_file.resolve())
        if is_copied:
            write_weights({name: tensor.clone() for name, tensor in checkpoint.weights.items()}, Path(folder) / WEIGHTS_FILE)
        else:
            weights = Path(checkpoint.source).resolve()
            (Path(folder) / (WEIGHTS_FILE if weights.suffix == ".safetensors" else PICKLED_FILE)).symlink_to(weights)
        yield folder


def _find_modules(reference: Any, pattern: str) -> list[nn.Module]:
    """Return the modules of transformers' network that match a name, with N for the layer number.

    Names are relative to the base model, or else to the whole network.
    """
    expression = re.compile(re.escape(f".{pattern}.").replace(r"\.N\.", r"\.\d+\."))
    for root in (reference.base_model, reference):
        if found := [module for name, module in root.named_modules() if expression.fullmatch(f".{name}.")]:
            return found
    return []


@contextmanager
def _hooks(reference: Any, table: Mapping[str, str], stages: Stages) -> Iterator[None]:
    """Store the inputs and outputs of transformers' modules in `stages` until the block ends."""
    with ExitStack() as stack:
        for path, name in table.items():
            for module in _find_modules(reference, name.removeprefix("<")):
                if name.startswith("<"):
                    handle = module.register_forward_pre_hook(partial(_store_input, stages, path), with_kwargs=True)
                else:
                    handle = module.register_forward_hook(partial(_store_output, stages, path))
                stack.callback(handle.remove)
        yield


def _new_path(stages: Stages, path: str) -> str:
    """Replace N in a path by the number of the layer that runs now. Layers run in order; some run several times."""
    return next(new for number in count() if (new := insert_number(path, str(number))) not in stages or new == path)


def _store_input(stages: Stages, path: str, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    stages[_new_path(stages, path)] = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))


def _store_output(stages: Stages, path: str, _: nn.Module, args: object, output: Any) -> None:
    stages[_new_path(stages, path)] = output if isinstance(output, Tensor) else output[0]


class _RecordedAttention:
    """An attention function for transformers: its own eager attention, which also stores the steps inside attention."""

    NAME = "minibert_recorded"

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.paths: dict[nn.Module, str] = {}

    def __call__(self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
        eager_attention_forward = sys.modules[module.__module__].eager_attention_forward
        with _SoftmaxInput() as softmax:
            context, weights = eager_attention_forward(module, query, key, value, *args, **kwargs)
        steps = {"query": query, "key": key, "value": value, "scores": softmax.scores}
        if (bias := kwargs.get("position_bias")) is not None and bias.any():  # T5 passes zeros where it has none
            steps |= {"scores": softmax.scores - bias, "biased_scores": softmax.scores}
        for step, tensor in (steps | {"weights": weights, "context": context.transpose(1, 2)}).items():
            self.stages[_new_path(self.stages, f"{self.paths[module]}.{step}")] = tensor
        return context, weights


class FullPrecision(TorchFunctionMode):
    """Keep float64 in transformers. Some of its modules, such as the norm of T5, compute a part in float32 otherwise."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is Tensor.to and len(args) == 2 and args[1] is torch.float32 and args[0].dtype == torch.float64:
            return args[0]
        return function(*args, **(kwargs or {}))


class _SoftmaxInput(TorchFunctionMode):
    """Keep the argument of softmax: the scaled and masked scores.

    Some networks of transformers compute the softmax in float32. Here it is computed in at least the type of the scores, so
    that a comparison in float64 has no rounding.
    """

    scores: Tensor

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") == "softmax":
            self.scores = args[0]
            if (dtype := (kwargs or {}).get("dtype")) is not None:
                kwargs = kwargs | {"dtype": torch.promote_types(dtype, self.scores.dtype)}
        return function(*args, **(kwargs or {}))


@dataclass(frozen=True)
class ReferenceStages:
    """The stages that transformers computed, with their inputs. A file of them can be compared without transformers."""

    inputs: Inputs
    stages: Stages
    checkpoint: str
    made_with: str
    """Name and version of the library."""
    token_ids: dict[str, list[int]] = field(default_factory=dict)
    """Ids of the library's tokenizer by text. Empty if the tokenizers are not compared."""

    @classmethod
    def compute(
        cls, checkpoint: Checkpoint, model: PretrainedModel, inputs: Inputs, token_ids: dict[str, list[int]] | None = None
    ) -> "ReferenceStages":
        """Run transformers on the inputs. Raises: as `transformers_stages`."""
        import transformers

        stages = transformers_stages(checkpoint, model, inputs)
        return cls(inputs, stages, str(checkpoint.source), f"transformers {transformers.__version__}", token_ids or {})

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the computation."""
        return next(iter(self.stages.values())).dtype

    def save(self, path: Path) -> None:
        """Save inputs and stages as one safetensors file, atomically."""
        tensors = {f"{INPUT_PREFIX}{name}": tensor for name, tensor in self.inputs.items()} | self.stages
        metadata = {
            "checkpoint": printable(self.checkpoint),  # metadata is UTF-8, a folder's name may not be
            "made_with": self.made_with,
            "order": json.dumps(list(self.stages)),
            "token_ids": json.dumps(self.token_ids),
        }
        contents = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        write_atomically(path, safetensors.torch.save(contents, metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> "ReferenceStages":
        """Load a saved file. Raises: FileNotFoundError without a file, ValueError for any other file."""
        if not path.is_file():
            raise FileNotFoundError(f"{path}: reference file not found")
        try:
            with safetensors.safe_open(path, "pt") as file:
                metadata: Mapping[str, str] = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            inputs = {name.removeprefix(INPUT_PREFIX): x for name, x in tensors.items() if name.startswith(INPUT_PREFIX)}
            stages = {name: tensors[name] for name in json.loads(metadata["order"])}
            if not stages or not inputs:
                raise ValueError("no stages or no inputs")
            token_ids = {text: list(map(int, ids)) for text, ids in json.loads(metadata.get("token_ids", "{}")).items()}
            return cls(inputs, stages, metadata["checkpoint"], metadata["made_with"], token_ids)
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a file made by `minibert verify --save-reference` ({error!r})") from error
