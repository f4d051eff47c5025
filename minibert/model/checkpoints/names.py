"""What parameters are called here and at Hugging Face: one table for each architecture."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

LEAVES = {"gamma": "weight", "beta": "bias"}
"""What LayerNorm's parameters were called in files that came from TensorFlow."""


@dataclass(frozen=True)
class NameTable:
    """Our module names and theirs; each has a `weight`, a `bias` or both.

    >>> GPT2.theirs("decoder.layers.3.attention.key.weight"), GPT2.ours("transformer.wte.weight")
    ('h.3.attn.c_attn.weight', ('words.weight',))
    """

    table: Mapping[str, str]
    """Several of ours, with + between them, stand one after the other in one of theirs. N is the number of a layer."""
    prefix: str
    """Before their names, but for what stands outside; left away where a file has the inner part of a model alone."""
    outside: tuple[str, ...] = ()
    """How our names begin that have no prefix there."""
    transposed: frozenset[str] = frozenset()
    """Modules of theirs that keep their weight as (in, out), not (out, in) as PyTorch does."""

    @cached_property
    def _theirs(self) -> dict[str, tuple[str, int]]:
        """By our module: theirs, and which part of it is ours."""
        parts = ((ours.split(" + "), theirs) for ours, theirs in self.table.items())
        return {name: (theirs, place) for names, theirs in parts for place, name in enumerate(names)}

    @cached_property
    def _ours(self) -> dict[str, tuple[str, ...]]:
        return {theirs: tuple(ours.split(" + ")) for ours, theirs in self.table.items()}

    def theirs(self, name: str) -> str:
        """Their name, without prefix, of the tensor that one of our parameters is in; "" if there is none."""
        pattern, number, leaf = _taken_apart(name)
        return f"{_numbered(self._theirs[pattern][0], number)}.{leaf}" if pattern in self._theirs and leaf else ""

    def ours(self, name: str) -> tuple[str, ...]:
        """Our names of what is in one of their tensors; none for a tensor that no model here has."""
        pattern, number, leaf = _taken_apart(name.removeprefix(self.prefix))
        return tuple(f"{_numbered(ours, number)}.{leaf}" for ours in self._ours.get(pattern, ())) if leaf else ()

    def read(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of a file under our names. What no model here has keeps its name."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            ours = self.ours(name) or (name,)
            turned = tensor.mT if self._is_transposed(name) and tensor.dim() == 2 else tensor
            found |= zip(ours, turned.chunk(len(ours)) if len(ours) > 1 else [turned], strict=False)
        return found

    def write(self, weights: Mapping[str, Tensor], prefixed: bool = True) -> dict[str, Tensor]:
        """Our parameters as they stand in a file."""
        parts: dict[str, dict[int, Tensor]] = {}
        for name, tensor in weights.items():
            pattern, _, _ = _taken_apart(name)
            prefix = self.prefix if prefixed and not name.startswith(self.outside) else ""
            parts.setdefault(prefix + self.theirs(name), {})[self._theirs[pattern][1]] = tensor
        whole = {name: torch.cat(_in_order(some)) if len(some) > 1 else some[0] for name, some in parts.items()}
        return {
            name: (tensor.mT if self._is_transposed(name) and tensor.dim() == 2 else tensor).contiguous()
            for name, tensor in whole.items()
        }

    def _is_transposed(self, name: str) -> bool:
        return _taken_apart(name.removeprefix(self.prefix))[0] in self.transposed


def _taken_apart(name: str) -> tuple[str, str, str]:
    """The module, with N for the number of its layer; that number; and `weight` or `bias`, or "" for anything else."""
    module, _, leaf = name.rpartition(".")
    leaf = LEAVES.get(leaf, leaf)
    number = re.search(r"\.(\d+)\.", f".{module}.")
    pattern = re.sub(r"\.\d+\.", ".N.", f".{module}.", count=1)[1:-1]
    return pattern, number[1] if number else "", leaf if leaf in ("weight", "bias") else ""


def _numbered(pattern: str, number: str) -> str:
    return re.sub(r"\.N\.", f".{number}.", f".{pattern}.")[1:-1]


def _in_order(parts: Mapping[int, Tensor]) -> list[Tensor]:
    return [parts[place] for place in sorted(parts)]


BERT = NameTable(
    {
        "embeddings.words": "embeddings.word_embeddings",
        "embeddings.positions": "embeddings.position_embeddings",
        "embeddings.segments": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "layers.N.attention.query": "encoder.layer.N.attention.self.query",
        "layers.N.attention.key": "encoder.layer.N.attention.self.key",
        "layers.N.attention.value": "encoder.layer.N.attention.self.value",
        "layers.N.attention.output": "encoder.layer.N.attention.output.dense",
        "layers.N.attention_norm": "encoder.layer.N.attention.output.LayerNorm",
        "layers.N.intermediate": "encoder.layer.N.intermediate.dense",
        "layers.N.feed_forward": "encoder.layer.N.output.dense",
        "layers.N.norm": "encoder.layer.N.output.LayerNorm",
        "pooler.dense": "pooler.dense",
        "mlm.transform": "cls.predictions.transform.dense",
        "mlm.norm": "cls.predictions.transform.LayerNorm",
        "mlm": "cls.predictions",
        "mlm.decoder": "cls.predictions.decoder",
        "nsp": "cls.seq_relationship",
        "classifier": "classifier",
        "span": "qa_outputs",
    },
    prefix="bert.",
    outside=("mlm", "nsp", "classifier", "span"),
)

GPT2 = NameTable(
    {
        "words": "wte",
        "decoder.positions.table": "wpe",
        "decoder.layers.N.attention_norm": "h.N.ln_1",
        " + ".join(f"decoder.layers.N.attention.{part}" for part in ("query", "key", "value")): "h.N.attn.c_attn",
        "decoder.layers.N.attention.output": "h.N.attn.c_proj",
        "decoder.layers.N.norm": "h.N.ln_2",
        "decoder.layers.N.intermediate": "h.N.mlp.c_fc",
        "decoder.layers.N.feed_forward": "h.N.mlp.c_proj",
        "decoder.norm": "ln_f",
        "output": "lm_head",
    },
    prefix="transformer.",
    outside=("output",),
    transposed=frozenset({"h.N.attn.c_attn", "h.N.attn.c_proj", "h.N.mlp.c_fc", "h.N.mlp.c_proj"}),
)

MARIAN = NameTable(
    {
        "words": "shared",
        **{
            f"{side}.{ours}": f"{side}.{theirs}"
            for side in ("encoder", "decoder")
            for ours, theirs in {
                "positions.table": "embed_positions",
                "layers.N.attention.query": "layers.N.self_attn.q_proj",
                "layers.N.attention.key": "layers.N.self_attn.k_proj",
                "layers.N.attention.value": "layers.N.self_attn.v_proj",
                "layers.N.attention.output": "layers.N.self_attn.out_proj",
                "layers.N.attention_norm": "layers.N.self_attn_layer_norm",
                "layers.N.cross_attention.query": "layers.N.encoder_attn.q_proj",
                "layers.N.cross_attention.key": "layers.N.encoder_attn.k_proj",
                "layers.N.cross_attention.value": "layers.N.encoder_attn.v_proj",
                "layers.N.cross_attention.output": "layers.N.encoder_attn.out_proj",
                "layers.N.cross_attention_norm": "layers.N.encoder_attn_layer_norm",
                "layers.N.intermediate": "layers.N.fc1",
                "layers.N.feed_forward": "layers.N.fc2",
                "layers.N.norm": "layers.N.final_layer_norm",
                "norm": "layer_norm",
            }.items()
        },
    },
    prefix="model.",
)
