"""Translation of text with a trained Transformer, and the scores of its outputs: BLEU and exact match."""

import re
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from minibert.model import Transformer
from minibert.text.batching import IntArray, pad_rows

BATCH_SIZE = 64
SPACED_HYPHEN = re.compile(r"(?<=\w) ([-'’/]) (?=\w)")


def translate(model: Transformer, tokenizer: Tokenizer, lines: Sequence[str], beams: int = 4, alpha: float = 0.6) -> list[str]:
    """Translate each line, in order. The translation of a blank line is a blank line.

    WordPiece does not store where the text had no spaces. Spaces are removed before full stops and the like, as the decoder
    of `tokenizers` does it, and around hyphens and apostrophes between letters.

    Args:
        beams: beam size; 1 for greedy search.
        alpha: exponent of the length penalty; 0 for none.

    Raises: ValueError for a line with more tokens than the model has learned positions.
    """
    translations = [""] * len(lines)
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    encoded = [encoding.ids for encoding in tokenizer.encode_batch([lines[number] for number in numbers])]
    max_length = model.config.max_position_embeddings
    for number, ids in zip(numbers, encoded, strict=True):
        if model.config.positions == "learned" and len(ids) > max_length:
            raise ValueError(f"line {number + 1} has {len(ids)} tokens; this model has learned positions for {max_length}")
    device = model.words.weight.device
    for indices in similar_lengths(np.array([len(ids) for ids in encoded], dtype=np.int64)):
        input_ids, keep = pad_rows([encoded[index] for index in indices], model.config.pad_token_id)
        outputs = model.generate(input_ids.to(device), keep.to(device), beams, alpha)
        for index, output in zip(indices, outputs, strict=True):
            text = tokenizer.decode(output.tokens, skip_special_tokens=True)
            translations[numbers[index]] = SPACED_HYPHEN.sub(r"\1", text)
    return translations


def similar_lengths(lengths: IntArray) -> list[IntArray]:
    """Split the indices of all examples into batches of similar length."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]


def bleu(outputs: Sequence[str], targets: Sequence[str]) -> float | None:
    """Compute BLEU (Papineni et al. 2002) with sacrebleu (Post 2018), from 0 to 100; None if sacrebleu is not installed."""
    try:
        from sacrebleu import corpus_bleu
    except ImportError:
        return None
    return float(corpus_bleu(list(outputs), [list(targets)]).score)


def exact_match(outputs: Sequence[str], targets: Sequence[str]) -> float:
    """Compute the share of outputs that equal their targets."""
    return sum(output == target for output, target in zip(outputs, targets, strict=True)) / max(1, len(targets))
