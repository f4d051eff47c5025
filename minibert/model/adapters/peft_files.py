"""LoRA in the format of peft: `adapter_config.json` and `adapter_model.safetensors`, with the names of transformers."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from minibert.files import write_atomically
from minibert.model.adapters.files import StoredAdapter, whole_tensors, write_model_config
from minibert.model.adapters.lora import LoRA, lora_modules
from minibert.model.adapters.peft_config import ALL_LINEAR, PEFT_CONFIG_FILE, PeftConfig, shortest_names
from minibert.model.adapters.targets import their_name
from minibert.model.checkpoints.names import NameTable, shorten
from minibert.model.checkpoints.weights import check_parameter, read_tensors, write_weights

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

PEFT_WEIGHTS_FILE, PEFT_PICKLED_FILE = "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."
"""Start of all names: peft's wrapper, and the network in it."""
TASK_TYPES = {
    "sequence-classification": "SEQ_CLS",
    "token-classification": "TOKEN_CLS",
    "question-answering": "QUESTION_ANS",
    "lm": "CAUSAL_LM",
    "encoder": "FEATURE_EXTRACTION",
}
"""Names of heads and of peft's tasks."""
TASKS_WITH_HEAD = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS")
"""Tasks for which peft requires the weights of the head in the file of the adapter."""


