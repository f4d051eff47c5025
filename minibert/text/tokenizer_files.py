"""Files of a tokenizer: what their settings mean. The rules are those of transformers 5, so that both compute the same ids.

`tokenizer_config.json` names the class of the tokenizer. For BERT's class, the normalizer, the pre-tokenizer and the
post-processor of `tokenizer.json` are ignored: they follow from `tokenizer_config.json`. The generic class uses
`tokenizer.json` as it is.
"""

import json
from base64 import b64decode
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal, TypeVar

from tokenizers import AddedToken, Tokenizer, models

from minibert.files import read_json
from minibert.hub import fetch

TOKENIZER_FILE, CONFIG_FILE, VOCABULARY_FILE = "tokenizer.json", "tokenizer_config.json", "vocab.txt"
BYTE_PAIR_FILES = ("vocab.json", "merges.txt")
"""The vocabulary and the merges of byte-level BPE, in checkpoints without tokenizer.json."""
SENTENCEPIECE_FILE = "spiece.model"
SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE = "special_tokens_map.json", "added_tokens.json"

Kind = Literal["bert", "stored", "gpt2", "roberta", "albert", "t5"]
"""Origin of the stages. stored: from tokenizer.json. Others: those of this architecture, with the settings of
tokenizer_config.json."""

CLASSES: dict[str, Kind] = {
    **dict.fromkeys(("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"), "bert"),
    **dict.fromkeys(("LayoutLMTokenizer", "LxmertTokenizer", "SqueezeBertTokenizer"), "bert"),
    **dict.fromkeys(("PreTrainedTokenizer", "TokenizersBackend"), "stored"),
    "GPT2Tokenizer": "gpt2",
    "RobertaTokenizer": "roberta",
    "AlbertTokenizer": "albert",
    "T5Tokenizer": "t5",
}
"""Supported values of `tokenizer_class`, without the suffix "Fast"."""
MODEL_TYPES: dict[str, Kind] = {
    **dict.fromkeys(("bert", "distilbert", "electra", "mobilebert", "layoutlm", "lxmert", "squeezebert"), "bert"),
    **dict.fromkeys(("convbert", "ernie", "megatron-bert", "nomic_bert", "visual_bert"), "bert"),
    "gpt2": "gpt2",
    "roberta": "roberta",
    "albert": "albert",
    **dict.fromkeys(("t5", "mt5"), "t5"),
}
"""Kinds for values of `model_type` in config.json, if no file names a class. Other models have tokenizers of their own."""

NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Settings that name a special token, in the order in which missing ones are added to the vocabulary."""
ADDED_TOKENS, EXTRA_TOKENS, ADDITIONAL_TOKENS = "added_tokens_decoder", "extra_special_tokens", "additional_special_tokens"
OTHER_TOKENS = "model_specific_special_tokens"
LONGEST_REPLACEMENT = 64
"""Largest number of bytes by which SentencePiece's table may replace a character; the longest of Unicode has 33."""
STAGES = {
    *("Sequence", "BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Strip", "StripAccents"),
    *("BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "UnicodeScripts"),
    *("Whitespace", "WhitespaceSplit"),
}
"""Supported normalizers and pre-tokenizers; also replacements, if they make no text longer (`_cannot_grow`). Others contain
expressions with which a short text takes hours."""
UNSUPPORTED = ("auto_map", "fast_tokenizer_files", "init_inputs", "vocab")
"""Settings of tokenizer_config.json that would load other code or another vocabulary."""

TOKEN_FIELDS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
"""Fields of an added token."""

MAX_VOCABULARY_SIZE = 2**24
"""Upper limit of the ids. A model with more embeddings would not fit in memory."""

OptionalBool = TypeVar("OptionalBool", bool, None)


def has_tokenizer(source: str | Path) -> bool:
    """Return True if a checkpoint has a tokenizer."""
    alternatives = (TOKENIZER_FILE,), (VOCABULARY_FILE,), BYTE_PAIR_FILES
    return any(all(fetch(source, name) is not None for name in names) for names in alternatives)


@dataclass(frozen=True)
class TokenizerFiles:
    """The contents of the files of a tokenizer."""

    source: str | Path
    stored: dict[str, Any] | None
    """Fields of tokenizer.json."""
    config: dict[str, Any]
    """Fields of tokenizer_config.json."""
    special_tokens_map: dict[str, Any]
    """Fields of special_tokens_map.json."""
    added_ids: dict[str, Any]
    """Ids of the added tokens, from added_tokens.json."""
    model_config: dict[str, Any]
    """Fields of config.json, the config of the model."""

    @classmethod
    def read(cls, source: str | Path) -> "TokenizerFiles":
        """Read the files that matter.

        special_tokens_map.json and added_tokens.json are not needed if tokenizer_config.json has an added_tokens_decoder, and
        config.json is not if it has a tokenizer_class.

        Raises: FileNotFoundError if there is no tokenizer, ValueError, naming the file, if one cannot be read.
        """
        stored = fetch_json(source, TOKENIZER_FILE)
        if not has_tokenizer(source):
            files = f"{TOKENIZER_FILE}, {VOCABULARY_FILE}, or {' with '.join(BYTE_PAIR_FILES)}"
            if fetch(source, SENTENCEPIECE_FILE) is None:
                raise FileNotFoundError(f"{source}: has no tokenizer: {files}")
            raise ValueError(
                f"{source}: has no tokenizer: {files}. {SENTENCEPIECE_FILE} alone is not read: load it with transformers and "
                f"save it as {TOKENIZER_FILE}"
            )
        if stored is not None:
            vocabulary = {"model": stored.get("model"), "added_tokens": stored.get("added_tokens") or []}
            parse_tokenizer(vocabulary, str(fetch(source, TOKENIZER_FILE)))
        config = fetch_json(source, CONFIG_FILE) or {}
        needed = [ADDED_TOKENS not in config, ADDED_TOKENS not in config, not config.get("tokenizer_class")]
        names = zip((SPECIAL_TOKENS_FILE, ADDED_TOKENS_FILE, "config.json"), needed, strict=True)
        return cls(source, stored, config, *((fetch_json(source, name) if need else None) or {} for name, need in names))

    @property
    def kind(self) -> Kind:
        """Origin of the stages. Raises: ValueError for a class or a setting that is not supported."""
        for name in UNSUPPORTED:
            if self.config.get(name):
                raise ValueError(f"{self.path(CONFIG_FILE)}: {name} is not supported")
        for file, fields in ((CONFIG_FILE, self.config), ("config.json", self.model_config)):
            if class_name := fields.get("tokenizer_class"):
                kind = CLASSES.get(str(class_name).removesuffix("Fast"))
                if kind is None:
                    raise ValueError(
                        f"{self.path(file)}: tokenizer_class {short(class_name)} is not supported, only {', '.join(CLASSES)}. "
                        "Its ids would be wrong with another class"
                    )
                return kind
        if (model_type := self.model_config.get("model_type")) is None:
            return "bert" if self.stored is None else "stored"
        kind = MODEL_TYPES.get(str(model_type))
        if kind is None:
            raise ValueError(
                f"{self.path('config.json')}: the tokenizer of model_type {short(model_type)} is not supported, only of "
                f"{', '.join(MODEL_TYPES)}. If it has another one, set tokenizer_class in {CONFIG_FILE}"
            )
        return kind

    @property
    def vocabulary_path(self) -> str:
        """Path of the file with the vocabulary, for messages."""
        names = TOKENIZER_FILE, VOCABULARY_FILE, *BYTE_PAIR_FILES
        return self.path(next(name for name in names if fetch(self.source, name) is not None))

    @property
    def stored_fields(self) -> dict[str, Any]:
        """Fields of tokenizer.json. Raises: ValueError if there is no such file."""
        if self.stored is None:
            advice = ""
            if fetch(self.source, VOCABULARY_FILE) is not None:
                advice = f". If {VOCABULARY_FILE} is that of a BERT, set tokenizer_class to BertTokenizer in {CONFIG_FILE}"
            raise ValueError(f"{self.source}: has no {TOKENIZER_FILE}; this kind of tokenizer cannot do without it{advice}")
        return self.stored

    def byte_pairs(self) -> dict[str, Any]:
        """Return fields of tokenizer.json for byte-level BPE: the stored ones, or else those of vocab.json and merges.txt."""
        paths = [path for name in BYTE_PAIR_FILES if (path := fetch(self.source, name)) is not None]
        if self.stored is not None or len(paths) < len(BYTE_PAIR_FILES):
            return self.stored_fields
        with tokenizer_errors(f"{' and '.join(map(str, paths))}: are not a vocabulary and merges"):
            vocabulary, merges = models.BPE.read_file(*map(str, paths))
        return {"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}}

    def path(self, name: str) -> str:
        """Return the path of a file, for messages."""
        return str(fetch(self.source, name) or Path(self.source) / name)

    def setting(self, name: str, default: OptionalBool) -> bool | OptionalBool:
        """Return a setting of tokenizer_config.json that is true, false, or, like its default, null."""
        value: bool | OptionalBool = self.config.get(name, default)
        if isinstance(value, bool) or value is default:
            return value
        raise ValueError(f"{self.path(CONFIG_FILE)}: {name} must be true or false, not {short(value)}")

    def vocabulary(self) -> dict[str, int]:
        """Return the vocabulary of the model: from tokenizer.json, or else from vocab.txt.

        Empty lines of vocab.txt count, and of equal lines the last one counts.
        """
        if self.stored is not None:
            vocabulary = self.stored["model"]["vocab"]
            if self.stored["model"].get("type", "WordPiece") != "WordPiece" or not isinstance(vocabulary, dict):
                raise ValueError(f"{self.path(TOKENIZER_FILE)}: has no WordPiece vocabulary")
            return vocabulary
        path = self.path(VOCABULARY_FILE)
        if fetch(self.source, VOCABULARY_FILE) is None:
            raise ValueError(f"{path}: not found. If it is not BERT's tokenizer, set tokenizer_class in {CONFIG_FILE}")
        content = Path(path).read_bytes()
        try:
            content.decode()
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise ValueError(f"{path}, line {line}: is not UTF-8; save the file as UTF-8") from None
        if not content.strip():
            raise ValueError(f"{path}: is empty; it must contain a token in each line")
        if content.startswith(BOM_UTF8):
            raise ValueError(
                f"{path}: begins with a byte-order mark, which is a part of the first token for transformers; "
                "save the file as UTF-8 without it"
            )
        return models.WordPiece.read_file(path)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of special tokens: those of tokenizer_config.json, replaced by those of special_tokens_map.json."""
        settings = dict(self.config)
        if not settings.get(EXTRA_TOKENS) and ADDITIONAL_TOKENS in settings:
            settings[EXTRA_TOKENS] = settings.pop(ADDITIONAL_TOKENS)
        extra = settings.get(EXTRA_TOKENS)
        if (isinstance(extra, dict) and extra) or any(isinstance(settings[name], str) for name in _other_names(settings)):
            settings.pop(OTHER_TOKENS, None)  # transformers replaces this setting by the tokens that are named elsewhere
        self._name_extra_tokens(settings)
        known, found = settings.get(EXTRA_TOKENS) or [], self.special_tokens_map.get(EXTRA_TOKENS)
        settings |= self.special_tokens_map
        if isinstance(known, list) and isinstance(found, list):
            settings[EXTRA_TOKENS] = known + [token for token in found if token not in known]
        self._name_extra_tokens(settings)
        return settings

    def _name_extra_tokens(self, settings: dict[str, Any]) -> None:
        """Move extra special tokens that have names, which transformers does not know, to a setting of their own."""
        named = settings.get(OTHER_TOKENS) or {}
        if not isinstance(named, dict):
            raise ValueError(
                f"{self.path(CONFIG_FILE)}: {OTHER_TOKENS} must contain the name of each token, not {short(named)}"
            )
        if isinstance(settings.get(EXTRA_TOKENS), dict):
            settings[OTHER_TOKENS] = named | settings.pop(EXTRA_TOKENS)

    def named_tokens(self) -> dict[str, AddedToken]:
        """Return the special tokens by the names of their settings, in the order in which missing ones are added."""
        settings = self.settings
        named = {name: settings[name] for name in NAMED_TOKENS if settings.get(name) is not None}
        typed = {name: value for name, value in self.config.items() if isinstance(value, dict) and "__type" in value}
        for fields, kinds in ((typed, dict), (self.special_tokens_map, (str, dict)), (self.config, str)):
            named |= {name: fields[name] for name in _other_names(fields) if isinstance(fields[name], kinds)}
        named |= settings.get(OTHER_TOKENS) or {}
        return {name: self._token(value, special=True) for name, value in named.items()}

    def extra_tokens(self) -> list[AddedToken]:
        """Return the special tokens without a name."""
        settings = self.settings
        extra = settings.get(EXTRA_TOKENS, settings.get(ADDITIONAL_TOKENS))
        if not isinstance(extra, list | None):
            raise ValueError(f"{self.path(CONFIG_FILE)}: {EXTRA_TOKENS} must be a list of tokens, not {short(extra)}")
        return [self._token({"content": token, "special": True} if isinstance(token, str) else token) for token in extra or []]

    def added_tokens(self) -> dict[int, AddedToken]:
        """Return the added tokens by their ids, from tokenizer_config.json, or else from the other files."""
        if ADDED_TOKENS in self.config:
            decoder = self.config[ADDED_TOKENS]
            if not isinstance(decoder, dict) or not all(key.isdecimal() for key in decoder):
                raise ValueError(f"{self.path(CONFIG_FILE)}: {ADDED_TOKENS} must contain the added token of each id")
            return {int(key): self._token(token) for key, token in decoder.items()}
        named, settings = self.named_tokens(), self.settings
        special = {named[name].content for name in NAMED_TOKENS if name in named}
        if settings.get(EXTRA_TOKENS):
            special |= {token.content for token in self.extra_tokens()}
        added = {}
        for content, index in self.added_ids.items():
            if not isinstance(index, int):
                raise ValueError(
                    f"{self.path(ADDED_TOKENS_FILE)}: the id of {short(content)} must be a number, not {short(index)}"
                )
            added[index] = AddedToken(content, normalized=content not in special, special=content in special)
        for fields in (self.stored or {}).get("added_tokens") or []:
            added[fields["id"]] = self._token(fields)
        return added

    def _token(self, value: Any, **settings: bool) -> AddedToken:
        """Convert a token from a file: a string, or the fields of an AddedToken."""
        try:
            fields: dict[str, Any] = {"content": value} if isinstance(value, str) else dict(value)
            token = AddedToken(**{name: fields[name] for name in TOKEN_FIELDS if name in fields} | settings)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.path(CONFIG_FILE)}: {short(value)} is not a token ({error})") from error
        if not token.content:
            raise ValueError(f"{self.path(CONFIG_FILE)}: a token must not be empty")
        return token


def _other_names(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of settings of special tokens that not every tokenizer has, such as image_token."""
    return [name for name in settings if name.endswith("_token") and name not in NAMED_TOKENS]


def fetch_json(source: str | Path, name: str) -> dict[str, Any] | None:
    """Read a file with a JSON object, or return None if there is no such file. Raises: ValueError, naming the file."""
    path = fetch(source, name)
    return None if path is None else read_json(path)


def parse_tokenizer(fields: Mapping[str, Any], path: str) -> Tokenizer:
    """Create a tokenizer from the fields of a tokenizer.json. Raises: ValueError, naming the file."""
    with tokenizer_errors(f"{path}: is not a tokenizer that can be used"):
        for part, sequence in (("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers")):
            for stage in _stages(fields.get(part), sequence):
                kind = str(stage.get("type"))
                if kind not in STAGES and not _cannot_grow(stage):
                    raise ValueError(f"a {part} of type {short(kind)} is not supported")
        tokenizer = Tokenizer.from_str(json.dumps(fields))
        _check_templates(tokenizer)
        return tokenizer


def precompiled_charsmap(normalizer: Any) -> bytes | None:
    """Return the table of characters of SentencePiece that a normalizer of tokenizer.json has; None if it has none.

    Raises: ValueError for a table that replaces a character by a long text.
    """
    for stage in _stages(normalizer, "normalizers"):
        if stage.get("type") == "Precompiled":
            table = b64decode(stage["precompiled_charsmap"])
            strings = table[4 + int.from_bytes(table[:4], "little") :]  # after a trie, which leads to them
            if max(map(len, strings.split(b"\0"))) > LONGEST_REPLACEMENT:
                raise ValueError("its table of characters (Precompiled) has too long replacements")
            return table
    return None


@contextmanager
def tokenizer_errors(message: str) -> Iterator[None]:
    """Turn errors of `tokenizers` into a ValueError. They are plain Exceptions, and panics of its Rust code."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ValueError(f"{message} ({error})") from error
        raise


def _stages(stage: Any, sequence: str) -> list[dict[str, Any]]:
    """Return a stage, and those in its sequence."""
    if stage is None:
        return []
    if not isinstance(stage, dict):  # there are short forms without a type
        return [{"type": str(stage)}]
    parts = stage.get(sequence)
    return [stage, *(each for part in parts for each in _stages(part, sequence))] if isinstance(parts, list) else [stage]


def _cannot_grow(stage: Mapping[str, Any]) -> bool:
    """Return True for a normalizer that replaces a string by another one which is not longer.

    A regular expression may take hours. Many stages that each double the length of a text would fill the memory.
    """
    pattern, content = stage.get("pattern"), stage.get("content")
    if stage.get("type") != "Replace" or not isinstance(pattern, dict) or not isinstance(content, str):
        return False
    return [*pattern] == ["String"] and len(content) <= len(str(pattern["String"]))


def _check_templates(tokenizer: Tokenizer) -> None:
    """Raise ValueError if a template of the post-processor has a special token that is not defined."""
    # `tokenizer.to_str` would take a minute if the file has an id of a billion.
    processor = {} if tokenizer.post_processor is None else json.loads(tokenizer.post_processor.__getstate__())
    for part in processor.get("processors", [processor]):
        if part.get("type") == "TemplateProcessing":
            defined = {name for name, token in part["special_tokens"].items() if token["tokens"]}
            used = [piece["SpecialToken"]["id"] for piece in part["single"] + part["pair"] if "SpecialToken" in piece]
            if undefined := {*used, *part["special_tokens"]} - defined:
                raise ValueError(f"its post_processor does not define {', '.join(map(short, sorted(undefined)))}")
