"""What all benchmarks write with their numbers, and where: results of a GPU do not replace those of a CPU."""

from pathlib import Path

import torch
import transformers

FOLDER = Path(__file__).parent


def about() -> dict[str, object]:
    """Return the versions of the libraries, and the machine."""
    machine = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {"threads": torch.get_num_threads()}
    return {"torch": torch.__version__, "transformers": transformers.__version__, **machine}


def result_file(name: str) -> Path:
    """Return the file for the results of a benchmark on this machine."""
    return FOLDER / f"{name}{'_gpu' if torch.cuda.is_available() else ''}.json"
