"""Tests of the tokenizers of RoBERTa and ALBERT: the same ids as in transformers, and the inputs made of them."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from minibert.commands import main
from minibert.equations import IGNORE_INDEX
from minibert.model.families import NETWORKS, AlbertConfig
from minibert.text.corpus import Document
from minibert.text.examples import PretrainingBatch, PretrainingExamples, masked_sentence
from minibert.text.labeled.question_windows import encode_questions
from minibert.text.labeled.squad_checks import Question
from minibert.text.labeled.text_rows import TextRow, encode_texts
from minibert.text.labeled.word_windows import encode_words
from minibert.text.layout import layout, word_mark, word_prefix
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, save_tokenizer, special_token, token_id
from minibert.text.tokenizer_loading import load_tokenizer
from tests.hostile_text import HOSTILE_TEXTS

transformers = pytest.importorskip("transformers")
SYLLABLES = ("The", "a", "cat", "er", "tion", "ing", "un", "ed", "Stra", "ße", "é", "ly", "x", "日本", "5", "1984", "ho", "me")
LETTERS = "ab cdeÄß日\u200b\u0301'\"`<>[]smask/MASK▁ \n\t😀"
TEXTS = [
    *("Hello  world", "<mask> a", "a <mask>", "[MASK] a [SEP] b", "``quoted'' text", "Ünïcödé ﬁ ½ 日本", "</s><s>", "<pad>x"),
    *("x<unk>y", "\t\n x  ", " a", "a "),
]


def texts(count: int) -> list[str]:
    """Return texts with special tokens, odd spaces and characters of many kinds."""
    generator = random.Random(0)
    drawn = ["".join(generator.choice(LETTERS) for _ in range(generator.randrange(1, 30))) for _ in range(count)]
    return [text for text in [*HOSTILE_TEXTS, *TEXTS, *drawn] if text]


def training_text() -> list[str]:
    """Return lines of words, the same ones every time, for the training of small tokenizers."""
    generator = random.Random(0)
    words = [
        "".join(generator.choices(SYLLABLES, k=generator.randrange(1, 4))) + generator.choice(("", "", ",", "."))
        for _ in range(600)
    ]
    return [" ".join(generator.choices(words, k=12)) for _ in range(300)]


TEXT = training_text()


def roberta(folder: Path, **settings: Any) -> Any:
    """Save a small tokenizer of RoBERTa with transformers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(merge) for merge in model["merges"]]
    transformers.RobertaTokenizer(vocab=model["vocab"], merges=merges, **settings).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def albert(folder: Path, **settings: Any) -> Any:
    """Save a small tokenizer of ALBERT with transformers."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(TEXT, trainer)
    vocabulary = [tuple(piece) for piece in json.loads(tokenizer.to_str())["model"]["vocab"]]
    transformers.AlbertTokenizer(vocab=vocabulary, **settings).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


CASES = [
    pytest.param(roberta, {}, id="roberta"),
    pytest.param(roberta, {"add_prefix_space": True, "trim_offsets": False}, id="roberta with a space"),
    pytest.param(roberta, {"mask_token": "<m>", "cls_token": "<c>"}, id="roberta with other names"),
    pytest.param(albert, {}, id="albert"),
    pytest.param(albert, {"do_lower_case": False, "keep_accents": True}, id="albert, cased"),
    pytest.param(albert, {"add_prefix_space": False}, id="albert without a space"),
]


@pytest.mark.parametrize(("make", "settings"), CASES)
def test_ids_segments_and_offsets_are_those_of_transformers(make: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    """Of single texts and of pairs, also after saving and loading."""
    theirs = make(tmp_path / "theirs", **settings)
    ours = load_tokenizer(tmp_path / "theirs")
    save_tokenizer(ours, tmp_path / "ours")
    again = load_tokenizer(tmp_path / "ours")
    returned = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in texts(150):
        for pair in ((text,), (text, f"{text}b")):
            expected = theirs(*pair, return_token_type_ids=True, return_offsets_mapping=True)
            for tokenizer in (ours, again):
                found = tokenizer.encode(*pair)
                assert found.ids == expected["input_ids"], pair
                assert found.type_ids == expected["token_type_ids"], pair
                assert found.offsets == expected["offset_mapping"], pair
            assert returned(*pair)["input_ids"] == expected["input_ids"], pair
    names = [special_token(ours, name) for name in SPECIAL_TOKENS]
    assert names == [theirs.pad_token, theirs.unk_token, theirs.cls_token, theirs.sep_token, theirs.mask_token]


@pytest.mark.parametrize(("make", "settings"), CASES)
def test_pairs_for_fine_tuning_are_those_of_transformers(make: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    theirs = make(tmp_path, **settings)
    ours = load_tokenizer(tmp_path)
    found = encode_texts([TextRow("One text", "another one"), TextRow("alone")], ours, 64, "end")
    for row, pair in zip(found, (("One text", "another one"), ("alone",)), strict=True):
        expected = theirs(*pair, return_token_type_ids=True)
        assert row.input_ids == expected["input_ids"]
        assert row.token_type_ids == expected["token_type_ids"]
    cut = encode_texts([TextRow("One text " * 9, "another one " * 9)], ours, 20, "end")[0]
    assert len(cut.input_ids) == 20
    assert cut.is_cut
    question = Question("id", "What is it?", "It is a text.", None)
    window = encode_questions([question], ours, 64, 8)[0]
    assert window.input_ids == theirs(question.question, question.context)["input_ids"]


@pytest.mark.parametrize("overlap", [0, 3, 9])
def test_small_windows_have_all_tokens_of_the_context(overlap: int, tmp_path: Path) -> None:
    """No window is longer than allowed, and windows move on, also with the second separator of RoBERTa."""
    roberta(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    context = "one two three four five six seven eight nine ten eleven twelve"
    ids = tokenizer.encode(context, add_special_tokens=False).ids
    for max_length in range(16, 24):
        windows = encode_questions([Question("id", "a b c d e f g h", context, None)], tokenizer, max_length, overlap)
        assert all(len(window.input_ids) <= max_length for window in windows)
        parts = [window.input_ids[window.first : -1] for window in windows]
        assert parts[0] + [token for part in parts[1:] for token in part[overlap:]] == ids


def test_the_layouts() -> None:
    bert = build_tokenizer([*SPECIAL_TOKENS, "a"])
    parts = layout(bert)
    assert (parts.between, parts.second_segment) == ((token_id(bert, "[SEP]"),), 1)
    assert word_prefix(bert) == ""


def test_words_of_roberta_begin_with_a_space(tmp_path: Path) -> None:
    """transformers asks for the setting add_prefix_space; the ids are the same without it."""
    theirs = roberta(tmp_path / "space", add_prefix_space=True)
    roberta(tmp_path / "none")
    words = ["Hello", "world", "again"]
    expected = theirs(words, is_split_into_words=True)["input_ids"]
    for folder in ("space", "none"):
        tokenizer = load_tokenizer(tmp_path / folder)
        assert encode_words([words], [[0, 0, 0]], tokenizer, 64, 0)[0].input_ids == expected


def test_a_sentencepiece_file_alone_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"\n\x0e")
    with pytest.raises(ValueError, match=r"spiece.model alone is not read: load it with transformers and save it as"):
        load_tokenizer(tmp_path)


def test_an_albert_with_the_vocabulary_of_a_bert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its folder must say so: transformers would make a tokenizer of special tokens alone. Then both compute the same."""
    config = AlbertConfig(
        vocab_size=20, hidden_size=8, num_attention_heads=2, num_hidden_layers=2, intermediate_size=12, embedding_size=4
    )
    NETWORKS["AlbertForMaskedLM"](config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, *"abcdeghiklmnrt"]) + "\n")
    assert main(["verify", str(tmp_path)]) == 2
    message = "If vocab.txt is that of a BERT, set tokenizer_class to BertTokenizer in tokenizer_config.json. To compare the"
    assert message in capsys.readouterr().err
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    assert main(["verify", str(tmp_path)]) == 0
    assert "The tokenizers compute the same ids" in capsys.readouterr().out


