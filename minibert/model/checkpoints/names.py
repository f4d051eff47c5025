"""Translation between our parameter names and those of another library's checkpoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LEAVES = {"gamma": "weight", "beta": "bias"}
"""Parameters of LayerNorm as named in files converted from TensorFlow."""


@dataclass(frozen=True)
class NameTable:
    """A table of module names: ours and theirs. Each module has a `weight`, a `bias` or both.

    "Relative" names are relative to the base model: without `our_prefix` or `their_prefix`.

    >>> table = NameTable({"words": "wte", "layers.N.query + layers.N.key": "h.N.c_attn"}, their_prefix="transformer.")
    >>> table.theirs("layers.3.key.weight"), table.ours("transformer.wte.weight")
    ('h.3.c_attn.weight', ('words.weight',))
    """

    table: Mapping[str, str]
    """From our relative names to theirs. N stands for the number of a layer. Several of our modules, joined by " + ", are
    concatenated in one of theirs."""
    our_prefix: str = ""
    """Start of our names in a network that holds the base model as a submodule, such as "bert."."""
    their_prefix: str = ""
    """Start of their names in the same case. A file with the base model alone has names without it."""
    outside_base_model: tuple[str, ...] = ()
    """Start of the relative names of modules that do not belong to the base model."""
    transposed: frozenset[str] = frozenset()
    """Their modules that store a weight as (in, out) instead of PyTorch's (out, in)."""

    @cached_property
    def _theirs(self) -> dict[str, tuple[str, int]]:
        """Their module for each of ours, and the place of ours in the concatenation."""
        parts = ((ours.split(" + "), theirs) for ours, theirs in self.table.items())
        return {name: (theirs, place) for names, theirs in parts for place, name in enumerate(names)}

    @cached_property
    def _ours(self) -> dict[str, tuple[str, ...]]:
        return {theirs: tuple(ours.split(" + ")) for ours, theirs in self.table.items()}

    def relative(self, name: str) -> str:
        """Return one of our parameter or module names relative to the base model."""
        return name.removeprefix(self.our_prefix)

    def theirs(self, name: str) -> str:
        """Return their relative name of the tensor that holds our parameter `name`, or "" if there is none."""
        pattern, number, leaf = _split_name(name)
        return f"{_with_number(self._theirs[pattern][0], number)}.{leaf}" if pattern in self._theirs and leaf else ""

    def ours(self, name: str) -> tuple[str, ...]:
        """Return our relative names of the parameters in their tensor `name`; empty for an unknown tensor."""
        pattern, number, leaf = _split_name(name.removeprefix(self.their_prefix))
        return tuple(f"{_with_number(ours, number)}.{leaf}" for ours in self._ours.get(pattern, ())) if leaf else ()

    def read(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the tensors of a file to ours, under relative names. Unknown tensors keep their names."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            ours = self.ours(name) or (name,)
            weight = tensor.mT if self._is_transposed(name) and tensor.dim() == 2 else tensor
            found |= zip(ours, weight.chunk(len(ours)) if len(ours) > 1 else [weight], strict=False)
        return found

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the parameters of a network to the tensors of a file."""
        is_base_model = bool(self.our_prefix) and not any(name.startswith(self.our_prefix) for name in weights)
        prefix = "" if is_base_model else self.their_prefix
        parts: dict[str, dict[int, Tensor]] = {}
        for name, tensor in weights.items():
            relative = self.relative(name)
            pattern, _, _ = _split_name(relative)
            full_name = ("" if relative.startswith(self.outside_base_model) else prefix) + self.theirs(relative)
            parts.setdefault(full_name, {})[self._theirs[pattern][1]] = tensor
        whole = {name: torch.cat(_in_order(some)) if len(some) > 1 else some[0] for name, some in parts.items()}
        return {
            name: (tensor.mT if self._is_transposed(name) and tensor.dim() == 2 else tensor).contiguous()
            for name, tensor in whole.items()
        }

    def _is_transposed(self, name: str) -> bool:
        return _split_name(name.removeprefix(self.their_prefix))[0] in self.transposed


def _split_name(name: str) -> tuple[str, str, str]:
    """Split a parameter name into its module (N for the layer number), the layer number, and `weight`, `bias` or ""."""
    module, _, leaf = name.rpartition(".")
    leaf = LEAVES.get(leaf, leaf)
    number = re.search(r"\.(\d+)\.", f".{module}.")
    pattern = re.sub(r"\.\d+\.", ".N.", f".{module}.", count=1)[1:-1]
    return pattern, number[1] if number else "", leaf if leaf in ("weight", "bias") else ""


def _with_number(pattern: str, number: str) -> str:
    return re.sub(r"\.N\.", f".{number}.", f".{pattern}.")[1:-1]


def _in_order(parts: Mapping[int, Tensor]) -> list[Tensor]:
    return [parts[place] for place in sorted(parts)]
