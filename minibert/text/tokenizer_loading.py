"""Loading a tokenizer from the files of a checkpoint, as transformers does."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from minibert.text.tokenizer import (
    ALBERT_TOKENS,
    GPT2_TOKENS,
    ROBERTA_TOKENS,
    SETTINGS,
    SPACE,
    T5_TOKENS,
    bert_normalizer,
    bert_stages,
    end_processor,
    name_special_tokens,
    roberta_processor,
    token_id,
)
from minibert.text.tokenizer_files import (
    CONFIG_FILE,
    MAX_VOCABULARY_SIZE,
    NAMED_TOKENS,
    TOKENIZER_FILE,
    TokenizerFiles,
    parse_tokenizer,
    precompiled_charsmap,
    tokenizer_errors,
)

Scheme = Literal["always", "never"]
"""SentencePiece puts a space before the first word of a text: always or never."""


def load_tokenizer(source: str | Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint, given as a folder or a hub id. The ids are those of transformers' AutoTokenizer.

    The vocabulary comes from `tokenizer.json`, or else from `vocab.txt`; `tokenizer_files` describes everything else. The
    tokenizer neither pads nor truncates, even if `tokenizer.json` says so.

    Raises: FileNotFoundError if there is no tokenizer; ValueError, naming the file, for one that is damaged or not supported.
    """
    files = TokenizerFiles.read(source)
    named, added = files.named_tokens(), files.added_tokens()
    match files.kind:
        case "bert":
            tokenizer, named = _bert(files, named, added)
        case "gpt2":
            tokenizer, named = _byte_pairs(files, GPT2_TOKENS)
        case "roberta":
            tokenizer, named = _byte_pairs(files, ROBERTA_TOKENS, post_processor=None)
            tokenizer.decoder = decoders.ByteLevel()
        case "albert":
            tokenizer, named = _albert(files)
        case "t5":
            tokenizer, named = _t5(files)
        case "stored":
            tokenizer = parse_tokenizer(files.stored_fields, files.path(TOKENIZER_FILE))
            if (padding := tokenizer.padding) and padding["pad_token"] and "pad_token" not in files.settings:
                named["pad_token"] = AddedToken(padding["pad_token"], special=True)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = files.setting("split_special_tokens", False)
    ordered = [named[name] for name in dict.fromkeys([*NAMED_TOKENS, *named]) if name in named]
    _add_tokens(tokenizer, added, ordered, files.extra_tokens(), files.vocabulary_path)
    if files.kind == "bert":
        sep, cls = named["sep_token"].content, named["cls_token"].content
        tokenizer.post_processor = processors.BertProcessing((sep, token_id(tokenizer, sep)), (cls, token_id(tokenizer, cls)))
    if files.kind == "roberta":
        settings = files.setting("trim_offsets", True), files.setting("add_prefix_space", False)
        sep, cls = named["sep_token"].content, named["cls_token"].content
        tokenizer.post_processor = roberta_processor(tokenizer, sep, cls, *settings)
    name_special_tokens(tokenizer, {bert: named[name].content for name, bert in SETTINGS.items() if name in named})
    _check_encoding(tokenizer, files.vocabulary_path)
    return tokenizer


def _bert(
    files: TokenizerFiles, named: dict[str, AddedToken], added: Mapping[int, AddedToken]
) -> tuple[Tokenizer, dict[str, AddedToken]]:
    """Create BERT's tokenizer from a vocabulary and tokenizer_config.json, and complete the named special tokens."""
    normalizer = bert_normalizer(
        files.setting("do_lower_case", True),
        files.setting("strip_accents", None),
        files.setting("tokenize_chinese_chars", True),
    )
    ids = files.vocabulary()
    words = set(ids) - {token.content for token in named.values()}
    if "do_lower_case" not in files.config and any(word[:1].isupper() for word in words):
        warnings.warn(
            f"{files.vocabulary_path}: has tokens with capital letters, but text is lowercased, because {CONFIG_FILE} has no "
            "do_lower_case",
            stacklevel=3,
        )
    defaults = {name: token for name, token in SETTINGS.items() if name not in files.settings}
    known = {*ids, *(token.content for token in added.values())}
    for name, token in defaults.items():
        if token not in known:
            raise ValueError(f"{files.vocabulary_path}: has no {token}. If it has another name, set {name} in {CONFIG_FILE}")
    complete = {name: AddedToken(token, special=True) for name, token in defaults.items()} | named
    for name in ("unk_token", "cls_token", "sep_token"):
        if name not in complete:
            raise ValueError(f"{files.path(CONFIG_FILE)}: {name} must not be null")
    unknown = complete["unk_token"].content
    if unknown not in ids:
        raise ValueError(f"{files.vocabulary_path}: has no {unknown}, the token for unknown words")
    return bert_stages(ids, normalizer, unknown), complete