def test_an_albert_without_probabilities_is_refused(tmp_path: Path) -> None:
    roberta(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "AlbertTokenizer"}))
    with pytest.raises(ValueError, match=r"tokenizer.json: .*has no vocabulary with probabilities"):
        load_tokenizer(tmp_path)


SENTENCES = ("The masks of whole words.", "A second sentence follows it.", "Here is the last of the sentences.")
DOCUMENTS = [Document(f"{number}", SENTENCES[number:] + SENTENCES[:number]) for number in range(3)]


@pytest.fixture(params=[roberta, albert])
def own_tokenizer(request: pytest.FixtureRequest, tmp_path: Path) -> Tokenizer:
    """A tokenizer of a relative of BERT."""
    request.param(tmp_path)
    return load_tokenizer(tmp_path)


def batch_of(tokenizer: Tokenizer, pairs: str, **options: Any) -> PretrainingBatch:
    corpus = TokenizedCorpus.from_documents(DOCUMENTS, tokenizer)
    config = ExampleConfig(max_length=80, pairs=pairs, short_seq_probability=0.0, **options)
    epoch = PretrainingExamples(corpus, tokenizer, config).epoch(0)
    batch = epoch.batch(np.arange(len(epoch.lengths)))
    assert batch.attention_mask.sum(dim=1).tolist() == epoch.lengths.tolist()
    return batch


