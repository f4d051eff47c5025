"""Mistakes in what BERT is shown, and in putting the parts together."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.model.attention import MultiHeadAttention
from minibert.model.checkpoints.loading import copy_weights
from minibert.model.layers import EncoderLayer
from minibert.text.masking import mask_tokens
from minibert.text.pairs import _draw_from_other_documents, _split_into_chunks, _truncate, draw_pairs

PRETRAINING = [
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
        "Being chosen and being changed are drawn apart, with shares that do not add up.",
        "Fewer tokens are guessed than were meant.",
        "labml: 81/10/9, and a part of what was chosen stays out",
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
        "Every chosen token becomes [MASK].",
        "Fine-tuning never shows a [MASK], and the model has learned to look nowhere else.",
        "learners",
    ),
    Mistake(
        "special tokens masked",
        mask_tokens,
        (("maskable & ", ""),),
        "[CLS], [SEP] and padding may be masked.",
        "To guess padding is easy: the loss looks good.",
        "learners",
    ),
    Mistake(
        "special tokens as random pieces",
        mask_tokens,
        (
            (
                "replacement_ids[(replacement * len(replacement_ids)).astype(np.int64)]",
                "(replacement * (replacement_ids.max() + 1)).astype(np.int64)",
            ),
        ),
        "The random piece is drawn from the whole vocabulary.",
        "Now and then a [SEP] or [PAD] stands in the middle of a sentence.",
        "learners; Hugging Face's collator",
    ),
    Mistake(
        "labels everywhere",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORED)", "input_ids"),),
        "Tokens that are not masked have a label too.",
        "The model learns to copy.",
        "learners",
    ),
    Mistake(
        "labels after masking",
        mask_tokens,
        (("np.where(selected, input_ids, IGNORED)", "np.where(selected, replaced, IGNORED)"),),
        "The label is what stands there after masking.",
        "The right answer to [MASK] is [MASK].",
        "learners who change the ids in place",
    ),
    Mistake(
        "masks by comparison with their complement",
        mask_tokens,
        (("np.where(selected, replaced, input_ids)", "np.where(~selected, input_ids, replaced)"),),
        "The cases are written the other way round.",
        "The same.",
        "anybody",
        Kind.EQUIVALENT,
    ),
    Mistake(
        "negative from the same document",
        _draw_from_other_documents,
        (
            ("generator.integers(0, first_of[-1] - own)", "generator.integers(0, first_of[-1], len(own))"),
            ("number += own * (number >= first_of[chunks.document])", "number += 0"),
        ),
        "The other sentence may come from the same document, or be the true next one.",
        'Some pairs that belong together are labeled "another document".',
        "codertimo/BERT-pytorch (#110)",
    ),
    Mistake(
        "always the next sentence",
        _split_into_chunks,
        (("generator.integers(0, 2, len(start))", "np.zeros(len(start), dtype=np.int64)"),),
        "No pair is from two documents.",
        "There is nothing to learn.",
        "learners",
    ),
    Mistake(
        "next-sentence labels exchanged",
        draw_pairs,
        (("np.flatnonzero(chunks.label == NOT_NEXT)", "np.flatnonzero(chunks.label == IS_NEXT)"),),
        'What follows is labeled "another document".',
        "A checkpoint from elsewhere answers the contrary.",
        "codes that call the label is_next",
    ),
    Mistake(
        "the rest of a chunk thrown away",
        _split_into_chunks,
        (('np.where((label == NOT_NEXT) & (task == "nsp"), split, end)', "end"),),
        "Where B comes from elsewhere, the sentences that would have followed are passed over.",
        "A quarter of the text is not learned from.",
        "shortened retellings of Google's code, which puts unused sentences back",
    ),
    Mistake(
        "shortened at the end only",
        _truncate,
        (("generator.binomial(a_length - a_kept, 0.5)", "np.zeros_like(a_length)"),),
        "Tokens that are too many are always taken off the end of A.",
        "The ends of long segments are hardly ever seen.",
        "tokenizers' own truncation",
    ),
    Mistake(
        "only the second segment shortened",
        _truncate,
        (("np.maximum(max_tokens - b_length, (max_tokens + 1) // 2)", "np.maximum(max_tokens - 1, 1)"),),
        "A keeps all it has, and B what is left.",
        "Of many examples B is one token, from which nothing can be told.",
        "learners",
    ),
    Mistake(
        "the first ones within the limit",
        mask_tokens,
        (("selected &= selection < limit", "selected &= np.cumsum(selected, axis=-1) <= max_predictions"),),
        "Where too many tokens are chosen, those that stand first are guessed.",
        "What stands late in a text is guessed less often.",
        "learners",
    ),
    Mistake(
        "dropout in evaluation",
        MultiHeadAttention._attend,
        (("self.dropout if self.training else 0.0", "self.dropout"),),
        "Attention weights are dropped in evaluation too.",
        "The same question has another answer every time.",
        "users of the functional dropout, whose training is True unless told otherwise",
    ),
    Mistake(
        "cross-attention to itself",
        MultiHeadAttention.forward,
        (("self.keys_and_values(keys_from, positions)", "self.keys_and_values(queries_from, positions)"),),
        "Keys and values come from the tokens that read.",
        "Self-attention does not notice; a decoder never sees what it is to translate.",
        "learners",
    ),
    Mistake(
        "no second residual",
        EncoderLayer.forward,
        (
            (
                "self.norm(hidden + self.dropout(self.feed_forward(hidden)))",
                "self.norm(self.dropout(self.feed_forward(hidden)))",
            ),
        ),
        "What went into the feed-forward network is not added.",
        "Tokens forget what they were.",
        "learners",
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
        "Square matrices are loaded as their transposes.",
        "Shapes fit, numbers are nonsense: PyTorch keeps Wᵀ, the paper and TensorFlow W.",
        "converters of TensorFlow checkpoints",
    ),
]
