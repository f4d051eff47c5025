"""Translation of text with a trained Transformer, and the scores of its outputs: BLEU and exact match."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer, normalizers

from minibert.model import Transformer
from minibert.text.batching import IntArray, pad_rows, split_by_tokens
from minibert.text.parallel import tokenize_lines
from minibert.text.spacing import Spacing
from minibert.text.wordpiece_encoding import CJK

BATCH_SIZE, BATCH_TOKENS = 256, 16_384
"""Maximum numbers of rows, and of tokens including padding, that the model computes at a time. Each beam of a line is a row."""
MAX_LINE_TOKENS = 4096
"""Maximum number of tokens of a line, for a model without a maximum of its own."""


def translate(
    model: Transformer,
    tokenizer: Tokenizer,
    lines: Sequence[str],
    beams: int = 4,
    alpha: float = 0.6,
    spacing: Spacing | None = None,
) -> list[str]:
    """Translate each line, in order. The translation of a line of which the tokenizer leaves nothing is an empty line.

    Args:
        beams: beam size; 1 for greedy search.
        alpha: exponent of the length penalty; 0 for none.
        spacing: the spaces between the words of the output. Default: those of the tokenizer's decoder.

    Raises: ValueError for a line with more tokens than the model has learned positions, or than `MAX_LINE_TOKENS`.
    """
    encoded = tokenize_lines(lines, tokenizer)
    has_maximum = model.config.positions == "learned"
    maximum = model.config.max_position_embeddings if has_maximum else MAX_LINE_TOKENS
    for number, ids in enumerate(encoded, start=1):
        if len(ids) > maximum:
            reason = "this model has learned positions for" if has_maximum else "the maximum is"
            raise ValueError(f"line {number} has {len(ids):,} tokens; {reason} {maximum:,}: split it into sentences")
    translations = [""] * len(lines)
    numbers = np.flatnonzero([len(ids) > 0 for ids in encoded])
    lengths = np.array([len(encoded[number]) for number in numbers], dtype=np.int64)
    for indices in similar_lengths(lengths, max(1, BATCH_SIZE // max(1, beams))):
        batch = numbers[indices]
        input_ids, keep = pad_rows([encoded[number] for number in batch], model.config.pad_token_id)
        device = model.words.weight.device
        outputs = model.generate(input_ids.to(device), keep.to(device), beams, alpha)
        for number, output in zip(batch, outputs, strict=True):
            translations[number] = decode(output.tokens, tokenizer, spacing)
    return translations


def decode(ids: Sequence[int], tokenizer: Tokenizer, spacing: Spacing | None) -> str:
    """Return the text of token ids, without special tokens."""
    text: str = tokenizer.decode(ids, skip_special_tokens=True) if spacing is None else spacing.decode(ids, tokenizer)
    return text


def round_trip(lines: Sequence[str], tokenizer: Tokenizer, spacing: Spacing | None) -> list[str]:
    """Tokenize lines and decode their tokens. No output of a model can be closer to the lines."""
    return [decode(ids, tokenizer, spacing) for ids in tokenize_lines(lines, tokenizer)]


def similar_lengths(lengths: IntArray, batch_size: int = BATCH_SIZE) -> list[IntArray]:
    """Split the indices of all examples into batches of similar length.

    Args:
        lengths: number of tokens of each example, or of each of its sequences; see `batches_by_length`.
    """
    lengths = lengths[:, None] if lengths.ndim == 1 else lengths
    order = np.argsort(lengths.sum(axis=1), kind="stable")
    blocks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batch for block in blocks for batch in split_by_tokens(block, lengths, BATCH_TOKENS)]


def as_the_tokenizer_writes(line: str, tokenizer: Tokenizer) -> str:
    """Return a line with the characters that the tokenizer's normalization gives it, such as lower-case letters.

    The spaces around Chinese characters, which normalization adds to split them, are left out.
    """
    normalizer = tokenizer.normalizer
    if isinstance(normalizer, normalizers.BertNormalizer):
        normalizer = normalizers.BertNormalizer(normalizer.clean_text, False, normalizer.strip_accents, normalizer.lowercase)
    return line if normalizer is None else str(normalizer.normalize_str(line))


def bleu(outputs: Sequence[str], targets: Sequence[str]) -> float | None:
    """Compute BLEU (Papineni et al. 2002) with sacrebleu (Post 2018), from 0 to 100; None if sacrebleu is not installed.

    Words are those of sacrebleu's standard tokenizer 13a; in mostly Chinese targets each character is one (tokenizer zh).
    """
    try:
        from sacrebleu import corpus_bleu
    except ImportError:
        return None
    characters, words = (sum(map(len, map(split, targets))) for split in (CJK.findall, str.split))
    return float(corpus_bleu(list(outputs), [list(targets)], tokenize="zh" if characters > words else "13a").score)


def exact_match(outputs: Sequence[str], targets: Sequence[str]) -> float | None:
    """Compute the share of outputs that equal their targets; None if there are none."""
    matches = [output == target for output, target in zip(outputs, targets, strict=True)]
    return sum(matches) / len(matches) if matches else None
