"""Every stage of a forward pass, by name: as minibert computes it, and as transformers does.

What transformers computes is taken from transformers: from its modules by hooks, from inside its attention by its own
AttentionInterface. Nothing is computed again from our numbers.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from minibert import model as networks
from minibert.equations import causal_mask
from minibert.files import write_atomically
from minibert.hub import fetch
from minibert.kernels import Attention
from minibert.model.checkpoints.loading import CONFIG_FILE, config_file, heads_in
from minibert.model.checkpoints.weights import PICKLED_FILE, WEIGHTS_FILE
from minibert.model.config import BertConfig, read_json
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.pretrained import PretrainedModel, load_config
from minibert.observe import record

Stages = dict[str, Tensor]
"""The tensor at each stage, in the order of the forward pass."""

CLASSES: dict[type[PretrainedModel], set[str]] = {
    networks.BertForPreTraining: {"mlm", "nsp"},
    networks.BertForMaskedLM: {"mlm"},
    networks.BertForNextSentencePrediction: {"nsp"},
    networks.BertForQuestionAnswering: {"span"},
    networks.BertForSequenceClassification: {"classifier"},
    networks.BertForTokenClassification: {"classifier"},
    networks.Bert: set(),
}
"""Every class, and the heads that a checkpoint must have to be one."""


@dataclass(frozen=True)
class Inputs:
    """What both are given; the names are those of the arguments."""

    input_ids: Int[Tensor, "batch tokens"]
    attention_mask: Int[Tensor, "batch tokens"]
    token_type_ids: Int[Tensor, "batch tokens"] | None = None
    """None for a decoder, which has no segments."""

    @property
    def arguments(self) -> dict[str, Tensor]:
        """What a model is called with."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}

    @property
    def keep(self) -> Bool[Tensor, "batch 1 #tokens tokens"]:
        """The keys that may be read: by a decoder those before."""
        keep = self.attention_mask.bool()[:, None, None, :]
        return keep if self.token_type_ids is not None else keep & causal_mask(keep.shape[-1])


def class_of(source: str | Path) -> type[PretrainedModel]:
    """The class of a checkpoint: the one that its config.json names, if its heads are there; else what the heads tell.

    A classifier alone does not tell whether it is for sequences or for tokens: then it is `Bert`.
    """
    named = _architectures(source)
    possible = [kind for kind, needed in CLASSES.items() if needed <= heads_in(source)]
    told = [kind for kind in possible if kind.architecture in named]
    return next(kind for kind in (*told, *possible) if kind in told or CLASSES[kind] != {"classifier"})


def _architectures(source: str | Path) -> list[object]:
    load_config(source)  # raises what names the file, if it cannot be read
    path = fetch(source, CONFIG_FILE)
    named = json.loads(path.read_text(encoding="utf-8")).get("architectures") if path is not None else None
    return named if isinstance(named, list) else []


def is_decoder(source: str | Path) -> bool:
    """Whether a checkpoint says that it is a GPT-2, and no BERT.

    Raises: FileNotFoundError if it has no config.json, ValueError if it is a Transformer.
    """
    kind = read_json(file := config_file(source), {}).get("model_type")
    if kind in ("marian", "minibert"):
        raise ValueError(f"{file}: model_type {kind!r}: only BERT and GPT-2 are compared stage by stage")
    return kind == "gpt2"


def config_of(source: str | Path) -> BertConfig | GPT2Config:
    """The configuration of a checkpoint that can be verified. Raises: as `load_config`."""
    return GPT2LMHeadModel.read_config(source) if is_decoder(source) else load_config(source)


def load_model(source: str | Path, attention: Attention = "auto") -> PretrainedModel:
    """A checkpoint as the class that it is of."""
    return (GPT2LMHeadModel if is_decoder(source) else class_of(source)).from_pretrained(source, attention)


