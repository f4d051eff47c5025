"""Write docs/ideas.md from the results of the experiments.

python -m benchmarks.ideas [--run heads weights …]

With --run, these experiments run first: each trains what it needs, which takes some minutes.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "ideas.md"
EXPERIMENTS = {
    "heads": ("heads",),
    "weights": ("pruning", "quantization"),
    "prompting": ("prompting",),
    "continual": ("continual",),
    "distillation": ("distillation",),
    "masks": ("masks",),
    "replaced_tokens": ("replaced_tokens",),
    "sharing": ("sharing",),
    "sentence_pairs": ("sentence_pairs",),
}
"""The modules of this package, and the names of their results."""
INTRODUCTION = """# What each idea is worth

Each section is one experiment: a question, what a paper measured, and what small networks show on two cores. All of them use
the text of the quickstart, the docstrings of Python and torch. The networks have four layers of width 128 with four heads, and
are pretrained for 1,000 steps of 2,048 tokens. The task is classification: the module of a docstring belongs to one of nine
families, and each family has 100 labeled texts. "Which tokens are masked" and the sections after it need many networks, so
these are smaller. They have two layers, as in the quickstart, and are pretrained for 1,200 steps of 2,688 tokens. That is three
quarters of what the quickstart does. With more steps (`STEPS` in benchmarks/ideas/short_runs.py), the results may be different.
A fine-tuned classifier of four layers has {classifier}, and one of two layers without any pretraining {initial}. So the
sections about a classifier do not show what its pretraining is worth. They compare ways to make it smaller, or to train it.

Numbers are means over three seeds ± their standard deviation. Differences are computed before rounding. A star marks a
difference with p < 0.05 in a paired t-test over the seeds. With three seeds, a large difference may have no star, and some
small differences have a star by chance. Results of such small networks can differ from those of the large ones in the papers.
The text under each table says only what its own numbers show.

```sh
python -m benchmarks.ideas --run heads    # one experiment again; it trains what is missing, in runs/ideas
```
"""


def section(name: str) -> str:
    """Return a section of the page."""
    result = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    module = next(module for module, names in EXPERIMENTS.items() if name in names)
    picture = f"![{result['title']}: the numbers of the table](ideas/{name}.png)"
    source = f"Code: [benchmarks/ideas/{module}.py](../benchmarks/ideas/{module}.py)."
    return f"## {result['title']}\n\n{result['section']}\n\n{picture}\n\n{source}\n"


def first_accuracy(name: str) -> str:
    """Return the mean accuracy of the first row of a table: of a classifier that nothing was done to."""
    first = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["rows"][0]
    return f"{statistics.mean(first['values']['accuracy']):.1%}"


def page() -> str:
    """Return the whole page."""
    names = [name for names in EXPERIMENTS.values() for name in names if (FOLDER / f"{name}.json").is_file()]
    introduction = INTRODUCTION.format(classifier=first_accuracy("quantization"), initial=first_accuracy("masks"))
    return "\n".join([introduction, *map(section, names)])


def main() -> None:
    """Run the experiments that were asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs="+", choices=EXPERIMENTS, default=[])
    for module in parser.parse_args().run:
        subprocess.run([sys.executable, "-m", f"benchmarks.ideas.{module}"], check=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
