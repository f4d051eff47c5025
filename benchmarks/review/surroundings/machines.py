"""Machines without a home folder or with one that cannot be written, clocks that jump, and languages without UTF-8."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.review.interruptions import Area, Trial
from benchmarks.review.surroundings.cases import Case, finished, resumed, run, run_trial, shortened
from benchmarks.review.surroundings.disks import WRITES

HOME = """
import errno, os, pwd
from benchmarks.review.disk import Disk, fail_at
os.chdir({work!r})
for name in ("MINIBERT_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR", "HF_HOME", "HOME"):
    os.environ.pop(name, None)
"""
READ_ONLY = f"Disk({{home!r}}, None, fail_at(1, errno.EROFS, {WRITES}, forever=True))\n"
HOMES = {
    "read-only home": f"os.environ['HOME'] = {{home!r}}\n{READ_ONLY}",
    "no home": "def unknown(user): raise KeyError(user)\npwd.getpwuid = unknown\n",
    "caches that cannot be written": "os.environ |= dict.fromkeys(('MINIBERT_CACHE', 'MPLCONFIGDIR', 'HF_HOME'), {home!r})\n"
    + READ_ONLY,
}
CLOCK = "import random, time\nreal = time.monotonic\ndraw = random.Random({seed})\ndef clock(): return {time}\n"
CLOCKS = {
    "standing still": "1000.0",
    "going back": "1e6 - 5 * real()",
    "jumping": "draw.choice([0.0, 1e9, 1000.0, -1e9])",
}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENCODINGS = {
    "ASCII": ASCII,
    "Latin-1": {**ASCII, "PYTHONIOENCODING": "latin-1"},
    "GBK": {**ASCII, "PYTHONIOENCODING": "gbk"},
}
CHINESE = "中文 电影 很 好 。"
COMPARED = ("vocab.txt", "tokenizer.json", "config.json", "model.safetensors", "page.html", "vectors.npy", "task.json")
SEVERAL = """
import json
from minibert.commands import main
for number, words in enumerate(json.load(open("commands.json"))):
    print("exit code", main(words), "of", number, flush=True)
"""


def commands(model: Path, folder: Path) -> list[list[str]]:
    """Return one command of every kind that reads a model or text, or draws."""
    return [
        ["tokenize", str(model), "good 中文"],
        ["fill-mask", str(model), "good [MASK] 中"],
        ["plot", "attention", "--checkpoint", str(model), "--text", "good 中文", "--out", str(folder / "a.png")],
        ["study", "good 中文", "--checkpoint", str(model), "--out", str(folder / "page.html")],
        ["embed", str(model), str(folder / "texts.txt"), "--out", str(folder / "vectors.npy")],
        ["equations", "softmax"],
        ["lessons"],
        ["learn"],
    ]


def home_cases(areas: list[Area], model: Path, folder: Path) -> Iterator[Case]:
    """Run commands without a place for caches and settings."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    (work / "texts.txt").write_text("good film\n中文\n", encoding="utf-8")
    training = [[*shortened(area).words] for area in areas]
    builtin = ["pretrain", "--pairs", "none", "--steps", "1", "--batch-size", "2", "--max-length", "16", "--vocab-size", "300"]
    for kind, code in HOMES.items():
        for words in [*commands(model, work), *training, builtin]:
            out = ["--out", str(work / f"{words[1]} {kind}")] if "--steps" in words else []
            ended = run([*words, *out], (HOME + code).format(home=str(home), work=str(work)))
            group = "training" if "--steps" in words else "other commands"
            yield Case(kind, group, ended.outcome(), f"{words[:2]}: {ended.shown[-300:]}")
        if any(home.iterdir()):
            yield Case(kind, "other commands", "differing", f"the home has files: {[*home.iterdir()]}")


def clock_cases(areas: list[Area], folder: Path, seed: int) -> Iterator[Case]:
    """Train with clocks that stand still, go back and jump. All speeds and times that are written or printed are positive."""
    for area in map(shortened, areas):
        whole = finished(area, folder / f"{area.name} whole")
        for kind, time in CLOCKS.items():
            for name in ("perf_counter", "monotonic", "time"):
                trial = Trial(area, folder / f"{area.name} {kind} {name}")
                ended = run_trial(trial, setup=CLOCK.format(seed=seed, time=time) + f"time.{name} = clock")
                seconds = [json.loads(line)["seconds"] for line in (trial.out / "metrics.jsonl").read_text().splitlines()]
                case = resumed(trial, ended, whole, "clock", kind, f"{area.name}, time.{name}")
                is_negative = min(seconds) < 0 or " -" in ended.shown.partition("left")[0][-20:]
                yield Case(case.area, kind, "differing", f"negative: {case.note}") if is_negative else case


def encoding_cases(model: Path, folder: Path) -> Iterator[Case]:
    """Run commands with Chinese text where the encoding is not UTF-8. Their files are those of a machine with UTF-8."""
    written = {}
    for kind, environment in {"UTF-8": {"LC_ALL": "C.utf8"}, **ENCODINGS}.items():
        out = folder / kind
        out.mkdir()
        several = _chinese_commands(model, out)
        (out / "commands.json").write_text(json.dumps(several), encoding="utf-8")
        everything = os.environ | {"MINIBERT_CACHE": str(out / "cache")} | environment
        words = [sys.executable, "-c", SEVERAL]
        ended = subprocess.run(words, env=everything, cwd=out, capture_output=True, timeout=300)
        shown = (ended.stdout + ended.stderr).decode("utf-8", "backslashreplace")
        written[kind] = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.name in COMPARED}
        different = [str(name) for name, content in written["UTF-8"].items() if written[kind].get(name) != content]
        for number, words in enumerate(several if kind != "UTF-8" else ()):
            failed = f"exit code 0 of {number}\n" not in shown or "Traceback" in shown
            outcome = "crashed" if failed else "differing" if different else "equal"
            yield Case("encoding", kind, outcome, f"{words[:2]}: {different} {shown[-1500:] if failed else ''}")


def _chinese_commands(model: Path, out: Path) -> list[list[str]]:
    """Write Chinese text, and return commands that read it, with relative paths."""
    (out / "text.txt").write_text("\n\n".join(f"{CHINESE} {number}\n{CHINESE} 文" for number in range(20)), encoding="utf-8")
    rows = [f"{CHINESE} {number}\t好\nbad film {number}\t坏\n" for number in range(20)]
    (out / "rows.tsv").write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    (out / "texts.txt").write_text("good film\n中文\n", encoding="utf-8")
    small = ("--steps", "2", "--batch-size", "4", "--device", "cpu")
    pretrain = ["pretrain", "--text", "text.txt", "--vocab-size", "60", "--max-length", "16", "--out", "pretrained", *small]
    classify = ["finetune", "classify", "--train", "rows.tsv", "--from", str(model), "--out", "classifier", *small]
    evaluate = ["evaluate", "classifier", "--data", "rows.tsv"]
    use = [["predict", "classifier", "texts.txt"], evaluate, ["runs", "pretrained", "classifier"]]
    return [*commands(model, Path()), pretrain, classify, *use]
