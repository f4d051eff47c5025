"""`minibert pretrain --family gpt2`, and `minibert generate` with its checkpoint."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from minibert import load
from minibert.commands import main
from minibert.model import PRESETS
from minibert.text.tokenizer import END_OF_TEXT
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training.records import read_metrics, read_settings
from tests.commands.test_pretrain_families import TEXT, losses_of
from tests.processes import start
from tests.trained_models import WORDS, write_checkpoint

transformers = pytest.importorskip("transformers")
SHORT = ["--batch-size", "4", "--max-length", "16", "--device", "cpu", "--layout", "lines"]
VOCABULARIES = {"subwords": ["--vocab-size", "300"], "characters": ["--pieces", "characters"]}


@pytest.fixture(autouse=True)
def small_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every command of this file quick, in a folder with a text."""
    monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], hidden_size=8, num_attention_heads=2, intermediate_size=12))
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text(TEXT)


def pretrain(*words: str, out: str = "out", steps: int = 2) -> int:
    command = ["pretrain", "--family", "gpt2", "--text", "corpus.txt", "--out", out, "--steps", f"{steps}", *SHORT]
    return main([*command, *words])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_transformers_loads_the_model_and_its_tokenizer(vocabulary: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They compute the same, and `generate` continues the text that is suggested."""
    assert pretrain(*VOCABULARIES[vocabulary]) == 0
    shown = capsys.readouterr().out
    assert "minibert generate out 'au av aw'" in shown
    ours, theirs = load("out", dtype=torch.float64), transformers.GPT2LMHeadModel.from_pretrained("out", dtype=torch.float64)
    tokenizer, pieces = load_tokenizer("out"), transformers.AutoTokenizer.from_pretrained("out")
    ids = pieces("au bv\ncw", return_tensors="pt").input_ids
    assert tokenizer.encode("au bv\ncw").ids == ids[0].tolist()
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, rtol=0, atol=1e-12)
    assert ours.config.eos_token_id == theirs.config.eos_token_id == theirs.config.bos_token_id == pieces.eos_token_id
    assert tokenizer.id_to_token(ours.config.eos_token_id) == END_OF_TEXT
    assert main(["generate", "out", "au bv", "--json", "--max-new-tokens", "5"]) == 0
    expected = theirs.float().generate(**pieces("au bv", return_tensors="pt"), max_new_tokens=5, do_sample=False)
    assert json.loads(capsys.readouterr().out)["ids"] == expected[0, -5:].tolist()
    assert main(["generate", "out", "--seed", "1"]) == 0
    assert main(["generate", "out", "au ÄÖ", "--max-new-tokens", "1"]) == 0
    assert ("note: 2 characters of the text are not in the" in capsys.readouterr().err) == (vocabulary == "characters")


def test_the_evaluation_is_per_token_and_per_character(capsys: pytest.CaptureFixture[str]) -> None:
    """The losses are those of the validation text; the baselines are printed before training."""
    entries = {}
    for vocabulary, words in VOCABULARIES.items():
        assert pretrain(*words, "--evaluate-every", "2", out=vocabulary) == 0
        shown = capsys.readouterr().out
        assert "Baselines of the CLM loss, in nats per token: ln V" in shown
        assert "unigram entropy" in shown
        assert "bigram entropy" in shown
        assert "nats per character" in shown
        entry = entries[vocabulary] = read_metrics(Path(vocabulary))[-1]
        assert entry["validation_nats_per_character"] == pytest.approx(
            0.693147 * entry["validation_bits_per_character"], rel=1e-5
        )
        assert (Path(vocabulary) / "loss.png").is_file()
    characters, subwords = entries["characters"], entries["subwords"]
    assert characters["validation_clm_loss"] < characters["validation_nats_per_character"]  # an end is a token, no character
    assert subwords["validation_clm_loss"] > subwords["validation_nats_per_character"]
    assert main(["runs", *VOCABULARIES]) == 0
    assert "nats/character" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [2, 4])
def test_a_run_that_is_resumed_gives_the_same_results(stop: int) -> None:
    """Bit for bit, with dropout, in the middle of an epoch and near its end."""
    words = ["--checkpoint-every", "2", "--keep", "9", "--batch-size", "12", *VOCABULARIES["characters"]]
    assert pretrain(*words, steps=6) == 0
    whole = Path("out").rename("whole")
    shutil.copytree(whole, "out")
    for step in range(stop + 2, 7, 2):
        shutil.rmtree(f"out/checkpoints/step-{step:06}")
    Path("out/model.safetensors").unlink()
    assert main(["pretrain", "--out", "out", "--resume"]) == 0
    assert [*map(losses_of, read_metrics(Path("out")))] == [*map(losses_of, read_metrics(whole))]
    for file in whole.rglob("*.safetensors"):
        assert (Path("out") / file.relative_to(whole)).read_bytes() == file.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_processes_equal_one(sharding: str) -> None:
    """The windows of a step are shared. Without dropout, the weights are those of one process up to rounding."""
    assert pretrain(*VOCABULARIES["characters"], out="start") == 0
    words = ["--from", "start", "--learning-rate", "1e-3", "--precision", "float64", "--dropout", "0", "--sharding", sharding]
    command = ["pretrain", "--text", "corpus.txt", "--steps", "4", *SHORT, *words, "--batch-size", "7"]
    process = start([*command, "--out", "two"], processes=2)
    assert process.wait(timeout=300) == 0, process.communicate()[0]
    assert main([*command, "--out", "one"]) == 0
    one, two = (safetensors.torch.load_file(f"{out}/model.safetensors") for out in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=1e-12)


def test_a_checkpoint_is_trained_further(capsys: pytest.CaptureFixture[str]) -> None:
    """With its tokenizer and its sizes, also without --family."""
    assert pretrain(*VOCABULARIES["characters"]) == 0
    words = ["pretrain", "--text", "corpus.txt", "--from", "out", "--out", "more", "--steps", "1", *SHORT]
    assert main(words) == 0
    assert read_settings(Path("more"))["training"]["family"] == "gpt2"
    assert load("more").config == load("out").config
    assert main([*words[:-4], "--max-length", "32", "--out", "third"]) == 2
    assert "out: this model has 16 positions; use --max-length 16 or less" in capsys.readouterr().err


REFUSED: list[tuple[list[str], str]] = [
    (["--family", "gpt2", "--mlm-probability", "0.2"], "--mlm-probability: a gpt2 is trained on whole texts"),
    (["--family", "gpt2", "--pairs", "none"], "--pairs: a gpt2 is trained on whole texts"),
    (["--family", "gpt2", "--tokenizer", "bert"], "the tokenizer has no <|endoftext|>"),
    (["--family", "gpt2", "--from", "bert"], "bert: its family is bert, not gpt2; leave out --family"),
    (["--pieces", "characters"], "pieces: a vocabulary of characters has no tokens for masks"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_does_not_fit_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoint("bert", WORDS)
    command: list[Any] = ["pretrain", "--text", "corpus.txt", "--steps", "1", *SHORT, *words]
    assert main(command) == 2
    assert message in capsys.readouterr().err


def test_examples_are_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain("--show", "2", *VOCABULARIES["characters"], steps=1) == 0
    assert any(line in capsys.readouterr().out for line in TEXT.split(".")[0].split(" "))


def test_a_text_without_validation_documents_has_no_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    Path("corpus.txt").write_text("au bv cw.\n" * 40)
    assert pretrain(*VOCABULARIES["characters"]) == 0
    assert "There will be no evaluation" in capsys.readouterr().out
