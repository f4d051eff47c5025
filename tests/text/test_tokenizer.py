"""Tokenizers loaded from files: the ids of transformers for every setting, or an error that names the setting."""

import contextlib
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from minibert.text import tokenizer_files
from minibert.text.tokenizer import (
    SPECIAL_TOKENS,
    bert_difference,
    build_tokenizer,
    check_id,
    save_tokenizer,
    special_token,
    token_id,
    vocabulary_size,
    without_special_tokens,
)
from minibert.text.tokenizer_files import UNSUPPORTED, TokenizerFiles
from minibert.text.tokenizer_loading import load_tokenizer
from tests.text.tokenizer_folders import STRINGS, booleans, folders, write

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore:.*capital letters")


def their_ids(folder: Path) -> list[list[int]]:
    """Return the ids of the hostile strings that transformers computes."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text)["input_ids"] for text in STRINGS]


@given(folders())
def test_ids_equal_those_of_transformers(files: dict[str, str]) -> None:
    """Whatever transformers can load is loaded with the same ids, or refused. Saved again, transformers finds the same ids."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = write(files, Path(temporary) / "given")
        try:
            tokenizer = load_tokenizer(folder)
        except ValueError as error:
            event(str(error).replace(temporary, ""))
            return
        expected = their_ids(folder)
        assert [encoding.ids for encoding in tokenizer.encode_batch(STRINGS)] == expected
        save_tokenizer(tokenizer, folder.parent / "saved")
        assert their_ids(folder.parent / "saved") == expected
        assert [encoding.ids for encoding in load_tokenizer(folder.parent / "saved").encode_batch(STRINGS)] == expected


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "A", "é", "e", "中", "国", "##国", "!"]


def write_files(folder: Path, vocabulary: Sequence[str] = PIECES, **files: object) -> Path:
    """Write vocab.txt and JSON files; by default as those of a BERT."""
    contents: dict[str, object] = {"config": {"model_type": "bert"}} | files
    texts = {f"{name}.json": json.dumps(content) for name, content in contents.items()}
    return write({"vocab.txt": "".join(f"{piece}\n" for piece in vocabulary)} | texts, folder)


def test_stored_padding_and_truncation_are_not_used(tmp_path: Path) -> None:
    """A published tokenizer.json pads every text to 128 tokens. The tokenizer does not, and what it saves does not either."""
    stored = build_tokenizer(PIECES)
    stored.enable_padding(length=128)
    stored.enable_truncation(3)
    for class_name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        stored.save(str(tmp_path / "tokenizer.json"))
        write({"tokenizer_config.json": json.dumps({"tokenizer_class": class_name})}, tmp_path)
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer.encode("a ab!").ids == [2, 5, 5, 6, 13, 3]
        save_tokenizer(tokenizer, tmp_path / class_name)
        fields = json.loads((tmp_path / class_name / "tokenizer.json").read_text())
        assert fields["padding"] is fields["truncation"] is None


