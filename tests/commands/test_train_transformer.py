"""`minibert train-letters`, `train-translator` and `translate`, end to end on small data."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minibert import Transformer, TransformerConfig
from minibert.commands import main
from minibert.text.options import ParallelTextOptions, VocabularyOptions
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer
from minibert.training import letters, translation
from minibert.training.decoding import translate
from minibert.training.options import TranslationConfig
from minibert.training.translation import prepare_translation
from tests.processes import start

TINY = TransformerConfig(hidden_size=16, num_attention_heads=2, intermediate_size=32, encoder_layers=1, decoder_layers=1)
FAST = ["--batch-tokens", "256", "--warmup-steps", "10", "--evaluate-every", "3", "--checkpoint-every", "2"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(translation.TRANSFORMERS, "tiny", TINY)
    monkeypatch.setattr(letters, "VALIDATION_EXAMPLES", 50)


def metrics_in(folder: Path) -> list[dict[str, float]]:
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


def translated(
    folder: Path, lines: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str
) -> list[str]:
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert main(["translate", str(folder), *more]) == 0
    return capsys.readouterr().out.split("\n")[:-1]


def test_letters_are_trained_saved_and_translated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss decreases, the folder is complete, and each input line gives one output line, also blank ones."""
    out = tmp_path / "run"
    words = f"train-letters copy --out {out} --steps 40 --letters 3 --show 2".split()
    assert main([*words, *["--batch-tokens", "256", "--warmup-steps", "10", "--evaluate-every", "20"]]) == 0
    shown = capsys.readouterr().out
    assert "source: [CLS]" in shown
    assert "exact match" in shown
    assert f"echo 'd a c' | minibert translate {out}" in shown
    entries = metrics_in(out)
    assert entries[-1]["target_loss"] < entries[0]["target_loss"]
    assert {"validation_target_loss", "validation_target_accuracy", "validation_exact_match"} <= {*entries[-1]}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "vocab.txt", "loss.png", "run.json"):
        assert (out / name).is_file()
    assert main(["runs", str(out), "--figure", str(tmp_path / "runs.png")]) == 0
    capsys.readouterr()
    assert main(["runs", str(out), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    last = entries[-1]
    assert row["target loss"] == f"{last['validation_target_loss']:.3f}"
    assert row["exact match"] == f"{last['validation_exact_match']:.1%}"
    found = translated(out, "a b\n\nc\n", monkeypatch, capsys)
    assert len(found) == 3
    assert found[1] == ""
    assert len(translated(out, "a b\r\nc\u2028\x85d\fe", monkeypatch, capsys)) == 2
    assert len(translated(out, "a b\rc\r", monkeypatch, capsys)) == 2  # line ends of old Macs
    assert translated(out, "", monkeypatch, capsys) == []
    model, tokenizer = Transformer.from_pretrained(out), load_tokenizer(out)
    assert [found[0], found[2]] == [translate(model, tokenizer, [line])[0] for line in ("a b", "c")]


def test_unknown_words_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is on the standard error, so that the output stays line by line."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, "a", "b"])
    save_tokenizer(tokenizer, tmp_path)
    Transformer(replace(TINY, vocab_size=7, eos_token_id=3)).save_pretrained(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b\nhello\na x\n")))
    assert main(["translate", str(tmp_path), "--beams", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 3
    assert "line 2 and 1 more: words that are not in the vocabulary were replaced with [UNK]" in shown.err
    if not torch.cuda.is_available():
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a b\n")))
        assert main(["translate", str(tmp_path), "--device", "cuda"]) == 2
        assert "there is no CUDA device here" in capsys.readouterr().err


def test_unfinished_run_names_its_checkpoint(tmp_path: Path) -> None:
    """The folder of an unfinished run has no model yet."""
    Transformer(replace(TINY, vocab_size=7)).save_pretrained(tmp_path / "checkpoints" / "step-000004")
    with pytest.raises(FileNotFoundError, match=r"continue its training, or use .*step-000004"):
        Transformer.from_pretrained(tmp_path)


@pytest.mark.parametrize("cased", [True, False])
def test_validation_targets_are_normalized(tmp_path: Path, cased: bool) -> None:
    """With a lowercase vocabulary, validation targets are lowercase too."""
    (tmp_path / "a.tsv").write_text("Zwei Hunde\tTwo dogs\nein Café\t\n")
    file = tmp_path / "a.tsv"
    source = ParallelTextOptions((file,), validation=(file,))
    task = prepare_translation(source, VocabularyOptions(vocab_size=40, cased=cased), TranslationConfig(), tmp_path)
    assert task.validation_text.targets == (["Two dogs"] if cased else ["two dogs"])
    assert "Skipped in training: 1 pairs with an empty side." in task.summary
    all_train = replace(source, validation=(), validation_fraction=0)
    alone = prepare_translation(all_train, VocabularyOptions(vocab_size=40), TranslationConfig(), tmp_path)
    assert "There will be no evaluation: use --validation" in alone.summary


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Losses and weights are the same to 1e-10, with every sharding and with micro-batches."""
    numbers = "--letters 4 --steps 8 --batch-tokens 512 --warmup-steps 4 --precision float64 --dropout 0"
    words = ["train-letters", "sort", *numbers.split()]
    more = {"one": [], "ddp": ["--micro-batch-size", "7"], "fsdp": ["--sharding", "fsdp"]}
    for name, settings in more.items():
        process = start([*words, "--out", str(tmp_path / name), *settings], processes=1 if name == "one" else 2)
        shown, _ = process.communicate(timeout=300)
        assert process.returncode == 0, shown
    weights = {name: safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in more}
    for name in ("ddp", "fsdp"):
        for step, same in zip(metrics_in(tmp_path / name), metrics_in(tmp_path / "one"), strict=True):
            assert abs(step["target_loss"] - same["target_loss"]) < 1e-10
        for tensor, value in weights["one"].items():
            torch.testing.assert_close(weights[name][tensor], value, rtol=0, atol=1e-10, msg=tensor)


@pytest.mark.slow
def test_translator_is_resumed_bit_for_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of 7 steps is resumed from step 4 and ends like a run without interruption."""
    one, other = tmp_path / "a.de", tmp_path / "a.en"
    one.write_text("".join(f"ein Hund sieht {n} Katzen\n" for n in range(200)))
    other.write_text("".join(f"a dog sees {n} cats\n" for n in range(200)))
    words = ["train-translator", "--text", str(one), str(other), "--steps", "7", "--vocab-size", "60", *FAST]
    assert main([*words, "--out", str(tmp_path / "whole"), "--keep", "9"]) == 0
    assert "BLEU" in capsys.readouterr().out
    shutil.copytree(tmp_path / "whole", tmp_path / "stopped")
    for name in ("model.safetensors", "checkpoints/step-000007/checksums.json"):
        (tmp_path / "stopped" / name).unlink()
    for step in (2, 4, 6):
        (tmp_path / "stopped" / "checkpoints" / f"step-{step:06d}" / "checksums.json").write_text("{")
    assert main([*words, "--out", str(tmp_path / "stopped")]) == 2
    assert "damaged" in capsys.readouterr().err
    # Other settings are refused; with the same settings the results are the same.
    fresh = tmp_path / "fresh"
    shutil.copytree(tmp_path / "whole", fresh)
    for step in ("step-000006", "step-000007"):
        (fresh / "checkpoints" / step / "checksums.json").unlink()
    assert main([*words, "--out", str(fresh), "--resume", "--learning-rate-factor", "0.5"]) == 2
    assert "training.learning_rate_factor: 1.0, now 0.5" in capsys.readouterr().err
    sentences = other.read_text()
    other.write_text(sentences.replace("dog", "cat"))
    assert main([*words, "--out", str(fresh), "--resume"]) == 2
    assert "corpus.digest" in capsys.readouterr().err
    other.write_text(sentences)
    assert main([*words, "--out", str(fresh), "--resume"]) == 0
    assert "Resuming after step 4" in capsys.readouterr().out
    assert metrics_in(fresh) == metrics_in(tmp_path / "whole")
    assert (fresh / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train-letters", "sort", "--letters", "0"], "letters 0: must be at least 1"),
        (["train-translator", "--text", "a", "b", "c"], "text: give two files"),
        (["train-translator", "--text", "a", "--validation", "a", "b", "c"], "validation: give two files"),
        (["train-translator", "--text", "a", "--validation", "a", "--validation-fraction", "0.5"], "there is validation text"),
        (["train-letters", "sort", "--warmup-steps", "0"], "warmup_steps 0: must be at least 1"),
        (["train-letters", "sort", "--label-smoothing", "1"], "label_smoothing 1: must be at least 0 and below 1"),
        (["train-translator", "--text", "nowhere.de", "nowhere.en"], "nowhere.de"),
        (["translate", "nowhere"], "nowhere"),
        (["translate", "nowhere", "--beams", "0"], "beams is 0, but must be from 1 to 1000"),
        (["translate", "nowhere", "--beams", "1000000000"], "beams is 1000000000, but must be from 1 to 1000"),
        (["translate", "nowhere", "--alpha", "nan"], "alpha is nan, but must be from -10 to 10"),
    ],
)
def test_invalid_usage_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n")))
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("minibert: ")
    assert shown.count("\n") == 1


def test_input_that_is_not_utf8_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ok\n\xff\n")))
    assert main(["translate", str(tmp_path)]) == 2
    assert "is not UTF-8 (byte 4)" in capsys.readouterr().err
