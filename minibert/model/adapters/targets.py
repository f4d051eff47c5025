"""The modules that an adapter is for, by their names in minibert or in transformers."""

import difflib
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from torch import nn

from minibert.model.checkpoints.names import shorten, split_number

if TYPE_CHECKING:
    from minibert.model.pretrained import PretrainedModel

ALL = ("all", "all-linear")
"""Targets: every module that suits and is not trained as a whole. The second is the name that peft has for linear layers."""
HEAD = "head"
"""The modules of the network's head."""


def find_modules(
    model: "PretrainedModel",
    targets: Sequence[str],
    suits: Callable[[nn.Module], bool] = lambda module: True,
    layers: Collection[int] | None = None,
    whole: Collection[str] = (),
) -> list[str]:
    """Return the names of the modules with parameters of their own that the targets name, in the order of the network.

    A target is a module name, or a part of it between two dots: "query", "layers.3", "attention.output", or with the names of
    transformers "layer.3.attention.self.query". "all" and "all-linear" name all modules that suit.

    Args:
        suits: which modules the caller can use.
        layers: numbers of the layers to search; None for all modules.
        whole: parameters that are trained as a whole, so that their modules need no adapter.

    Raises: ValueError for a target without a module, with similar names, and for a layer that does not exist.
    """
    if isinstance(targets, str) or not targets:
        raise ValueError(f'targets must be names of modules, such as ["query", "value"], not {targets!r}')
    names = _names(model)
    _check_layers(names, layers)
    trained = {parameter.rpartition(".")[0] for parameter in whole}
    found: set[str] = set()
    for target in targets:
        named = [name for name, known in names.items() if target in ALL or any(f".{target}." in each for each in known)]
        if not named:
            parts = {part for known in names.values() for each in known for part in _parts(each)}
            near = difflib.get_close_matches(target, sorted(parts), n=4, cutoff=0.0)
            raise ValueError(f"target {target!r} matches no module; similar names: {', '.join(near)}")
        inside = [name for name in named if layers is None or _layer(name) in layers]
        if not inside:
            raise ValueError(f"target {target!r} matches no module in the layers {', '.join(map(str, layers or ()))}")
        suitable = [name for name in inside if suits(model.get_submodule(name))]
        if not suitable:
            kinds = {type(model.get_submodule(name)).__name__ for name in inside}
            raise ValueError(
                f"target {target!r} matches {shorten(inside)}, which cannot have this adapter ({', '.join(kinds)})"
            )
        if not (without_whole := [name for name in suitable if name not in trained]):
            raise ValueError(f"target {target!r} matches {shorten(suitable)}, which is trained as a whole: leave it out")
        found.update(without_whole)
    return [name for name in names if name in found]


def their_name(model: "PretrainedModel", name: str) -> str:
    """Return the name in transformers of one of our modules, or of theirs that holds it and others; "" if there is none."""
    names = model.names
    theirs = names.theirs(f"{names.relative(name)}.weight").removesuffix(".weight")
    is_base_model = bool(names.our_prefix) and not name.startswith(names.our_prefix)
    is_outside = not theirs or is_base_model or names.relative(name).startswith(names.outside_base_model)
    return theirs if is_outside else names.their_prefix + theirs


def _names(model: "PretrainedModel") -> dict[str, list[str]]:
    """Return the modules with parameters of their own, each with its names here and in transformers, with dots around them."""
    modules = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters(recurse=False))]
    return {name: [f".{known}." for known in (name, their_name(model, name)) if known] for name in modules}


def _check_layers(names: Collection[str], layers: Collection[int] | None) -> None:
    existing = {number for name in names if (number := _layer(name)) is not None}
    if missing := sorted({*(layers or ())} - existing):
        last = max(existing, default=-1)
        raise ValueError(f"there is no layer {', '.join(map(str, missing))}: the layers are 0 to {last}")


def _layer(name: str) -> int | None:
    number = split_number(name)[1]
    return int(number) if number else None


def _parts(name: str) -> list[str]:
    """Return the parts of a name that a target can be, without the layer.

    >>> _parts(".layers.0.attention.query.")
    ['attention', 'attention.query', 'query']
    """
    words = split_number(name.strip("."))[0].rpartition("N.")[2].split(".")
    return [".".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
