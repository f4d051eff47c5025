"""Files for the results of benchmarks. A part of a benchmark does not replace the committed result of all of it."""

import argparse
import json
from collections.abc import Collection
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
FIGURES = FOLDER.parent / "docs"


def result_path(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    committed: Path,
    inputs: Collection[str] = (),
    missing: str = "",
) -> Path | None:
    """Return the file for the result of a run: `--out`; else the committed file, if the run is complete; else None.

    A run is complete if its options have their default values, and if it has as many threads as that of the committed file.
    The result of any other run is only printed.

    Args:
        inputs: names of options that may differ in a complete run, such as folders of data.
        missing: what a complete run needs and this one does not have, as a word for the message.
    """
    if options.out is not None:
        return Path(options.out)
    reasons = [
        f"--{name.replace('_', '-')}"
        for name, value in vars(options).items()
        if name not in inputs and value != parser.get_default(name)
    ]
    if missing:
        reasons.append(f"without {missing}")
    threads = torch.get_num_threads()
    if committed.is_file() and (before := json.loads(committed.read_text(encoding="utf-8")).get("threads", threads)) != threads:
        reasons.append(f"threads: {threads}, not {before}")
    if not reasons:
        return committed
    print(
        f"{committed.name} is not replaced, because this run is another one than that of the file ({', '.join(reasons)}). "
        "To write the result: --out FILE",
        flush=True,
    )
    return None


def write_result(path: Path | None, result: object) -> None:
    """Write a result as JSON, or nothing if there is no path."""
    if path is not None:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def figure_path(path: Path) -> Path:
    """Return the file for the figure of a result: in docs/ for a result in benchmarks/, and else in the same folder."""
    folder = FIGURES if path.resolve().parent == FOLDER.resolve() else path.parent
    return folder / f"{path.stem}.png"
