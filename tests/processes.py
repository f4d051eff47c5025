"""The command line in separate processes."""

import os
import subprocess
import sys
from pathlib import Path


def start(command: list[str], processes: int = 1, stdin: int | None = None) -> subprocess.Popen[str]:
    """Start `minibert` in one process, or in several processes with torchrun."""
    launcher = [] if processes == 1 else ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    words = [sys.executable, "-m", *launcher, "minibert", *command]
    return subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
