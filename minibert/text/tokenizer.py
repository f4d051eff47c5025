"""BERT's tokenizer: Hugging Face's `tokenizers` with BERT's normalization, pre-tokenization and WordPiece model."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from minibert.files import write_atomically
from minibert.hub import fetch

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

TOKENIZER_FILE = "tokenizer.json"


def bert_normalizer(lowercase: bool = True) -> normalizers.Normalizer:
    """Create BERT's normalizer: remove control characters, put spaces around CJK characters.

    With `lowercase`, it also lowercases the text and strips accents.
    """
    return normalizers.BertNormalizer(lowercase=lowercase)


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
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=100))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.normalizer = bert_normalizer(lowercase)
    tokenizer.pre_tokenizer = bert_pre_tokenizer()
    tokenizer.post_processor = processors.BertProcessing((SEP, ids[SEP]), (CLS, ids[CLS]))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """Return the id of a token. Raises: ValueError if the vocabulary does not contain it."""
    index = tokenizer.token_to_id(token)
    if index is None:
        raise ValueError(f"the tokenizer has no {token}")
    return index


def save_tokenizer(tokenizer: Tokenizer, directory: str | Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and `vocab.txt`, as transformers' AutoTokenizer expects them."""
    ids = tokenizer.get_vocab()
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": (json.loads(tokenizer.to_str())["normalizer"] or {}).get("lowercase", False),
        "pad_token": PAD,
        "unk_token": UNK,
        "cls_token": CLS,
        "sep_token": SEP,
        "mask_token": MASK,
    }
    write_atomically(Path(directory) / TOKENIZER_FILE, tokenizer.to_str(pretty=True))
    write_atomically(Path(directory) / "tokenizer_config.json", json.dumps(config, indent=2) + "\n")
    write_atomically(Path(directory) / "vocab.txt", "\n".join(sorted(ids, key=ids.__getitem__)) + "\n")


def load_tokenizer(source: str | Path) -> Tokenizer:
    """Load the tokenizer of a checkpoint, given as a folder or a hub id: from `tokenizer.json`, or else from `vocab.txt`.

    Raises: FileNotFoundError if there is neither file, ValueError if the file is damaged.
    """
    tokenizer_file = fetch(source, TOKENIZER_FILE)
    if tokenizer_file is not None:
        try:
            return Tokenizer.from_str(tokenizer_file.read_text(encoding="utf-8"))
        except Exception as error:  # `tokenizers` raises plain Exceptions
            raise ValueError(f"{tokenizer_file}: is not a tokenizer ({error})") from error
    vocabulary_file = fetch(source, "vocab.txt")
    if vocabulary_file is None:
        raise FileNotFoundError(f"{source}: has no tokenizer, neither {TOKENIZER_FILE} nor vocab.txt")
    config_file = fetch(source, "tokenizer_config.json")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8")) if config_file is not None else {}
        lowercase = bool(config.get("do_lower_case", True))
        return build_tokenizer(vocabulary_file.read_text(encoding="utf-8").removesuffix("\n").split("\n"), lowercase)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{vocabulary_file}: is not a vocabulary ({error})") from error