def our_stages(source: str | Path, inputs: Inputs, dtype: torch.dtype, attention: Attention = "auto") -> Stages:
    """minibert's forward pass, every observed step of it."""
    model = load_model(source, attention).to(dtype)
    with torch.no_grad(), record(model) as recording:
        model(**inputs.arguments)
    return _with_trained_pooler(source, {path: recording[path] for path in recording.paths})


def _with_trained_pooler(source: str | Path, stages: Stages) -> Stages:
    """Without the pooler, if the checkpoint has none: what is started at random cannot agree."""
    return (
        stages
        if "pooler" not in stages or "pooler" in heads_in(source)
        else {name: x for name, x in stages.items() if name != "pooler"}
    )


def their_stages(source: str | Path, inputs: Inputs, dtype: torch.dtype) -> Stages:
    """transformers' forward pass, under our names. Raises: ImportError if transformers is not installed."""
    import transformers
    from transformers.modeling_utils import AttentionInterface

    layers, decoder = config_of(source).num_hidden_layers, is_decoder(source)
    kind = GPT2LMHeadModel if decoder else class_of(source)
    arguments = dict(inputs.arguments)
    if decoder:  # its forward counts padding among the places, its generate does not
        arguments["position_ids"] = (inputs.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    AttentionInterface.register(WATCHED, _watched_attention)
    _register_mask()
    with redirect_stderr(StringIO()), _as_folder(source) as folder:
        model = getattr(transformers, kind.architecture).from_pretrained(folder, dtype=dtype, attn_implementation=WATCHED)
    taken: Stages = {}
    with torch.no_grad(), (_watching_decoder if decoder else _watching)(model.eval(), layers, taken):
        model(**arguments)
    return _with_trained_pooler(source, taken)


@contextmanager
def _as_folder(source: str | Path) -> Iterator[str]:
    """A file with weights as a folder in which transformers looks for no other."""
    if not Path(source).is_file():
        yield str(source)
        return
    weights = Path(source).resolve()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG_FILE).symlink_to(weights.parent / CONFIG_FILE)
        (Path(folder) / (WEIGHTS_FILE if weights.suffix == ".safetensors" else PICKLED_FILE)).symlink_to(weights)
        yield folder


WATCHED = "minibert_watched"
_inside: dict[nn.Module, Callable[[str, Tensor], None]] = {}


def _take_inside(taken: Stages, path: str, name: str, tensor: Tensor) -> None:
    taken[f"{path}.attention.{name}"] = tensor


def _register_mask() -> None:
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    AttentionMaskInterface.register(WATCHED, ALL_MASK_ATTENTION_FUNCTIONS["eager"])


def _watched_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
    """transformers' own eager attention, whose softmax is looked at on its way."""
    eager_attention_forward = sys.modules[type(module).__module__].eager_attention_forward
    take = _inside[module]
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        take(name, tensor)
    with _SoftmaxSeen() as seen:
        context, weights = eager_attention_forward(module, query, key, value, *args, **kwargs)
    take("scores", seen.scores)
    take("weights", weights)
    take("context", context.transpose(1, 2))
    return context, weights


class _SoftmaxSeen(TorchFunctionMode):
    """Keeps what goes into the softmax: the scaled and masked scores."""

    scores: Tensor

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") == "softmax":
            self.scores = args[0]
        return function(*args, **(kwargs or {}))


