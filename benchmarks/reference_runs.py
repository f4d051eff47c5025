"""Train the reference runs to which `minibert pretrain` compares its metrics. Writes minibert/training/reference_runs.json.

python benchmarks/reference_runs.py [--out runs/reference]

Each run is `minibert pretrain` on the docstrings of Python and torch, with the steps below and default options apart from the
seed. Existing runs are reused.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from minibert.training.records import RunRecord
from minibert.training.reference_runs import FILE, Reference

STEPS = {"tiny": 1000, "mini": 300}
SEEDS = (0, 1, 2)


def main() -> None:
    """Train the missing runs, and write the bands of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/reference"))
    options = parser.parse_args()
    references = {}
    for preset, steps in STEPS.items():
        folders = [options.out / f"{preset}-{seed}" for seed in SEEDS]
        for seed, folder in zip(SEEDS, folders, strict=True):
            words = f"pretrain --preset {preset} --steps {steps} --seed {seed} --resume --out".split()
            subprocess.run([sys.executable, "-m", "minibert", *words, str(folder)], check=True)
        references[preset] = asdict(Reference.from_runs([RunRecord.read(folder) for folder in folders]))
    FILE.write_text(json.dumps(references, indent=1) + "\n", encoding="utf-8")
    print(f"written: {FILE}")


if __name__ == "__main__":
    main()
