"""Text to ids and back: Hugging Face's `tokenizers`, with a WordPiece vocabulary and everything else as BERT has it."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from minibert.files import write_atomically
from minibert.hub import fetch

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

TOKENIZER_FILE = "tokenizer.json"


def normalizer(lowercase: bool = True) -> normalizers.Normalizer:
    """BERT's: control characters out, spaces around CJK characters; in lower case, accents are taken off as well."""
    return normalizers.BertNormalizer(lowercase=lowercase)


def pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """BERT's: words end at white space and at punctuation, which stands by itself."""
    return pre_tokenizers.BertPreTokenizer()


def build_tokenizer(vocabulary: Sequence[str], lowercase: bool = True) -> Tokenizer:
    """An encoder for `vocabulary`, a piece's id being its place; it puts [CLS] before and [SEP] after each segment.

    Raises: ValueError that names a special token which the vocabulary does not have.

    >>> build_tokenizer([*SPECIAL_TOKENS, "hug", "##s"]).encode("Hugs!").tokens
    ['[CLS]', 'hug', '##s', '[UNK]', '[SEP]']
    """
    ids = {piece: number for number, piece in enumerate(vocabulary)}
    if missing := [token for token in SPECIAL_TOKENS if token not in ids]:
        raise ValueError(f"the vocabulary has no {', '.join(missing)}")
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=100))
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.normalizer = normalizer(lowercase)
    tokenizer.pre_tokenizer = pre_tokenizer()
    tokenizer.post_processor = processors.BertProcessing((SEP, ids[SEP]), (CLS, ids[CLS]))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token. Raises: ValueError if the tokenizer does not have it."""
    number = tokenizer.token_to_id(token)
    if number is None:
        raise ValueError(f"the tokenizer has no {token}")
    return number


def save_tokenizer(tokenizer: Tokenizer, directory: str | Path) -> None:
    """Writes `tokenizer.json`, `tokenizer_config.json` and `vocab.txt` as transformers' AutoTokenizer reads them."""
    ids = tokenizer.get_vocab()
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": (json.loads(tokenizer.to_str())["normalizer"] or {}).get("lowercase", False),
        "pad_token": PAD,
        "unk_token": UNK,
        "cls_token": CLS,
        "sep_token": SEP,
        "mask_token": MASK,
    }
    write_atomically(Path(directory) / TOKENIZER_FILE, tokenizer.to_str(pretty=True))
    write_atomically(Path(directory) / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n")
    write_atomically(Path(directory) / "vocab.txt", "\n".join(sorted(ids, key=ids.__getitem__)) + "\n")


def load_tokenizer(source: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint (a folder, or the id of a model on the hub): its `tokenizer.json`, else its `vocab.txt`.

    Raises: FileNotFoundError if it has neither, ValueError for a file that cannot be read as one.
    """
    stored = fetch(source, TOKENIZER_FILE)
    if stored is not None:
        try:
            return Tokenizer.from_str(stored.read_text(encoding="utf-8"))
        except Exception as error:  # what `tokenizers` raises has no class of its own
            raise ValueError(f"{stored}: is not a tokenizer ({error})") from error
    vocabulary = fetch(source, "vocab.txt")
    if vocabulary is None:
        raise FileNotFoundError(f"{source}: has no tokenizer, neither {TOKENIZER_FILE} nor vocab.txt")
    settings = fetch(source, "tokenizer_config.json")
    try:
        stored_settings = json.loads(settings.read_text(encoding="utf-8")) if settings is not None else {}
        lowercase = bool(stored_settings.get("do_lower_case", True))
        return build_tokenizer(vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n"), lowercase)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{vocabulary}: is not a vocabulary ({error})") from error