def write_peft(model: "PretrainedModel", weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write the LoRA of a network, and everything else that it trains, to a folder that peft loads.

    Args:
        weights: the parameters of `model`, by name.
    """
    adapter = model.adapter
    assert isinstance(adapter, LoRA)
    updates = _their_updates(model, weights)
    whole = whole_tensors(model, weights, with_tied=True)
    tensors = {f"{name}.{matrix}.weight": pair[matrix] for name, pair in updates.items() for matrix in pair}
    for name, tensor in whole.items():
        module, _, leaf = name.rpartition(".")
        tensors[f"{module}.base_layer.{leaf}" if module in updates else name] = tensor
    write_weights({PREFIX + name: tensor for name, tensor in tensors.items()}, folder / PEFT_WEIGHTS_FILE)
    settings = _settings(model, adapter, {name: len(pair["lora_A"]) for name, pair in updates.items()})
    write_atomically(folder / PEFT_CONFIG_FILE, json.dumps(settings, indent=2, sort_keys=True) + "\n")
    write_model_config(model, folder)


def _their_updates(model: "PretrainedModel", weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return A and B of each module, under the names of transformers.

    Where transformers has one matrix for several of ours, such as GPT-2 for query, key and value, A has the rows of all of
    them, and B is block-diagonal: the update is the same.
    """
    modules = lora_modules(model)
    adapted = {model.names.relative(name): name for name in modules}
    updates = {}
    for theirs in dict.fromkeys(their_name(model, name) for name in modules):
        parts = [name.rpartition(".")[0] for name in model.names.ours(f"{theirs}.weight")]
        if not parts:
            raise ValueError(f"transformers has no module for {shorten([*adapted])}: merge LoRA into the weights instead")
        own = [adapted[part] for part in parts if part in adapted]
        scale = modules[own[0]].scale  # one scale for all, so B has the ratio to it
        b = {name: weights[f"{name}.lora_b"] * (modules[name].scale / scale) for name in own}
        a = torch.cat([weights[f"{name}.lora_a"] for name in own])
        no_rank = a.new_empty(len(b[own[0]]), 0)
        blocks = [b[adapted[part]] if part in adapted else no_rank for part in parts]
        updates[theirs] = {"lora_A": a, "lora_B": torch.block_diag(*blocks)}  # type: ignore[no-untyped-call]
    return updates


def _settings(model: "PretrainedModel", adapter: LoRA, ranks: Mapping[str, int]) -> dict[str, object]:
    """Return the fields of `adapter_config.json`. The targets are exactly those of the network."""
    theirs = {name: their_name(model, name) for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    alphas: dict[str, float] = {}
    for name, module in lora_modules(model).items():
        growth = ranks[theirs[name]] / module.rank  # 1, or more for the sum of several ranks
        alphas.setdefault(theirs[name], module.alpha * (math.sqrt(growth) if adapter.rank_stabilized else growth))
    saved = [name for each in adapter.train if (name := their_name(model, each))]
    task = TASK_TYPES.get(model.head)
    if task in TASKS_WITH_HEAD and not {*model.head_modules} <= {*adapter.train}:
        task = None
    return {
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": model.source,
        "inference_mode": True,
        "r": adapter.rank,
        "rank_pattern": {name: rank for name, rank in ranks.items() if rank != adapter.rank},
        "lora_alpha": adapter.alpha,
        "alpha_pattern": {name: alpha for name, alpha in alphas.items() if alpha != adapter.alpha},
        "lora_dropout": adapter.dropout,
        "use_rslora": adapter.rank_stabilized,
        "use_dora": False,
        "bias": adapter.bias,
        "fan_in_fan_out": bool(model.names.transposed),
        "init_lora_weights": True,
        "target_modules": shortest_names([*ranks], [name for name in theirs.values() if name not in ranks]),
        "modules_to_save": [name for name in saved if not name.startswith(tuple(f"{outer}." for outer in saved))] or None,
    }


def read_peft(folder: Path, names: NameTable) -> StoredAdapter:
    """Read an adapter that peft or `write_peft` has written.

    Args:
        names: the names of the base model's architecture.

    Raises: ValueError that names the file, if it is damaged or needs something that is not supported.
    """
    config = PeftConfig.read(folder / PEFT_CONFIG_FILE)
    path = next((folder / name for name in (PEFT_WEIGHTS_FILE, PEFT_PICKLED_FILE) if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder}: has {PEFT_CONFIG_FILE}, but no {PEFT_WEIGHTS_FILE}")
    whole: dict[str, Tensor] = {}
    updates: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in read_tensors(path).items():
        short = name.removeprefix(PREFIX).replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        if ".original_module." in short:  # the weights before training, which a bias setting of peft saves too
            continue
        check_parameter(name, tensor, path)
        if found := re.fullmatch(r"(.+)\.(lora_[AB])\.weight", short):
            updates[found[1]][found[2]] = tensor
        elif "lora_" in short or not names.ours(short):
            raise ValueError(f"{path}: tensor {name} is not supported: only linear layers can have LoRA, and no other adapter")
        else:
            whole[short] = tensor
    if not updates:
        raise ValueError(f"{path}: has no LoRA matrices")
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    inserted: dict[str, Tensor] = {}
    for module, pair in updates.items():
        rank = _check_update(config, path, module, pair)
        modules = [parameter.removesuffix(".weight") for parameter in names.ours(f"{module}.weight")]
        if not modules or len(pair["lora_B"]) % len(modules):
            raise ValueError(f"{path}: {module} is no module of the base model. Is this the adapter of another model?")
        for ours, b in zip(modules, pair["lora_B"].chunk(len(modules)), strict=True):
            ranks[ours], alphas[ours] = rank, config.setting("alpha", module, config.get("lora_alpha", 8))
            inserted |= {f"{ours}.lora_a": pair["lora_A"], f"{ours}.lora_b": b}
    adapter = _lora(config, ranks, alphas, _whole_modules(config, whole, names))
    is_target = config.is_target if config.get("target_modules", ALL_LINEAR) != ALL_LINEAR else lambda name: False
    return StoredAdapter(folder, path, adapter, whole, inserted, is_target)


def _check_update(config: PeftConfig, path: Path, module: str, pair: Mapping[str, Tensor]) -> int:
    """Return the rank of an update. Raises: ValueError if it is not complete, or does not agree with the settings."""
    if missing := {"lora_A", "lora_B"} - pair.keys():
        raise ValueError(f"{path}: {module} has no {missing.pop()}; the file is not complete")
    a, b = pair["lora_A"], pair["lora_B"]
    if a.dim() != 2 or b.dim() != 2 or not a.numel() or not b.numel() or len(a) != b.shape[1]:
        raise ValueError(
            f"{path}: the LoRA matrices of {module} have shapes {tuple(a.shape)} and {tuple(b.shape)}, which do not fit"
        )
    if (rank := config.setting("rank", module, config.get("r", 8))) != len(a):
        raise ValueError(f"{path}: the LoRA of {module} has rank {len(a)}, but {config.path} says {rank!r}")
    if not config.is_target(module):
        raise ValueError(f"{path}: has LoRA for {module}, which the target_modules of {config.path} do not name")
    return len(a)


def _whole_modules(config: PeftConfig, whole: Mapping[str, Tensor], names: NameTable) -> tuple[str, ...]:
    """Return the modules that are saved whole, without those of which only the bias is trained."""
    modules: dict[str, set[str]] = defaultdict(set)
    for name in whole:
        for ours in names.ours(name):
            module, _, leaf = ours.rpartition(".")
            modules[module].add(leaf)
    only_bias = {"bias"} if config.get("bias", "none") != "none" else None
    return tuple(module for module, leaves in modules.items() if leaves != only_bias)


def _lora(config: PeftConfig, ranks: Mapping[str, int], alphas: Mapping[str, float], train: tuple[str, ...]) -> LoRA:
    """Return the settings. Raises: ValueError that names the file, for values that LoRA cannot have."""
    rank, alpha = config.get("r", 8), config.get("lora_alpha", 8)
    try:
        return LoRA(
            rank=rank,
            alpha=alpha,
            targets=tuple(ranks),
            dropout=config.get("lora_dropout", 0.0),
            rank_stabilized=config.get("use_rslora", False),
            bias=config.get("bias", "none"),
            rank_pattern={name: each for name, each in ranks.items() if each != rank},
            alpha_pattern={name: each for name, each in alphas.items() if each != alpha},
            train=train,
        )
    except ValueError as error:
        raise ValueError(f"{config.path}: {error}") from None