def test_tokenizer_config_takes_precedence_over_tokenizer_json(tmp_path: Path) -> None:
    """For BERT's class, transformers takes only the vocabulary and the added tokens from tokenizer.json."""
    build_tokenizer(PIECES, lowercase=False).save(str(tmp_path / "tokenizer.json"))
    write_files(tmp_path, tokenizer_config={"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    assert load_tokenizer(tmp_path).encode("A é").ids == [2, 5, 9, 3]
    write_files(tmp_path, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": True})
    assert load_tokenizer(tmp_path).encode("A é").ids == [2, 7, 8, 3]
    assert their_ids(tmp_path)[1][:3] == [2, 5, 5]


@pytest.mark.parametrize(
    ("setting", "text", "ids"),
    [
        ({"do_lower_case": False}, "A é", [7, 8]),
        ({"strip_accents": False}, "A é", [5, 8]),
        ({"do_lower_case": False, "strip_accents": True}, "A é", [7, 9]),
        ({"tokenize_chinese_chars": False}, "中国", [10, 12]),
        ({"split_special_tokens": True}, "a[MASK]", [5, 1, 1, 1]),
        ({"additional_special_tokens": ["[E1]"]}, "a[E1]", [5, 14]),
        ({"extra_special_tokens": ["[E1]"]}, "a[E1]", [5, 14]),
        ({"extra_special_tokens": {"entity": "[E1]"}}, "a[E1]", [5, 14]),
        ({"eos_token": "</s>"}, "a</s>", [5, 14]),
        ({"added_tokens_decoder": {"14": {"content": "new", "normalized": True}}}, "aNEW", [5, 14]),
    ],
)
def test_a_setting_is_obeyed_and_written_back(tmp_path: Path, setting: dict[str, object], text: str, ids: list[int]) -> None:
    """The setting changes the ids of the text, in minibert and in transformers, before and after saving."""
    folder = write_files(tmp_path / "given", tokenizer_config=setting)
    tokenizer = load_tokenizer(folder)
    assert load_tokenizer(write_files(tmp_path / "default")).encode(text).ids != [2, *ids, 3]
    save_tokenizer(tokenizer, tmp_path / "saved")
    for place in (folder, tmp_path / "saved"):
        assert load_tokenizer(place).encode(text).ids == [2, *ids, 3]
        assert transformers.AutoTokenizer.from_pretrained(place)(text)["input_ids"] == [2, *ids, 3]
    (tmp_path / "saved" / "tokenizer.json").unlink()
    assert load_tokenizer(tmp_path / "saved").encode(text).ids == [2, *ids, 3]


def test_capital_letters_in_a_lowercased_vocabulary_are_a_warning(tmp_path: Path) -> None:
    """Without do_lower_case transformers lowercases the text, and tokens with capital letters are never found."""
    with pytest.warns(UserWarning, match=r"vocab\.txt: has tokens with capital letters, but text is lowercased"):
        load_tokenizer(write_files(tmp_path, [*PIECES, "Hugs"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_tokenizer(write_files(tmp_path, [piece for piece in PIECES if piece != "A"]))
        load_tokenizer(write_files(tmp_path, [*PIECES, "Hugs"], tokenizer_config={"do_lower_case": True}))


def test_special_tokens_with_other_names(tmp_path: Path) -> None:
    """`token_id` finds them by BERT's names, before and after saving, and transformers has the same roles."""
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    folder = write_files(tmp_path / "given", ["a", *names.values(), "[MASK]"], special_tokens_map=names)
    tokenizer = load_tokenizer(folder)
    save_tokenizer(tokenizer, tmp_path / "saved")
    for loaded in (tokenizer, load_tokenizer(tmp_path / "saved"), without_special_tokens(tokenizer)):
        assert [token_id(loaded, name) for name in SPECIAL_TOKENS] == [1, 2, 3, 4, 5]
        assert special_token(loaded, "[MASK]") == "<mask>"
    assert tokenizer.encode("a <mask> x").ids == [3, 0, 5, 2, 4]
    assert without_special_tokens(tokenizer).encode("<mask>").ids == [3, 2, 2, 2, 4]
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (theirs.mask_token, theirs.pad_token_id, theirs.unk_token_id) == ("<mask>", 1, 2)


def test_ids_without_a_token_are_kept(tmp_path: Path) -> None:
    """An empty line of vocab.txt is an id without a token. The size of the vocabulary is the largest id plus 1."""
    folder = write_files(tmp_path / "given", [*PIECES[:6], "", "", *PIECES[6:], ""])
    tokenizer = load_tokenizer(folder)
    assert vocabulary_size(tokenizer) == 17 > tokenizer.get_vocab_size()
    assert tokenizer.encode("ab!").ids == [2, 5, 8, 15, 3]
    save_tokenizer(tokenizer, tmp_path / "saved")
    assert (tmp_path / "saved" / "vocab.txt").read_text() == (folder / "vocab.txt").read_text()
    assert their_ids(tmp_path / "saved") == their_ids(folder)


def test_the_length_of_the_model_is_written(tmp_path: Path) -> None:
    save_tokenizer(build_tokenizer(PIECES), tmp_path, max_length=7)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("a a a a a a a", truncation=True)["input_ids"] == [2, 5, 5, 5, 5, 5, 3]


@pytest.mark.parametrize("class_name", ["BertTokenizer", "ElectraTokenizerFast", "DistilBertTokenizer", "LxmertTokenizer"])
def test_classes_with_berts_rules(tmp_path: Path, class_name: str) -> None:
    folder = write_files(tmp_path, tokenizer_config={"tokenizer_class": class_name})
    assert [encoding.ids for encoding in load_tokenizer(folder).encode_batch(STRINGS)] == their_ids(folder)


@pytest.mark.parametrize("model_type", ["mpnet", "splinter", "camembert", "big_bird", "xlm-roberta", "unknown"])
def test_tokenizers_of_other_models_are_refused(tmp_path: Path, model_type: str) -> None:
    """Without a class in tokenizer_config.json, transformers takes the one of the model. A named class decides."""
    folder = write_files(tmp_path, config={"model_type": model_type})
    build_tokenizer(PIECES).save(str(tmp_path / "stored.json"))
    for stored in (False, True):
        if stored:
            (tmp_path / "stored.json").rename(tmp_path / "tokenizer.json")
        with pytest.raises(ValueError, match=f"tokenizer of model_type '{model_type}' is not supported"):
            load_tokenizer(folder)
    write({"tokenizer_config.json": '{"tokenizer_class": "BertTokenizer"}'}, tmp_path)
    assert load_tokenizer(folder).encode("a").ids == [2, 5, 3]


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "electra", "convbert", "ernie", "megatron-bert", "nomic_bert"])
def test_models_with_berts_tokenizer(tmp_path: Path, model_type: str) -> None:
    """The stages of tokenizer.json are those of BERT, whatever the file says."""
    folder = write_files(tmp_path, config={"model_type": model_type})
    stored = build_tokenizer(PIECES, lowercase=False)
    for _ in range(2):
        assert [encoding.ids for encoding in load_tokenizer(folder).encode_batch(STRINGS)] == their_ids(folder)
        stored.save(str(tmp_path / "tokenizer.json"))


def test_gpt2(tmp_path: Path) -> None:
    """GPT-2's tokenizer.json: vocabulary and merges with GPT-2's stages, with and without a class."""
    bytes_of_text = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {piece: index for index, piece in enumerate([*sorted(bytes_of_text), "he", "Ġa", "<|endoftext|>"])}
    stored = Tokenizer(models.BPE(vocabulary, [("h", "e"), ("Ġ", "a")]))
    stored.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    stored.save(str(tmp_path / "tokenizer.json"))
    for config in ({}, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True}, {"unk_token": "<|unk|>"}):
        folder = write({"config.json": '{"model_type": "gpt2"}', "tokenizer_config.json": json.dumps(config)}, tmp_path)
        texts = [*filter(None, STRINGS), "a<|endoftext|> he"]
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        expected = [theirs(text)["input_ids"] for text in texts]
        assert [encoding.ids for encoding in load_tokenizer(folder).encode_batch(texts)] == expected
        save_tokenizer(load_tokenizer(folder), tmp_path / "saved")
        assert [encoding.ids for encoding in load_tokenizer(tmp_path / "saved").encode_batch(texts)] == expected


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"tokenizer_config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "tokenizer_class 'BertJapaneseTokenizer' is not supp"),
    ({"config": {"tokenizer_class": "DebertaTokenizer"}}, r"config\.json: tokenizer_class 'DebertaTokenizer'"),
    *(({"tokenizer_config": {name: ["x", None]}}, f"{name} is not supported") for name in UNSUPPORTED),
    ({"tokenizer_config": {"do_lower_case": "false"}}, "do_lower_case must be true or false, not 'false'"),
    ({"tokenizer_config": {"strip_accents": 1}}, "strip_accents must be true or false, not 1"),
    ({"tokenizer_config": {"tokenize_chinese_chars": None}}, "tokenize_chinese_chars must be true or false"),
    ({"tokenizer_config": {"extra_special_tokens": "[E1]"}}, "extra_special_tokens must be a list"),
    ({"tokenizer_config": {"extra_special_tokens": [3]}}, "3 is not a token"),
    ({"tokenizer_config": {"mask_token": {"content": ["a"]}}}, "is not a token"),
    ({"tokenizer_config": {"mask_token": ""}}, "must not be empty"),
    ({"tokenizer_config": {"unk_token": None}}, "unk_token must not be null"),
    ({"tokenizer_config": {"cls_token": None}}, "cls_token must not be null"),
    ({"tokenizer_config": {"sep_token": None}}, "sep_token must not be null"),
    ({"tokenizer_config": {"tokenizer_class": 5}}, r"config\.json: tokenizer_class 5 is not supported"),
    ({"tokenizer_config": {"mask_token": 4}}, "4 is not a token"),
    ({"tokenizer_config": {"unk_token": "<unk>"}}, r"vocab\.txt: has no <unk>, the token for unknown words"),
    ({"tokenizer_config": {"added_tokens_decoder": [1]}}, "added_tokens_decoder must contain"),
    ({"tokenizer_config": {"added_tokens_decoder": {"20": {"content": "new"}}}}, "'new' gets the id 14, not 20"),
    ({"added_tokens": {"new": 99}}, "'new' gets the id 14, not 99"),
    ({"added_tokens": {"new": "14"}}, r"added_tokens\.json: the id of 'new' must be a number"),
    ({"tokenizer": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}}, "has no WordPiece vocabulary"),
    ({"vocabulary": ["a", "b"]}, r"vocab\.txt: has no \[PAD\].*set pad_token"),
    ({"vocabulary": [*PIECES, "a", "b"], "added_tokens": {"new": 15}}, "have the same id 15"),
]


@pytest.mark.parametrize(("files", "message"), REFUSED, ids=range(len(REFUSED)))
def test_settings_that_cannot_be_obeyed_are_refused_by_name(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    folder = write_files(tmp_path, **files)
    with pytest.raises(ValueError, match=message) as raised:
        load_tokenizer(folder)
    assert str(folder) in str(raised.value)


SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
BOMBS = [
    {"pre_tokenizer": SPLIT},
    {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT]}},
    {"normalizer": {"type": "Replace", "pattern": {"Regex": "(x+x+)+y"}, "content": ""}},
    {"normalizer": {"type": "Sequence", "normalizers": [DOUBLE] * 60}},
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_expressions_that_could_take_hours_are_refused(tmp_path: Path, bomb: dict[str, object]) -> None:
    """A regular expression or repeated replacements of a stranger's file are never run."""
    fields = json.loads(build_tokenizer(PIECES).to_str()) | bomb
    folder = write_files(tmp_path, tokenizer=fields, config={})
    with pytest.raises(ValueError, match=r"tokenizer\.json: .* of type '(Split|Replace)' is not supported"):
        load_tokenizer(folder)
    write_files(tmp_path, tokenizer=fields)  # with BERT's class, the stages of the file are not used
    assert load_tokenizer(folder).encode("a" * 40 + "!").ids[-1] == 3


SPECIAL = {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}], "pair": []}
PANICS: list[tuple[dict[str, object], str]] = [
    ({"post_processor": TEMPLATE | {"special_tokens": {}}}, r"does not define '\[CLS\]'"),
    ({"post_processor": {"type": "Sequence", "processors": [TEMPLATE | {"special_tokens": {}}]}}, "does not define"),
    ({"post_processor": TEMPLATE | {"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [], "tokens": []}}}}, "not define"),
    (
        {"post_processor": TEMPLATE | {"special_tokens": SPECIAL | {"x": {"id": "x", "ids": [], "tokens": []}}}},
        "not define 'x'",
    ),
    ({"normalizer": ["a"]}, "normalizer of type .* is not supported"),
    ({"normalizer": {"type": "Sequence", "normalizers": ["a"]}}, "normalizer of type 'a' is not supported"),
    (
        {
            "model": {
                "type": "BPE",
                "vocab": {"a": 0, "b": 1, "ab": 2},
                "merges": ["a b"],
                "continuing_subword_prefix": "[CLS]",
            },
            "added_tokens": [],
        },
        "range end index",
    ),
]


@pytest.mark.parametrize(("part", "message"), PANICS, ids=range(len(PANICS)))
def test_files_that_make_the_library_panic_are_refused(tmp_path: Path, part: dict[str, object], message: str) -> None:
    """`tokenizers` ends some errors with a panic, which is no Exception. They are ValueErrors too."""
    fields = json.loads(build_tokenizer(PIECES).to_str()) | part
    folder = write_files(tmp_path, tokenizer=fields, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})
    with pytest.raises(ValueError, match=rf"tokenizer\.json: .*{message}"):
        load_tokenizer(folder)


NAMES = ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"]
DAMAGED = [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe\x00", rb'"\ud800"', b"[" * 100_000]
DAMAGED += [b'{"a":' * 90_000 + b"1" + b"}" * 90_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"9" * 10_000]


def error_of(folder: Path) -> str | None:
    """Load a tokenizer, and return the message of the error."""
    try:
        load_tokenizer(folder)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    """Empty, cut, deeply nested and binary files give an error with the path, or do not matter."""
    folder = write_files(tmp_path)
    build_tokenizer(PIECES).save(str(folder / "tokenizer.json"))
    if name == "vocab.txt":
        (folder / "tokenizer.json").unlink()
    (folder / name).write_bytes(content)
    message = error_of(folder)
    assert message is None or str(folder / name) in message
    assert message is None or len(message) < 1000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; it must contain a token in each line"),
        (b"\n\n", "is empty"),
        (b"[PAD]\n[UNK]\ncaf\xe9\n", ", line 3: is not UTF-8"),
        ("[PAD]\n".encode("utf-16"), ", line 1: is not UTF-8"),
    ],
)
def test_a_vocabulary_that_is_no_text_is_described(tmp_path: Path, content: bytes, message: str) -> None:
    (write_files(tmp_path) / "vocab.txt").write_bytes(content)
    assert f"vocab.txt{'' if message[0] == ',' else ': '}{message}" in str(error_of(tmp_path))


def test_a_tokenizer_that_fails_on_an_unknown_word_is_refused(tmp_path: Path) -> None:
    """The library would fail only when it meets such a word: here its model has no token for it."""
    fields = json.loads(build_tokenizer(PIECES).to_str())
    fields["model"]["unk_token"] = "<unk>"
    folder = write_files(tmp_path, tokenizer=fields, tokenizer_config={"tokenizer_class": "PreTrainedTokenizerFast"})
    with pytest.raises(ValueError, match=r"tokenizer\.json: cannot encode a text"):
        load_tokenizer(folder)


def test_an_id_without_an_embedding_is_refused() -> None:
    check_id(build_tokenizer(PIECES), 5, 6)
    with pytest.raises(ValueError, match=r"gives 'a' the id 5, but the model has only 5 embeddings"):
        check_id(build_tokenizer(PIECES), 5, 5)


def test_the_written_vocabulary_has_no_added_tokens(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(PIECES)
    tokenizer.add_tokens(["added"])
    save_tokenizer(tokenizer, tmp_path)
    assert (tmp_path / "vocab.txt").read_text().split() == PIECES
    assert load_tokenizer(tmp_path).encode("added").ids == [2, len(PIECES), 3]


@pytest.mark.parametrize(("config", "decoded"), [({}, "a b"), ({"pad_token": "a"}, "pad b"), ({"pad_token": None}, "a pad b")])
def test_the_token_of_the_stored_padding_is_special_unless_a_setting_names_another(
    tmp_path: Path, config: dict[str, object], decoded: str
) -> None:
    """As for transformers: it is found in text, and it is not decoded."""
    stored = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "b": 2, "pad": 3}, unk_token="[UNK]"))
    stored.pre_tokenizer = pre_tokenizers.Whitespace()
    stored.enable_padding(pad_id=3, pad_token="pad")
    stored.save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"} | config
    write({"tokenizer_config.json": json.dumps(config)}, tmp_path)
    tokenizer, theirs = load_tokenizer(tmp_path), transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("a pad b", "apadb"):
        assert tokenizer.encode(text).ids == theirs(text)["input_ids"]
    assert tokenizer.decode([1, 3, 2]) == decoded
    assert ("pad" in theirs.all_special_tokens) == ("pad_token" not in config)


