"""The files of a sentence-transformers model: what follows the encoder, and what happens to a text before it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any

from torch import Tensor, nn

from minibert.hub import fetch
from minibert.model.checkpoints.weights import read_weights
from minibert.model.pooling import POOLING
from minibert.text.tokenizer_files import CONFIG_FILE as TOKENIZER_CONFIG_FILE
from minibert.text.tokenizer_files import fetch_json

MODULES_FILE = "modules.json"
ENCODER_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
POOLING_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Settings of the pooling in files of versions before 6, in the order in which several vectors are joined."""
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU}
"""Activation functions of dense layers, by the last part of their names."""


class Normalize(nn.Module):
    """Scales vectors to length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=-1)


@dataclass(frozen=True)
class EmbeddingFiles:
    """Settings of a sentence-transformers model. For any other checkpoint: mean pooling and nothing after it."""

    encoder: str | Path
    """Source of the encoder and its tokenizer."""
    pooling: tuple[str, ...]
    """Names of the pooling functions, whose vectors are joined."""
    after: tuple[nn.Module, ...]
    """The modules after pooling."""
    max_length: int | None
    """Maximum number of tokens of a text; None if no file has one."""
    lowercase: bool
    """True if texts are lowercased before the tokenizer."""
    prompt: str
    """Beginning that is added to each text."""
    query_prompt: str
    """Beginning that is added to a query."""

    @classmethod
    def read(cls, source: str | Path) -> "EmbeddingFiles":
        """Read the files. Raises: ValueError, naming the file, for a setting that is not supported."""
        modules = _modules(source)
        encoder = source if not modules or not modules[0][1] else Path(source) / modules[0][1]
        settings = fetch_json(encoder, ENCODER_FILE) or {}
        prompt, query_prompt = _prompts(source)
        pooling = _pooling_modes(source, modules[1][1], bool(prompt)) if modules else ("mean",)
        return cls(
            encoder,
            pooling,
            tuple(_after(source, kind, path) for kind, path in modules[2:]),
            _max_length(encoder, settings),
            bool(settings.get("do_lower_case")),
            prompt,
            query_prompt,
        )


def _modules(source: str | Path) -> list[tuple[str, str]]:
    """Read the class name and the folder of each module; none if there is no modules.json."""
    if (path := fetch(source, MODULES_FILE)) is None:
        return []
    try:
        modules = [(entry["type"].rpartition(".")[2], entry["path"]) for entry in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError(f"{path}: must contain a list of modules, each with a type and a path") from None
    kinds = [kind for kind, _ in modules]
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise ValueError(
            f"{path}: the modules {', '.join(kinds)} are not supported, only Transformer, Pooling and others after"
        )
    return modules


def _max_length(encoder: str | Path, settings: Mapping[str, Any]) -> int | None:
    """Return the maximum length: that of the settings of the encoder, or else of the tokenizer."""
    for file, fields, name in (
        (ENCODER_FILE, settings, "max_seq_length"),
        (TOKENIZER_CONFIG_FILE, fetch_json(encoder, TOKENIZER_CONFIG_FILE) or {}, "model_max_length"),
    ):
        if (length := fields.get(name)) is not None:
            if not isinstance(length, int | float) or not 0 < length < math.inf:
                raise ValueError(f"{encoder}, {file}: {name} must be a number above 0, not {short(length)}")
            return int(length)
    return None


def _prompts(source: str | Path) -> tuple[str, str]:
    """Return the beginnings that are added to a text and to a query."""
    settings = fetch_json(source, PROMPTS_FILE) or {}
    prompts: Any = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise ValueError(f"{source}, {PROMPTS_FILE}: prompts must contain a text for each name, not {short(prompts)}")
    default: str = prompts.get(settings.get("default_prompt_name"), "")
    query: str = prompts.get("query", default)
    return default, query


def _pooling_modes(source: str | Path, folder: str, has_prompt: bool) -> tuple[str, ...]:
    """Return the names of the pooling functions."""
    name = f"{folder}/config.json"
    config = fetch_json(source, name) or {}
    modes = config.get("pooling_mode") or [mode for switch, mode in POOLING_SWITCHES.items() if config.get(switch)] or "mean"
    names = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := [mode for mode in names if mode not in POOLING]:
        raise ValueError(f"{source}, {name}: the pooling {short(unknown[0])} is not supported, only {', '.join(POOLING)}")
    if has_prompt and not config.get("include_prompt", True):
        raise ValueError(f"{source}, {name}: include_prompt false is not supported with a prompt in {PROMPTS_FILE}")
    return names


def _after(source: str | Path, kind: str, folder: str) -> nn.Module:
    """Create a module that follows pooling."""
    match kind:
        case "Normalize":
            return Normalize()
        case "Dense":
            return _dense(source, folder)
        case "Dropout":
            return nn.Identity()
    raise ValueError(f"{source}, {MODULES_FILE}: a module of type {short(kind)} is not supported")


def _dense(source: str | Path, folder: str) -> nn.Module:
    """Load a linear layer and its activation function."""
    name = f"{folder}/config.json"
    config: dict[str, Any] = fetch_json(source, name) or {}
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS or config.get("use_residual"):
        what = "use_residual" if activation in ACTIVATIONS else f"the activation function {short(activation)}"
        raise ValueError(f"{source}, {name}: {what} is not supported")
    weights, path = read_weights(Path(source) / folder)
    try:
        weight, bias = weights["linear.weight"], weights.get("linear.bias")
        linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=weight.dtype)
        linear.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    except (KeyError, IndexError, RuntimeError):
        raise ValueError(f"{path}: must contain linear.weight, a matrix, and perhaps linear.bias") from None
    return nn.Sequential(linear, ACTIVATIONS[activation]())