@contextmanager
def _watching(model: Any, layers: int, taken: Stages) -> Iterator[None]:
    """Puts what the modules of transformers' model take and give into `taken`, until the block ends."""
    base = getattr(model, "bert", model)
    with ExitStack() as stack:
        watch = partial(_watch, stack, taken)
        watch(base.embeddings.word_embeddings, "embeddings.words")
        watch(base.embeddings.position_embeddings, "embeddings.positions")
        watch(base.embeddings.token_type_embeddings, "embeddings.segments")
        watch(base.embeddings.LayerNorm, "embeddings.output", given="embeddings.sum")
        for number in range(layers):
            layer, path = base.encoder.layer[number], f"layers.{number}"
            _inside[layer.attention.self] = partial(_take_inside, taken, path)
            stack.callback(_inside.pop, layer.attention.self)
            watch(layer.attention.output.dense, f"{path}.attention.output")
            watch(layer.attention.output.LayerNorm, f"{path}.attention_norm", given=f"{path}.attention_residual")
            watch(layer.intermediate.dense, f"{path}.intermediate")
            watch(layer.intermediate, f"{path}.activation")
            watch(layer.output.dense, f"{path}.feed_forward")
            watch(layer.output.LayerNorm, f"{path}.output")
        watch(getattr(base, "pooler", None), "pooler")
        head = getattr(model, "cls", None)
        if (predictions := getattr(head, "predictions", None)) is not None:
            watch(predictions.transform, "mlm.transform")
            watch(predictions.decoder, "mlm.logits")
        watch(getattr(head, "seq_relationship", None), "nsp.logits")
        watch(getattr(model, "classifier", None), "classifier.logits")
        watch(getattr(model, "qa_outputs", None), "span.logits")
        yield


@contextmanager
def _watching_decoder(model: Any, layers: int, taken: Stages) -> Iterator[None]:
    """The same for a GPT-2."""
    base = model.transformer
    with ExitStack() as stack:
        watch = partial(_watch, stack, taken)
        watch(base.wte, "decoder.embeddings.words")
        watch(base.drop, None, given="decoder.embeddings.sum")
        for number in range(layers):
            layer, path = base.h[number], f"decoder.layers.{number}"
            _inside[layer.attn] = partial(_take_inside, taken, path)
            stack.callback(_inside.pop, layer.attn)
            watch(layer.ln_1, f"{path}.attention_norm")
            watch(layer.attn.c_proj, f"{path}.attention.output")
            watch(layer.ln_2, f"{path}.norm", given=f"{path}.attention_residual")
            watch(layer.mlp.c_fc, f"{path}.intermediate")
            watch(layer.mlp.act, f"{path}.activation")
            watch(layer.mlp.c_proj, f"{path}.feed_forward")
            watch(layer, f"{path}.output")
        watch(base.ln_f, "decoder.norm")
        watch(model.lm_head, "logits")
        yield


def _watch(stack: ExitStack, taken: Stages, module: nn.Module | None, output: str | None, given: str | None = None) -> None:
    """Takes what a module is given and what it gives, under these names, until the stack is closed."""

    def take(_: nn.Module, inputs: tuple[Any, ...], result: Any) -> None:
        taken.update({given: inputs[0]} if given else {})
        taken.update({output: result if isinstance(result, Tensor) else result[0]} if output else {})

    if module is not None:
        stack.callback(module.register_forward_hook(take).remove)


@dataclass(frozen=True)
class Reference:
    """What transformers has computed, and from what: to be verified where there is no transformers."""

    inputs: Inputs
    stages: Stages
    checkpoint: str
    made_with: str

    def save(self, path: Path) -> None:
        """Writes one safetensors file, atomically."""
        tensors = {f"inputs.{name}": tensor for name, tensor in self.inputs.arguments.items()} | self.stages
        about = {"checkpoint": self.checkpoint, "made_with": self.made_with, "order": json.dumps(list(self.stages))}
        contents = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        write_atomically(path, safetensors.torch.save(contents, metadata=about))

    @classmethod
    def load(cls, path: Path) -> "Reference":
        """Raises: FileNotFoundError, or ValueError if it is no such file."""
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such reference")
        try:
            with safetensors.safe_open(path, "pt") as file:
                about: Mapping[str, str] = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            given = [name for name in Inputs.__dataclass_fields__ if f"inputs.{name}" in tensors]
            inputs = Inputs(**{name: tensors.pop(f"inputs.{name}") for name in given})
            stages = {name: tensors[name] for name in json.loads(about["order"])}
            if not stages:
                raise ValueError("it has no stages")
            return cls(inputs, stages, about["checkpoint"], about["made_with"])
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{path}: is no reference made by `minibert verify --save-reference` ({error!r})") from error