@pytest.mark.parametrize(
    ("fields", "is_special"),
    [
        ({"extra_special_tokens": ["NEW"]}, True),
        ({"mask_token": "NEW"}, True),
        ({"additional_special_tokens": ["NEW"]}, False),
        ({}, False),
    ],
)
def test_tokens_with_ids_are_special_if_a_setting_names_them(
    tmp_path: Path, fields: dict[str, object], is_special: bool
) -> None:
    """Special ones are found as they are written, others in lowercased text too. The old name counts only in the other file."""
    folder = write_files(tmp_path, added_tokens={"NEW": 14}, special_tokens_map=fields)
    tokenizer = load_tokenizer(folder)
    token = tokenizer.get_added_tokens_decoder()[14]
    assert (token.special, token.normalized) == (is_special, not is_special)
    for text in ("aNEW", "anew"):
        assert tokenizer.encode(text).ids == transformers.AutoTokenizer.from_pretrained(folder)(text)["input_ids"]


E1, E2 = ["[E1]"], ["[E2]"]


@pytest.mark.parametrize(
    ("config", "special"),
    [
        ({"extra_special_tokens": [*E1, *E2]}, {}),
        ({"extra_special_tokens": E1}, {"extra_special_tokens": E2}),
        ({"additional_special_tokens": E1}, {"extra_special_tokens": E2}),
        ({"extra_special_tokens": {"entity": "[E1]"}}, {"extra_special_tokens": E2}),
        ({"model_specific_special_tokens": {"entity": "[E1]"}}, {"extra_special_tokens": {"other": "[E2]"}}),
        ({"entity_token": "[E1]", "extra_special_tokens": E2}, {}),
        ({"entity_token": {"content": "[E1]", "__type": "AddedToken"}}, {"other_token": "[E2]"}),
        ({"entity_token": "[E1]"}, {"other_token": {"content": "[E2]"}}),
    ],
)
def test_special_tokens_of_several_settings_are_added(
    tmp_path: Path, config: dict[str, object], special: dict[str, object]
) -> None:
    folder = write_files(tmp_path, tokenizer_config=config, special_tokens_map=special)
    tokenizer = load_tokenizer(folder)
    found = [tokenizer.get_added_tokens_decoder()[index] for index in (14, 15)]
    assert {token.content for token in found} == {"[E1]", "[E2]"}
    assert all(token.special for token in found)
    ids = tokenizer.encode("a[E1] [E2]").ids
    assert ids == transformers.AutoTokenizer.from_pretrained(folder)("a[E1] [E2]")["input_ids"]


