"""Continuation of texts: whole characters, errors, and equality with transformers."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from minibert.commands import main
from minibert.model import GPT2Config, GPT2LMHeadModel
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.model.t5_config import T5Config
from minibert.study.text_generation import TextStream, continue_text, load_generator
from minibert.text.characters import build_character_tokenizer
from minibert.text.tokenizer import save_tokenizer
from tests.trained_models import WORDS, write_checkpoint, write_gpt2

BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())


def byte_tokenizer() -> Tokenizer:
    """Return a tokenizer with one token for each byte."""
    tokenizer = Tokenizer(models.BPE({piece: index for index, piece in enumerate(BYTES)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return tokenizer


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpt2(tmp_path_factory.mktemp("models") / "gpt2", [*WORDS, "été 中文 naïve"])


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_a_stream_has_whole_characters(text: str) -> None:
    """Every part is text without a cut character, and all parts together are the text."""
    tokenizer = byte_tokenizer()
    stream, ids = TextStream(tokenizer), tokenizer.encode(text).ids
    parts = [stream.add([index]) for index in ids]
    assert "".join(parts) + stream.rest() == text
    if "\ufffd" not in text:
        assert "".join(parts) == text
        assert sum(map(bool, parts)) == len(text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 255)), st.integers(0, 9))
def test_a_stream_of_any_bytes_is_their_text(ids: list[int], size: int) -> None:
    """Bytes that are no UTF-8 become U+FFFD, as when all are decoded together."""
    tokenizer = byte_tokenizer()
    stream = TextStream(tokenizer)
    parts = [stream.add(ids[start : start + size + 1]) for start in range(0, len(ids), size + 1)]
    assert "".join(parts) + stream.rest() == tokenizer.decode(ids)


@pytest.mark.parametrize("options", [{"num_beams": 1}, {"num_beams": 3}, {"num_beams": 5, "early_stopping": True}])
def test_continuations_are_those_of_transformers(gpt2: Path, options: dict[str, int]) -> None:
    """Greedy search and beams: the ids, the text, and the log-probability of the logits that transformers computes."""
    model, tokenizer = load_generator(gpt2)
    theirs, pieces = (kind.from_pretrained(gpt2) for kind in (transformers.GPT2LMHeadModel, transformers.AutoTokenizer))
    for prompt in ("good film", "中", "a", "very not great"):
        inputs = pieces(prompt, return_tensors="pt")
        expected = theirs.generate(**inputs, max_new_tokens=20, do_sample=False, pad_token_id=0, **options)
        new = expected[0, inputs.input_ids.shape[1] :]
        found = continue_text(model, tokenizer, prompt, 20, beams=options["num_beams"])
        assert found.ids == new.tolist()
        assert found.text == pieces.decode(new, skip_special_tokens=True)
        logits = theirs(expected).logits[0, -len(new) - 1 : -1].log_softmax(-1)
        assert found.log_probability == pytest.approx(logits.gather(-1, new[:, None]).sum().item(), rel=1e-4)


def test_what_is_shown_is_the_text_with_its_continuation(gpt2: Path) -> None:
    """The first part has the prompt; with beams, all come at the end."""
    model, tokenizer = load_generator(gpt2)
    for beams in (1, 2):
        parts: list[str] = []
        found = continue_text(model, tokenizer, "good 中", 30, parts.append, beams=beams)
        assert "".join(parts) == "good 中" + found.text
        assert parts[0].startswith("good 中")
        assert (len(parts) > 2) == (beams == 1)


def test_it_ends_at_the_end_token(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The end token has no text. An empty prompt is this token."""
    model, tokenizer = load_generator(gpt2)
    with torch.no_grad():
        model.words.weight[0] = 0
        model.decoder.norm.weight.zero_()
        model.decoder.norm.bias.copy_(-model.words.weight.sum(0))
        model.words.weight[0] = 10 * model.decoder.norm.bias
    shown: list[str] = []
    found = continue_text(model, tokenizer, "good", show=shown.append)
    assert (found.ids, found.text, found.has_end, "".join(shown)) == ([0], "", True, "good")
    assert continue_text(model, tokenizer, "").ids == [0]


def test_the_default_number_of_tokens_fits_the_positions(gpt2: Path) -> None:
    """The last new token needs no position of its own, because nothing follows it."""
    model, tokenizer = load_generator(gpt2)
    length = len(tokenizer.encode("good film").ids)
    assert length + len(continue_text(model, tokenizer, "good film").ids) == 65


