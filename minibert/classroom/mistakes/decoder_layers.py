"""Mistakes in the decoder layer."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.model.layers import DecoderLayer

DECODER_LAYER_MISTAKES = [
    Mistake(
        "cross-attention to the target",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.cross_attention(hidden, hidden))",
            ),
        ),
        "Keys and values come from the target, as in self-attention.",
        "The source is not used: the output is fluent and unrelated to the source.",
        "learners",
        message="You computed keys and values of cross-attention from the target. They come from the encoder output.",
    ),
    Mistake(
        "queries from the source",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.cross_attention(memory, hidden).mean(1, keepdim=True))",
            ),
        ),
        "The queries come from the source, and the keys and values from the target.",
        "The lengths do not fit; after averaging they do.",
        "learners who swap the arguments",
        message="You computed the queries of cross-attention from the encoder output. They come from the target.",
    ),
    Mistake(
        "no residual around cross-attention",
        DecoderLayer.forward,
        (('summed = observe("cross_attention_residual", hidden + attended)', "summed = attended"),),
        "The input of cross-attention is not added to its output.",
        "The decoder loses the information about the tokens generated so far.",
        "learners",
        message="You left out the residual connection around cross-attention.",
    ),
    Mistake(
        "causal mask ignored in the layer",
        DecoderLayer.forward,
        (("attended = self.dropout(self.self_attend(hidden, keep,", "attended = self.dropout(self.self_attend(hidden, None,"),),
        "The mask of self-attention is not used.",
        "The decoder sees the tokens that it has to predict.",
        "learners",
        message="You did not pass the mask to self-attention.",
    ),
    Mistake(
        "mask of the source ignored",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache)",
                "attended = self.dropout(self.cross_attend(hidden, memory, None, cache)",
            ),
        ),
        "The mask of the encoder output is not used.",
        "Tokens attend to padding of the source.",
        "learners",
        message="You did not pass the mask of the encoder output to cross-attention.",
    ),
    Mistake(
        "no cross-attention",
        DecoderLayer.forward,
        (('summed = observe("cross_attention_residual", hidden + attended)', "summed = hidden + 0 * attended"),),
        "Cross-attention is missing.",
        "The source is not used.",
        "learners",
        message="You left out cross-attention.",
    ),
    Mistake(
        "no normalization of cross-attention",
        DecoderLayer.forward,
        (('hidden = observe("cross_attention_norm", self.cross_attention_norm(summed))', "hidden = summed"),),
        "The normalization after cross-attention is missing.",
        "Vectors grow from layer to layer.",
        "learners",
        message="You left out the normalization after cross-attention.",
    ),
    Mistake(
        "normalization of self-attention for cross-attention",
        DecoderLayer.forward,
        (("self.cross_attention_norm(summed)", "self.attention_norm(summed)"),),
        "The first normalization is used for cross-attention too.",
        "Its own gain and bias are never trained.",
        "learners, by copying a line",
        message="You used the normalization of self-attention after cross-attention.",
    ),
    Mistake(
        "no dropout after cross-attention",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.cross_attend(hidden, memory, memory_keep, cache)",
            ),
        ),
        "The output of cross-attention has no dropout.",
        "Overfitting on small data.",
        "learners",
        message="You left out the dropout after cross-attention.",
    ),
    Mistake(
        "no residual around self-attention of the decoder",
        DecoderLayer.forward,
        (('summed = observe("attention_residual", hidden + attended)', 'summed = observe("attention_residual", attended)'),),
        "The input of self-attention is not added to its output.",
        "Tokens lose their own information.",
        "learners",
        message="You left out the residual connection around self-attention.",
    ),
    Mistake(
        "no residual around the decoder's feed-forward network",
        DecoderLayer.forward,
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
        "no final normalization of the decoder layer",
        DecoderLayer.forward,
        (('observe("output", observe("feed_forward_norm", self.feed_forward_norm(summed)))', 'observe("output", summed)'),),
        "The normalization after the feed-forward network is missing.",
        "Vectors grow from layer to layer.",
        "learners",
        message="You left out the normalization after the feed-forward network.",
    ),
    Mistake(
        "pre-norm decoder layer",
        DecoderLayer.forward,
        (("if self.pre_norm:", "if not self.pre_norm:"),),
        "The input of each sublayer is normalized, not the sum.",
        "A checkpoint of a post-norm model gives other numbers.",
        "tensor2tensor",
        Kind.CONVENTION,
        message=("You normalized before each sublayer (pre-norm). This layer normalizes after each sum (post-norm)."),
    ),
    Mistake(
        "self-attention in place of cross-attention",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
            ),
        ),
        "Self-attention is applied twice.",
        "The source is not used.",
        "learners, by copying a line",
        message="You applied self-attention twice, in place of cross-attention.",
    ),
    Mistake(
        "cross-attention to the target with its mask",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.cross_attention(hidden, hidden, keep))",
            ),
        ),
        "Self-attention is computed twice.",
        "The source is not used: the output is fluent and unrelated to the source.",
        "learners",
        message="You computed keys and values of cross-attention from the target. They come from the encoder output.",
    ),
    Mistake(
        "queries of cross-attention from the input",
        DecoderLayer.forward,
        (
            (
                'summed = observe("attention_residual", hidden + attended)',
                'start = hidden\n    summed = observe("attention_residual", hidden + attended)',
            ),
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.cross_attend(start, memory, memory_keep, cache))",
            ),
        ),
        "The queries come from the input of the layer.",
        "Cross-attention does not know what self-attention found.",
        "learners, by the name of a variable",
        message="You computed the queries of cross-attention from the input of the layer. They come from self-attention.",
    ),
    Mistake(
        "cross-attention residual from the input",
        DecoderLayer.forward,
        (
            (
                'summed = observe("attention_residual", hidden + attended)',
                'start = hidden\n    summed = observe("attention_residual", hidden + attended)',
            ),
            (
                'summed = observe("cross_attention_residual", hidden + attended)',
                'summed = observe("cross_attention_residual", start + attended)',
            ),
        ),
        "The input of the layer is added to the output of cross-attention.",
        "The output of self-attention is lost, but for the queries.",
        "learners, by the name of a variable",
        message="You added the input of the layer to cross-attention. Its own input is added.",
    ),
    Mistake(
        "last residual from self-attention",
        DecoderLayer.forward,
        (
            (
                'summed = observe("cross_attention_residual", hidden + attended)',
                'before = hidden\n    summed = observe("cross_attention_residual", hidden + attended)',
            ),
            (
                'summed = observe("feed_forward_residual", hidden + transformed)',
                'summed = observe("feed_forward_residual", before + transformed)',
            ),
        ),
        "The output of self-attention is added to that of the feed-forward network.",
        "The output of cross-attention is lost, but for the feed-forward network.",
        "learners, by the name of a variable",
        message="You added the output of self-attention to the feed-forward network. Its own input is added.",
    ),
    Mistake(
        "last residual from the input",
        DecoderLayer.forward,
        (
            (
                'summed = observe("attention_residual", hidden + attended)',
                'start = hidden\n    summed = observe("attention_residual", hidden + attended)',
            ),
            (
                'summed = observe("feed_forward_residual", hidden + transformed)',
                'summed = observe("feed_forward_residual", start + transformed)',
            ),
        ),
        "The input of the layer is added to the output of the feed-forward network.",
        "The outputs of both attentions are lost, but for the feed-forward network.",
        "learners, by the name of a variable",
        message="You added the input of the layer to the feed-forward network. Its own input is added.",
    ),
    Mistake(
        "cross-attention before self-attention",
        DecoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.dropout(self.cross_attention(hidden, memory, memory_keep))",
            ),
            (
                'observe("attention_norm", self.attention_norm(summed))',
                'observe("attention_norm", self.cross_attention_norm(summed))',
            ),
            (
                "attended = self.dropout(self.cross_attend(hidden, memory, memory_keep, cache))",
                "attended = self.dropout(self.attention(hidden, hidden, keep))",
            ),
            (
                'observe("cross_attention_norm", self.cross_attention_norm(summed))',
                'observe("cross_attention_norm", self.attention_norm(summed))',
            ),
        ),
        "Cross-attention comes before self-attention.",
        "A checkpoint gives other numbers.",
        "learners, by mistake",
        message="You computed cross-attention before self-attention. It comes after it.",
    ),
]
