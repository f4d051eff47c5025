"""`minibert pretrain`, end to end on a small text: output files, stopping and resuming, errors, several processes."""

import errno
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from minibert import BertConfig, BertForMaskedLM, BertForPreTraining, load_tokenizer
from minibert.commands import main
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.transformer import Transformer
from minibert.model.transformer_config import TransformerConfig
from minibert.text import builtin
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.tokenizer import build_tokenizer, save_tokenizer
from minibert.training import checkpoints, reference_runs
from minibert.training.checkpoints import Checkpoints
from minibert.training.options import PretrainingConfig
from minibert.training.pretraining import pretraining_settings
from minibert.training.records import RunRecord
from minibert.training.reference_runs import METRICS, Reference, reference_for
from tests.processes import ForkedCommand, start

STEPS = 12
SETTINGS = (
    f"--steps {STEPS} --batch-size 8 --max-length 16 --vocab-size 90 --validation-fraction 0.2 "
    "--checkpoint-every 4 --evaluate-every 5"
)
MEASURED = (
    *("mlm_loss", "nsp_loss", "mlm_accuracy", "nsp_accuracy", "gradient_norm", "learning_rate", "tokens"),
    "validation_mlm_loss",
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty documents of four sentences each."""
    generator = np.random.default_rng(0)
    words = [f"{a}{b}" for a in "abcdef" for b in "uvwxyz"]
    documents = [[" ".join(generator.choice(words, 6)) + "." for _ in range(4)] for _ in range(60)]
    file = tmp_path_factory.mktemp("text") / "corpus.txt"
    file.write_text("\n\n".join("\n".join(sentences) for sentences in documents))
    return file


def arguments(text: Path, out: Path, *more: str) -> list[str]:
    return ["pretrain", "--text", str(text), "--out", str(out), *SETTINGS.split(), "--device", "cpu", *more]


@pytest.fixture(scope="module")
def whole(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without interruption."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert main(arguments(text, out)) == 0
    return out


def measured(out: Path) -> list[list[float | None]]:
    """Return all metrics that do not depend on the speed of the machine."""
    return [
        [entry.get(name) for name in MEASURED] for entry in map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    ]


def assert_same(one: Path, other: Path) -> None:
    """Compare metrics and model bit for bit."""
    assert measured(one) == measured(other)
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_output_files(whole: Path) -> None:
    """The folder has a model that transformers loads, its tokenizer, metrics of every step, a figure, settings, checkpoints."""
    assert {path.name for path in whole.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"),
        *("metrics.jsonl", "loss.png", "run.json", "checkpoints"),
    }
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["step-000008", "step-000012"]
    record = RunRecord.read(whole)
    assert [entry["step"] for entry in record.metrics] == list(range(1, STEPS + 1))
    assert [entry["step"] for entry in record.evaluations] == [5, 10, 12]
    assert record.tokens_per_second > 0
    for folder in (whole, whole / "checkpoints" / "step-000012"):
        assert BertForPreTraining.from_pretrained(folder).config.vocab_size == load_tokenizer(folder).get_vocab_size()
    transformers = pytest.importorskip("transformers")
    assert transformers.BertForPreTraining.from_pretrained(whole).config.max_position_embeddings == 16


def test_console_output(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Corpus size, examples, losses, accuracies, speed and evaluations are printed."""
    assert main(arguments(text, tmp_path, "--show", "2")) == 0
    shown = capsys.readouterr().out
    for part in (
        "Text: corpus.txt",
        "Validation: ",
        "Baselines of the MLM loss: ln V 3.99, unigram entropy ",
        "tokens: [CLS]",
        "next_sentence_label: ",
        "validation: MLM loss ",
        "perplexity",
        "tokens/s",
        "FLOP/s",
        "s left",
        "Done: 12 steps",
    ):
        assert part in shown, part
    assert shown.count("tokens: [CLS]") == 2


def interrupt_after(patch: pytest.MonkeyPatch, steps: int, number: int) -> None:
    """Send this process a signal in the middle of a step."""
    max_grad_norm, calls = torch.nn.utils.clip_grad_norm_, []

    def interrupting(*args: object, **kwargs: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == steps:
            os.kill(os.getpid(), number)
        return max_grad_norm(*args, **kwargs)

    patch.setattr(torch.nn.utils, "clip_grad_norm_", interrupting)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_prints_the_resume_command(
    text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """The step is finished and saved. The printed command ends with the results of a run without interruption."""
    command = arguments(text, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["minibert", *command])
        interrupt_after(patch, 6, number)
        assert main(command) == 128 + number
    assert (tmp_path / "checkpoints" / "step-000006").is_dir()
    printed = shlex.split(capsys.readouterr().err.splitlines()[-1])
    assert printed == ["minibert", *command, "--resume"]
    assert main(printed[1:]) == 0
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("out", [["--out", "nothing"], []])
def test_resume_without_a_run_and_without_options_is_refused(
    out: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "holds no run to resume; leave out --resume" in refused(capsys, ["pretrain", *out, "--resume"])
    assert not any(tmp_path.iterdir())


def test_resume_in_an_empty_folder_starts_a_run(text: Path, whole: Path, tmp_path: Path) -> None:
    assert main(arguments(text, tmp_path, "--resume")) == 0
    assert_same(tmp_path, whole)
    assert main(arguments(text, tmp_path, "--resume")) == 0  # already finished: nothing changes
    assert_same(tmp_path, whole)


@pytest.mark.parametrize("damaged", [{"corpus": {"text": 7}}, {"training": {"steps": [3]}}, {"training": {"batch_size": "4"}}])
def test_stored_options_of_the_wrong_type_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: dict[str, object]
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"task": "pretraining", "options": {"Pretrain": damaged}}))
    assert "run.json: its options cannot be used" in refused(capsys, ["pretrain", "--out", str(tmp_path), "--resume"])


def test_damaged_checkpoint_is_skipped(text: Path, whole: Path, tmp_path: Path) -> None:
    """The run resumes from the checkpoint before, with the same results."""
    assert main(arguments(text, tmp_path)) == 0
    os.truncate(tmp_path / "checkpoints" / "step-000012" / "model.safetensors", 1000)
    (tmp_path / "model.safetensors").unlink()
    assert main(arguments(text, tmp_path, "--resume")) == 0
    assert_same(tmp_path, whole)


def refused(capsys: pytest.CaptureFixture[str], command: list[str]) -> str:
    """Run a command with invalid usage and return its error message, which is one line."""
    assert main(command) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("minibert: ")
    assert shown.count("\n") == 1
    return shown


def test_resume_with_other_settings_is_refused(
    text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other hyperparameters, text or vocabulary are refused with a list of differences. Nothing in the folder changes."""
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert "holds a run at step-000012: add --resume to continue it" in refused(capsys, arguments(text, whole))
    resume = arguments(text, whole, "--resume")
    assert "(training.steps: 12, now 11; training.seed: 0, now 7)" in refused(capsys, [*resume, "--steps", "11", "--seed", "7"])
    assert "(training.seed: 0, now 7)" in refused(capsys, [*resume, "--steps", "13", "--seed", "7"])
    assert "(training.examples.pairs: nsp, now sop)" in refused(capsys, [*resume, "--pairs", "sop"])
    assert "(vocabulary.cased: False, now True)" in refused(capsys, [*resume, "--cased"])
    other = tmp_path / "corpus.txt"
    other.write_text(text.read_text() + "\nOne more.\n")
    assert "(corpus.digest: " in refused(capsys, [*resume, "--text", str(other)])
    assert before == {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--text", "nowhere"], "nowhere: there is no such file or folder"),
        (["--text", "LATIN"], "latin.txt, line 1: is not UTF-8"),
        (["--text", "SINGLE"], "single.txt: sentence pairs need a document with two sentences"),
        (["--text", "ONE"], "sentence pairs need at least two documents"),
        (["--steps", "0"], "steps 0: must be at least 1"),
        (["--vocab-size", "12"], "vocab_size 12 is too small"),
        (["--tokenizer", "nowhere"], "nowhere: not a local folder"),
        (["--keep", "0"], "keep 0: must be at least 1"),
        (["--micro-batch-size", "-1"], "micro_batch_size -1: must be at least 1"),
        (["--dataset", "x"], "give files (text) or a dataset (dataset), not both"),
    ],
)
def test_invalid_usage_is_one_line(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    (tmp_path / "latin.txt").write_bytes(b"na\xefve\n")
    (tmp_path / "single.txt").write_text("\n\n".join(["only one sentence"] * 9))
    (tmp_path / "one.txt").write_text("one sentence here\nanother one there\n" * 9)
    places = {"LATIN": "latin.txt", "SINGLE": "single.txt", "ONE": "one.txt"}
    words = [str(tmp_path / places[word]) if word in places else word for word in more]
    assert message in refused(capsys, [*arguments(text, tmp_path / "out"), *words])


def test_full_disk(
    text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and the name of the last good checkpoint. When there is space again, the run resumes from it."""
    write, room = checkpoints.write_atomically, [1]

    def fills_up(path: Path, content: object) -> None:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        room.pop()
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_atomically", fills_up)
        assert main(arguments(text, tmp_path)) == 1
    shown = capsys.readouterr().err
    assert "no space left on this disk" in shown
    assert f"The last good checkpoint is {tmp_path / 'checkpoints' / 'step-000004'}" in shown
    assert main(arguments(text, tmp_path, "--resume")) == 0
    assert_same(tmp_path, whole)


def test_a_full_output_is_no_full_disk(text: Path, tmp_path: Path) -> None:
    """The message names the standard output."""
    full = "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); sys.stdout = open(1, 'w', closefd=False)"
    process = ForkedCommand(arguments(text, tmp_path), setup=full)
    shown, _ = process.communicate()
    assert process.returncode == 1
    assert "cannot write to standard output: no space left on this disk" in shown


def test_divergence(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps without a finite loss are skipped. Five in a row end the run; the message names the step and a solution."""
    assert main(arguments(text, tmp_path, "--learning-rate", "1e30")) == 1
    shown = capsys.readouterr().err
    assert "loss or gradient was not finite in steps" in shown
    assert "use a lower --learning-rate, in another --out" in shown
    assert [entry["skipped"] for entry in RunRecord.read(tmp_path).metrics][-5:] == [True] * 5


def test_without_pairs(text: Path, tmp_path: Path) -> None:
    """The checkpoint has no NSP head."""
    assert main(arguments(text, tmp_path, "--pairs", "none", "--whole-word-masking", "--max-predictions", "3")) == 0
    assert BertForMaskedLM.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]


def test_nothing_is_overwritten(text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model without a checkpoint, or a run with only damaged checkpoints, is not changed."""
    shutil.copytree(whole, tmp_path / "a")
    for name in ("step-000008", "step-000012"):
        os.truncate(tmp_path / "a" / "checkpoints" / name / "model.safetensors", 10)
    assert "every checkpoint of this run is damaged" in refused(capsys, arguments(text, tmp_path / "a", "--resume"))
    shutil.rmtree(tmp_path / "a" / "checkpoints")
    assert "holds a model, but no checkpoint to resume from" in refused(capsys, arguments(text, tmp_path / "a"))
    assert measured(tmp_path / "a") == measured(whole)


@pytest.mark.long
def test_two_processes_with_dropout_resume_bit_for_bit(text: Path, tmp_path: Path) -> None:
    """Each process has its own random state, which is saved. Stopped by SIGTERM and resumed, the results are the same."""
    commands = {name: arguments(text, tmp_path / name, "--steps", "150", "--checkpoint-every", "50") for name in ("a", "b")}
    start(commands["a"], processes=2).communicate(timeout=300)
    process, metrics = start(commands["b"], processes=2), tmp_path / "b" / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and metrics.read_text().count("\n") > 20):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    shown, _ = process.communicate(timeout=120)
    assert "Stopped. To continue:" in shown
    start([*commands["b"], "--resume"], processes=2).communicate(timeout=300)
    assert_same(tmp_path / "b", tmp_path / "a")


def test_two_documents_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No document is used for validation, and a message says that there is no evaluation."""
    text = tmp_path / "a.txt"
    text.write_text("one two three\nfour five\n\nsix seven\neight nine ten\n")
    assert main(arguments(text, tmp_path / "out", "--steps", "2")) == 0
    assert "There will be no evaluation: 2 documents are too few to use some for validation." in capsys.readouterr().out
    assert RunRecord.read(tmp_path / "out").evaluations == []


def test_comparison_with_reference_runs(
    text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is compared to the reference with the same settings and any seed, and to no other."""
    record = RunRecord.read(whole)
    band = Reference.from_runs([record])
    monkeypatch.setattr(reference_runs, "FILE", tmp_path / "reference.json")
    (tmp_path / "reference.json").write_text(json.dumps({"it": asdict(band)}))
    assert main(arguments(text, tmp_path / "a")) == 0
    assert capsys.readouterr().out.count("; on track") == 3
    entry, settings = record.evaluations[0], record.settings
    assert reference_for(settings | {"training": settings["training"] | {"seed": 7}}) == band
    assert band.verdict(5, entry) == "on track"
    assert band.verdict(4, entry) == ""
    assert "off track: MLM loss" in band.verdict(5, entry | {"validation_mlm_loss": 99.0})
    assert "NSP accuracy 0.0% is below" in band.verdict(5, entry | {"validation_nsp_accuracy": 0.0})
    assert main(arguments(text, tmp_path / "b", "--batch-size", "7")) == 0
    assert "on track" not in capsys.readouterr().out


def test_reference_runs_have_the_default_settings() -> None:
    """`minibert pretrain` with `--preset tiny` and mini has a reference, with all metrics at every step."""
    for preset, steps in (("tiny", 1000), ("mini", 300)):
        config = PretrainingConfig(preset=preset, steps=steps, seed=9)
        settings = pretraining_settings(TextOptions(), VocabularyOptions(), config, builtin.CORPUS_NAME, "any")
        found = reference_for(settings)
        assert found is not None, preset
        assert str(steps) in found.bands
        assert all(set(metrics) == set(METRICS) for metrics in found.bands.values())


def test_old_run_folders_are_refused(text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run without a task in run.json cannot be resumed or compared."""
    shutil.copytree(whole, tmp_path / "old")
    settings = json.loads((whole / "run.json").read_text())
    del settings["task"]
    (tmp_path / "old" / "run.json").write_text(json.dumps(settings))
    assert 'run.json: has no "task"' in refused(capsys, ["runs", str(tmp_path / "old")])
    assert 'run.json: has no "task"' in refused(capsys, arguments(text, tmp_path / "old", "--resume"))


def test_runs_are_compared(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`minibert runs` prints a table or JSON and draws a figure, also for a folder that contains runs."""
    assert main(["runs", str(whole), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["step"] == "12/12"
    assert row["MLM loss"] == f"{RunRecord.read(whole).evaluations[-1]['validation_mlm_loss']:.3f}"
    assert main(["runs", str(whole.parent), "--figure", str(tmp_path / "runs.png")]) == 0
    shown = capsys.readouterr().out
    assert "whole" in shown
    assert all(name in shown for name in row), "no heading is truncated"
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")
    assert "holds no run" in refused(capsys, ["runs", str(tmp_path)])
    assert "give at least one folder" in refused(capsys, ["runs"])


def test_a_run_that_cannot_be_compared_does_not_hide_the_others(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unfinished run without a step has a row; a damaged one is named and left out; lost metrics are counted."""
    for name in ("complete", "begun", "damaged", "other", "torn"):
        (tmp_path / name).mkdir()
        for file in ("run.json", "metrics.jsonl"):
            shutil.copy(whole / file, tmp_path / name)
    (tmp_path / "begun" / "metrics.jsonl").unlink()
    (tmp_path / "damaged" / "run.json").write_text("{")
    (tmp_path / "other" / "run.json").write_text('{"task": "chess"}')
    entries = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "torn" / "metrics.jsonl").write_text("".join([*entries[:3], entries[4][:20] + "\n", *entries[6:]]))
    assert main(["runs", str(tmp_path), "--json", "--figure", str(tmp_path / "figure.png")]) == 0
    shown = capsys.readouterr()
    rows = {row["run"]: row for row in json.loads(shown.out.partition("written: ")[0])}
    assert [*rows] == ["begun", "complete", "torn"]
    assert (rows["begun"]["step"], rows["begun"]["MLM loss"], rows["begun"]["tokens/s"]) == ("0/12", "-", "-")
    assert rows["complete"]["step"] == rows["torn"]["step"] == "12/12"
    assert "damaged/run.json: is not JSON" in shown.err
    assert "other: the task 'chess' is not one of minibert" in shown.err
    assert f"{tmp_path / 'torn'}: 3 steps have no entry in metrics.jsonl" in shown.err
    assert "damaged/run.json: is not JSON" in refused(capsys, ["runs", str(tmp_path / "damaged")])
    assert main(["runs", str(tmp_path / "begun"), "--figure", str(tmp_path / "one.png")]) == 0
    capsys.readouterr()
    assert main(["runs", str(tmp_path / "damaged"), str(tmp_path / "complete"), "--json"]) == 1
    shown = capsys.readouterr()
    assert [row["run"] for row in json.loads(shown.out)] == ["complete"]
    assert "left out: " in shown.err


@pytest.mark.slow
def test_resume_alone_continues_with_the_options_of_the_run(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another folder, too, with the results of a run without interruption. An option that contradicts is named."""
    command = arguments(text, tmp_path / "whole", "--cased", "--seed", "3", "--dropout", "0.2")
    assert main(command) == 0
    monkeypatch.chdir(text.parent)
    relative = ["--text", text.name, "--out", str(tmp_path / "stopped")]
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 6, signal.SIGINT)
        assert main([*command, *relative, "--show", "1"]) == 130
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    resume = ["pretrain", "--resume", "--out", "stopped"]
    assert "(training.seed: 3, now 4; vocabulary.cased: True, now False)" in refused(
        capsys, [*resume, "--seed", "4", "--no-cased"]
    )
    assert main([*resume, "--dropout=0.2", "--keep", "1"]) == 0
    assert "tokens: [CLS]" not in capsys.readouterr().out
    assert_same(tmp_path / "stopped", tmp_path / "whole")
    assert len(list((tmp_path / "stopped" / "checkpoints").iterdir())) == 1
    assert main(["pretrain", "--resume", "--out", "whole", "--steps", "14"]) == 0
    shown = capsys.readouterr().out
    assert "The run is extended from 12 to 14 steps." in shown
    assert "Done: 14 steps" in shown
    assert main(["pretrain", "--resume", "--out", "whole"]) == 0
    assert "All 14 steps of this run are done." in capsys.readouterr().out
    assert_same(tmp_path / "whole", tmp_path / "whole")


@pytest.mark.parametrize("content", ["", "[]", "{", "null"])
def test_a_damaged_settings_file_is_named(
    text: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    """By `pretrain --resume`, alone and with all options, and by `runs`."""
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(content)
    for command in (["pretrain", "--resume", "--out", str(tmp_path / "run")], ["runs", str(tmp_path / "run")]):
        assert "run.json: " in refused(capsys, command)


def kill_at_random_moments(command: list[str], out: Path, steps: list[int], seed: int) -> int:
    """Start and kill a command several times, a moment after each of the given steps, then run it to the end.

    Returns: number of kills.
    """
    generator, killed, metrics = random.Random(seed), 0, out / "metrics.jsonl"
    for step in steps:
        before = metrics.stat().st_mtime_ns if metrics.is_file() else 0
        process = ForkedCommand([*command, "--resume"])
        while process.poll() is None and not (
            metrics.is_file() and metrics.stat().st_mtime_ns != before and metrics.read_bytes().count(b"\n") >= step
        ):
            time.sleep(0.002)
        time.sleep(generator.uniform(0, 0.05))
        if process.poll() is None:
            process.kill()
            killed += 1
        process.communicate()
    process = ForkedCommand([*command, "--resume"])
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    return killed


@pytest.mark.slow
def test_kills_at_random_moments_change_no_result(text: Path, tmp_path: Path) -> None:
    """After five SIGKILLs, in steps or while a checkpoint is written, metrics and model are the same, bit for bit."""
    more = ("--steps", "60", "--checkpoint-every", "2", "--evaluate-every", "60")
    assert main(arguments(text, tmp_path / "whole", *more)) == 0
    moments = [1, 4, 9, 14, 20]  # the run has 40 more steps, so that it does not end before the last kill
    assert kill_at_random_moments(arguments(text, tmp_path / "killed", *more), tmp_path / "killed", moments, seed=0) == 5
    assert_same(tmp_path / "killed", tmp_path / "whole")


EXACT = ("--precision", "float64", "--dropout", "0", "--micro-batch-size", "3", "--learning-rate", "1e-2")


@pytest.fixture(scope="module")
def exact(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process in float64."""
    out = tmp_path_factory.mktemp("runs") / "exact"
    assert main(arguments(text, out, *EXACT)) == 0
    return out


def assert_close(one: Path, other: Path) -> None:
    """Compare the losses of every step and the final weights to 1e-10."""
    for first, second in zip(RunRecord.read(one).metrics, RunRecord.read(other).metrics, strict=True):
        assert all(abs(first[name] - second[name]) < 1e-10 for name in ("mlm_loss", "nsp_loss", "gradient_norm"))
        assert first["tokens"] == second["tokens"]
    weights = [safetensors.torch.load_file(out / "model.safetensors") for out in (one, other)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_processes_equal_one(text: Path, exact: Path, tmp_path: Path, sharding: str) -> None:
    """Losses and weights are the same, and one process can resume a checkpoint of two, with every example used once."""
    command = arguments(text, tmp_path, *EXACT, "--sharding", sharding, "--checkpoint-every", "5", "--keep", "9")
    process = ForkedCommand(command, processes=2)
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert shown.count("Done: 12 steps") == 1
    assert_close(tmp_path, exact)
    for step in (10, 12):
        os.truncate(tmp_path / "checkpoints" / f"step-{step:06d}" / "training-state.pt", 10)
    assert main([*command, "--resume"]) == 0
    assert_close(tmp_path, exact)


@pytest.mark.slow
def test_lost_process_ends_the_job_and_it_can_be_resumed(text: Path, tmp_path: Path) -> None:
    """The remaining process prints the reason and the last good checkpoint. Two processes can resume the job."""
    command = arguments(text, tmp_path, *EXACT, "--steps", "2000", "--checkpoint-every", "3")
    process = start(command, processes=2)
    while process.poll() is None and not list((tmp_path / "checkpoints").glob("step-*")):
        time.sleep(0.05)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "another process of this job has ended" in shown, shown
    assert "The last good checkpoint is" in shown
    again = ForkedCommand([*command, "--resume", "--steps", "2000"], processes=2)
    begun = len((tmp_path / "metrics.jsonl").read_text().splitlines())
    while again.poll() is None and len((tmp_path / "metrics.jsonl").read_text().splitlines()) < begun + 20:
        time.sleep(0.1)
    again.send_signal(signal.SIGTERM)
    shown, _ = again.communicate(timeout=120)
    assert "Resuming after step" in shown
    assert "Stopped. To continue:" in shown
    newest = Checkpoints(tmp_path / "checkpoints").newest()
    assert newest.name == f"step-{RunRecord.read(tmp_path).metrics[-1]['step']:06d}"


@pytest.mark.slow
def test_two_processes_resume_a_run_of_one(text: Path, exact: Path, tmp_path: Path) -> None:
    """A run is stopped with one process and finished with two."""
    command = arguments(text, tmp_path, *EXACT)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 7, signal.SIGINT)
        assert main(command) == 130
    process = ForkedCommand([*command, "--resume"], processes=2)
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert_close(tmp_path, exact)


def test_terms_without_targets_are_absent(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Few examples are pairs, and few tokens are masked: null in metrics.jsonl, a dash on the screen."""
    single = tmp_path / "single.txt"
    documents = text.read_text().split("\n\n")
    single.write_text("\n\n".join(documents[:6] + [document.split("\n")[0] for document in documents[6:]]))
    sparse = ("--text", str(single), "--mlm-probability", "0.004", "--batch-size", "2")
    assert main(arguments(text, tmp_path / "out", *sparse)) == 0
    shown = capsys.readouterr().out
    metrics = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    for term in ("mlm", "nsp"):
        losses = [entry[f"{term}_loss"] for entry in metrics]
        assert losses.count(None) > STEPS // 2
        assert 0.0 not in losses
        assert [entry[f"{term}_accuracy"] is None for entry in metrics] == [loss is None for loss in losses]
    assert "NSP -" in shown
    assert (tmp_path / "out" / "loss.png").is_file()


def test_sentence_order_is_not_called_next_sentence(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the printed examples, evaluations and steps, in metrics.jsonl, and in the table of runs."""
    assert main(arguments(text, tmp_path, "--pairs", "sop", "--show", "3")) == 0
    assert main(["runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "sentence_order_label: " in shown
    assert "SOP accuracy" in shown
    assert "SOP acc." in shown
    assert "next" not in shown.lower()
    assert "NSP accuracy" not in shown
    assert not any("nsp" in name for name in json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1]))


def test_text_is_described_before_training(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files, layouts and their reasons, documents, sentences, exact copies, labeled examples, baselines."""
    folder = tmp_path / "text"
    folder.mkdir()
    content = text.read_text()
    (folder / "a.txt").write_text(content)
    (folder / "b.txt").write_text("\n\n".join(content.split("\n\n")[:15]))
    assert main(arguments(folder, tmp_path / "out")) == 0
    shown = capsys.readouterr().out
    assert "  a.txt: lines (1.0 sentences per line)\n  b.txt: lines (1.0 sentences per line)\n" in shown
    assert "  75 documents with 300 sentences\n  15 of them (20%) are exact copies of others" in shown
    assert re.search(r"\n  \d\d% of the examples have a label for NSP\n", shown)
    assert re.search(r"\n  Baseline of the NSP accuracy: \d\d\.\d%, from segment lengths alone\n", shown)
    assert re.search(r"NSP accuracy \d+\.\d% \(from segment lengths alone: \d\d\.\d%\)", shown)
    last = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()][-1]
    assert 0.5 <= last["validation_nsp_length_accuracy"] < 1


def test_text_without_sentence_pairs_is_refused(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hardly any document has two sentences, or all are copies of one."""
    sentences = text.read_text().split()
    (tmp_path / "a.txt").write_text("\n\n".join([" ".join(sentences[:12]).replace(". ", ".\n"), *sentences]))
    for pairs in ("nsp", "sop"):
        message = refused(capsys, arguments(tmp_path / "a.txt", tmp_path / "out", "--pairs", pairs))
        assert f"of the examples have a label for --pairs {pairs}" in message
        assert "--layout" in message
        assert "--pairs none" in message
    assert main(arguments(tmp_path / "a.txt", tmp_path / "out", "--pairs", "none")) == 0
    (tmp_path / "b.txt").write_text("One two. Three four.\nFive six.\n\n" * 40)
    assert "there is only one, in 40 copies" in refused(capsys, arguments(tmp_path / "b.txt", tmp_path / "b"))


@pytest.mark.parametrize(
    "options",
    [
        [],
        {"Pretrain": []},
        {"Pretrain": None},
        {"Pretrain": {"training": {"steps": "x"}}},
        {"Pretrain": {"keep": 0}},
    ],
)
def test_damaged_options_of_a_run_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: object) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"task": "pretraining", "options": options}))
    assert "run.json: " in refused(capsys, ["pretrain", "--resume", "--out", str(tmp_path)])


@pytest.fixture
def trained(text: Path, tmp_path: Path) -> Path:
    """A checkpoint of a BERT with 32 positions, a masked-LM head, and a vocabulary with other ids than those of pretrain."""
    words = sorted({word for line in text.read_text().split("\n") for word in line.rstrip(".").split()})
    tokenizer = build_tokenizer(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *words])
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = BertConfig(vocab_size=64, max_position_embeddings=32, **size)
    torch.manual_seed(5)
    BertForMaskedLM(config).save_pretrained(tmp_path / "trained")
    save_tokenizer(tokenizer, tmp_path / "trained")
    return tmp_path / "trained"


def from_checkpoint(text: Path, out: Path, checkpoint: Path) -> list[str]:
    """Return the arguments of a run that begins with a checkpoint, without those of a vocabulary."""
    return [word for word in arguments(text, out, "--from", str(checkpoint)) if word not in ("--vocab-size", "90")]


class TestFrom:
    def test_weights_size_and_tokenizer_are_those_of_the_checkpoint(
        self, text: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With a learning rate of almost zero they do not change. The head that the checkpoint lacks is new, with a warning."""
        command = from_checkpoint(text, tmp_path / "run", trained)
        assert main([*command, "--learning-rate", "1e-12", "--show", "1"]) == 0
        assert "newly initialized (train them before use): " in capsys.readouterr().err
        before, after = (safetensors.torch.load_file(out / "model.safetensors") for out in (trained, tmp_path / "run"))
        assert set(before) < set(after)
        for name, tensor in before.items():
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-8, msg=name)
        assert load_tokenizer(tmp_path / "run").get_vocab() == load_tokenizer(trained).get_vocab()
        config = json.loads((tmp_path / "run" / "config.json").read_text())
        assert (config["max_position_embeddings"], config["vocab_size"], config["hidden_size"]) == (32, 64, 16)
        assert json.loads((tmp_path / "run" / "run.json").read_text())["training"]["start_from"] == str(trained)

    def test_it_is_resumed_bit_for_bit_without_the_checkpoint(self, text: Path, trained: Path, tmp_path: Path) -> None:
        """The run has its own copy of everything."""
        command = from_checkpoint(text, tmp_path / "whole", trained)
        assert main(command) == 0
        with pytest.MonkeyPatch.context() as patch:
            interrupt_after(patch, 5, signal.SIGINT)
            assert main([*command, "--out", str(tmp_path / "stopped")]) == 130
        shutil.rmtree(trained)
        assert main(["pretrain", "--resume", "--out", str(tmp_path / "stopped")]) == 0
        assert_same(tmp_path / "stopped", tmp_path / "whole")

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--preset", "tiny"], "--preset and --from: give only one"),
            (["--vocab-size", "90"], "with --from, the vocabulary is that of the checkpoint"),
            (["--cased"], "with --from, the vocabulary is that of the checkpoint"),
            (["--max-length", "33"], "this model has 32 positions; use --max-length 32 or less"),
            (["--from", "MARIAN"], "is a marian; pretraining is for bert, roberta, albert, electra, distilbert, gpt2, t5"),
            (["--from", "GPT2"], "the tokenizer has no <|endoftext|>"),
            (["--from", "EMPTY"], "is not a checkpoint, it has no config.json"),
            (["--from", "ONE"], "this model has no second segment; use --pairs none"),
            (["--from", "WIDE"], "its tokenizer has 43 pieces, more than the 20 of its model"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, text: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
    ) -> None:
        (tmp_path / "EMPTY").mkdir()
        config = BertConfig.load_json(trained / "config.json")
        for name, network in (
            ("GPT2", GPT2LMHeadModel(GPT2Config(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=64))),
            ("MARIAN", Transformer(TransformerConfig(hidden_size=8, num_attention_heads=1, vocab_size=64))),
            ("ONE", BertForMaskedLM(replace(config, type_vocab_size=1))),
            ("WIDE", BertForMaskedLM(replace(config, vocab_size=20))),
        ):
            network.save_pretrained(tmp_path / name)
            save_tokenizer(load_tokenizer(trained), tmp_path / name)
        words = [str(tmp_path / word) if word.isupper() else word for word in more]
        command = [
            "pretrain",
            "--text",
            str(text),
            "--out",
            str(tmp_path / "out"),
            "--max-length",
            "16",
            "--from",
            str(trained),
        ]
        assert main([*command, *words]) == 2
        assert message in capsys.readouterr().err
