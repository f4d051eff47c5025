"""The tokenizer in JavaScript gives the pieces, ids, segments and characters that `tokenizers` gives."""

import json
import random
import re
from collections.abc import Iterable
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from minibert.study.page.tokenizer_data import tokenizer_json
from minibert.study.tokenized_text import tokenize
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer, without_special_tokens
from tests.hostile_text import HOSTILE_TEXTS

pytestmark = pytest.mark.slow

ENCODE = """json => {
  const [fields, pairs] = JSON.parse(json);
  const tokenizer = tokenizerOf(fields);
  const found = pairs.map(([text, pair]) => {
    const tokens = tokenizer.encode(text, pair);
    return ["piece", "id", "segment", "span"].map((name) => tokens.map((token) => token[name]));
  });
  return JSON.stringify(found);
}"""
SPECIAL = [*SPECIAL_TOKENS, "[mask]", "[MASK", "MASK]", "[[MASK]]", "x[MASK]y", "[CLS][SEP]", "##s", "##"]
RANGES = [
    *((0x20, 0x7F),) * 4,
    (0, 0x20),
    (0x7F, 0x100),
    (0x100, 0x250),
    *((0x300, 0x370),) * 3,  # combining marks
    (0x370, 0x600),
    (0x5D0, 0x700),
    (0x900, 0xE00),
    (0x1100, 0x1200),  # jamo
    (0x1E00, 0x2100),  # among them İ-like letters with accents, zero-width characters, and spaces
    (0x2100, 0x2C00),
    (0x3000, 0x3400),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7A4),  # Hangul
    (0xE000, 0xE010),
    (0xF900, 0x10000),
    (0x10000, 0x12000),
    (0x1D100, 0x1D800),
    (0x1F1E6, 0x1FAFF),  # emoji and flags
    (0x20000, 0x2FA20),
    (0xE0000, 0xE01F0),
    (0x10000, 0x110000),
]
BLOCKS = [(0, 0xD800), (0xE000, 0x20000), (0x2F000, 0x2FF00), (0xE0000, 0xE0200)]
"""The blocks of Unicode in which not all characters are alike."""
ODD = [
    *"İıßẞΣςσ\u0344\u0f73\u0340\u212a\u1e9b\u200b\u200d\u2060\ufeff\ufffd\ufe0f\u00ad\u3000\u00a0\u1680\u180e\u0085\u2028",
    "👩‍👩‍👧‍👦",
    "각",
    "가\u11a8",
    "ﬁ",
]


def hostile_strings(count: int) -> list[str]:
    """Return random strings of a few scripts each, with special tokens, also inside words."""
    generator = random.Random(0)

    def part(ranges: list[tuple[int, int]]) -> str:
        kind = generator.random()
        if kind < 0.08:
            return generator.choice(SPECIAL)
        if kind < 0.2:
            return generator.choice(ODD)
        if kind < 0.3:
            return " "
        code = generator.randrange(*generator.choice(ranges))
        return "" if 0xD800 <= code < 0xE000 else chr(code)

    lengths = [generator.choice([0, 1, 2, 5, 10, 20, 40]) for _ in range(count)]
    return ["".join(part(generator.sample(RANGES, 3)) for _ in range(length)) for length in lengths]


def tokenizer_for(texts: Iterable[str], **options: bool) -> Tokenizer:
    """Build a tokenizer whose vocabulary has most characters of the texts, and some pairs, at both places of a word."""
    plain = build_tokenizer(SPECIAL_TOKENS)
    fields = json.loads(plain.to_str())
    fields["normalizer"] |= options
    normalizer = Tokenizer.from_str(json.dumps(fields)).normalizer
    generator, pieces = random.Random(1), set()
    for text in texts:
        word = "".join(normalizer.normalize_str(text).split())
        pieces |= {*word, *(word[place : place + 2] for place in range(0, len(word), 3))}
    kept = [piece for piece in sorted(pieces) if len(piece) > 0 and generator.random() < 0.95]
    vocabulary = [*SPECIAL_TOKENS, *kept, *(f"##{piece}" for piece in kept if f"##{piece}" not in pieces)]
    fields["model"]["vocab"] = {piece: index for index, piece in enumerate(dict.fromkeys(vocabulary))}
    return Tokenizer.from_str(json.dumps(fields))


