"""The config.json of a checkpoint, and why a folder or a file has none."""

import re
from pathlib import Path

from minibert.files import file_kind
from minibert.hub import fetch
from minibert.model.checkpoints.weights import foreign_hint

CONFIG_FILE, GOOGLES_CONFIG_FILE = "config.json", "bert_config.json"


def find_config(source: str | Path) -> Path:
    """Return the `config.json` of a checkpoint. Raises: FileNotFoundError if there is none."""
    path = fetch(source, CONFIG_FILE)
    if path is None:
        raise FileNotFoundError(f"{source}: is not a checkpoint, {_why_no_config(Path(source))}")
    return path


def _why_no_config(source: Path) -> str:
    if source.is_file():
        kind = file_kind(source)
        return f"but {kind}" if kind else f"there is no {CONFIG_FILE} in its folder{foreign_hint(source.parent)}"
    if (newest := _newest_checkpoint(source / "checkpoints")) is not None:
        return f"it has no {CONFIG_FILE}; the run in it is not finished: continue its training, or use {newest}"
    if (newest := _newest_checkpoint(source)) is not None:
        return f"it has no {CONFIG_FILE}; the newest checkpoint in it is {newest}"
    if not (hint := foreign_hint(source)) and (source / GOOGLES_CONFIG_FILE).is_file():
        hint = f". If its weights are PyTorch's, copy {GOOGLES_CONFIG_FILE} to {CONFIG_FILE}"
    return f"it has no {CONFIG_FILE}{hint}"


def _newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the largest step, the number at the end of its name; None if there is none."""
    steps = {path.parent: re.search(r"\d+$", path.parent.name) for path in folder.glob(f"*/{CONFIG_FILE}")}
    numbered = {path: int(step[0]) for path, step in steps.items() if step is not None}
    return max(numbered, key=numbered.__getitem__, default=None)
