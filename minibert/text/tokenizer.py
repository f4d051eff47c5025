"""The tokenizers of BERT, GPT-2, RoBERTa and T5, built with Hugging Face's `tokenizers`: their stages, tokens and files."""

import json
from collections.abc import Collection, Mapping, Sequence
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from minibert.files import write_atomically
from minibert.text.byte_alphabet import BYTE_LETTERS, Merge, byte_pair_vocabulary
from minibert.text.tokenizer_files import (
    ADDED_TOKENS,
    CONFIG_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
)

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SETTINGS = {"pad_token": PAD, "unk_token": UNK, "cls_token": CLS, "sep_token": SEP, "mask_token": MASK}
"""Names of the special tokens in tokenizer_config.json, and BERT's."""
END_OF_TEXT = "<|endoftext|>"
"""GPT-2's token between two documents."""
GPT2_TOKENS = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
ROBERTA_TOKENS = {
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
    "cls_token": "<s>",
    "sep_token": "</s>",
}
ALBERT_TOKENS = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
T5_TOKENS = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
"""Special tokens of GPT-2, RoBERTa, ALBERT and T5, if the files do not name them. Ids of new tokens follow this order."""
SPACE = "▁"
"""The sign for a space in SentencePiece, before the first piece of a word."""


def sentinel(number: int) -> str:
    """Return the token in place of a removed span of T5."""
    return f"<extra_id_{number}>"


def sentinels(tokenizer: Tokenizer) -> list[str]:
    """Return all tokens for removed spans that a tokenizer has, in order."""
    return [*takewhile(lambda token: tokenizer.token_to_id(token) is not None, map(sentinel, count()))]


def bert_normalizer(
    lowercase: bool = True, strip_accents: bool | None = None, handle_chinese_chars: bool = True
) -> normalizers.Normalizer:
    """Create BERT's normalizer: remove control characters, put spaces around CJK characters.

    With `lowercase`, it also lowercases the text and, unless `strip_accents` is False, strips accents.
    """
    return normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=handle_chinese_chars
    )


def bert_pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Create BERT's pre-tokenizer: split text into words at white space, and make each punctuation character a word."""
    return pre_tokenizers.BertPreTokenizer()


def build_tokenizer(vocabulary: Sequence[str], lowercase: bool = True) -> Tokenizer:
    """Build a tokenizer from a WordPiece vocabulary. The id of a token is its index in `vocabulary`.

    The tokenizer adds [CLS] before the first segment and [SEP] after each segment.

    Raises: ValueError if the vocabulary does not contain all special tokens.

    >>> build_tokenizer([*SPECIAL_TOKENS, "hug", "##s"]).encode("Hugs!").tokens
    ['[CLS]', 'hug', '##s', '[UNK]', '[SEP]']
    """
    ids = {token: index for index, token in enumerate(vocabulary)}
    if missing := [token for token in SPECIAL_TOKENS if token not in ids]:
        raise ValueError(f"the vocabulary has no {', '.join(missing)}")
    tokenizer = bert_stages(ids, bert_normalizer(lowercase), UNK)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.BertProcessing((SEP, ids[SEP]), (CLS, ids[CLS]))
    return tokenizer


def bert_stages(ids: dict[str, int], normalizer: normalizers.Normalizer, unk_token: str) -> Tokenizer:
    """Build BERT's tokenizer without special tokens around a text."""
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unk_token, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = bert_pre_tokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_level_pre_tokenizer(add_prefix_space: bool = False) -> pre_tokenizers.PreTokenizer:
    """Create GPT-2's pre-tokenizer: split text into words by GPT-2's pattern, and write their bytes as letters."""
    return pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)


def build_byte_pair_tokenizer(merges: Sequence[Merge], names: Mapping[str, str] = ROBERTA_TOKENS) -> Tokenizer:
    """Build a tokenizer of byte-level BPE from its merges, for example those of `train_byte_pairs`.

    Args:
        merges: pairs of tokens, in the order in which they are merged.
        names: special tokens by the names of their settings, `ROBERTA_TOKENS`, `GPT2_TOKENS` or `T5_TOKENS`. Their ids are
            0, 1, 2 …, those of the 256 bytes follow, and then those of the merged tokens. With a `cls_token`, texts become
            `<s> A </s>`, and pairs `<s> A </s></s> B </s>`. With T5's tokens, texts end with `</s>`. With those of GPT-2,
            nothing is added.

    >>> build_byte_pair_tokenizer([("h", "u"), ("hu", "g")]).encode("hugs").tokens
    ['<s>', 'hug', 's', '</s>']
    """
    ids = {token: index for index, token in enumerate(byte_pair_vocabulary(merges, names.values()))}
    tokenizer = Tokenizer(models.BPE(ids, list(merges)))
    tokenizer.pre_tokenizer = byte_level_pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    mask = names.get("mask_token")  # it includes the space before it, so that the next word begins with one
    tokenizer.add_special_tokens([AddedToken(token, lstrip=token == mask) for token in dict.fromkeys(names.values())])
    if "eos_token" in names and "bos_token" not in names:  # T5 has a token at the end of a text, and none at its start
        tokenizer.post_processor = end_processor(tokenizer, names["eos_token"])
    if "cls_token" in names:
        tokenizer.post_processor = roberta_processor(tokenizer, names["sep_token"], names["cls_token"])
    name_special_tokens(tokenizer, {bert: names[name] for name, bert in SETTINGS.items() if name in names})
    return tokenizer


