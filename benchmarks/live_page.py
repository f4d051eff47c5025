"""Time of a forward pass in JavaScript, as a live page computes it after every change. Prints a table, writes live_page.json.

    python -m benchmarks.live_page [--repetitions 30] [--browser PATH] [--out FILE]

With another number of repetitions, the result is written to --out only.

The forward pass of the tiny BERT with its pretraining heads in Chromium is compared with Python's of the same model, in
turns: with explicit attention inside `record`, which keeps every tensor as the page does, and without a recording. All times
are processor times of one thread.

The vocabulary matters, because the scores of all its pieces are computed for every token: 8,000 pieces is that of a page of
at most 5 MB, 30,522 that of bert-base-uncased. So does a [MASK], without which all tokens get probabilities.

The second table is the time of a whole change in the page of 8,000 pieces with 16 tokens: from the event, through the forward
pass and the comparison with the numbers before, to the new layout.
"""

import argparse
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from tokenizers import Tokenizer

from benchmarks.output import result_path, write_result
from minibert import PRESETS, BertForPreTraining, record
from minibert.study.page.live import LIVE_SCRIPTS, live_page, network_json
from minibert.study.page.page import FOLDER
from minibert.study.subject import random_network, tokenizer_of

ROWS = ((8_000, 4, True), (8_000, 16, True), (8_000, 16, False), (8_000, 64, True), (30_522, 16, True))
"""Pieces of the vocabulary, tokens of the text, and whether one of them is [MASK]."""
TARGET = 30
"""Milliseconds that a change may take at 16 tokens."""
WARM_UP = 10
"""Runs that are not counted. A browser compiles what is used often."""
CHANGES = {
    "another text": """field("sentence").value = text(number); field("sentence").dispatchEvent(enter())""",
    "another text with [MASK]": """field("sentence").value = text(number).replace("w00100", "[MASK]");
        field("sentence").dispatchEvent(enter())""",
    "a head off or on": """document.querySelector("[data-part='0.1']").click()""",
    "a number": """field("number").value = String(number); field("overwrite").requestSubmit()""",
}
"""Scripts that change something in a page, in another way for each `number`."""
CHANGE = """([number]) => {{
  const field = (name) => document.getElementById(name);
  const enter = () => new KeyboardEvent("keydown", {{ key: "Enter", bubbles: true }});
  const text = (last) => Array.from({{ length: 13 }}, (_, n) => `w00${{100 + n * 7}}`).concat(`w0${{1000 + last}}`).join(" ");
  {change};
  return document.body.offsetHeight;
}}"""
"""A text of 14 words has 16 tokens."""
START = "network => { globalThis.bert = new Bert(network); }"
RUN = """input => [...bert.run(input).get("mlm.logits").data.subarray(0, 8)]"""


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--browser", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = result_path(parser, options, Path(__file__).with_suffix(".json"), inputs=("browser",))
    rows = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.browser, args=["--no-sandbox", "--disable-gpu"])
        print("pieces  tokens  [MASK]  median (5% to 95%) in milliseconds: JavaScript | Python, recorded | Python")
        for pieces, tokens, is_masked in ROWS:
            page = browser.new_page()
            page.add_script_tag(content="\n".join((FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in LIVE_SCRIPTS))
            times = measure(page, pieces, tokens, is_masked, options.repetitions)
            rows.append({"pieces": pieces, "tokens": tokens, "[MASK]": is_masked, "milliseconds": times})
            print(
                f"{pieces:6}  {tokens:6}  {'yes' if is_masked else 'no':6}  {' | '.join(map(summary, times.values()))}",
                flush=True,
            )
            page.close()
        changes = measure_changes(browser, options.repetitions)
        print("milliseconds of a change in the page: median (5% to 95%)")
        for name, times in changes.items():
            print(f"{name:26}{summary(times)}")
        version = browser.version
        browser.close()
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "torch": torch.__version__}
    report = {
        "machine": machine | {"Chromium": version},
        "target at 16 tokens: milliseconds": TARGET,
        "rows": rows,
        "changes": changes,
    }
    write_result(path, report)


@torch.no_grad()
def measure(page: Page, pieces: int, tokens: int, is_masked: bool, repetitions: int) -> dict[str, list[float]]:
    """Return the times of the three ways, in turns. Their first scores must agree."""
    tokenizer = numbered_words(pieces)
    model = random_network(BertForPreTraining, PRESETS["tiny"], tokenizer)
    for parameter in model.parameters():
        parameter.copy_(parameter.half())  # as in the page
    ids = torch.from_numpy(np.random.default_rng(0).integers(5, pieces, (1, tokens)))
    if is_masked:
        ids[0, tokens // 2] = tokenizer.token_to_id("[MASK]")
    page.evaluate(START, network_json(model, tokenizer))
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    times: dict[str, list[float]] = {"JavaScript": [], "Python, recorded": [], "Python": []}
    for repetition in range(repetitions + WARM_UP):
        clocks = [thread_time(client)]
        scores = page.evaluate(RUN, {"ids": ids[0].tolist(), "segments": [0] * tokens})
        clocks += [thread_time(client), time.thread_time()]
        with record(model.set_attention("explicit")) as recording:
            model(ids, torch.ones_like(ids))
        clocks.append(time.thread_time())
        model.set_attention("auto")(ids)
        clocks.append(time.thread_time())
        torch.testing.assert_close(torch.tensor(scores), recording["mlm.logits"].flatten()[:8], rtol=0, atol=1e-4)
        if repetition >= WARM_UP:
            for name, start in zip(times, (0, 2, 3), strict=True):
                times[name].append(round((clocks[start + 1] - clocks[start]) * 1000, 2))
    return times


def measure_changes(browser: Browser, repetitions: int) -> dict[str, list[float]]:
    """Return the times of each change of a page."""
    tokenizer = numbered_words(8_000)
    model = random_network(BertForPreTraining, PRESETS["tiny"], tokenizer)
    assert isinstance(model, BertForPreTraining)
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "page.html")
        file.write_text(live_page(model, tokenizer, "w00100 w00200"), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{file.as_uri()}#step=layers.0.attention.weights")
        page.wait_for_selector("td[data-row]")
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable", {"timeDomain": "threadTicks"})
        for name, change in CHANGES.items():
            times[name] = []
            for number in range(repetitions + WARM_UP):
                began = thread_time(client)
                page.evaluate(CHANGE.format(change=change), [number])
                if number >= WARM_UP:
                    times[name].append(round((thread_time(client) - began) * 1000, 2))
        page.close()
    return times


def numbered_words(pieces: int) -> Tokenizer:
    """Return a tokenizer whose vocabulary has this size: the special tokens, and words such as w00100."""
    return tokenizer_of([" ".join(f"w{number:05}" for number in range(pieces - 5))])


def thread_time(client: CDPSession) -> float:
    """Return the processor time of the page's thread, in seconds."""
    metrics = client.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "ThreadTime"))


def summary(times: list[float]) -> str:
    """Return the median and the range of 90 of 100 times."""
    low, middle, high = np.percentile(times, [5, 50, 95])
    return f"{middle:6.1f} ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    main()
