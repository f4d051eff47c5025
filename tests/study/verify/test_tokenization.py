"""`minibert verify` compares the tokenizers before the networks."""

import json
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, processors

from minibert import BertConfig, BertForPreTraining
from minibert.commands import main, verify
from minibert.study.verify.tokenization import (
    HOSTILE_STRINGS,
    compare_token_ids,
    encode_with,
    encode_with_transformers,
    strings_to_compare,
)
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer
from minibert.text.tokenizer_loading import load_tokenizer

transformers = pytest.importorskip("transformers")
WORDS = [
    *"abcdefghijklmnopqrstuvwxyz中",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    "[",
    "]",
    "ma",
    ".",
]
CONFIG = BertConfig(
    vocab_size=80, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, max_position_embeddings=32
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    BertForPreTraining(CONFIG).save_pretrained(tmp_path / "bert")
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, *WORDS]), tmp_path / "bert")
    return tmp_path / "bert"


def use(monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer) -> None:
    """Let minibert load another tokenizer than transformers."""
    monkeypatch.setattr("minibert.text.tokenizer_loading.load_tokenizer", lambda source: tokenizer)


def changed(change: str) -> Tokenizer:
    """Return a tokenizer with one difference."""
    words = [*SPECIAL_TOKENS, *WORDS]
    if change == "two ids exchanged":
        words[-1], words[-3] = words[-3], words[-1]
    tokenizer = build_tokenizer(words, lowercase=change != "case")
    if change == "added word":
        tokenizer.add_tokens(["zq"])
    if change == "no special tokens":
        tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    if change == "padding":
        tokenizer.enable_padding(length=24)
    if change == "truncation":
        tokenizer.enable_truncation(6)
    return tokenizer


CHANGES = ["two ids exchanged", "case", "added word", "no special tokens", "padding", "truncation"]


def test_every_piece_of_the_vocabulary_is_compared() -> None:
    """Each id occurs in the ids of some text, the continuations included."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
    texts = strings_to_compare(tokenizer)
    assert set(HOSTILE_STRINGS) <= set(texts)
    used = {index for encoding in tokenizer.encode_batch(texts) for index in encoding.ids}
    assert used == set(range(tokenizer.get_vocab_size()))


@pytest.mark.parametrize("change", CHANGES)
def test_tokenizers_that_differ_end_the_comparison(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """The first text with other ids is shown with the ids of both sides, and no network is run."""
    use(monkeypatch, changed(change))
    monkeypatch.setattr(verify, "_compare_stages", pytest.fail)
    assert main(["verify", str(checkpoint)]) == 1
    shown = capsys.readouterr().out
    assert "The tokenizers differ. The first text with different ids is" in shown
    assert shown.count(" ids, from number ") == 2
    assert "stage" not in shown
    assert main(["verify", str(checkpoint), "--json"]) == 1
    result = json.loads(capsys.readouterr().out)
    assert not result["agrees"]
    assert result["tokenizers"]["reference"] != result["tokenizers"]["ours"]


def test_ids_compare_the_networks_alone(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice of the message works."""
    use(monkeypatch, changed("case"))
    assert main(["verify", str(checkpoint)]) == 1
    assert "with --ids" in capsys.readouterr().out
    assert main(["verify", str(checkpoint), "--ids", "5", "6", "7"]) == 0
    assert "The tokenizers are not compared: --ids gives the token ids." in capsys.readouterr().out


