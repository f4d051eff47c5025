"""The quickstart, end to end in a few seconds: output files, reproducibility, stopping and resuming."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import BertForPreTraining
from minibert.commands import main, quickstart
from minibert.commands.quickstart import Quickstart
from minibert.study import quickstart as stages
from minibert.study import quickstart_plan
from minibert.study.quickstart_plan import make_plan
from minibert.text.corpus import Corpus, Document
from minibert.text.module_families import MODULE_FAMILIES
from minibert.text.tokenizer_loading import load_tokenizer

WRITTEN = {
    *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
    *("run.json", "metrics.jsonl", "fine-tuning", "transfer.json", "results.json", "report.html", "study.html"),
    *("loss.png", "attention.png", "transfer.png", "quickstart.png"),
}


def small_corpus() -> list[Document]:
    """Random documents of every module family, each family with its own words."""
    generator = np.random.default_rng(0)
    common = [f"common{n}" for n in range(40)]
    documents = []
    for label, packages in enumerate(MODULE_FAMILIES.values()):
        own = [f"{'abcdefghi'[label]}{n}" for n in range(12)]
        for number in range(90):
            sentences = (" ".join(generator.choice([*own, *common], 9)) for _ in range(3))
            documents.append(Document(f"{packages[0]}.m{number}", tuple(sentences)))
    return documents


@pytest.fixture(autouse=True, scope="module")
def plan() -> Iterator[None]:
    """Use a fixed number of steps, so that the tests do not depend on the speed of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quickstart_plan, "make_plan", lambda *_: quickstart_plan.Plan(steps=24, epoch_factor=1))
        points = (stages.CurvePoint(2, 1, 2), stages.CurvePoint(8, 1, 1))
        runs = [
            stages.CurveRun(point, start, seed)
            for point in points
            for start in stages.FINE_TUNING_LEARNING_RATES
            for seed in range(point.seeds)
        ]
        patch.setattr(stages, "CURVE_RUNS", runs)
        yield


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    return small_corpus()


