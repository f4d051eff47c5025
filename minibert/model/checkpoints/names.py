"""Translation between our parameter names and those of another library's checkpoints."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

LEAVES = {"gamma": "weight", "beta": "bias"}
"""Parameters of LayerNorm as named in files converted from TensorFlow."""
WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Submodules that wrappers of PyTorch add, anywhere in a name: DistributedDataParallel, compile, FSDP, checkpointing."""
OUTER_MODULES = ("model", "auto_model", "0")
"""Submodules that hold the whole network in other libraries, at the start of a name: Lightning, sentence-transformers."""


@dataclass(frozen=True)
class NameTable:
    """A table of module names: ours and theirs. Each module has a `weight`, a `bias` or both.

    A name that ends with one of these is that of a single parameter. Then the name of their tensor may be any other.

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
    also: Mapping[str, str] = field(default_factory=dict)
    """More of their modules, which are read but not written, and ours."""

    @cached_property
    def _theirs(self) -> dict[str, tuple[str, int]]:
        """Their module for each of ours, and the place of ours in the concatenation."""
        parts = ((ours.split(" + "), theirs) for ours, theirs in self.table.items())
        return {name: (theirs, place) for names, theirs in parts for place, name in enumerate(names)}

    @cached_property
    def _ours(self) -> dict[str, tuple[str, ...]]:
        return {theirs: tuple(ours.split(" + ")) for ours, theirs in self.table.items()} | {
            theirs: (ours,) for theirs, ours in self.also.items()
        }

    def relative(self, name: str) -> str:
        """Return one of our parameter or module names relative to the base model."""
        return name.removeprefix(self.our_prefix)

    def theirs(self, name: str) -> str:
        """Return their relative name of the tensor that holds our parameter `name`, or "" if there is none."""
        pattern, number, leaf = _split_name(name)
        if f"{pattern}.{leaf}" in self._theirs:
            return self._theirs[f"{pattern}.{leaf}"][0]
        return f"{insert_number(self._theirs[pattern][0], number)}.{leaf}" if pattern in self._theirs and leaf else ""

    def ours(self, name: str) -> tuple[str, ...]:
        """Return our relative names of the parameters in their tensor `name`; empty for an unknown tensor."""
        relative = name.removeprefix(self.their_prefix)
        pattern, number, leaf = _split_name(relative)
        for tensor in (f"{pattern}.{leaf}", relative):
            if tensor in self._ours:
                return self._ours[tensor]
        return tuple(f"{insert_number(ours, number)}.{leaf}" for ours in self._ours.get(pattern, ())) if leaf else ()

    def unwrap(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Remove the names of wrappers and outer modules from the names of a file. Raises: ValueError if two become one."""
        plain = {name: name if self.ours(name) else without_wrappers(name) for name in tensors}
        outer = {*OUTER_MODULES, *self.their_prefix.split("."), ""}
        prefixes = [prefix for prefix in self.prefixes(plain.values()) if outer.issuperset(prefix.split("."))]
        prefix = prefixes[0] if prefixes else ""
        unwrapped: dict[str, str] = {}
        for name, short in plain.items():
            if (other := unwrapped.setdefault(short.removeprefix(prefix), name)) != name:
                raise ValueError(f"tensors {other} and {name} are the same parameter")
        return {short: tensors[name] for short, name in unwrapped.items()}

    def prefixes(self, names: Collection[str]) -> list[str]:
        """Return the prefixes such as "model." after which names of this table follow; the one of most names first."""
        counts = Counter(prefix for name in names for prefix in _prefixes(name) if self.ours(name.removeprefix(prefix)))
        return sorted(counts, key=lambda prefix: (-counts[prefix], len(prefix)))

    def read(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the tensors of a file to ours, under relative names. Unknown tensors keep their names.

        Raises: ValueError for a tensor that cannot be divided, and for two different tensors of one parameter.
        """
        found: dict[str, Tensor] = {}
        sources: dict[str, str] = {}
        for name, tensor in tensors.items():
            ours = self.ours(name) or (name,)
            weight = tensor.mT if self._is_transposed(name) and tensor.dim() == 2 else tensor
            if len(ours) > 1 and (weight.dim() == 0 or len(weight) % len(ours)):
                raise ValueError(f"tensor {name} has shape {tuple(tensor.shape)}, which is not {len(ours)} equal parts")
            for parameter, part in zip(ours, weight.chunk(len(ours)) if len(ours) > 1 else [weight], strict=True):
                other = sources.setdefault(parameter, name)
                if other != name and not same_values(found[parameter], part):
                    raise ValueError(f"tensors {other} and {name} differ, but are the same parameter")
                found[parameter] = part
        return found

    def write(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the parameters of a network to the tensors of a file.

        Raises: ValueError that names the parameters which have no place in a file, or none of their own.
        """
        sources = {self.relative(without_wrappers(name)): name for name in weights}
        if unknown := [name for relative, name in sources.items() if relative not in self.ours(self.theirs(relative))]:
            raise ValueError(
                f"checkpoint files have no name for {shorten(unknown)}. Save adapters such as LoRA with their own library, or "
                "merge them into the weights (`merge_and_unload` of peft)"
            )
        is_base_model = bool(self.our_prefix) and not any(
            without_wrappers(name).startswith(self.our_prefix) for name in weights
        )
        prefix = "" if is_base_model else self.their_prefix
        if len(sources) < len(weights):
            raise ValueError(f"two parameters have one name in checkpoint files: {shorten(weights.keys() - sources.values())}")
        tensors: dict[str, Tensor] = {}
        for theirs in dict.fromkeys(map(self.theirs, sources)):
            parts = self.ours(theirs)
            if missing := [part for part in parts if part not in sources]:
                raise ValueError(f"the tensor {theirs} of a checkpoint file cannot be written without {shorten(missing)}")
            name = theirs if parts[0].startswith(self.outside_base_model) else prefix + theirs
            whole = torch.cat([weights[sources[part]] for part in parts]) if len(parts) > 1 else weights[sources[parts[0]]]
            tensors[name] = (whole.mT if self._is_transposed(name) and whole.dim() == 2 else whole).contiguous()
        return tensors

    def _is_transposed(self, name: str) -> bool:
        return _split_name(name.removeprefix(self.their_prefix))[0] in self.transposed


def same_values(one: Tensor, other: Tensor) -> bool:
    """Return True if two tensors have the same shape and values; their types may differ."""
    return one.shape == other.shape and bool((one == other).all())


def shorten(names: Collection[str]) -> str:
    """Join names for a message: the first eight, and the number of the others."""
    return ", ".join([*names][:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def split_number(name: str) -> tuple[str, str]:
    """Split a module name into its pattern, with N for the layer number, and the layer number.

    >>> split_number("layers.3.attention")
    ('layers.N.attention', '3')
    """
    number = re.search(r"\.(\d+)\.", f".{name}.")
    pattern = re.sub(r"\.\d+\.", ".N.", f".{name}.", count=1)[1:-1]
    return pattern, number[1] if number else ""


def insert_number(pattern: str, number: str) -> str:
    """Replace N in the pattern of a module name by a layer number: the inverse of `split_number`."""
    return f".{pattern}.".replace(".N.", f".{number}.")[1:-1]


def _split_name(name: str) -> tuple[str, str, str]:
    """Split a parameter name into its module (N for the layer number), the layer number, and `weight`, `bias` or ""."""
    module, _, leaf = name.rpartition(".")
    leaf = LEAVES.get(leaf, leaf)
    return *split_number(module), leaf if leaf in ("weight", "bias") else ""


def without_wrappers(name: str) -> str:
    """Remove the names in `WRAPPERS` from a parameter name."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _prefixes(name: str) -> Iterator[str]:
    """Yield the beginnings of a name that end with a dot, and the empty one; at most four modules long."""
    parts = name.split(".", 4)[:-1]
    return (".".join([*parts[:count], ""]) for count in range(len(parts) + 1))
