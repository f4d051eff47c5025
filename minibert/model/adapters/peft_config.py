"""The settings of peft's LoRA: `adapter_config.json`."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minibert.files import read_json

PEFT_CONFIG_FILE = "adapter_config.json"
ALL_LINEAR = "all-linear"

ONLY_FOR_TRAINING = frozenset({"corda_config", "eva_config", "inference_mode", "lora_ga_config", "velora_config"})
"""Settings without influence on what a trained adapter computes."""
DESCRIPTIVE = frozenset(
    {"auto_mapping", "base_model_name_or_path", "megatron_core", "peft_type", "peft_version", "qalora_group_size", "revision"}
    | {"task_type", "ensure_weight_tying", "runtime_config", "_name_or_path"}
)
SUPPORTED = frozenset(
    {"r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "enable_lora"}
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "init_lora_weights"}
)
BIASES = ("none", "lora_only", "all")
NAMES, TEXT, NUMBER = (str, list), (str,), (int, float)
TYPES: dict[str, tuple[tuple[type, ...], tuple[type, ...], str]] = {
    "r": ((int,), (), "a whole number"),
    "lora_alpha": (NUMBER, (), "a number"),
    "lora_dropout": (NUMBER, (), "a number"),
    "use_rslora": ((bool,), (), "true or false"),
    "target_modules": (NAMES, TEXT, "a list of names or a regular expression"),
    "exclude_modules": (NAMES, TEXT, "a list of names or a regular expression"),
    "modules_to_save": ((list,), TEXT, "a list of names"),
    "layers_to_transform": ((int, list), (int,), "a list of whole numbers"),
    "layers_pattern": (NAMES, TEXT, "a name or a list of names"),
    "rank_pattern": ((dict,), (int,), "an object with ranks"),
    "alpha_pattern": ((dict,), NUMBER, "an object with numbers"),
}
"""Types of settings and of the values in them, and their description."""
SAFE_INITIALIZATIONS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` that do not change the weights of the base model. The others, such as "pissa", do."""


@dataclass(frozen=True)
class PeftConfig:
    """The settings in `adapter_config.json` that determine what an adapter computes."""

    path: Path
    fields: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "PeftConfig":
        """Read a file. Raises: ValueError that names the file and a setting, if it is damaged or not supported."""
        config = cls(path, read_json(path))
        try:
            config._check()
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        return config

    def get(self, name: str, default: Any) -> Any:
        """Return a setting; `default` if it is missing or null."""
        value = self.fields.get(name)
        return default if value is None else value

    def setting(self, kind: str, name: str, default: float) -> Any:
        """Return the rank or α of a module: that of the first pattern that matches the end of its name, or the default."""
        for pattern, value in self.get(f"{kind}_pattern", {}).items():
            if _match(rf"(.*\.)?({pattern})$", name, self.path):
                return value
        return default

    def is_target(self, name: str) -> bool:
        """Return True if a module has an update, by the rules of peft.

        Source: `check_target_module_exists` of peft.
        """
        exclude, targets = self.get("exclude_modules", []), self.get("target_modules", [])
        if _matches(exclude, name, self.path):
            return False
        if any(_match(rf"(^|.*\.){module}($|\..*)", name, self.path) for module in self.get("modules_to_save", [])):
            return False
        if targets == ALL_LINEAR:
            return True
        if isinstance(targets, str) or name in targets:
            return _matches(targets, name, self.path)
        return _matches(targets, name, self.path) and self._is_in_layers(name)

    def _is_in_layers(self, name: str) -> bool:
        layers, patterns = self.get("layers_to_transform", []), self.get("layers_pattern", [])
        wanted = [layers] if isinstance(layers, int) else layers
        names = [patterns] if isinstance(patterns, str) else patterns
        if not wanted:
            return True
        found = [_match(rf"(?:^|.*?\.){pattern}\.(\d+)\.", name, self.path) for pattern in names or [r"[^.]*"]]
        return any(int(number[1]) in wanted for number in found if number)

    def _check(self) -> None:
        kind = self.fields.get("peft_type")
        if kind != "LORA":
            raise ValueError(f"peft_type is {_shown(kind)}; only LORA is supported")
        if self.get("use_dora", False):
            raise ValueError("use_dora: DoRA is not supported. Merge the adapter with peft (`merge_and_unload`) and save that")
        known = ONLY_FOR_TRAINING | DESCRIPTIVE | SUPPORTED
        for name, value in self.fields.items():
            if name not in known and value not in (None, False, [], {}):
                raise ValueError(
                    f"{_shown(name)} is {_shown(value)}, which is not supported. Merge the adapter with peft "
                    "(`merge_and_unload`) and save that"
                )
        initialization = self.fields.get("init_lora_weights", True)
        if not any(initialization is value or initialization == value for value in SAFE_INITIALIZATIONS):
            raise ValueError(
                f"init_lora_weights {_shown(initialization)} changes the weights of the base model. Convert the adapter with "
                "peft (`path_initial_model_for_weight_conversion` of `save_pretrained`), or merge it (`merge_and_unload`)"
            )
        self._check_types()

    def _check_types(self) -> None:
        for name, (kinds, items, expected) in TYPES.items():
            value = self.get(name, None)
            contents = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if value is not None and not (_is(value, kinds) and all(_is(each, items) for each in contents)):
                raise ValueError(f"{name} must be {expected}, not {_shown(value)}")
        if self.get("bias", "none") not in BIASES:
            raise ValueError(f"bias must be {' or '.join(BIASES)}, not {_shown(self.fields['bias'])}")


def _is(value: object, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _matches(patterns: str | Sequence[str], name: str, path: Path) -> bool:
    """Return True if a regular expression matches the whole name, or one of several names is its end."""
    if isinstance(patterns, str):
        return bool(patterns) and _match(rf"(?:{patterns})\Z", name, path) is not None
    return any(name == each or name.endswith(f".{each}") for each in patterns)


def _match(pattern: str, name: str, path: Path) -> re.Match[str] | None:
    try:
        return re.match(pattern, name)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{path}: {_shown(pattern)} is not a regular expression ({error})") from None


def shortest_names(chosen: Sequence[str], others: Iterable[str]) -> list[str]:
    """Return the shortest ends of module names that match the chosen modules and none of the others.

    >>> shortest_names(["layer.0.query", "layer.1.query"], ["layer.0.key"])
    ['query']
    >>> shortest_names(["layer.1.query"], ["layer.0.query"])
    ['1.query']
    """
    ends = {end for name in others for end in _ends(name)}
    return [*dict.fromkeys(next(end for end in _ends(name) if end not in ends) for name in chosen)]


def _ends(name: str) -> list[str]:
    words = name.split(".")
    return [".".join(words[start:]) for start in range(len(words) - 1, -1, -1)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