def test_tokenizers_that_agree_are_reported(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(checkpoint), "--text", "a b [MASK] É"]) == 0
    assert "The tokenizers compute the same ids for" in capsys.readouterr().out
    assert main(["verify", str(checkpoint), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokenizers"]["text"] is None


def test_the_input_itself_is_compared_first(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, changed("added word"))
    assert main(["verify", str(checkpoint), "--text", "xzqx"]) == 1
    assert "The first text with different ids is 'xzqx'" in capsys.readouterr().out


def test_a_saved_reference_has_the_ids_of_transformers(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the tokenizers are compared without transformers too."""
    kept = tmp_path / "kept"
    assert main(["verify", str(checkpoint), "--save-reference", str(kept)]) == 0
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["verify", str(checkpoint), "--reference", str(kept)]) == 0
    assert "The tokenizers compute the same ids" in capsys.readouterr().out
    save_tokenizer(changed("two ids exchanged"), checkpoint)
    assert main(["verify", str(checkpoint), "--reference", str(kept)]) == 1
    assert "The tokenizers differ" in capsys.readouterr().out


def test_a_checkpoint_without_a_tokenizer_is_compared(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        (checkpoint / name).unlink()
    assert main(["verify", str(checkpoint)]) == 0
    assert "The tokenizers are not compared: the checkpoint has none." in capsys.readouterr().out


def test_a_tokenizer_that_one_library_cannot_load_is_named(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In either library. The advice is to compare the networks alone."""
    (checkpoint / "tokenizer.json").write_text("{}")
    assert main(["verify", str(checkpoint)]) == 2
    assert "tokenizer.json" in (shown := capsys.readouterr().err)
    assert "give token ids with --ids" in shown
    use(monkeypatch, changed(""))
    assert main(["verify", str(checkpoint)]) == 2
    assert "transformers cannot load the tokenizer" in (shown := capsys.readouterr().err)
    assert "give token ids with --ids" in shown


def test_a_file_of_sentencepiece_alone_is_no_missing_tokenizer(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The networks can be compared with --ids, also through a saved reference."""
    for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json"):
        (checkpoint / name).unlink()
    (checkpoint / "spiece.model").write_bytes(b"pieces")
    assert main(["verify", str(checkpoint)]) == 2
    assert "spiece.model alone is not read" in (shown := capsys.readouterr().err)
    assert "give token ids with --ids" in shown
    kept, ids = tmp_path / "kept", ["--ids", "5", "6", "7"]
    assert main(["verify", str(checkpoint), *ids]) == 0
    assert main(["verify", str(checkpoint), *ids, "--save-reference", str(kept)]) == 0
    assert main(["verify", str(checkpoint), "--reference", str(kept)]) == 0
    assert "The tokenizers are not compared: the reference has no token ids." in capsys.readouterr().out


def test_a_missing_id_at_the_end_is_a_difference() -> None:
    assert compare_token_ids({"a": [1, 2]}, lambda texts: [[1]]).text == "a"
    assert compare_token_ids({"a": [1, 2], "b": [3]}, lambda texts: [[1, 2], [3]]).agrees


def test_the_texts_up_to_the_first_difference_are_counted() -> None:
    reference = {"a": [1], "b": [2], "c": [3]}
    assert [compare_token_ids(reference, lambda texts, n=n: [[n], [2], [3]]).texts for n in (0, 1)] == [1, 3]
    assert compare_token_ids(reference, lambda texts: [[1], [2], [0]]).texts == 3


def test_each_text_is_compared_once_and_added_tokens_in_other_letters_too() -> None:
    texts = strings_to_compare(changed("added word"))
    assert len(set(texts)) == len(texts)
    assert {"zq", "azqb", " zq ", "ZQ", "[mask]"} <= {*texts}


def test_both_libraries_agree_on_the_ids_of_our_own_tokenizer(checkpoint: Path) -> None:
    texts = strings_to_compare(load_tokenizer(checkpoint))
    assert encode_with(load_tokenizer(checkpoint))(texts) == encode_with_transformers(checkpoint, transformers.BertModel)(texts)


def test_an_old_config_does_not_name_the_architecture(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files from before 2020 have no model_type, and their folders only a vocab.txt."""
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({name: x for name, x in config.items() if name != "model_type"}))
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "tokenizer_config.json").unlink()
    assert main(["verify", str(checkpoint)]) == 0
    assert "The tokenizers compute the same ids" in capsys.readouterr().out


def test_remote_code_is_never_run(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its code nor a question: transformers asks before it runs the code of a tokenizer."""
    config = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    (checkpoint / "tokenizer_config.json").write_text(json.dumps(config))
    (checkpoint / "own.py").write_text("raise SystemExit('code was run')\n")
    monkeypatch.setattr("builtins.input", pytest.fail)
    assert encode_with_transformers(checkpoint, transformers.BertModel)(["a"]) == [[2, 5, 3]]
