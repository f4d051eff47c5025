"""Names of values in the help: `fill-mask CHECKPOINT TEXT` and `--steps N`, instead of the names of Python's types."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

BY_NAME = {
    "against": "CHECKPOINT",
    "also_train": "MODULE [MODULE ...]",
    "attention_from": "FILE.py:FUNCTION",
    "checkpoint": "CHECKPOINT",
    "column": "COLUMN",
    "columns": "NAME,NAME",
    "dataset": "DATASET",
    "dataset_config": "CONFIGURATION",
    "directories": "FOLDER [FOLDER ...]",
    "figure": "FILE.{png,svg,pdf}",
    "label_column": "COLUMN",
    "ids": "ID [ID ...]",
    "out": "FOLDER",
    "pair_column": "COLUMN",
    "reference": "FILE",
    "save_reference": "FILE",
    "split": "SPLIT",
    "target_layers": "N [N ...]",
    "targets": "MODULE [MODULE ...]",
    "text_column": "COLUMN",
    "tokenizer": "TOKENIZER",
    "train_split": "SPLIT",
    "label_names": "LABEL=NAME,...",
    "label_separator": "CHARACTER",
    "write_repaired": "FILE",
    "validation": "FILE [FILE ...]",
    "validation_split": "SPLIT",
}
BY_TYPE: dict[Any, str] = {int: "N", float: "NUMBER", str: "TEXT", tuple[Path, ...]: "FILE [FILE ...]"}
"""Names for fields that are not in `BY_NAME`, by their type."""


def name_values(options: Any) -> None:
    """Give every field of an options class, and of the classes in it, a name for its value. Those that have one keep it."""
    hints = typing.get_type_hints(options, include_extras=True)
    for name, hint in hints.items():
        extras = getattr(hint, "__metadata__", ())
        kind = hint.__origin__ if extras else hint
        if dataclasses.is_dataclass(kind):
            name_values(kind)
        elif not any(hasattr(extra, "metavar") for extra in extras) and (found := BY_NAME.get(name) or _by_type(kind)):
            owner = next(cls for cls in options.__mro__ if name in vars(cls).get("__annotations__", {}))
            owner.__annotations__[name] = Annotated[hint, arg(metavar=found)]


def _by_type(kind: Any) -> str | None:
    alternatives = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return next((BY_TYPE[each] for each in alternatives if each in BY_TYPE), None)
