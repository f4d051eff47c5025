"""What all benchmarks write with their numbers, and where: results of a GPU do not replace those of a CPU."""

import platform
import re
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


def machine() -> str:
    """Return a name of this machine for files: its GPU, or its processor and the number of threads."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
        model = next((line.partition(":")[2] for line in lines if line.startswith("model name")), platform.machine())
        name = f"{model} {torch.get_num_threads()} threads"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