def original_ids(batch: PretrainingBatch) -> torch.Tensor:
    return torch.where(batch.labels == IGNORE_INDEX, batch.input_ids, batch.labels)


@pytest.mark.parametrize("pairs", ["none", "sop"])
def test_a_pretraining_example_is_the_input_of_its_tokenizer(own_tokenizer: Tokenizer, pairs: str) -> None:
    """First token, separators, segments and padding are those of the tokenizer, which encodes the decoded parts again."""
    batch = batch_of(own_tokenizer, pairs, mlm_probability=0.3)
    sep, pad = token_id(own_tokenizer, "[SEP]"), token_id(own_tokenizer, "[PAD]")
    separator = layout(own_tokenizer).between
    for ids, keep, types in zip(original_ids(batch), batch.attention_mask, batch.token_type_ids, strict=True):
        assert set(ids[~keep].tolist()) <= {pad}
        row, kinds = ids[keep].tolist(), types[keep].tolist()
        assert (row[0], row[-1]) == (token_id(own_tokenizer, "[CLS]"), sep)
        if pairs == "none":
            assert set(kinds) == {0}
            continue
        end = row.index(sep)
        assert tuple(row[end : end + len(separator)]) == separator
        second = layout(own_tokenizer).second_segment
        assert kinds == [0] * (end + len(separator)) + [second] * (len(row) - end - len(separator))


def test_special_tokens_are_neither_masked_nor_drawn(own_tokenizer: Tokenizer) -> None:
    batch = batch_of(own_tokenizer, "sop", mlm_probability=1.0)
    special = torch.tensor([token_id(own_tokenizer, name) for name in SPECIAL_TOKENS])
    is_special = torch.isin(original_ids(batch), special)
    assert torch.equal(batch.labels == IGNORE_INDEX, is_special)
    replaced = batch.input_ids[~is_special & (batch.input_ids != token_id(own_tokenizer, "[MASK]"))]
    assert len(replaced) > 20
    assert not torch.isin(replaced, special).any()


def test_whole_words_are_masked(own_tokenizer: Tokenizer) -> None:
    """A word begins with the sign for a space, or after a special token."""
    mark = word_mark(own_tokenizer)
    batch = batch_of(own_tokenizer, "none", mlm_probability=0.5, whole_word_masking=True)
    ids, masked = original_ids(batch), batch.labels != IGNORE_INDEX
    continued = 0
    for row, is_masked in zip(ids.tolist(), masked.tolist(), strict=True):
        tokens = [own_tokenizer.id_to_token(number) for number in row]
        for position in range(2, len(tokens)):
            is_text = {tokens[position], tokens[position - 1]}.isdisjoint(special_tokens_of(own_tokenizer))
            if is_text and not tokens[position].startswith(mark):
                assert is_masked[position] == is_masked[position - 1]
                continued += 1
    assert continued > 20
    assert masked.any()
    assert not masked.all()


def special_tokens_of(tokenizer: Tokenizer) -> set[str]:
    return {special_token(tokenizer, name) for name in SPECIAL_TOKENS}


def test_sentences_are_tokenized_as_in_the_running_text(tmp_path: Path) -> None:
    """The spaces between sentences are tokens of byte-level BPE, too."""
    roberta(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    [document, *_] = DOCUMENTS
    corpus = TokenizedCorpus.from_documents([document], tokenizer)
    together = tokenizer.encode(" ".join(document.sentences), add_special_tokens=False).ids
    assert corpus.ids.tolist() == [*together, token_id(tokenizer, "[SEP]")]


def test_a_sentence_to_try_a_model_with_has_one_mask(own_tokenizer: Tokenizer) -> None:
    """Tokenized again, it is the sentence with the mask in place of a word."""
    text = "def test the tokenizer and the texts of the tokenizer"
    corpus = TokenizedCorpus.from_documents([Document("", (text,))], own_tokenizer)
    sentence, mask = masked_sentence(corpus, own_tokenizer), special_token(own_tokenizer, "[MASK]")
    assert [word for word in sentence.split() if word not in text.split()] == [mask]
    assert own_tokenizer.encode(sentence).ids.count(token_id(own_tokenizer, "[MASK]")) == 1