@pytest.mark.parametrize(
    "config",
    [
        {"entity_token": {"content": "[E1]"}},
        {"entity_token": "[E2]", "model_specific_special_tokens": {"other": "[E1]"}},
        {"extra_special_tokens": {"entity": "[E2]"}, "model_specific_special_tokens": {"other": "[E1]"}},
    ],
)
def test_special_tokens_that_transformers_does_not_see_are_not_added(tmp_path: Path, config: dict[str, object]) -> None:
    """Fields without their type, and those that it replaces."""
    folder = write_files(tmp_path, tokenizer_config=config)
    ids = load_tokenizer(folder).encode("a[E1] [E2]").ids
    assert ids[:5] == [2, 5, 1, 1, 1]
    assert ids == transformers.AutoTokenizer.from_pretrained(folder)("a[E1] [E2]")["input_ids"]


def test_added_tokens_may_be_listed_in_any_order(tmp_path: Path) -> None:
    """Each has its id, and is special if a setting says so."""
    decoder = {"15": {"content": "[E2]"}, "14": {"content": "[E1]"}}
    names = {"entity_token": "[E1]", "eos_token": "[E2]"}
    folder = write_files(tmp_path, tokenizer_config={"added_tokens_decoder": decoder} | names)
    found = load_tokenizer(folder).get_added_tokens_decoder()
    assert [(found[index].content, found[index].special) for index in (14, 15)] == [("[E1]", True), ("[E2]", True)]


