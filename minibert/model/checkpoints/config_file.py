"""The config.json of a checkpoint, and why a folder or a file has none."""

import re
from pathlib import Path

from minibert.files import file_kind
from minibert.hub import fetch
from minibert.model.checkpoints.weights import foreign_hint

CONFIG_FILE, GOOGLES_CONFIG_FILE = "config.json", "bert_config.json"
STEP_FOLDER = re.compile(r"(step|checkpoint)-\d+")
"""Name of a checkpoint in the folder of a run, by minibert or transformers."""
MODELS_LISTED = 5
"""Number of folders that a message names."""


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
    if found := models_inside(source):
        more = f" and {len(found) - MODELS_LISTED} more" if found[MODELS_LISTED:] else ""
        listed = ", ".join(map(str, found[:MODELS_LISTED])) + more
        return f"it has no {CONFIG_FILE}; there {'are models' if found[1:] else 'is a model'} in its subfolders: {listed}"
    if (newest := _newest_checkpoint(source / "checkpoints")) is not None:
        return f"it has no {CONFIG_FILE}; the run in it is not finished: continue its training, or use {newest}"
    if (newest := _newest_checkpoint(source)) is not None:
        return f"it has no {CONFIG_FILE}; the newest checkpoint in it is {newest}"
    if not (hint := foreign_hint(source)) and (source / GOOGLES_CONFIG_FILE).is_file():
        hint = f". If its weights are PyTorch's, copy {GOOGLES_CONFIG_FILE} to {CONFIG_FILE}"
    return f"it has no {CONFIG_FILE}{hint}"


def models_inside(folder: Path) -> list[Path]:
    """Return the subfolders with a model or an adapter, such as those of several tasks or seeds; no checkpoints of one run."""
    from minibert.model.adapters.files import SETTINGS_FILE
    from minibert.model.adapters.peft_config import PEFT_CONFIG_FILE

    files = (file for name in (CONFIG_FILE, PEFT_CONFIG_FILE, SETTINGS_FILE) for file in folder.glob(f"*/{name}"))
    return sorted({file.parent for file in files if not STEP_FOLDER.fullmatch(file.parent.name)})


def _newest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the largest step, the number at the end of its name; None if there is none."""
    steps = {path.parent: re.search(r"\d+$", path.parent.name) for path in folder.glob(f"*/{CONFIG_FILE}")}
    numbered = {path: int(step[0]) for path, step in steps.items() if step is not None}
    return max(numbered, key=numbered.__getitem__, default=None)
