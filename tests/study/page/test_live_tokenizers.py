"""The tokenizers of RoBERTa and ALBERT in JavaScript give the pieces, ids, segments and characters that `tokenizers` gives."""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers

from minibert.text.tokenizer import GPT2_TOKENS, build_byte_pair_tokenizer, without_special_tokens
from minibert.text.tokenizer_loading import load_tokenizer
from tests.hostile_text import HOSTILE_TEXTS
from tests.study.page.test_live_wordpiece import BLOCKS, check, hostile_strings, pairs_of
from tests.study.page.test_tokenizer_data import unigram

pytest.importorskip("transformers")
from tests.text.test_family_tokenizers import albert, roberta

pytestmark = pytest.mark.slow

MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("a", "a"), ("aa", "a"), ("a", "aa"), ("Ġ", "Ġ"), ("Ã", "©")]
TEXTS = [
    "``quoted'' text",
    "```",
    "a  <mask>",
    " <mask> b",
    "<mask><mask>\n<mask>",
    "a <pad> b",
    "<s>x</s>",
    "  a  b  ",
    "\n\n a",
    "don't I'll we'Re 12½ 3a",
    "aaaaa aaaa aaa",
    "▁a ▁▁ b▁",
    "the the",
    "",
    " ",
    "café",
    "ﬁ ½ Ǆ",
    "a[MASK] b",
    "[CLS] a[SEP]",
]
CASES: list[Any] = [
    pytest.param(roberta, {}, id="roberta"),
    pytest.param(roberta, {"add_prefix_space": True}, id="roberta with a space"),
    pytest.param(roberta, {"trim_offsets": False}, id="roberta with the places of spaces"),
    pytest.param(albert, {}, id="albert"),
    pytest.param(albert, {"do_lower_case": False, "keep_accents": True}, id="albert, cased"),
    pytest.param(albert, {"add_prefix_space": False}, id="albert without a space"),
]


def made(make: Callable[..., Any], folder: Path, **settings: Any) -> Tokenizer:
    make(folder, **settings)
    return load_tokenizer(folder)


@pytest.mark.parametrize(("make", "settings"), CASES)
def test_hostile_strings(live: Any, tmp_path: Path, make: Any, settings: dict[str, Any]) -> None:
    texts = [*HOSTILE_TEXTS, *TEXTS, *hostile_strings(500 if settings else 5000)]
    check(live, made(make, tmp_path, **settings), pairs_of(texts))


@pytest.mark.parametrize("make", [roberta, albert])
def test_every_character(live: Any, tmp_path: Path, make: Any) -> None:
    """Each character by itself, and between accents."""
    tokenizer = made(make, tmp_path)
    characters = [chr(code) for block in BLOCKS for code in range(*block)]
    for start in range(0, len(characters), 20_000):
        groups = [characters[first : first + 200] for first in range(start, start + 20_000, 200)]
        texts = [f" {join} ".join(group) for group in groups for join in ("a", "\u0323\u0301")]
        check(live, tokenizer, [(text, None) for text in texts])


CUT = "(texts) => texts.map((text) => cutWords(lettersOf(text, 0)).map((word) => word.length))"


def test_words_of_every_character(live: Any) -> None:
    """Behind a letter, a number and a sign, each character is cut as GPT-2's pattern does in the library."""
    pattern = pre_tokenizers.ByteLevel(add_prefix_space=False)
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for start in range(0, len(characters), 100_000):
        texts = [f"b{one}1{one}!{one}" for one in characters[start : start + 100_000]]
        expected = [[end - begin for _, (begin, end) in pattern.pre_tokenize_str(text)] for text in texts]
        assert live(CUT, texts) == expected


@pytest.mark.parametrize("change", [lambda tokenizer: tokenizer, without_special_tokens], ids=["special", "words"])
def test_own_byte_pairs(live: Any, change: Callable[[Tokenizer], Tokenizer]) -> None:
    """In our tokenizer, <mask> includes the space before it. GPT-2's has no special tokens around a text."""
    texts = [*TEXTS, *hostile_strings(200)]
    check(live, change(build_byte_pair_tokenizer(MERGES)), pairs_of(texts))
    check(live, change(build_byte_pair_tokenizer(MERGES, GPT2_TOKENS)), pairs_of(texts))


def test_best_pieces(live: Any) -> None:
    """The sum of the scores decides, not the length; and unknown characters next to each other are one piece."""
    tokenizer = unigram()
    assert tokenizer.encode("aab xyb").tokens == ["▁a", "ab", "▁", "xy", "b"]
    check(live, tokenizer, pairs_of(["aab xyb", "aaab", "xx", "ba xaxb", "▁", "a▁b"]))


def character_table(replacements: dict[str, str]) -> str:
    """Return SentencePiece's table of characters: a trie as a double array, in which each node has a block of 256 units."""
    strings, starts = b"", dict[bytes, int]()
    for text, replacement in replacements.items():
        starts[text.encode()] = len(strings)
        strings += replacement.encode() + b"\0"
    prefixes = sorted({key[:length] for key in starts for length in range(len(key) + 1)})
    blocks = {prefix: 256 * number for number, prefix in enumerate(prefixes, start=1)}
    units = np.zeros(256 * (len(blocks) + 1), "<u4")
    for prefix, block in blocks.items():
        place = blocks[prefix[:-1]] ^ prefix[-1] if prefix else 0
        units[place] = (place ^ block) << 10 | (prefix in starts) << 8 | (prefix[-1] if prefix else 0)
        if prefix in starts:
            units[block] = 1 << 31 | starts[prefix]
    return base64.b64encode(len(units.tobytes()).to_bytes(4, "little") + units.tobytes() + strings).decode()


def test_the_table_of_characters_of_sentencepiece(live: Any, tmp_path: Path) -> None:
    """Replacements of one character and of several, longer and shorter ones, and none; of a grapheme and of its parts."""
    table = {
        "ﬁ": "fi",
        "①": "1",
        "…": "...",
        "\u200b": "",
        "e\u0301": "é",
        "ab": "x",
        "\r\n": " ",
        "각": "가",
        "👩": "w",
        "\u0301": "'",
    }
    stage = {"type": "Precompiled", "precompiled_charsmap": character_table(table)}
    fields = json.loads(made(albert, tmp_path).to_str())
    generator = random.Random(0)
    drawn = ["".join(generator.choices([*table, *"abe ", "👩\u200d👩", "\u0327"], k=8)) for _ in range(500)]
    for normalizer in (stage, {"type": "Sequence", "normalizers": [*fields["normalizer"]["normalizers"], stage]}):
        tokenizer = Tokenizer.from_str(json.dumps({**fields, "normalizer": normalizer}))
        check(live, tokenizer, pairs_of([*drawn, *HOSTILE_TEXTS, *hostile_strings(300)]))
