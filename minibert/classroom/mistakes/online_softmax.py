"""Mistakes in attention that processes the keys in blocks, with an online softmax."""

from minibert.classroom.mistakes.mistake import Mistake
from minibert.equations import online_softmax_attention

ONLINE_SOFTMAX_MISTAKES = [
    Mistake(
        "output of earlier blocks not rescaled",
        online_softmax_attention,
        (("correction * output + exponentials", "output + exponentials"),),
        "The output so far is not rescaled when a larger score appears.",
        "Early blocks get too much weight. With a single block the result is correct.",
        "learners, in their first FlashAttention",
        message="You did not rescale the output so far to the new maximum.",
    ),
    Mistake(
        "sum of earlier blocks not rescaled",
        online_softmax_attention,
        (("correction * row_sum + exponentials", "row_sum + exponentials"),),
        "The sum of exponentials is not rescaled when a larger score appears.",
        "The weights sum to less than 1.",
        "learners",
        message="You did not rescale the sum so far to the new maximum.",
    ),
    Mistake(
        "separate maximum per block",
        online_softmax_attention,
        (("torch.maximum(row_max, scores.detach().amax(dim=-1, keepdim=True))", "scores.detach().amax(dim=-1, keepdim=True)"),),
        "Each block uses its own maximum instead of the maximum so far.",
        "A block in which every key is masked erases all earlier ones, and an earlier score far above the new ones overflows.",
        "learners",
        message="You used the maximum of the block instead of the maximum so far.",
    ),
    Mistake(
        "last partial block skipped",
        online_softmax_attention,
        (("range(0, key.shape[-2], block_size)", "range(0, key.shape[-2] - block_size + 1, block_size)"),),
        "Only complete blocks are processed.",
        "The last keys are lost if the number of keys is not a multiple of the block size.",
        "learners; kernels without a tail",
        message="You skipped the last keys, which do not fill a block.",
    ),
    Mistake(
        "mean over the blocks",
        online_softmax_attention,
        (
            (
                "output = correction * output + exponentials @ value[..., block, :]",
                "total = exponentials.sum(dim=-1, keepdim=True)\n"
                "        output = output + exponentials @ value[..., block, :] / total.masked_fill(total == 0, 1.0)",
            ),
            ("output / row_sum.masked_fill(row_sum == 0, 1.0)", "output / -(-key.shape[-2] // block_size)"),
        ),
        "The attention of each block is computed by itself, and the results are averaged.",
        "Every block has the same weight. With a single block the result is correct.",
        "learners",
        message="You averaged the results of the blocks. Each block must be weighted by its sum of exponentials.",
    ),
    Mistake(
        "division after every block and at the end",
        online_softmax_attention,
        (
            (
                "output = correction * output + exponentials @ value[..., block, :]",
                "output = (correction * output + exponentials @ value[..., block, :]) / row_sum.masked_fill(row_sum == 0, 1.0)",
            ),
            ("output / row_sum.masked_fill(row_sum == 0, 1.0)", "output"),
        ),
        "The output is divided by the sum after every block, and the next block does not undo it.",
        "Early blocks get too little weight. With a single block the result is correct.",
        "learners, in their first FlashAttention",
        message="You divided the output so far by its sum, and did not multiply it with that sum in the next block.",
    ),
    Mistake(
        "maximum not remembered",
        online_softmax_attention,
        (("        row_max = new_max\n", ""),),
        "The maximum so far is not stored.",
        "Each block replaces the blocks before it.",
        "learners",
        message="You did not store the maximum for the next block.",
    ),
    Mistake(
        "correction with the wrong sign",
        online_softmax_attention,
        (("torch.exp(row_max - shift)", "torch.exp((shift - row_max).clamp(max=60))"),),
        "The factor is e to the new maximum minus the old one.",
        "Early blocks get more weight instead of less.",
        "learners, a lost sign",
        message="You have a wrong sign in the exponent of the correction.",
    ),
    Mistake(
        "infinite correction with the wrong sign",
        online_softmax_attention,
        (("torch.exp(row_max - shift)", "torch.exp(shift - row_max) if start else torch.zeros_like(shift)"),),
        "The factor is e to the new maximum minus the old one, also after a block in which every key is masked.",
        "Early blocks get more weight instead of less, and after a masked block the numbers are NaN.",
        "learners, a lost sign",
        message="You have a wrong sign in the exponent of the correction.",
    ),
    Mistake(
        "NaN after a masked block",
        online_softmax_attention,
        (("new_max.masked_fill(new_max == -math.inf, 0.0)", "new_max"),),
        "A query with no kept key so far is not handled.",
        "Its maximum is -∞, and -∞ minus -∞ is NaN.",
        "learners",
        message="You did not handle a query that may attend to nothing in the blocks so far.",
    ),
]
