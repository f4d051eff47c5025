"""Corpora and tokenizers from the options of the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from minibert.text import from_options
from minibert.text.corpus import Corpus, Document
from minibert.text.from_options import make_tokenizer, open_corpus, tokenizer_in
from minibert.text.options import TextOptions, VocabularyOptions
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer

TEXTS = ["The cats sat. The cats ran.", "THE CATS, the dogs and Él."] * 3
SMALL = VocabularyOptions(vocab_size=60)


def test_a_dataset_comes_before_the_built_in_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(from_options, "read_dataset", lambda *settings: Corpus(repr(settings), "fingerprint", []))
    options = TextOptions(dataset="name", dataset_config="small", split="test", layout="lines", column="body")
    assert open_corpus(options).name == repr(("name", "small", "test", "lines", "body"))


def test_without_files_and_a_dataset_the_corpus_is_the_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    builtin = Corpus("built-in", "fingerprint", [])
    monkeypatch.setattr(from_options, "builtin_corpus", lambda: builtin)
    assert open_corpus(TextOptions()) is builtin


def test_files_and_datasets_are_read_with_the_options(tmp_path: Path) -> None:
    """With the layout, the column and the split."""
    (tmp_path / "test.jsonl").write_text(json.dumps({"body": "One\ntwo. Three."}) + "\n")
    for layout, sentences in (("auto", ("One", "two.", "Three.")), ("wrapped", ("One two.", "Three."))):
        files = open_corpus(TextOptions(text=(tmp_path / "test.jsonl",), column="body", layout=layout))
        assert [*files.documents] == [Document("test.jsonl#1", sentences)]
        dataset = open_corpus(TextOptions(dataset=str(tmp_path), split="test", column="body", layout=layout))
        assert [*dataset.documents] == [Document(f"{tmp_path}#0", sentences)]


@pytest.mark.parametrize(("trainer", "other"), [("minibert", "train_with_tokenizers"), ("tokenizers", "train_wordpiece")])
def test_a_tokenizer_is_trained_with_the_options(monkeypatch: pytest.MonkeyPatch, trainer: str, other: str) -> None:
    """The trainer, the size of the vocabulary and of the alphabet, and the case of the letters."""
    monkeypatch.setattr(from_options, other, lambda *_: pytest.fail("the other trainer"))
    tokenizer = make_tokenizer(VocabularyOptions(vocab_size=36, trainer=trainer), iter(TEXTS))
    assert tokenizer.get_vocab_size() == 36
    assert tokenizer.encode("THE el", add_special_tokens=False).tokens[0] == "the"
    cased = make_tokenizer(VocabularyOptions(vocab_size=60, trainer=trainer, cased=True), iter(TEXTS))
    assert ["É" in "".join(trained.get_vocab()) for trained in (tokenizer, cased)] == [False, True]
    few = make_tokenizer(VocabularyOptions(vocab_size=60, trainer=trainer, alphabet_size=5), iter(TEXTS))
    assert len({*"".join(few.get_vocab()).replace("#", "")} - {*"".join(SPECIAL_TOKENS)}) == 5


@pytest.mark.parametrize("kind", ["roberta", "gpt2"])
def test_byte_level_bpe_is_trained_with_the_options(monkeypatch: pytest.MonkeyPatch, kind: Any, tmp_path: Path) -> None:
    """Both trainers give the same tokenizer, which keeps capital letters and has the special tokens of the model."""
    options = VocabularyOptions(vocab_size=270)
    ours = make_tokenizer(options, iter(TEXTS), kind)
    assert ours.get_vocab_size() == 270
    assert ours.token_to_id({"roberta": "</s>", "gpt2": "<|endoftext|>"}[kind]) == {"roberta": 2, "gpt2": 0}[kind]
    assert ours.decode(ours.encode("THE Él").ids) == "THE Él"
    assert tokenizer_in(tmp_path, options, iter(TEXTS), True, kind).to_str() == ours.to_str()
    monkeypatch.setattr(from_options, "train_byte_pairs", lambda *_: pytest.fail("the other trainer"))
    theirs = make_tokenizer(VocabularyOptions(vocab_size=270, trainer="tokenizers"), iter(TEXTS), kind)
    assert theirs.to_str() == ours.to_str()
    with pytest.raises(ValueError, match="alphabet_size: byte-level BPE always has the 256 bytes as its alphabet; leave it"):
        make_tokenizer(VocabularyOptions(alphabet_size=300), TEXTS, kind)


def test_sentences_of_roberta_begin_with_a_space() -> None:
    """As in the examples, where they follow other sentences. Those of GPT-2 begin lines."""
    cases: list[tuple[Any, str]] = [("roberta", "Ġab"), ("gpt2", "ab")]
    for kind, piece in cases:
        tokenizer = make_tokenizer(VocabularyOptions(vocab_size=270), ["ab"] * 3, kind)
        assert tokenizer.token_to_id(piece) is not None


def test_a_model_needs_its_special_tokens(tmp_path: Path) -> None:
    tokenizer_in(tmp_path, VocabularyOptions(vocab_size=270), TEXTS, create=True, kind="gpt2")
    with pytest.raises(ValueError, match=r"has no \[PAD\]"):
        tokenizer_in(tmp_path, SMALL, TEXTS, create=False, kind="roberta")


def test_a_tokenizer_that_is_named_is_loaded(tmp_path: Path) -> None:
    save_tokenizer(build_tokenizer([*SPECIAL_TOKENS, "some", "words"]), tmp_path)
    tokenizer = make_tokenizer(VocabularyOptions(tokenizer=str(tmp_path)), [])
    assert tokenizer.encode("some words").ids == [2, 5, 6, 3]


def test_the_tokenizer_of_a_run_is_made_once(tmp_path: Path) -> None:
    """It is trained and saved if the folder has none, or on request, and otherwise loaded."""
    first = tokenizer_in(tmp_path, SMALL, TEXTS, create=False).to_str()
    assert json.loads((tmp_path / "tokenizer.json").read_text()) == json.loads(first)
    assert tokenizer_in(tmp_path, SMALL, ["other text"] * 9, create=False).to_str() == first
    assert tokenizer_in(tmp_path, VocabularyOptions(vocab_size=20), ["other text"] * 9, create=True).to_str() != first


@pytest.mark.parametrize("missing", ["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
def test_a_tokenizer_without_a_special_token_is_refused(tmp_path: Path, missing: str) -> None:
    fields = json.loads(build_tokenizer([*SPECIAL_TOKENS, "a"]).to_str())
    vocabulary = fields["model"]["vocab"]
    vocabulary["other"] = vocabulary.pop(missing)
    fields |= {"added_tokens": [], "post_processor": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=rf"has no \{missing}"):
        tokenizer_in(tmp_path, SMALL, [], create=False)
