"""A tokenizer as JSON for the scripts of a live page: `wordpiece.js`, `byte_pairs.js` and `unigram.js`."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Tokenizer

from minibert.text.tokenizer import PAD, bert_difference, byte_level_difference, processor_parts, special_token

Fields = Mapping[str, Any]
"""A tokenizer, as in tokenizer.json."""
NORMALIZERS = ("NFD", "NFKD", "StripAccents", "Lowercase")
"""Normalizers of a unigram tokenizer that have no settings."""
PREPEND_SCHEMES = ("always", "never")


def tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a tokenizer of BERT or of one of its relatives; see `TokenizerData` in `tokens.js`.

    Raises: ValueError for a tokenizer with a part that the scripts do not compute. The message names the part.
    """
    fields = json.loads(tokenizer.to_str())
    kind = fields["model"]["type"]
    if kind not in KINDS:
        raise ValueError(f"a live page has no tokenizer of type {kind}, only {', '.join(KINDS)}")
    return {
        "type": kind,
        **KINDS[kind](tokenizer, fields),
        "pieces": _pieces(tokenizer),
        "added": _added(tokenizer, fields),
        "pad": tokenizer.token_to_id(special_token(tokenizer, PAD)),
        **_frame(tokenizer),
    }


def _pieces(tokenizer: Tokenizer) -> list[str | None]:
    """Return the pieces by their ids; None for an id without a piece."""
    vocabulary = tokenizer.get_vocab()
    pieces: list[str | None] = [None] * (max(vocabulary.values()) + 1)
    for piece, index in vocabulary.items():
        pieces[index] = piece
    return pieces


def _added(tokenizer: Tokenizer, fields: Fields) -> list[dict[str, Any]]:
    """Return the added tokens that are found in a text."""
    added = [token for token in fields["added_tokens"] if not (token["special"] and tokenizer.encode_special_tokens)]
    for token in added:
        if options := [name for name in ("normalized", "single_word") if token[name]]:
            raise ValueError(f"a live page has no added token with {options[0]}, as {token['content']} has")
    return [{name: token[name] for name in ("content", "lstrip", "rstrip")} for token in added]


def _frame(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the special tokens before, between and after two texts, and the segment of the second one."""
    a, b = (tokenizer.encode(text, add_special_tokens=False).ids for text in "ab")
    single, pair = tokenizer.encode("a"), tokenizer.encode("a", "b")
    start = single.ids.index(a[0])
    first, last = single.ids[:start], single.ids[start + len(a) :]
    between = pair.ids[start + len(a) : len(pair.ids) - len(last) - len(b)]
    segment = pair.type_ids[-1]
    segments = [0] * (start + len(a) + len(between)) + [segment] * (len(b) + len(last))
    is_framed = single.ids == first + a + last and pair.ids == first + a + between + b + last
    if not is_framed or pair.type_ids != segments or any(single.type_ids):
        raise ValueError(f"a live page has no rule for {' '.join(single.tokens)} and {' '.join(pair.tokens)}")
    return {"first": first, "between": between, "last": last, "secondSegment": segment}


def _wordpiece(tokenizer: Tokenizer, fields: Fields) -> dict[str, Any]:
    if difference := bert_difference(tokenizer):
        raise ValueError(f"a live page needs BERT's tokenizer, {difference}")
    names = ("unk_token", "continuing_subword_prefix", "max_input_chars_per_word")
    return {
        "normalizer": {name: value for name, value in fields["normalizer"].items() if name != "type"},
        "model": {name: fields["model"][name] for name in names},
    }


def _byte_pairs(tokenizer: Tokenizer, fields: Fields) -> dict[str, Any]:
    if difference := byte_level_difference(tokenizer):
        raise ValueError(f"a live page needs the tokenizer of GPT-2 or RoBERTa, {difference}")
    trimming = [part for part in processor_parts(tokenizer) if part.get("trim_offsets")]
    if len(trimming) > 1:
        raise ValueError("a live page has no rule for a tokenizer that trims the characters of pieces twice")
    return {
        "merges": [" ".join(merge) for merge in fields["model"]["merges"]],
        "add_prefix_space": fields["pre_tokenizer"]["add_prefix_space"],
        "trims": None if not trimming else "inside" if trimming[0]["add_prefix_space"] else "all",
    }


def _unigram(tokenizer: Tokenizer, fields: Fields) -> dict[str, Any]:
    model = fields["model"]
    if model.get("byte_fallback") or model["unk_id"] is None:
        raise ValueError("a live page needs a unigram tokenizer with a piece for unknown characters and without bytes")
    scores: list[float | None] = [None] * len(_pieces(tokenizer))
    for index, (piece, score) in enumerate(model["vocab"]):
        if tokenizer.token_to_id(piece) == index:
            scores[index] = score
    *before, metaspace = _stages(fields["pre_tokenizer"], "pretokenizers") or [{}]
    known = metaspace.get("type") == "Metaspace" and metaspace["split"] and metaspace["prepend_scheme"] in PREPEND_SCHEMES
    if not known or [stage["type"] for stage in before] not in ([], ["WhitespaceSplit"]):
        raise ValueError(f"a live page has no rule for the pre_tokenizer {json.dumps(fields['pre_tokenizer'])}")
    return {
        "scores": scores,
        "unknown": model["unk_id"],
        "normalizers": [_normalizer(stage) for stage in _stages(fields["normalizer"], "normalizers")],
        "splits_at_space": len(before) == 1,
        "metaspace": {name: metaspace[name] for name in ("replacement", "prepend_scheme")},
    }


def _stages(stage: Mapping[str, Any] | None, sequence: str) -> list[Any]:
    """Return the stages of a sequence, or the only one."""
    return [] if stage is None else [*stage.get(sequence, [stage])]


def _normalizer(stage: Mapping[str, Any]) -> dict[str, str]:
    if stage["type"] in NORMALIZERS:
        return {"type": stage["type"]}
    if stage["type"] == "Replace" and stage["pattern"].get("String"):
        return {"type": "Replace", "from": stage["pattern"]["String"], "to": stage["content"]}
    if stage["type"] == "Precompiled":
        return {"type": "Precompiled", "table": stage["precompiled_charsmap"]}
    raise ValueError(f"a live page has no rule for the normalizer {stage['type']}")


KINDS: Mapping[str, Callable[[Tokenizer, Fields], dict[str, Any]]] = {
    "WordPiece": _wordpiece,
    "BPE": _byte_pairs,
    "Unigram": _unigram,
}
"""Functions by the type of the tokenizer's model."""
