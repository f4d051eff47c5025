"""Kill and resume a pretraining run many times, and compare it with a run without interruption. Writes interruptions.json.

python benchmarks/interruptions.py [--kills 50]

The command is `minibert pretrain` on the docstrings of Python and torch. It writes a checkpoint every second step, so that
many kills happen while a checkpoint is written.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = "--batch-size 16 --max-length 32 --checkpoint-every 2 --evaluate-every 100000"


def start(out: Path, steps: int) -> subprocess.Popen[bytes]:
    """Start the command in a separate process."""
    words = ["pretrain", "--out", str(out), "--steps", str(steps), *SETTINGS.split(), "--resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "minibert", *words], stdout=subprocess.DEVNULL, env=environment)


def hashes(out: Path) -> tuple[str, str]:
    """Compute hashes of the model and of all losses."""
    losses = [[entry[name] for name in ("step", "mlm_loss", "nsp_loss", "gradient_norm")] for entry in metrics(out)]
    model = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
    return model, hashlib.sha256(json.dumps(losses).encode()).hexdigest()


def metrics(out: Path) -> list[dict[str, float]]:
    """Read the metrics of every step."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    """Kill, count and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    options = parser.parse_args()
    steps, generator, kills = 12 * options.kills, random.Random(0), 0
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        start(whole, steps).wait()
        began = time.monotonic()
        while kills < options.kills:
            file = killed / "metrics.jsonl"
            before = file.stat().st_mtime_ns if file.is_file() else 0
            process = start(killed, steps)
            while process.poll() is None and (not file.is_file() or file.stat().st_mtime_ns == before):
                time.sleep(0.01)
            time.sleep(generator.uniform(0, 1.0))
            if process.poll() is not None:
                break
            process.kill()
            process.wait()
            kills += 1
        code = start(killed, steps).wait()
        same = hashes(whole) == hashes(killed)
    result = {"kills": kills, "steps": steps, "bit for bit the same": same}
    print(json.dumps(result | {"minutes": round((time.monotonic() - began) / 60, 1)}, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if same and code == 0 else 1)


if __name__ == "__main__":
    main()
