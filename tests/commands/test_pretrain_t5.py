"""`minibert pretrain --family t5`, and `minibert generate` with its checkpoint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from minibert import load, load_tokenizer
from minibert.commands import main
from minibert.model import PRESETS
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.study.verify.stages import silent_transformers
from tests.processes import start

OPTIONS = ("--steps", "6", "--batch-size", "4", "--max-length", "16", "--vocab-size", "380", "--validation-fraction", "0.3")


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PRESETS["tiny"], hidden_size=24, num_attention_heads=3, intermediate_size=40)
    monkeypatch.setitem(PRESETS, "tiny", small)
    monkeypatch.chdir(tmp_path)
    lines = [f"The {animal} sat on mat {number}. It was happy." for number in range(12) for animal in ("cat", "dog", "bird")]
    Path("corpus.txt").write_text("\n\n".join(lines))


def pretrain(*options: str, out: str = "run") -> int:
    return main(["pretrain", "--family", "t5", "--text", "corpus.txt", "--out", out, *OPTIONS, *options])


def test_the_checkpoint_is_loaded_by_transformers_with_equal_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    """Network and tokenizer. The baselines are printed, and the command that uses the model works."""
    assert pretrain("--evaluate-every", "3", "--show", "1") == 0
    output = capsys.readouterr().out
    assert "Baselines of the validation loss, in nats per removed token: ln V 5.94, unigram entropy" in output
    assert "step 6, validation: target loss" in output
    assert "<extra_id_0>" in output
    with silent_transformers():
        theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained("run").eval()
        their_tokenizer = transformers.AutoTokenizer.from_pretrained("run")
    assert type(theirs).__name__ == "T5ForConditionalGeneration"
    ours, tokenizer = load("run"), load_tokenizer("run")
    assert isinstance(ours, T5ForConditionalGeneration)
    text = "The cat <extra_id_0> mat 3."
    assert tokenizer.encode(text).ids == their_tokenizer(text).input_ids
    ids, labels = torch.tensor([tokenizer.encode(text).ids]), torch.tensor([[3, 50, 60, 4, 1]])
    with torch.no_grad():
        torch.testing.assert_close(
            ours(ids, labels=labels).logits, theirs(input_ids=ids, labels=labels).logits, rtol=1e-4, atol=1e-5
        )
    assert main(["generate", "run", text, "--max-new-tokens", "5"]) == 0
    printed = capsys.readouterr().out
    assert main(["generate", "run", text, "--max-new-tokens", "5", "--json", "--beams", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["ids"]) <= 5
    assert printed.strip()
    expected = theirs.generate(ids, max_new_tokens=5, do_sample=False)[0, 1:].tolist()
    assert ours.generate(ids, beams=1, max_new_tokens=5)[0].tokens == expected


def test_a_resumed_run_gives_the_same_bits() -> None:
    """After 3 of 6 steps; dropout is on."""
    assert pretrain("--checkpoint-every", "3", out="whole") == 0
    shutil.copytree("whole", "parts")
    shutil.rmtree("parts/checkpoints/step-000006")
    Path("parts/model.safetensors").unlink()
    assert main(["pretrain", "--out", "parts", "--resume"]) == 0
    assert Path("whole/model.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()


@pytest.mark.slow
def test_micro_batches_change_nothing() -> None:
    exact = ["--precision", "float64", "--dropout", "0"]
    assert pretrain(*exact, out="whole") == 0
    assert pretrain(*exact, "--micro-batch-size", "2", out="parts") == 0
    one, other = load("whole").state_dict(), load("parts").state_dict()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=0, atol=1e-10)


@pytest.mark.slow
def test_a_run_may_begin_with_a_checkpoint() -> None:
    """Its tokenizer and its family are used."""
    assert pretrain() == 0
    command = ["pretrain", "--from", "run", "--text", "corpus.txt", "--out", "more", "--steps", "2", "--max-length", "16"]
    assert main(command) == 0
    assert load("more").config == load("run").config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pairs", "none"], "--pairs: a t5 is trained on whole texts"),
        (["--whole-word-masking"], "--whole-word-masking: a t5 is trained on whole texts"),
        (["--pieces", "characters"], "a vocabulary of characters"),
        (["--embedding-size", "4"], "--embedding-size: is for --family albert and electra, not for t5"),
    ],
)
def test_options_of_other_families_are_refused(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain(*options) == 2
    assert message in capsys.readouterr().err


def test_generate_refuses_draws(capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain() == 0
    assert main(["generate", "run", "The cat", "--top-k", "3"]) == 2
    assert "a T5 draws no tokens by chance" in capsys.readouterr().err


@pytest.mark.slow
def test_training_beats_the_unigram_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    """In a small world of texts, it predicts what was removed."""
    assert pretrain("--steps", "400", "--evaluate-every", "400", "--learning-rate", "3e-3") == 0
    output = capsys.readouterr().out
    baseline = float(output.split("unigram entropy ")[1].split()[0])
    loss = float(output.split("step 400, validation: target loss ")[1].split()[0])
    assert loss < 0.6 * baseline


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_processes_equal_one(sharding: str) -> None:
    """The windows of a step are shared. Without dropout, the weights are those of one process up to rounding."""
    assert pretrain(out="start") == 0
    command = ["pretrain", "--from", "start", "--text", "corpus.txt", "--steps", "4", "--batch-size", "7", "--max-length", "16"]
    command += ["--learning-rate", "1e-3", "--precision", "float64", "--dropout", "0"]
    command += ["--sharding", sharding, "--device", "cpu"]
    process = start([*command, "--out", "two"], processes=2)
    assert process.wait(timeout=300) == 0, process.communicate()[0]
    assert main([*command, "--out", "one"]) == 0
    one, two = (load(out).state_dict() for out in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-12)