def roberta_processor(
    tokenizer: Tokenizer, sep: str, cls: str, trim_offsets: bool = True, add_prefix_space: bool = False
) -> processors.PostProcessor:
    """Create RoBERTa's post-processor, which puts special tokens around one text or two."""
    tokens = (sep, token_id(tokenizer, sep)), (cls, token_id(tokenizer, cls))
    return processors.RobertaProcessing(*tokens, trim_offsets=trim_offsets, add_prefix_space=add_prefix_space)


def end_processor(tokenizer: Tokenizer, end: str) -> processors.PostProcessor:
    """Create T5's post-processor, which puts the end token after each text."""
    return processors.TemplateProcessing(
        single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, token_id(tokenizer, end))]
    )


def special_token(tokenizer: Tokenizer, name: str) -> str:
    """Return the special token that BERT calls `name`. Some vocabularies have other names, such as <mask> for [MASK].

    The post-processor knows the other names: it is a template of BERT's names, with the tokens that they stand for.
    """
    parts = processor_parts(tokenizer)
    template = {key: value for part in parts for key, value in part.get("special_tokens", {}).items()}
    token: str = template[name]["tokens"][0] if name in template else name
    return token


def processor_parts(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Return the fields of the post-processor, or of each post-processor in a sequence."""
    if tokenizer.post_processor is None:
        return []
    fields = json.loads(tokenizer.post_processor.__getstate__())
    parts: list[dict[str, Any]] = fields.get("processors", [fields])
    return parts


def token_id(tokenizer: Tokenizer, name: str) -> int:
    """Return the id of a special token, by BERT's name, or of any other token.

    Raises: ValueError if the vocabulary does not contain it.
    """
    token = special_token(tokenizer, name)
    index = tokenizer.token_to_id(token)
    if index is None:
        raise ValueError(f"the tokenizer has no {token}")
    return index


def check_id(tokenizer: Tokenizer, largest: int, embeddings: int) -> None:
    """Raise ValueError if the model has no embedding for the largest id of a text: the tokenizer is another model's."""
    if largest >= embeddings:
        raise ValueError(
            f"the tokenizer gives {tokenizer.id_to_token(largest)!r} the id {largest}, but the model has only {embeddings} "
            "embeddings. Does the tokenizer belong to another model?"
        )


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Return the largest id plus 1: the number of embeddings of a model. Ids in between may have no token."""
    return max(tokenizer.get_vocab().values()) + 1


def without_special_tokens(tokenizer: Tokenizer, others: Collection[str] = ()) -> Tokenizer:
    """Return a copy for text in which [MASK] is not a special token, but a word in brackets.

    The copy adds [CLS] and [SEP] as before. Added tokens without a role in BERT are found as before.

    Args:
        others: more tokens that are words of a text.
    """
    fields = json.loads(tokenizer.to_str())
    names = {special_token(tokenizer, name) for name in SPECIAL_TOKENS} | {*others}
    if not tokenizer.encode_special_tokens:
        for token in fields["added_tokens"]:
            token["special"] = token["content"] in names
    copy = Tokenizer.from_str(json.dumps(fields))
    copy.encode_special_tokens = True
    return copy


def save_tokenizer(tokenizer: Tokenizer, directory: str | Path, max_length: int | None = None) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `vocab.txt`, from which transformers computes the same ids.

    Args:
        max_length: number of positions of the model. transformers truncates texts to it on request.
    """
    fields = json.loads(tokenizer.to_str())
    tokens = {name: special_token(tokenizer, token) for name, token in SETTINGS.items()}
    added = {token["content"] for token in fields["added_tokens"]}
    tokens = {name: token for name, token in tokens.items() if token in added}
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}
    if len(tokens) == len(SETTINGS) and bert_difference(tokenizer) is None:
        normalizer = fields["normalizer"]
        config |= {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": normalizer["lowercase"],
            "strip_accents": normalizer["strip_accents"],
            "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        }
    elif byte_level_difference(tokenizer) is None:
        config |= _byte_level_config(tokenizer)
    elif END_OF_TEXT in added:
        config |= {"bos_token": END_OF_TEXT, "eos_token": END_OF_TEXT}
    config["split_special_tokens"] = tokenizer.encode_special_tokens
    config[ADDED_TOKENS] = {
        str(token["id"]): {name: value for name, value in token.items() if name != "id"} for token in fields["added_tokens"]
    }
    if max_length is not None:
        config["model_max_length"] = max_length
    write_atomically(Path(directory) / TOKENIZER_FILE, tokenizer.to_str(pretty=True))
    write_atomically(Path(directory) / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
    write_atomically(Path(directory) / VOCABULARY_FILE, _vocabulary_lines(tokenizer))


def _byte_level_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the class of a tokenizer of byte-level BPE and its settings; nothing if it is neither RoBERTa's nor GPT-2's."""
    add_prefix_space = json.loads(tokenizer.pre_tokenizer.__getstate__())["add_prefix_space"]
    for part in processor_parts(tokenizer):
        if part["type"] == "RobertaProcessing":
            trim_offsets, (cls, _), (sep, _) = part["trim_offsets"], part["cls"], part["sep"]
            names = {"bos_token": cls, "eos_token": sep, "trim_offsets": trim_offsets}
            return {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": add_prefix_space, **names}
    end = special_token(tokenizer, UNK)
    if tokenizer.token_to_id(end) is None or tokenizer.num_special_tokens_to_add(is_pair=True) > 0:
        return {}
    return {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": add_prefix_space, "bos_token": end, "eos_token": end}


def _vocabulary_lines(tokenizer: Tokenizer) -> str:
    """Return the vocabulary without added tokens, one token per line. The line of an id without a token is empty."""
    ids = tokenizer.get_vocab(with_added_tokens=False)
    lines = [""] * (max(ids.values(), default=-1) + 1)
    for token, index in ids.items():
        lines[index] = token
    return "".join(f"{line}\n" for line in lines)


def name_special_tokens(tokenizer: Tokenizer, names: Mapping[str, str]) -> None:
    """Store in the post-processor the special tokens that have other names than BERT's, for `special_token`."""
    others = {name: token for name, token in names.items() if token != name}
    processor = tokenizer.post_processor or processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    template = json.loads(processor.__getstate__())
    if not others or template["type"] not in ("TemplateProcessing", "BertProcessing", "RobertaProcessing"):
        return
    first = []
    if template["type"] == "RobertaProcessing":  # it has no names, but trims offsets: a template that adds nothing follows it
        first = [processor]
        processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
        template = json.loads(processor.__getstate__())
    if template["type"] == "BertProcessing":
        (sep, sep_id), (cls, cls_id) = template["sep"], template["cls"]
        tokens = [{"id": CLS, "ids": [cls_id], "tokens": [cls]}, {"id": SEP, "ids": [sep_id], "tokens": [sep]}]
        processor = processors.TemplateProcessing(
            single=f"{CLS} $A {SEP}", pair=f"{CLS} $A {SEP} $B:1 {SEP}:1", special_tokens=tokens
        )
        template = json.loads(processor.__getstate__())
    for name, token in others.items():
        template["special_tokens"][name] = {"id": name, "ids": [tokenizer.token_to_id(token)], "tokens": [token]}
    processor.__setstate__(json.dumps(template).encode())
    tokenizer.post_processor = processors.Sequence([*first, processor]) if first else processor


def bert_difference(tokenizer: Tokenizer) -> str | None:
    """Return the first part of a tokenizer that differs from BERT's, or None.

    The vocabulary, the names of the special tokens, lowercasing, accents and the treatment of CJK characters may differ.
    """
    free = ("vocab", "unk_token", "lowercase", "strip_accents", "handle_chinese_chars")
    if difference := _difference(tokenizer, build_tokenizer(SPECIAL_TOKENS), free):
        return difference
    cls, sep = (tokenizer.token_to_id(special_token(tokenizer, name)) for name in (CLS, SEP))
    a, b = (tokenizer.encode(text, add_special_tokens=False).ids for text in "ab")
    if tokenizer.encode("a", "b").ids != [cls, *a, sep, *b, sep] or tokenizer.encode("a").ids != [cls, *a, sep]:
        return f"{CLS} A {SEP} B {SEP}; this tokenizer has {' '.join(tokenizer.encode('a', 'b').tokens)}"
    return None


def byte_level_difference(tokenizer: Tokenizer) -> str | None:
    """Return the first part of a tokenizer that differs from byte-level BPE as in GPT-2 and RoBERTa, or None.

    The vocabulary, the merges, the special tokens, the post-processor and `add_prefix_space` may differ.
    """
    free = ("vocab", "merges", "unk_token", "fuse_unk", "add_prefix_space", "trim_offsets")
    if difference := _difference(tokenizer, build_byte_pair_tokenizer([], GPT2_TOKENS), free):
        return difference
    missing = [letter for letter in BYTE_LETTERS if tokenizer.model.token_to_id(letter) is None]
    return f"a token for each byte; this tokenizer has none for {', '.join(missing[:3])}" if missing else None


def _difference(tokenizer: Tokenizer, reference: Tokenizer, free: Collection[str]) -> str | None:
    """Return the first setting of the model, the normalizer and the pre-tokenizer that differs and is not free, or None."""
    fields, expected = json.loads(tokenizer.to_str()), json.loads(reference.to_str())
    for part in ("model", "normalizer", "pre_tokenizer"):
        found = fields[part] or {"type": None}
        for name, value in (expected[part] or {"type": None}).items():
            if name not in free and (found.get(name) or None) != (value or None):
                return f"{part}.{name} {json.dumps(value)}; this tokenizer has {json.dumps(found.get(name))}"
    return None