def test_added_tokens_of_tokenizer_json_are_used_for_berts_class(tmp_path: Path) -> None:
    """All of them, with their ids."""
    stored = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    stored.add_tokens(["[E1]", "[E2]"])
    stored.save(str(tmp_path / "tokenizer.json"))
    folder = write_files(tmp_path, tokenizer_config={"tokenizer_class": "BertTokenizer"})
    ids = load_tokenizer(folder).encode("[E2]a[E1]").ids
    assert ids == [2, 15, 5, 14, 3] == transformers.AutoTokenizer.from_pretrained(folder)("[E2]a[E1]")["input_ids"]


@pytest.mark.parametrize("are_text", [True, False])
def test_a_copy_for_text_finds_other_added_tokens_as_before(are_text: bool) -> None:
    """If special tokens are text already, they all stay text."""
    tokenizer = build_tokenizer([*PIECES, "[E1]"])
    tokenizer.add_special_tokens(["[E1]"])
    tokenizer.encode_special_tokens = are_text
    copy = without_special_tokens(tokenizer)
    assert copy.encode("a[E1]").ids == tokenizer.encode("a[E1]").ids
    assert (copy.encode("a[E1]").ids == [2, 5, 14, 3]) == (not are_text)


def test_the_settings_do_not_change_the_fields_of_the_files(tmp_path: Path) -> None:
    config = {"additional_special_tokens": ["[E1]"], "mask_token": "[MASK]"}
    special = {"additional_special_tokens": ["[E2]"], "mask_token": "<mask>"}
    files = TokenizerFiles.read(write_files(tmp_path, tokenizer_config=config, special_tokens_map=special))
    for _ in range(2):
        assert files.settings["mask_token"] == "<mask>"
    assert (files.config, files.special_tokens_map) == (config, special)