def check(live: Any, tokenizer: Tokenizer, pairs: list[tuple[str, str | None]]) -> None:
    found = json.loads(live(ENCODE, json.dumps([tokenizer_json(tokenizer), pairs])))
    expected = [tokenize(tokenizer, text, pair) for text, pair in pairs]
    parts = [[[*each.pieces], [*each.ids], [*each.segments], [*map(list, each.spans)]] for each in expected]
    assert [pair for pair, one, other in zip(pairs, found, parts, strict=True) if one != other] == []


def pairs_of(texts: list[str]) -> list[tuple[str, str | None]]:
    """Return each text alone, and every tenth one also as a pair."""
    return [*((text, None) for text in texts), *zip(texts[::10], texts[1::10], strict=False)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": False},
        {"strip_accents": False},
        {"lowercase": False, "strip_accents": True, "handle_chinese_chars": False},
    ],
    ids=str,
)
def test_hostile_strings(live, options):
    texts = [*HOSTILE_TEXTS, *hostile_strings(5000 if not options else 500)]
    check(live, tokenizer_for(texts, **options), pairs_of(texts))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"lowercase": False}], ids=str)
def test_every_character(live, options):
    """Each character by itself, and between accents."""
    characters = [chr(code) for block in BLOCKS for code in range(*block)]
    for start in range(0, len(characters), 20_000):
        groups = [characters[first : first + 200] for first in range(start, start + 20_000, 200)]
        texts = [f" {join} ".join(group) for group in groups for join in ("a", "\u0323\u0301")]
        check(live, tokenizer_for(texts, **options), [(text, None) for text in texts])


def test_text_in_which_special_tokens_are_words(live):
    texts = ["[MASK] a[MASK]b [CLS]", "[UNK]"]
    check(live, without_special_tokens(tokenizer_for(texts)), pairs_of(texts))


def test_longest_word(live):
    """A word of one more character than `max_input_chars_per_word` is unknown."""
    texts = ["a" * 100, "a" * 101, "à" * 100, "à" * 101]
    check(live, tokenizer_for(["aaaa"]), pairs_of(texts))


def test_longer_added_token_and_other_names(live):
    """Of two added tokens at a place the longer one is found; one may have signs of regular expressions."""
    texts = ["a [MASK][MASK]+ b", "c.d .* [x]"]
    tokenizer = tokenizer_for(texts)
    tokenizer.add_special_tokens(["[MASK]+", ".*", "[x]", "a^$\\(b)-/{2}|c"])
    check(live, tokenizer, pairs_of([*texts, "z a^$\\(b)-/{2}|c z"]))


@pytest.mark.parametrize(
    ("token", "option"),
    [(AddedToken("<x>", single_word=True, special=True), "single_word"), (AddedToken("b", normalized=True), "normalized")],
)
def test_added_tokens_that_are_not_supported(token, option):
    tokenizer = tokenizer_for(["a"])
    tokenizer.add_tokens([token])
    with pytest.raises(ValueError, match=re.escape(f"no added token with {option}, as {token.content} has")):
        tokenizer_json(tokenizer)


def test_tokenizer_of_another_kind():
    tokenizer = tokenizer_for(["a"])
    fields = json.loads(tokenizer.to_str()) | {"pre_tokenizer": {"type": "Whitespace"}}
    with pytest.raises(ValueError, match="a live page needs BERT's tokenizer, pre_tokenizer"):
        tokenizer_json(Tokenizer.from_str(json.dumps(fields)))
