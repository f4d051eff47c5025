"""The comparison of two tokenizers on strings that implementations split differently.

A comparison of networks uses the same token ids on both sides. It cannot see that the two libraries compute different ids from
the same text, so the tokenizers are compared first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from minibert.study.verify.stages import silent_transformers

HOSTILE_STRINGS = (
    "",
    " ",
    "  two  spaces at  the ends  ",
    "tab\tline\nreturn\r\nform feed\x0cno-break\u00a0thin\u2009ideographic\u3000end",
    "Crème Brûlée, naïve, Ångström, İstanbul, Straße, ǅ, ﬁ, Σίσυφος",
    "decomposed: cafe\u0301, A\u030angstro\u0308m, n\u0303; Hebrew שָׁלוֹם; Arabic مُحَمَّد",
    "中文字符, 日本語のテキスト, ガ and カ\u3099, ｆｕｌｌｗｉｄｔｈ, 한국어, \U00020000",
    "Hindi नमस्ते दुनिया।, Thai สวัสดีครับ, Vietnamese Tiếng Việt, Russian й and и\u0306",
    "emoji 👩\u200d👩\u200d👧 🇩🇪 👍🏽 ☺\ufe0f",
    "zero\u200bwidth, soft\u00adhyphen, mark\ufeff, \u202eright to left\u202c, nul\x00, escape\x1b[31m, \x7f\x85, \ufffd",
    "can't won't 'quoted' \"double\" “curly” «guillemets» semi;colon e-mail_address@host.example/path?query=1",
    "$1,234.56 + 7×8 = 50% ± 3° ½ ² Ⅳ ٣ #hashtag ##piece ###",
    "`~!@#$%^&*()-_=+[]{}\\|;:'\",.<>/? ¡¿§¶•…—–",
    "CamelCase ALLCAPS lowercase MiXeD",
    "a" * 99 + " " + "a" * 100 + " " + "a" * 101 + " " + "ab" * 150,
    "[CLS] [SEP] [MASK] [PAD] [UNK] [mask] [Mask] [ MASK ] [MASK][MASK] a[MASK]b [MASK]. [unused1]",
    "<s> </s> <pad> <unk> <mask> <|endoftext|> ▁word Ġword word</w> ##word",
)
"""Texts with accents, scripts without spaces, control characters, long words, and the special tokens of several libraries."""
PIECES_PER_TEXT = 16
"""Number of vocabulary entries in one text."""

Encode = Callable[[Sequence[str]], list[list[int]]]
"""A function that computes the token ids of several texts."""


@dataclass(frozen=True)
class TokenizerComparison:
    """The result of comparing two tokenizers, which stops at the first text with different ids."""

    texts: int
    """Number of compared texts."""
    text: str | None = None
    """The first text with different ids, None if there is none."""
    reference: Sequence[int] = ()
    """The ids of that text on the side of the reference."""
    ours: Sequence[int] = ()

    @property
    def agrees(self) -> bool:
        return self.text is None


def compare_token_ids(reference: dict[str, list[int]], encode: Encode) -> TokenizerComparison:
    """Compare token ids by text with those of another tokenizer."""
    for number, (text, expected, ids) in enumerate(zip(reference, reference.values(), encode(list(reference)), strict=True), 1):
        if ids != expected:
            return TokenizerComparison(number, text, expected, ids)
    return TokenizerComparison(len(reference))


def strings_to_compare(tokenizer: Tokenizer) -> list[str]:
    """Return the texts of a comparison: hostile strings, the added tokens of the tokenizer, and its whole vocabulary."""
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    around = [text for token in added for text in (token, f"a{token}b", f" {token} ", token.lower(), token.upper())]
    ids = sorted(tokenizer.get_vocab().values())
    starts = range(0, len(ids), PIECES_PER_TEXT)  # each text begins with the last piece of the one before, because a decoder
    parts = [ids[max(0, start - 1) : start + PIECES_PER_TEXT] for start in starts]  # does not join a first piece such as ##s
    vocabulary = tokenizer.decode_batch(parts, skip_special_tokens=False)
    return list(dict.fromkeys([*HOSTILE_STRINGS, *around, *vocabulary]))


def encode_with(tokenizer: Tokenizer) -> Encode:
    """Return the function that computes ids with a tokenizer of minibert."""
    return lambda texts: [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def encode_with_transformers(source: str | Path, network: Any) -> Encode:
    """Load the tokenizer of a checkpoint in transformers and return the function that computes ids with it.

    Args:
        source: a folder, a file with weights in it, or a model id on the hub.
        network: the class of transformers for this checkpoint. An old config.json does not name it.

    Raises: ImportError without transformers; ValueError if it cannot load the tokenizer.
    """
    from transformers import AutoTokenizer

    folder = Path(source).parent if Path(source).is_file() else source
    try:
        with silent_transformers():
            config = network.config_class.from_pretrained(str(folder))
            tokenizer = AutoTokenizer.from_pretrained(str(folder), config=config, trust_remote_code=False)
    except Exception as error:  # its tokenizers raise exceptions of many classes
        reason = " ".join(str(error).split())[:200] or repr(error)
        advice = "To compare the networks alone, give token ids with --ids"
        raise ValueError(f"{folder}: transformers cannot load the tokenizer ({reason}). {advice}") from error
    return lambda texts: tokenizer(list(texts), verbose=False)["input_ids"]
