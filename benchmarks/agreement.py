"""How near minibert and transformers are, on real checkpoints: writes docs/agreement.md, and agreement.json beside itself.

python benchmarks/agreement.py FOLDER [FOLDER …]
"""

import json
import sys
from pathlib import Path

import torch
import transformers

from minibert.model.pretrained import load_config
from minibert.study.verify.comparison import compare, inputs_for
from minibert.study.verify.stages import load_model, our_stages, their_stages

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


def measure(folder: str) -> dict[str, dict[str, dict[str, float]]]:
    """By type and by group of stages: the largest absolute and relative difference."""
    config, found = load_config(folder), {}
    example = Path(folder) / "examples.json"
    ids = json.loads(example.read_text())[0]["ids"] if example.is_file() else None
    inputs = inputs_for(folder, config, ids=ids)
    model = load_model(folder)
    for dtype in (torch.float32, torch.float64):
        compared = compare(their_stages(folder, inputs, dtype), our_stages(folder, inputs, dtype), inputs, model, dtype)
        rows = {}
        for group, part in GROUPS.items():
            some = [s for s in compared.stages if part in s.name and (group != "hidden states" or s.name.count(".") == 2)]
            if some:
                rows[group] = {"absolute": max(s.absolute for s in some), "relative": max(s.relative for s in some)}
        found[str(dtype).removeprefix("torch.")] = rows
    return found


def main(folders: list[str]) -> None:
    """Prints the table, and writes it."""
    results = {}
    for folder in map(Path, folders):
        results[folder.name if folder.name != "model" else folder.resolve().parent.name] = measure(str(folder))
    lines = [
        "# minibert beside transformers",
        "",
        "Made by `python benchmarks/agreement.py FOLDER …`. The largest difference of two numbers in a stage, over all layers;",
        f"a batch with padding. transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}, CPU.",
        "",
    ]
    for name, by_type in results.items():
        lines += [f"## {name}", "", "| stage | float32 | float64 |", "|---|--:|--:|"]
        for group, row in by_type["float32"].items():
            lines += [f"| {group} | {row['absolute']:.1e} | {by_type['float64'][group]['absolute']:.1e} |"]
        lines += [""]
    page = "\n".join(lines)
    print(page)
    here = Path(__file__).resolve()
    (here.parents[1] / "docs" / "agreement.md").write_text(page, encoding="utf-8")
    here.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(sys.argv[1:])
