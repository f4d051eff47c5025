"""Time of a walk through a forward pass, and of a key press in its page. Prints two tables, writes study.json.

    python -m benchmarks.study [--repetitions 15] [--browser PATH] [--out FILE]

With another number of repetitions, the result is written to --out only.

The walk of a 12-layer 768-wide BERT on 32 tokens is compared with the forward pass of the same model with explicit attention,
in turns. Writing the page is timed apart. All times are processor times of one thread.

The page is then used in Chromium without a window. The time of a key press is the time of its scripts, from the key to the
next frame, without layout and style, as Chromium traces it. Heat maps are painted later, each in a task of its own: the
longest of these tasks is listed, too.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import sync_playwright

from benchmarks.output import result_path, write_result
from minibert import PRESETS, BertForPreTraining
from minibert.study import walk
from minibert.study.page.page import step_through_page
from minibert.study.stepthrough.step import Walk
from minibert.study.subject import random_network, tokenizer_of

VOCABULARY = 30_000
REST = 420
"""Milliseconds after a key, in which the timers of the page run."""
KEYS = (
    *("ArrowRight",) * 20,
    *("p",) * 6,
    *("m", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "PageDown", "End", "Home", "Enter"),
    *("Escape", "Escape"),
    *("p",) * 9,
    *("]", "[", "m", "ArrowDown", "ArrowRight", "Enter", "Escape", "Escape", "ArrowDown", "ArrowUp", "?", "Escape", "h", "h"),
)
"""All kinds of keys: through the steps of a layer, in a matrix, between heads and layers, to the overview and back."""
SCRIPTS = {"EventDispatch", "FunctionCall", "FireAnimationFrame", "TimerFire", "EvaluateScript"}
LAYOUT = {"Layout", "UpdateLayoutTree"}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), inputs=("browser",))
    base = walk_times(options.repetitions)
    for name, times in base.items():
        print(f"{name:34} {summary(times, 'median')}")
    ratios = [one / other for one, other in zip(base["walk"], base["forward pass, explicit attention"], strict=True)]
    print(f"walk / forward pass                median {np.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")
    report: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__, "threads": 1},
        "walk of 12 layers of width 768, 32 tokens: milliseconds": base,
        "walk / forward pass": ratios,
    }
    keys = {}
    for name, (preset, tokens) in PAGES.items():
        presses = keys[name] = key_times(walk_of(preset, tokens)[0](), options.browser)
        later = max(press["longest later task"] for press in presses)
        print(
            f"key press, {name:23} {summary([press['milliseconds'] for press in presses], 'median')}; later {later:.1f}",
            flush=True,
        )
    report["key presses"] = keys
    write_result(path, report)


PAGES = {"tiny, 16 tokens": ("tiny", 16), "tiny, 512 tokens": ("tiny", 512), "base, 16 tokens": ("base", 16)}
"""Preset and number of tokens."""


def walk_of(preset: str, tokens: int) -> tuple[Callable[[], Walk], Callable[[], Any]]:
    """Return a function that walks through the forward pass of a random text, and one that runs the forward pass only."""
    words = [f"w{number:05}" for number in range(VOCABULARY)]
    tokenizer = tokenizer_of([" ".join(words)])
    text = " ".join(["[MASK]", *np.random.default_rng(0).choice(words, tokens - 3).tolist()])
    model = random_network(BertForPreTraining, replace(PRESETS[preset], max_position_embeddings=512), tokenizer)
    model.set_attention("explicit")
    ids = torch.tensor([tokenizer.encode(text).ids])
    assert ids.numel() == tokens

    @torch.no_grad()
    def forward() -> Any:
        return model(ids, attention_mask=torch.ones_like(ids))

    return lambda: walk(model, tokenizer, text), forward


def walk_times(repetitions: int) -> dict[str, list[float]]:
    """Return the times of the forward pass, of the walk and of writing the page, in milliseconds."""
    walk_once, forward = walk_of("base", 32)
    runs: dict[str, Callable[[], Any]] = {"forward pass, explicit attention": forward, "walk": walk_once}
    steps = walk_once()
    runs["writing the page"] = lambda: step_through_page(steps)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(repetitions + 1):
        for name, run in runs.items():
            start = time.process_time()
            run()
            if repetition:  # the first one warms up
                times[name].append((time.process_time() - start) * 1000)
    return times


def key_times(steps: Walk, browser: str) -> list[dict[str, Any]]:
    """Return each key, the milliseconds of its scripts, and the longest task that a timer runs later."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "page.html")
        file.write_text(step_through_page(steps), encoding="utf-8")
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1600, "height": 900})
        page.goto(f"{file.as_uri()}#step=layers.0.attention.query")
        page.wait_for_timeout(2000)
        chromium.start_tracing(page=page, categories=["devtools.timeline"])
        for key in KEYS:
            page.keyboard.press(key)
            page.wait_for_timeout(REST)
        events = json.loads(chromium.stop_tracing())["traceEvents"]
        chromium.close()
    presses = pressed(events)
    assert len(presses) == len(KEYS)
    return [{"key": key, **press} for key, press in zip(KEYS, presses, strict=True)]


def pressed(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum the scripts of each key press. Scripts inside of scripts count once; layout inside of scripts does not count."""
    main = next((each["pid"], each["tid"]) for each in events if is_key(each))
    timed = [each for each in events if each.get("ph") == "X" and (each["pid"], each["tid"]) == main]
    presses: list[dict[str, Any]] = []
    script_end = layout_end = 0
    for event in sorted(timed, key=lambda event: (event["ts"], -event["dur"])):
        name, start, end, milliseconds = event["name"], event["ts"], event["ts"] + event["dur"], event.get("tdur", 0) / 1000
        if is_key(event) and start >= script_end:
            presses.append({"milliseconds": 0.0, "longest later task": 0.0})
        if not presses:
            continue
        if name in SCRIPTS and start >= script_end:
            script_end, is_later = end, name == "TimerFire"
            if is_later:
                presses[-1]["longest later task"] = max(presses[-1]["longest later task"], milliseconds)
            else:
                presses[-1]["milliseconds"] += milliseconds
        elif name in LAYOUT and start < script_end and start >= layout_end and not is_later:
            layout_end = end
            presses[-1]["milliseconds"] -= milliseconds
    return presses


def is_key(event: dict[str, Any]) -> bool:
    return event["name"] == "EventDispatch" and event["args"]["data"]["type"] == "keydown"


def summary(times: list[float], first: str) -> str:
    """Return median, 95th percentile and extremes of milliseconds."""
    low, middle, high = np.percentile(times, [5, 50, 95])
    return f"{first} {middle:.1f} ms, p5 {low:.1f}, p95 {high:.1f}, maximum {max(times):.1f}"


if __name__ == "__main__":
    main()