@pytest.mark.parametrize("stored", [True, False])
def test_without_a_class_and_a_model_the_stages_are_stored_or_those_of_bert(tmp_path: Path, stored: bool) -> None:
    folder = write_files(tmp_path, config={})
    if stored:
        build_tokenizer(PIECES, lowercase=False).save(str(folder / "tokenizer.json"))
    assert TokenizerFiles.read(folder).kind == ("stored" if stored else "bert")
    assert load_tokenizer(folder).encode("A").ids == [2, 7 if stored else 5, 3]


def test_a_file_in_the_cache_of_the_hub_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is missing is named by its checkpoint."""
    (cached := tmp_path / "vocab.txt").write_text("")
    monkeypatch.setattr(tokenizer_files, "fetch", lambda source, name: cached if name == "vocab.txt" else None)
    files = TokenizerFiles.read("some/model")
    assert (files.path("vocab.txt"), files.path("config.json")) == (str(cached), str(Path("some/model/config.json")))


@pytest.mark.parametrize(
    ("part", "difference"),
    [
        ({"model": {"max_input_chars_per_word": 5}}, "model.max_input_chars_per_word 100; this tokenizer has 5"),
        ({"model": {"continuing_subword_prefix": "@@"}}, 'model.continuing_subword_prefix "##"; this tokenizer has "@@"'),
        ({"normalizer": {"clean_text": False}}, "normalizer.clean_text true; this tokenizer has false"),
        ({"normalizer": None}, 'normalizer.type "BertNormalizer"; this tokenizer has null'),
        ({"pre_tokenizer": {"type": "Whitespace"}}, 'pre_tokenizer.type "BertPreTokenizer"; this tokenizer has "Whitespace"'),
        ({"post_processor": None}, "[CLS] A [SEP] B [SEP]; this tokenizer has a [UNK]"),
        ({"normalizer": {"lowercase": False}}, None),
        ({}, None),
    ],
)
def test_the_first_difference_to_bert_is_described(part: dict[str, Any], difference: str | None) -> None:
    """In JSON, as in tokenizer.json."""
    fields = json.loads(build_tokenizer(PIECES).to_str())
    changed = {name: value and fields[name] | value for name, value in part.items()}
    assert bert_difference(Tokenizer.from_str(json.dumps(fields | changed))) == difference


def test_an_id_of_a_billion_is_refused_at_once(tmp_path: Path) -> None:
    """The library would write a list with all ids up to it."""
    fields = json.loads(build_tokenizer(PIECES).to_str())
    fields["model"]["vocab"][PIECES[-1]] = 10**9
    start = time.monotonic()
    assert "has the id 1000000000; at most" in str(error_of(write_files(tmp_path, tokenizer=fields)))
    assert time.monotonic() - start < 3


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "[MASK]", "new", "\ud800", "5"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["content", "5", "14", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = ["do_lower_case", "strip_accents", "split_special_tokens", "tokenizer_class", "unk_token", "mask_token", "x_token"]
FIELDS += ["extra_special_tokens", "additional_special_tokens", "added_tokens_decoder", "model_specific_special_tokens"]


@given(
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3),
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=3),
    st.dictionaries(st.sampled_from(["a", "new", "[MASK]", ""]), anything, max_size=3),
    st.dictionaries(
        st.sampled_from(["added_tokens", "model", "normalizer", "post_processor", "version"]), anything, max_size=2
    ),
    booleans,
)
def test_any_values_are_accepted_or_refused(
    config: dict[str, Any], special: dict[str, Any], added: dict[str, Any], stored: dict[str, Any], with_stored: bool
) -> None:
    """Whatever the files contain, the result is a tokenizer or a ValueError."""
    fields = {"tokenizer": json.loads(build_tokenizer(PIECES).to_str()) | stored} if with_stored else {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_files(Path(temporary), tokenizer_config=config, special_tokens_map=special, added_tokens=added, **fields)
        with contextlib.suppress(ValueError):
            assert load_tokenizer(folder).encode("a").ids
