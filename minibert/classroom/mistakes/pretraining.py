"""Mistakes in masking, sentence pairs, and the layers of BERT."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.model.attention import MultiHeadAttention
from minibert.model.checkpoints.loading import copy_weights
from minibert.model.layers import EncoderLayer
from minibert.text.masking import mask_tokens
from minibert.text.pairs import _draw_from_other_documents, _split_into_chunks, _truncate, draw_pairs

PRETRAINING_MISTAKES = [
    Mistake(
        "80/10/10 drawn independently",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.where(kind < 0.8, mask_token_id, np.where(replacement < 0.5, random_ids, input_ids))",
            ),
            (
                "(selection < mlm_probability)",
                "(selection < mlm_probability) & (replacement < 0.97)",
            ),
        ),
        "Selecting a token and changing it are drawn independently, with the wrong probabilities.",
        "Fewer tokens are predicted than intended.",
        "labml: 81/10/9, and a part of the selected tokens is left out",
        message="You drew the selection and the replacement independently, so fewer tokens are selected.",
    ),
    Mistake(
        "always [MASK]",
        mask_tokens,
        (
            (
                "np.where(kind < 0.8, mask_token_id, np.where(kind < 0.9, random_ids, input_ids))",
                "np.full_like(input_ids, mask_token_id)",
            ),
        ),
        "Every selected token becomes [MASK].",
        "Fine-tuning data contains no [MASK], and the model has learned to compute useful outputs only at [MASK].",
        "learners",
        message="You replaced every selected token by [MASK]. It is 80% of them.",
    ),
    Mistake(
        "special tokens masked",
        mask_tokens,
        (("maskable & ", ""),),
        "[CLS], [SEP] and padding may be masked.",
        "Padding is easy to predict, so the loss looks too good.",
        "learners",
        message="You selected special tokens or padding too.",
    ),
    Mistake(
        "special tokens as random replacements",
        mask_tokens,
        (
            (
                "replacement_ids[(replacement * len(replacement_ids)).astype(np.int64)]",
                "(replacement * (replacement_ids.max() + 1)).astype(np.int64)",
            ),
        ),
        "The random token is drawn from the whole vocabulary.",
        "Sometimes a [SEP] or [PAD] appears in the middle of a sentence.",
        "learners; Hugging Face's collator",
        message="You drew random tokens from the whole vocabulary, with the special tokens.",
    ),
    Mistake(
        "labels at every position",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORE_INDEX)", "input_ids"),),
        "Tokens that are not masked have a label too.",
        "The model learns to copy.",
        "learners",
        message="You gave every position a label. Only selected tokens have one.",
    ),
    Mistake(
        "labels after masking",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORE_INDEX)", "np.where(selected, replaced, IGNORE_INDEX)"),),
        "The labels are the token ids after masking.",
        "The target at a [MASK] is [MASK].",
        "learners who change the ids in place",
        message="You used the ids after masking as labels. They are the original ids.",
    ),
    Mistake(
        "inverted condition",
        mask_tokens,
        (("np.where(selected, replaced, input_ids)", "np.where(~selected, input_ids, replaced)"),),
        "The condition is inverted and its two cases are swapped.",
        "The result is the same.",
        "anybody",
        Kind.EQUIVALENT,
    ),
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
        message="You used the next sentence always. Half of the pairs are from two documents.",
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
        "rest of a chunk discarded",
        _split_into_chunks,
        (('np.where((label == NOT_NEXT) & (task == "nsp"), split, end)', "end"),),
        "If B comes from another document, the sentences that would have followed A are skipped.",
        "A quarter of the text is not used for training.",
        "simplified versions of Google's code, which puts unused sentences back",
        message="You skipped the sentences after A if B is from another document. They belong to the next example.",
    ),
    Mistake(
        "truncation at the end only",
        _truncate,
        (("generator.binomial(a_length - a_kept, 0.5)", "np.zeros_like(a_length)"),),
        "Excess tokens are always removed from the end of A.",
        "The ends of long segments are rarely used for training.",
        "the truncation of tokenizer libraries",
        message="You truncated A at its end always. Each token is removed from a random end.",
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
    Mistake(
        "selection of the first tokens",
        mask_tokens,
        (("selected &= selection < limit", "selected &= np.cumsum(selected, axis=-1) <= max_predictions"),),
        "If too many tokens are selected, the first ones are masked.",
        "Tokens late in a text are masked less often.",
        "learners",
        message="You kept the first selected tokens. Those with the smallest random numbers are kept.",
    ),
    Mistake(
        "dropout in evaluation",
        MultiHeadAttention._attend,
        (("self.dropout_probability if self.training else 0.0", "self.dropout_probability"),),
        "Attention weights are dropped in evaluation too.",
        "The same input gives a different output every time.",
        "users of the functional dropout, whose default is training=True",
        message="You applied dropout in evaluation too.",
    ),
    Mistake(
        "cross-attention to itself",
        MultiHeadAttention.forward,
        (
            (
                "self.keys_and_values(keys_from, relative_positions)",
                "self.keys_and_values(queries_from, relative_positions)",
            ),
        ),
        "Keys and values are computed from the tokens of the queries.",
        "Self-attention is not affected. A decoder never uses the source sentence.",
        "learners",
        message="You computed keys and values from the tokens of the queries.",
    ),
    Mistake(
        "no second residual",
        EncoderLayer.forward,
        (
            (
                'summed = observe("feed_forward_residual", hidden + transformed)',
                'summed = observe("feed_forward_residual", transformed)',
            ),
        ),
        "The input of the feed-forward network is not added to its output.",
        "Tokens lose their own information.",
        "learners",
        message="You left out the residual connection around the feed-forward network.",
    ),
    Mistake(
        "weights transposed on loading",
        copy_weights,
        (
            (
                "parameter.copy_(found[relative])",
                "parameter.copy_(found[relative].T if parameter.shape == parameter.T.shape else found[relative])",
            ),
        ),
        "Square matrices are loaded transposed.",
        "The shapes fit, but the numbers are wrong: PyTorch stores Wᵀ, the paper and TensorFlow use W.",
        "converters of TensorFlow checkpoints",
        message="You transposed square matrices on loading.",
    ),
]
