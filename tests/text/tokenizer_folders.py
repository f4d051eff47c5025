"""Strategies for tests of tokenizers: folders with the files of a BERT tokenizer, in many combinations of settings."""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

PIECES = [
    "",
    "a",
    "A",
    "##b",
    "##B",
    "é",
    "e",
    "##é",
    "中",
    "国",
    "##国",
    "中国",
    "!",
    "new",
    "##new",
    "hug",
    "##ging",
    "\u0301",
]
NAMES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
OTHER_NAMES = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "MASK"}
WORDS = ["[E1]", "[E2]", "New", "NEWS", "é", "中国", "hug", "<x>", " s ", "aB", "[new]"]
"""Contents of added tokens: with and without capitals, accents and spaces, in the vocabulary or not."""

STRINGS = [
    "",
    "a ab Ab AB é É ÉB e\u0301 hugging HUGGING",
    "中国 中 国a a中国b",
    "[MASK] [mask] MASK mask <mask>a [PAD][UNK] [CLS] [SEP] <s> </s> <pad> <unk>",
    "[E1]a[E2] [e1] New new NEWS news newS [new] [NEW] anew new! <x> s  s as ",
    "aB ab!aB !  é aé éa",
    "\x00a\u200bb\u00adb \ufeffa\ufffd zz\u3000a\ta\r\nb",
    "a" * 101,
    "\U0010fffd \U0001f600 ﬁ İ ß ẞ",
]
"""Hostile strings."""

booleans = st.booleans()


@st.composite
def added_tokens(draw: st.DrawFn, first_id: int) -> dict[int, AddedToken]:
    """Draw added tokens with their ids: consecutive ones after the vocabulary."""
    words = draw(st.lists(st.sampled_from([word for word in WORDS if word not in PIECES]), max_size=3, unique=True))
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {
        first_id + number: AddedToken(word, **{flag: draw(booleans) for flag in flags}) for number, word in enumerate(words)
    }


def fields_of(token: AddedToken) -> dict[str, Any]:
    """Return the fields of an added token as in a file."""
    names = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
    return {name: getattr(token, name) for name in names}


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str]:
    """Draw the contents of the files, by name. Most combinations are valid for transformers."""
    names = draw(st.sampled_from([NAMES, NAMES, OTHER_NAMES]))
    vocabulary = draw(st.permutations([*names.values(), *draw(st.lists(st.sampled_from(PIECES), unique=True))]))
    added = draw(added_tokens(len(vocabulary)))
    config: dict[str, Any] = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "do_lower_case": booleans,
                "strip_accents": st.sampled_from([None, True, False]),
                "tokenize_chinese_chars": booleans,
                "split_special_tokens": booleans,
                "never_split": st.just(["a", "[E1]"]),
                "do_basic_tokenize": booleans,
                "model_max_length": st.sampled_from([4, 512, 10**30]),
                "padding_side": st.sampled_from(["left", "right"]),
                "additional_special_tokens": st.lists(st.sampled_from(WORDS), max_size=2, unique=True),
                "extra_special_tokens": st.lists(st.sampled_from(WORDS), max_size=2, unique=True)
                | st.just({"image_token": "<x>"}),
                "mask_token": st.none(),
                "pad_token": st.none(),
                "eos_token": st.sampled_from(["</s>", "[E2]"]),
                "entity_token": st.sampled_from([*WORDS, {"content": "[E1]"}, {"content": "[E1]", "__type": "AddedToken"}]),
                "model_specific_special_tokens": st.sampled_from([{}, {"image_token": "[E2]"}, {"other_token": "New"}]),
            },
        )
    )
    files: dict[str, Any] = {"vocab.txt": "".join(f"{piece}\n" for piece in vocabulary)}
    stored_class = draw(st.sampled_from([None, None, "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast"]))
    if stored_class is not None:
        config["tokenizer_class"] = stored_class
    if draw(booleans) or stored_class is None:
        files["config.json"] = {"model_type": "bert"}
    special_tokens = names if names is OTHER_NAMES or draw(booleans) else {}
    if draw(booleans):
        special_tokens = {
            name: fields_of(AddedToken(token, lstrip=name == "mask_token", special=True))
            for name, token in special_tokens.items()
        }
        config |= {name: fields | {"__type": "AddedToken"} for name, fields in special_tokens.items() if name not in config}
    else:
        config = special_tokens | config
    if draw(booleans):
        files["special_tokens_map.json"] = special_tokens | draw(
            st.sampled_from([{}, {"additional_special_tokens": ["[E1]"]}, {"extra_special_tokens": ["[E2]"]}])
        )
    if draw(booleans):
        config["added_tokens_decoder"] = {str(index): fields_of(token) for index, token in added.items()}
    if draw(booleans):
        files["added_tokens.json"] = {token.content: index for index, token in added.items()}
    if draw(booleans) or stored_class == "PreTrainedTokenizerFast":
        files["tokenizer.json"] = json.loads(draw(stored_tokenizers(vocabulary, names, added)).to_str())
        if draw(booleans):
            del files["vocab.txt"]
    if draw(st.integers(0, 9)):
        files["tokenizer_config.json"] = config
    else:
        files["config.json"] = {"model_type": "bert"}
    return {name: content if isinstance(content, str) else json.dumps(content) for name, content in files.items()}


@st.composite
def stored_tokenizers(draw: st.DrawFn, vocabulary: list[str], names: dict[str, str], added: dict[int, AddedToken]) -> Tokenizer:
    """Draw the tokenizer of a tokenizer.json: padding, truncation and stages may differ from tokenizer_config.json."""
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=names["unk_token"]))
    tokenizer.normalizer = draw(
        st.sampled_from([None, normalizers.BertNormalizer(), normalizers.BertNormalizer(lowercase=False), normalizers.NFC()])
    )
    tokenizer.pre_tokenizer = draw(st.sampled_from([pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Whitespace()]))
    sep, cls = ((names[name], ids[names[name]]) for name in ("sep_token", "cls_token"))
    tokenizer.post_processor = draw(st.sampled_from([None, processors.BertProcessing(sep, cls)]))
    if draw(booleans):
        tokenizer.add_special_tokens(list(names.values()))
    tokenizer.add_tokens(list(added.values()))
    if draw(booleans):
        tokenizer.enable_padding(length=12, pad_id=ids[names["pad_token"]], pad_token=names["pad_token"])
        tokenizer.enable_truncation(4)
    return tokenizer


def write(files: dict[str, str], directory: Path) -> Path:
    """Write the files of a folder."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content, encoding="utf-8")
    return directory