def _byte_pairs(files: TokenizerFiles, defaults: Mapping[str, str], **stages: Any) -> tuple[Tokenizer, dict[str, AddedToken]]:
    """Create a tokenizer of byte pairs: the vocabulary and merges of the files, and the stages of GPT-2.

    Args:
        defaults: special tokens that the files need not name.
        stages: other stages than those of tokenizer.json.
    """
    fields = files.byte_pairs()
    model = {name: fields.get("model", {}).get(name) for name in ("type", "vocab", "merges")}
    pre_tokenizer = {"type": "ByteLevel", "trim_offsets": True, "add_prefix_space": files.setting("add_prefix_space", False)}
    stages |= {"model": model, "normalizer": None, "pre_tokenizer": pre_tokenizer, "added_tokens": []}
    return parse_tokenizer(fields | stages, files.vocabulary_path), _with_defaults(files, defaults)


def _albert(files: TokenizerFiles) -> tuple[Tokenizer, dict[str, AddedToken]]:
    """Create ALBERT's tokenizer: the vocabulary of tokenizer.json with its probabilities, and the stages of ALBERT."""
    stages: list[normalizers.Normalizer] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not files.setting("keep_accents", False):
        stages += [normalizers.NFKD(), normalizers.StripAccents()]
    if files.setting("do_lower_case", True):
        stages.append(normalizers.Lowercase())
    scheme: Scheme = "always" if files.setting("add_prefix_space", True) else "never"
    return _sentence_pieces(files, 1, stages, scheme), _with_defaults(files, ALBERT_TOKENS)


def _t5(files: TokenizerFiles) -> tuple[Tokenizer, dict[str, AddedToken]]:
    """Create T5's tokenizer: the vocabulary of tokenizer.json with its probabilities, and the end token after each text."""
    named = _with_defaults(files, T5_TOKENS)
    tokenizer = _sentence_pieces(files, 2)
    with tokenizer_errors(f"{files.path(TOKENIZER_FILE)}: is not a tokenizer that can be used"):
        tokenizer.post_processor = end_processor(tokenizer, named["eos_token"].content)
    return tokenizer, named


def _sentence_pieces(
    files: TokenizerFiles, unknown_id: int, stages: Sequence[normalizers.Normalizer] = (), scheme: Scheme = "always"
) -> Tokenizer:
    """Create a tokenizer of SentencePiece from the vocabulary, the table of characters and the post-processor of a file.

    Args:
        unknown_id: id of the token for unknown text.
        stages: normalizers before the table of characters.
        scheme: whether the first word of a text has a space before it.
    """
    path, fields = files.path(TOKENIZER_FILE), files.stored_fields
    metaspace = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    with tokenizer_errors(f"{path}: is not a tokenizer that can be used"):
        if fields.get("model", {}).get("type") != "Unigram":
            raise ValueError("has no vocabulary with probabilities (Unigram)")
        pieces = [(piece, score) for piece, score in fields["model"]["vocab"]]
        tokenizer = Tokenizer(models.Unigram(pieces, unknown_id, False))
        charsmap = precompiled_charsmap(fields.get("normalizer"))
        table = [] if charsmap is None else [normalizers.Precompiled(charsmap)]
        processor = parse_tokenizer(fields | {"normalizer": None, "pre_tokenizer": None}, path).post_processor
    tokenizer.normalizer = normalizers.Sequence([*stages, *table])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    tokenizer.post_processor = processor
    return tokenizer


def _with_defaults(files: TokenizerFiles, defaults: Mapping[str, str]) -> dict[str, AddedToken]:
    """Return the special tokens that the files name, and those of an architecture for the other ones."""
    missing = {name: AddedToken(token, special=True) for name, token in defaults.items() if name not in files.settings}
    return missing | files.named_tokens()


def _add_tokens(
    tokenizer: Tokenizer,
    added: Mapping[int, AddedToken],
    named: Sequence[AddedToken],
    extra: Sequence[AddedToken],
    path: str,
) -> None:
    """Add tokens in the order of transformers: those with an id, and the special tokens that are not among them.

    Raises: ValueError if a token gets another id than the files say, or one that another token has.
    """
    names = {token.content for token in named}
    for token in added.values():
        token.special = token.special or token.content in names
    new = [token for _, token in sorted(added.items())]
    known = {token.content for token in (*tokenizer.get_added_tokens_decoder().values(), *new)}
    tokenizer.add_tokens(new + [token for token in (*named, *extra) if token.content not in known])
    for index, token in added.items():
        if (found := tokenizer.token_to_id(token.content)) != index:
            raise ValueError(f"{path}: the added token {token.content!r} gets the id {found}, not {index} as its file says")
    owners: dict[int, str] = {}
    for content, index in tokenizer.get_vocab().items():
        if index in owners:
            raise ValueError(f"{path}: {owners[index]!r} and {content!r} have the same id {index}")
        owners[index] = content
    if max(owners, default=-1) >= MAX_VOCABULARY_SIZE:
        raise ValueError(f"{path}: has the id {max(owners)}; at most {MAX_VOCABULARY_SIZE:,} are supported")


def _check_encoding(tokenizer: Tokenizer, path: str) -> None:
    """Raise ValueError if the tokenizer fails on a text with an unknown word."""
    with tokenizer_errors(f"{path}: cannot encode a text"):
        tokenizer.encode("a\U0010fffd", "b")
