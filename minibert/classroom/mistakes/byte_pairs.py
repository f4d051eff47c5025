"""Mistakes in encoding with byte-level BPE."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.text.byte_pair_encoding import apply_merges, merge_steps

LOOP = """    while known := [pair for pair in pairwise(pieces) if pair in ranks]:
        pair = min(known, key=ranks.__getitem__)
"""
LONGEST_FIRST = """    known, pieces, rest = {*letters, *map("".join, ranks)}, (), letters
    while rest:
        longest = next(rest[:end] for end in range(len(rest), 0, -1) if rest[:end] in known)
        pieces, rest = (*pieces, longest), rest[len(longest) :]
    return pieces
"""

BYTE_PAIR_MISTAKES = [
    Mistake(
        "leftmost merge first",
        merge_steps,
        (("min(known, key=ranks.__getitem__)", "known[0]"),),
        "The first pair of the word that was ever merged is merged, whatever its rank.",
        "Words have other pieces than in the tokenizer of the checkpoint.",
        "learners",
        message="You merged the first pair that fits. The pair with the lowest rank comes first.",
    ),
    Mistake(
        "latest merge first",
        merge_steps,
        (("min(known", "max(known"),),
        "The pair with the highest rank is merged first.",
        "Words have other pieces than in the tokenizer of the checkpoint.",
        "learners who take a rank for a count",
        message="You merged the pair with the highest rank first. The lowest rank was learned first, and comes first.",
    ),
    Mistake(
        "rank 0 taken for no merge",
        merge_steps,
        (("if pair in ranks]", "if ranks.get(pair)]"),),
        "The merge of rank 0 is never applied: a test for truth is false for 0.",
        "The most frequent pair of all stays split, and words have other pieces than in the tokenizer of the checkpoint.",
        "learners: a test for truth instead of membership",
        message="You never apply the merge of rank 0, because 0 counts as false. Ask if the pair is in the ranks.",
    ),
    Mistake(
        "only one pair merged",
        merge_steps,
        (("    while known", "    if known"),),
        "The merging stops after the first pair.",
        "Words become many short pieces.",
        "learners",
        message="You stopped after the first merge. Merges go on until no pair of neighbors is in the ranks.",
    ),
    Mistake(
        "merged pieces not merged again",
        merge_steps,
        ((LOOP, "    for pair in sorted({*pairwise(letters)} & {*ranks}, key=ranks.__getitem__):\n"),),
        "The pairs are collected once, from single letters.",
        "No piece has more than two letters.",
        "learners",
        message="You collected the pairs once. A merged piece has new neighbors, and may be merged again.",
    ),
    Mistake(
        "overlapping pairs merged from the right",
        merge_steps,
        (
            (
                'merge_pieces(pieces, pair, "".join(pair))',
                'merge_pieces(pieces[::-1], pair[::-1], "".join(pair))[::-1]',
            ),
        ),
        "Of two pairs that share a letter, the right one is merged.",
        "Words with repeated letters have other pieces than in the tokenizer of the checkpoint.",
        "learners",
        message="You merged overlapping pairs from the right. The left one comes first.",
    ),
    Mistake(
        "space inside a merged piece",
        merge_steps,
        (('"".join(pair))\n', '" ".join(pair))\n'),),
        "The two pieces are joined with a space between them.",
        "Merged pieces have no id, and are never merged again.",
        "learners who know the format of merges.txt",
        message="You put a space between the two pieces of a pair. A merged piece is one text without spaces.",
    ),
    Mistake(
        "longest piece instead of merges",
        apply_merges,
        (
            (
                "    pieces = tuple(letters)\n"
                "    for step in merge_steps(letters, ranks):\n"
                "        pieces = step.pieces\n"
                "    return pieces\n",
                LONGEST_FIRST,
            ),
        ),
        "The longest known piece is cut off, as in WordPiece.",
        "Some words have other pieces than in the tokenizer of the checkpoint.",
        "learners who know WordPiece",
        message="You cut off the longest known piece, as WordPiece does. BPE applies the merges in their order.",
    ),
    Mistake(
        "all merges in order",
        merge_steps,
        ((LOOP, "    for pair in sorted(ranks, key=ranks.__getitem__):\n"),),
        "Every merge of the training is applied, in its order.",
        "None: no earlier merge fits after a later one.",
        "learners; the paper's own words",
        Kind.EQUIVALENT,
    ),
]