@pytest.fixture(scope="module")
def whole(plan: None, corpus: list[Document], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a quickstart with seed 0, without interruption. What it prints is in a file next to it."""
    folder = tmp_path_factory.mktemp("whole") / "quickstart"
    with redirect_stdout(io.StringIO()) as shown:
        assert quickstart.run(Quickstart(seconds=3600, out=folder), corpus) == 0
    folder.with_name("shown.txt").write_text(shown.getvalue())
    return folder


def numbers(folder: Path) -> list[str]:
    """Return all results that do not depend on the speed of the machine."""
    results = [(folder / name).read_text() for name in ("transfer.json", "results.json")]
    files = sorted(folder.rglob("metrics.jsonl"))
    assert len(files) == 7  # pretraining, and three fine-tunings from both starts
    entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return results + [str({name: value for name, value in entry.items() if name != "seconds"}) for entry in entries]


def test_output_files(whole: Path) -> None:
    """The folder has a checkpoint that can be loaded, figures, a page, and plausible metrics."""
    assert {path.name for path in whole.iterdir()} == WRITTEN
    results = json.loads((whole / "results.json").read_text())
    vocabulary = load_tokenizer(whole).get_vocab_size()
    assert results["baselines"]["ln V"] == pytest.approx(np.log(vocabulary))
    assert results["baselines"]["unigram entropy"] < results["baselines"]["ln V"]
    assert results["pretraining"]["mlm"]["loss"] < results["baselines"]["ln V"]
    assert 0 <= results["pretraining"]["nsp"]["accuracy"] <= 1
    for start in ("pretrained", "from scratch"):
        assert {labels: len(seeds) for labels, seeds in results["fine_tuning"][start].items()} == {"2": 2, "8": 1}
    assert results["fine_tuning"]["majority"] == pytest.approx(1 / len(MODULE_FAMILIES), abs=0.1)
    metrics = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in metrics] == list(range(1, 25))
    assert sum("validation_mlm_loss" in entry for entry in metrics) == 8
    page, shown = (whole / "report.html").read_text(), whole.with_name("shown.txt").read_text()
    scores = results["pretraining"]
    for number in (f"{scores['mlm']['loss']:.2f} nats", f"{scores['nsp']['accuracy']:.1%}"):
        assert number in page
        assert number in shown
    assert main(["fill-mask", str(whole), "common1 [MASK] common2"]) == 0


def test_transformers_loads_the_checkpoint(whole: Path) -> None:
    """transformers loads all weights, tokenizes to the same ids, and computes the same logits."""
    transformers = pytest.importorskip("transformers")
    theirs, report = transformers.BertForPreTraining.from_pretrained(whole, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ids = transformers.AutoTokenizer.from_pretrained(whole)("common1 a1 [MASK]", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [load_tokenizer(whole).encode("common1 a1 [MASK]").ids]
    mine = BertForPreTraining.from_pretrained(whole)
    with torch.no_grad():
        torch.testing.assert_close(mine(ids).prediction_logits, theirs.eval()(ids).prediction_logits, atol=1e-4, rtol=0)


def test_another_seed_gives_other_results(
    whole: Path, tmp_path: Path, corpus: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first step on."""
    interrupt_after(monkeypatch, 3)
    monkeypatch.setattr("minibert.text.builtin.builtin_corpus", lambda: Corpus("", "", corpus))
    assert main(["quickstart", "--seconds", "3600", "--seed", "1", "--out", str(tmp_path)]) == 130
    one, other = ([json.loads(line)["mlm_loss"] for line in (out / "metrics.jsonl").open()][:3] for out in (whole, tmp_path))
    assert len(other) == 3
    assert all(loss != same for loss, same in zip(other, one, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["pretraining", "fine-tuning"])
def test_resumed_quickstart_has_the_same_results(
    whole: Path,
    tmp_path: Path,
    corpus: list[Document],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    when: str,
) -> None:
    """A SIGINT gives exit code 130, a folder with a model, and a command that completes the quickstart.

    The same seed gives the same results and weights, bit for bit.
    """
    with monkeypatch.context() as patch:
        interrupt_after(patch, 9 if when == "pretraining" else 30)
        patch.setattr("minibert.text.builtin.builtin_corpus", lambda: Corpus("", "", corpus))
        assert main(["quickstart", "--seconds", "3600", "--out", str(tmp_path / "stopped")]) == 130
    message = capsys.readouterr().err
    assert BertForPreTraining.from_pretrained(tmp_path / "stopped")
    monkeypatch.setattr("minibert.text.builtin.builtin_corpus", lambda: Corpus("", "", corpus))
    command = shlex.split(message.splitlines()[-1])
    assert main(command[1:]) == 0
    assert numbers(tmp_path / "stopped") == numbers(whole)
    assert (tmp_path / "stopped" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert {path.name for path in (tmp_path / "stopped").iterdir()} == WRITTEN


def interrupt_after(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Send this process a SIGINT in the middle of a step."""
    max_grad_norm, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupting(*args: object, **kwargs: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return max_grad_norm(*args, **kwargs)

    patch.setattr(torch.nn.utils, "clip_grad_norm_", interrupting)


def test_unfinished_quickstart_is_not_overwritten(
    tmp_path: Path, corpus: list[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another seed in the same folder is refused, with a message that says what to do."""
    monkeypatch.setattr("minibert.text.builtin.builtin_corpus", lambda: Corpus("", "", corpus))
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        assert main(["quickstart", "--seconds", "3600", "--out", str(tmp_path)]) == 130
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main(["quickstart", "--seconds", "3600", "--seed", "5", "--out", str(tmp_path)]) == 2
    assert "holds an unfinished run with --seconds 3600 --seed 0" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


@pytest.mark.long
def test_signal_to_the_real_command(tmp_path: Path) -> None:
    """After SIGTERM, the command on the built-in corpus ends soon, with exit code 143 and without a traceback."""
    command = [sys.executable, "-m", "minibert", "quickstart", "--seconds", "60", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    unfinished = tmp_path / "out" / "unfinished.json"
    deadline = time.monotonic() + 120
    while not unfinished.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "To continue:" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_finished_quickstart_is_not_overwritten(
    whole: Path, corpus: list[Document], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is another run. The message says what to do."""
    monkeypatch.setattr("minibert.text.builtin.builtin_corpus", lambda: Corpus("", "", corpus))
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    for seed in ("0", "1"):
        assert main(["quickstart", "--seconds", "3600", "--seed", seed, "--out", str(whole)]) == 2
        assert f"{whole} holds a finished quickstart, see {whole / 'report.html'}" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    (run,) = [*(whole / "fine-tuning").glob("pretrained-2-labels-0")]
    assert main(["quickstart", "--seconds", "3600", "--out", str(run)]) == 2
    assert "holds a run that is not a quickstart: choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["10", "0", "-1", "nan", "inf", "44.9"])
def test_a_time_that_cannot_be_kept_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    """Everything but training alone takes longer."""
    assert main(["quickstart", "--seconds", seconds, "--out", str(tmp_path / "out")]) == 2
    assert f"--seconds {seconds}: must be at least 45" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "{}", '{"seconds": "x", "seed": 0, "steps": 1, "epoch_factor": 1}'])
def test_a_damaged_plan_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (tmp_path / "unfinished.json").write_text(content)
    assert main(["quickstart", "--seconds", "3600", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path / 'unfinished.json'}: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["", "null", "[]", "{}", *(f'{{"seconds_per_step": {value}}}' for value in ("null", "0", "-1", "NaN", "Infinity"))],
)
def test_a_damaged_speed_in_the_cache_is_measured_again(
    tmp_path: Path, corpus: list[Document], monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    data = stages.tokenize(corpus[:9], stages.train_vocabulary(corpus[:9], 300))
    monkeypatch.setenv("MINIBERT_CACHE", str(tmp_path))
    monkeypatch.setattr(quickstart_plan, "_measure_seconds_per_step", lambda *_: 0.5)
    first = make_plan(data, 85.0, 0)
    assert first == quickstart_plan.divide_time(170)
    (file,) = tmp_path.glob("speed-*.json")
    file.write_text(content)
    assert make_plan(data, 85.0, 0) == first


@pytest.mark.parametrize("measured", [0.0, -1.0])
def test_a_clock_that_stands_still_and_a_cache_that_cannot_be_written_give_a_plan(
    tmp_path: Path, corpus: list[Document], monkeypatch: pytest.MonkeyPatch, measured: float
) -> None:
    data = stages.tokenize(corpus[:9], stages.train_vocabulary(corpus[:9], 300))
    (tmp_path / "file").touch()
    monkeypatch.setenv("MINIBERT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(quickstart_plan, "_measure_seconds_per_step", lambda *_: measured)
    assert make_plan(data, 85.0, 0) == quickstart_plan.divide_time(85.0 / quickstart_plan.FASTEST)


class TestDivisionOfTime:
    """Time is measured in pretraining steps."""

    def test_in_the_default_time_all_epochs_of_fine_tuning_are_done(self) -> None:
        """On two CPU cores, a pretraining step takes about 0.09 seconds."""
        plan = quickstart_plan.divide_time((150 - quickstart.FIXED_SECONDS) / 0.09)
        assert plan.epoch_factor == 1
        assert plan.steps > 1000
        assert plan.pretraining_share > 0.7

    def test_more_time_is_for_pretraining(self) -> None:
        long, longer = quickstart_plan.divide_time(10_000), quickstart_plan.divide_time(20_000)
        assert long.epoch_factor == longer.epoch_factor == 1
        assert longer.steps - long.steps == 10_000

    @pytest.mark.parametrize("steps", [300, 500, 900])
    def test_less_time_is_divided(self, steps: int) -> None:
        plan = quickstart_plan.divide_time(steps)
        assert 0.6 * steps < plan.steps < 0.7 * steps
        assert plan.epoch_factor < 1


def test_labels_of_a_seed_are_nested_and_the_same_for_both_starts(corpus: list[Document]) -> None:
    data = stages.tokenize(corpus, stages.train_vocabulary(corpus, 300))
    encoder = BertForPreTraining(stages.quickstart_config(300))

    def texts(start: stages.Start, labels: int, seed: int) -> list[str]:
        run = stages.CurveRun(stages.CurvePoint(labels, 1, 1), start, seed)
        return [row.text for row in stages.fine_tuning_task(encoder, run, data).train_rows]

    assert texts("pretrained", 8, 0) == texts("from scratch", 8, 0) != texts("pretrained", 8, 1)
    assert set(texts("pretrained", 2, 0)) < set(texts("pretrained", 8, 0))
