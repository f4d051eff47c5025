"""Mistakes in drawing sentence pairs for next-sentence and sentence-order prediction."""

from minibert.classroom.mistakes.mistake import Mistake
from minibert.text.pairs import _draw_from_other_documents, _split_into_chunks, _truncate, draw_pairs

SENTENCE_PAIR_MISTAKES = [
    Mistake(
        "negative from the same document",
        _draw_from_other_documents,
        (
            ("generator.integers(0, first_of[-1] - own)", "generator.integers(0, first_of[-1], len(own))"),
            ("number += own * (number >= first_of_content[own_content])", "number += 0"),
        ),
        "The random segment may come from the same document, or be the true next segment.",
        'Some pairs that belong together are labeled "another document".',
        "codertimo/BERT-pytorch (#110)",
        message="You drew B from any document, also from that of A.",
    ),
    Mistake(
        "always the next sentence",
        _split_into_chunks,
        (("generator.integers(0, 2, len(start))", "np.zeros(len(start), dtype=np.int64)"),),
        "No pair comes from two documents.",
        "There is nothing to learn.",
        "learners",
        message="You always used the next sentence. Half of the pairs are from two documents.",
    ),
    Mistake(
        "rest of a chunk discarded",
        _split_into_chunks,
        (('np.where((label == NOT_NEXT) & (task == "nsp"), split, end)', "end"),),
        "If B comes from another document, the sentences that would have followed A are skipped.",
        "A quarter of the text is not used for training.",
        "simplified versions of Google's code, which puts unused sentences back",
        message="You skipped the sentences after A if B is from another document. They belong to the next example.",
    ),
    Mistake(
        "label 1 for every pair",
        _split_into_chunks,
        (("generator.integers(0, 2, len(start))", "np.ones(len(start), dtype=np.int64)"),),
        "No pair is from one document.",
        "There is nothing to learn.",
        "learners",
        message="You always drew B from another document.",
    ),
    Mistake(
        "next-sentence labels swapped",
        draw_pairs,
        (("np.flatnonzero(chunks.label == NOT_NEXT)", "np.flatnonzero(chunks.label == IS_NEXT)"),),
        'A segment that follows is labeled "another document".',
        "A checkpoint from elsewhere predicts the opposite.",
        "code that calls the label is_next",
        message="You swapped the labels: 0 means that B follows A.",
    ),
    Mistake(
        "sentence-order labels swapped",
        draw_pairs,
        (("swapped = chunks.label == SWAPPED", "swapped = chunks.label == IN_ORDER"),),
        'Segments in order are labeled "swapped".',
        "A checkpoint from elsewhere predicts the opposite.",
        "code that calls the label is_in_order",
        message="You swapped the labels of sentence order: 0 means that A and B are in order.",
    ),
    Mistake(
        "segments always in order",
        draw_pairs,
        (("swapped = chunks.label == SWAPPED", "swapped = np.zeros(len(chunks.label), dtype=bool)"),),
        "The label is drawn, but the segments are never exchanged.",
        "There is nothing to learn.",
        "learners",
        message="You drew the label, but did not exchange the segments of a pair with label 1.",
    ),
    Mistake(
        "segment of another document in place of the wrong order",
        draw_pairs,
        (('if task == "nsp":', 'if task != "none":'),),
        "In sentence-order prediction, B with label 1 is from another document, as in next-sentence prediction.",
        "The topic alone gives the label away, which is what ALBERT's task avoids.",
        "learners who keep the pairs of BERT",
        message="You drew B from another document. For sentence order, both segments are consecutive, and may be exchanged.",
    ),
    Mistake(
        "pairs not truncated",
        draw_pairs,
        (
            (
                "_truncate(Pairs(a_start, a_end, b_start, b_end, chunks.label), max_tokens, generator)",
                "Pairs(a_start, a_end, b_start, b_end, chunks.label)",
            ),
        ),
        "Long pairs are not truncated.",
        "They exceed the positions of the model.",
        "learners",
        message="You did not truncate pairs that are too long.",
    ),
    Mistake(
        "labels drawn again",
        draw_pairs,
        (
            (
                "b_start, b_end, chunks.label), max_tokens",
                (
                    "b_start, b_end, np.where(chunks.label < 0, chunks.label, generator.integers(0, 2, "
                    "len(chunks.label)))), max_tokens"
                ),
            ),
        ),
        "The label is independent of the pair.",
        "There is nothing to learn.",
        "learners who call random() twice",
        message="You drew the label again, so it does not depend on the pair.",
    ),
    Mistake(
        "truncation at the end only",
        _truncate,
        (("generator.binomial(a_length - a_kept, 0.5)", "np.zeros_like(a_length)"),),
        "Excess tokens are always removed from the end of A.",
        "The ends of long segments are rarely used for training.",
        "the truncation of tokenizer libraries",
        message="You always truncated A at its end. Each token is removed from a random end.",
    ),
    Mistake(
        "truncation of the second segment only",
        _truncate,
        (("np.maximum(max_tokens - b_length, (max_tokens + 1) // 2)", "np.maximum(max_tokens - 1, 1)"),),
        "A keeps all its tokens, and B gets the remaining length.",
        "In many examples B is a single token, which is not enough to predict anything.",
        "learners",
        message="You truncated B only. The longer of both segments is truncated.",
    ),
]
