"""The subprocess of `swap`: a checkpoint with a learner's function in it."""

import sys
import warnings
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from minibert.classroom.exercises import EXERCISES
from minibert.classroom.swap import CALLS, CASE, LOGITS, POSITIONS, STAGE, case_scores
from minibert.classroom.swapping import Swap, swapped
from minibert.model import load
from minibert.model.pretrained import PretrainedModel
from minibert.study.checked_attention import UserCodeError
from minibert.study.verify.sandbox import INPUTS, limit_resources, load_function, run_child
from minibert.study.verify.stages import minibert_stages


def compute(folder: Path, location: str, source: str, name: str, layer: str) -> dict[str, Tensor]:
    """Return the stages and the scores of all cases, with the learner's function."""
    tensors = safetensors.torch.load_file(folder / INPUTS)
    stages, cases = (
        {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        for prefix in (STAGE, CASE)
    )
    with swapped(EXERCISES[name], load_function(location)) as swap:
        with warnings.catch_warnings(action="ignore"):  # the calling process has shown them
            model = load(source, attention="explicit")
        if layer:
            limit_to_layer(swap, model, int(layer))
        results = minibert_stages(model, stages)
        scores = case_scores(model, cases, tensors[POSITIONS]) if cases else None
    if not swap.calls:
        raise UserCodeError(f"{source}: this model does not compute {name}, so {location} was never called")
    return results | {CALLS: torch.tensor(swap.calls)} | ({} if scores is None else {LOGITS: scores})


def limit_to_layer(swap: Swap, model: PretrainedModel, layer: int) -> None:
    """Replace the function in one layer only. Raises: UserCodeError if there is no such layer."""
    stacks = [module for path, module in model.named_modules() if path.rpartition(".")[2] == "layers"]
    chosen = [stack[layer] for stack in stacks if 0 <= layer < len(stack)]
    if not chosen:
        raise UserCodeError(f"--layer {layer}: the model has layers 0 to {max(map(len, stacks), default=0) - 1}")
    swap.limit_to(*chosen)


def main(name: str, time_limit: str, location: str, source: str, exercise: str, layer: str) -> None:
    """Compute in the subprocess."""
    folder = Path(name)
    limit_resources()
    run_child(folder, float(time_limit), location, lambda: compute(folder, location, source, exercise, layer))


if __name__ == "__main__":
    main(*sys.argv[1:])