def test_the_command_prints_the_continuation(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(gpt2), "good film", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["prompt"] == "good film"
    assert main(["generate", str(gpt2), "good film"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "".join(char for char in shown if char.isalpha()).startswith("goodfilm")
    assert len(stored["ids"]) > 10


def write_t5(folder: Path, words: list[str]) -> None:
    """Write a T5 with large random weights, and its tokenizer."""
    vocabulary = [(piece, -2.0) for piece in ("<pad>", "</s>", "<unk>", *words, *"abcdefghi")]
    transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_attention_heads": 2, "head_width": 6, "encoder_layers": 1, "decoder_layers": 1}
    model = T5ForConditionalGeneration(T5Config(vocab_size=len(vocabulary), **sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)


@pytest.mark.parametrize("beams", ["1", "2"])
@pytest.mark.parametrize("write", [write_gpt2, write_t5])
def test_a_text_without_end_token_is_noted(
    write: Callable[..., object], beams: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the standard error, with the maximum. If the second token is the end token, there is no note."""
    write(tmp_path, WORDS)
    command = ["generate", str(tmp_path), "good", "--beams", beams, "--max-new-tokens", "3"]
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"eos_token_id": config["vocab_size"] - 1}))
    assert main(command) == 0
    assert "note: no end token in 3 new tokens, the maximum; --max-new-tokens" in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["has_end"]
    (tmp_path / "config.json").write_text(json.dumps(config | {"eos_token_id": found["ids"][1]}))
    assert main(command) == 0
    assert "no end token" not in capsys.readouterr().err
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["has_end"]


def test_seeds_of_the_command(gpt2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--seed alone draws tokens. Equal seeds give equal texts, and others not."""
    shown = []
    for seed in (1, 1, 2):
        assert main(["generate", str(gpt2), "good", "--seed", str(seed)]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != shown[2]
    assert main(["generate", str(gpt2), "good", "--top-k", "1"]) == 0
    one = capsys.readouterr().out
    assert main(["generate", str(gpt2), "good", "--temperature", "0"]) == 0
    assert capsys.readouterr().out == one


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["good " * 70], "positions: shorten the text"),
        (["good", "--max-new-tokens", "65"], "lower max_new_tokens"),
        (["good", "--max-new-tokens", "0"], "must be at least 1"),
        (["good", "--beams", "2", "--top-p", "0.5"], "beams and top_p"),
        (["good", "--beams", "2", "--temperature", "0.5"], "beams and temperature"),
        (["good", "--temperature", "0", "--seed", "1"], "temperature 0 and seed"),
        (["good", "--beams", "0"], "beams is 0"),
        (["good", "--top-k", "0"], "k is 0"),
    ],
)
def test_errors_come_before_any_text(gpt2: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert main(["generate", str(gpt2), *words]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_a_model_of_another_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_checkpoint(tmp_path / "bert", WORDS)
    assert main(["generate", str(tmp_path / "bert"), "good"]) == 2
    assert "a model of type 'bert' does not continue texts; give a checkpoint of GPT-2" in capsys.readouterr().err


def test_an_empty_text_needs_an_end_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_gpt2(tmp_path / "gpt2", WORDS, eos_token_id=None)
    assert main(["generate", str(tmp_path / "gpt2")]) == 2
    assert "this model has no <|endoftext|> to begin with" in capsys.readouterr().err


def test_weights_that_are_not_finite(gpt2: Path) -> None:
    """Greedy search, sampling and beams say so."""
    model, tokenizer = load_generator(gpt2)
    torch.nn.init.constant_(model.decoder.norm.weight, torch.nan)
    for choice in ({}, {"temperature": 1.0}, {"beams": 2}):
        with pytest.raises(ValueError, match="its weights are not finite"):
            continue_text(model, tokenizer, "good", **choice)


def test_a_network_refuses_beams_with_draws() -> None:
    model = GPT2LMHeadModel.__new__(GPT2LMHeadModel)
    with pytest.raises(ValueError, match="beam search chooses no token alone"):
        GPT2LMHeadModel.generate(model, torch.zeros(1, 2, dtype=torch.int64), beams=2, temperature=1.0)


def test_what_a_terminal_obeys_is_printed_as_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends stay. The JSON has escapes of its own."""
    tokenizer = build_character_tokenizer(["\n", "\x1b", "\u202e", "["])
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "max_position_embeddings": 200}
    GPT2LMHeadModel(GPT2Config(vocab_size=5, **sizes)).save_pretrained(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    assert main(["generate", str(tmp_path), "[", "--seed", "0", "--max-new-tokens", "150"]) == 0
    shown = capsys.readouterr().out
    assert {*shown} == {*"\n[\\u01b2e"}
    assert all(text in shown for text in ("\\u001b", "\\u202e", "\n"))
    assert main(["generate", str(tmp_path), "[", "--seed", "0", "--json"]) == 0
    assert "\x1b" in json.loads(capsys.readouterr().out)["text"]
