"""The introduction of a live page: the words of the page, with the parts and the special tokens that its network has."""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from minibert.display import escape
from minibert.text.layout import BYTE_SPACE, word_mark
from minibert.text.tokenizer import CLS, END_OF_TEXT, MASK, PAD, SEP, UNK, special_token
from minibert.text.wordpiece_training import CONTINUATION_PREFIX

MLM = "<b>MLM</b> predicts masked words: the score of each token of the vocabulary."
NSP = "<b>NSP</b> predicts whether sentence B follows sentence A."
SOP = "<b>SOP</b> predicts whether the sentences A and B are in order or swapped."
PREDICTIONS: Mapping[str, str] = {
    "encoder": "This network has no head: its output is the vectors of the last layer.",
    "mlm": MLM,
    "pretraining": f"{MLM} {NSP}",
    "nsp": NSP,
    "sequence-classification": "The <b>classifier</b> predicts a class of the text.",
    "token-classification": "The <b>classifier</b> predicts a class of each token.",
    "question-answering": "The <b>span</b> is the answer: the head predicts its first and its last token.",
    "replaced-tokens": "<b>Replaced-token detection</b> gives each token the probability that a generator has replaced it.",
    "lm": "The last token predicts the <b>next token</b>: the score of each token of the vocabulary.",
}
"""Sentences by the name of the head."""
REGRESSION = "The head predicts a number: its score (<b>logit</b>)."


def introduction(network: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, str]:
    """Return the parts of `live.html` that depend on the network, as HTML.

    Args:
        network: the network as JSON; see `network_json`.
    """
    return {
        "tokens": _tokens(network, tokenizer),
        "vector": _vector(network),
        "mask": _mask(network, tokenizer),
        "layers": "" if len({*network["layers"]}) == len(network["layers"]) else " Some layers have the same weights.",
        "prediction": _prediction(network) + _pooler(network, tokenizer),
    }


def _name(tokenizer: Tokenizer, token: str) -> str | None:
    """Return the special token that BERT calls `token`, as HTML, or None if the tokenizer has none."""
    name = special_token(tokenizer, token)
    return None if tokenizer.token_to_id(name) is None else escape(name)


def _tokens(network: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """Describe the pieces and the special tokens."""
    mark = word_mark(tokenizer)
    has_bytes = mark == BYTE_SPACE
    sign = (
        f"{escape(mark)} is the sign for a space before a word."
        if mark
        else f"{CONTINUATION_PREFIX} stands before a part that continues a word."
    )
    if has_bytes:
        sign += " The pieces consist of bytes. A letter such as é has two bytes, and each byte has a sign: Ã©."
    if network["isCausal"]:
        return f"{sign} {escape(END_OF_TEXT)} stands between two documents."
    roles = {CLS: "is at the beginning", SEP: "behind each sentence", MASK: "in place of a hidden word"}
    if not has_bytes:  # bytes spell every word
        roles[UNK] = "in place of what the vocabulary cannot spell"
    return f"{sign} {', '.join(f'{name} {role}' for token, role in roles.items() if (name := _name(tokenizer, token)))}."


def _vector(network: Mapping[str, Any]) -> str:
    """Describe the vector that each token begins with."""
    table = network["weights"].get("embeddings.segments.weight")
    if table is None:
        parts = "two learned <b>embeddings</b>: for the token and for its position."
    else:
        segment = "sentence (segment)" if table["shape"][0] > 1 else "segment, which is the same for all tokens"
        parts = f"three learned <b>embeddings</b>: for the token, for its position, and for its {segment}."
    has_projection = "projection.weight" in network["weights"]
    return parts + (" A linear map, the <b>projection</b>, gives it the width of the layers." if has_projection else "")


def _mask(network: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    """Describe the tokens that the attention mask hides."""
    if network["isCausal"]:
        return " A <b>causal mask</b> hides later tokens: each token attends to itself and to earlier ones only."
    if not (pad := _name(tokenizer, PAD)):
        return ""
    mask = _name(tokenizer, MASK)
    other = f" This mask has nothing to do with {mask}." if mask else ""
    return f" {pad} fills up short texts (<b>padding</b>). The attention <b>mask</b> hides it from the other tokens.{other}"


def _prediction(network: Mapping[str, Any]) -> str:
    """Describe the head."""
    head = network["head"]
    if head == "encoder":
        return PREDICTIONS[head]
    if not network["predictsClasses"]:
        return REGRESSION
    has_sigmoid = head == "replaced-tokens" or network["isMultiLabel"]
    function = "sigmoid function" if has_sigmoid else "softmax"
    score = f"The head gives each possible answer a score (<b>logit</b>), and the {function} makes a probability of it."
    return f"{score} {PREDICTIONS[head].replace(NSP, SOP) if network['pairTask'] == 'sop' else PREDICTIONS[head]}"


def _pooler(network: Mapping[str, Any], tokenizer: Tokenizer) -> str:
    if "pooler.dense.weight" not in network["weights"]:
        return ""
    return f" The <b>pooler</b> computes the vector of the whole text from that of {_name(tokenizer, CLS)}."
