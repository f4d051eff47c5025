"""Mistakes in the encoder layer."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.model.layers import EncoderLayer

ENCODER_LAYER_MISTAKES = [
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
        "no residual around self-attention",
        EncoderLayer.forward,
        (('summed = observe("attention_residual", hidden + attended)', 'summed = observe("attention_residual", attended)'),),
        "The input of self-attention is not added to its output.",
        "Tokens lose their own information.",
        "learners",
        message="You left out the residual connection around self-attention.",
    ),
    Mistake(
        "second residual from the input",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                ("first = hidden\n    attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))"),
            ),
            (
                'summed = observe("feed_forward_residual", hidden + transformed)',
                'summed = observe("feed_forward_residual", first + transformed)',
            ),
        ),
        "The input of the layer is added to the output of the feed-forward network.",
        "The output of self-attention is lost, but for the feed-forward network.",
        "learners, by the name of a variable",
        message="You added the input of the layer to the feed-forward network. Its own input is added.",
    ),
    Mistake(
        "one normalization for both sublayers",
        EncoderLayer.forward,
        (("self.feed_forward_norm(summed)", "self.attention_norm(summed)"),),
        "The first normalization is used twice.",
        "The gain and bias of the second one are never trained. At the start there is no difference.",
        "learners, by copying a line",
        message="You used the first normalization twice.",
    ),
    Mistake(
        "normalizations swapped",
        EncoderLayer.forward,
        (
            ("self.attention_norm(summed)", "self.feed_forward_norm(summed)"),
            (
                'observe("feed_forward_norm", self.feed_forward_norm(summed))',
                'observe("feed_forward_norm", self.attention_norm(summed))',
            ),
        ),
        "The two normalizations are swapped.",
        "Training from scratch works as well, but a checkpoint gives other numbers.",
        "learners, by mistake",
        message="You swapped the two normalizations.",
    ),
    Mistake(
        "no first normalization",
        EncoderLayer.forward,
        (('hidden = observe("attention_norm", self.attention_norm(summed))', "hidden = summed"),),
        "The normalization after self-attention is missing.",
        "Vectors grow from layer to layer.",
        "learners",
        message="You left out the normalization after self-attention.",
    ),
    Mistake(
        "no second normalization",
        EncoderLayer.forward,
        (('observe("output", observe("feed_forward_norm", self.feed_forward_norm(summed)))', 'observe("output", summed)'),),
        "The normalization after the feed-forward network is missing.",
        "Vectors grow from layer to layer.",
        "learners",
        message="You left out the normalization after the feed-forward network.",
    ),
    Mistake(
        "pre-norm layer",
        EncoderLayer.forward,
        (("if self.pre_norm:", "if not self.pre_norm:"),),
        "The input of each sublayer is normalized, not the sum.",
        "Training is more stable, but a checkpoint of BERT gives other numbers.",
        "GPT-2, tensor2tensor",
        Kind.CONVENTION,
        message="You normalized before each sublayer (pre-norm). BERT normalizes after each sum (post-norm).",
    ),
    Mistake(
        "no dropout in the layer",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.self_attend(hidden, keep, relative_positions, cache)",
            ),
            ("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.feed_forward(hidden)"),
        ),
        "The outputs of both sublayers have no dropout.",
        "Overfitting on small data.",
        "learners",
        message="You left out the dropout after both sublayers.",
    ),
    Mistake(
        "no dropout after self-attention",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.self_attend(hidden, keep, relative_positions, cache)",
            ),
        ),
        "The output of self-attention has no dropout.",
        "Overfitting on small data.",
        "learners",
        message="You left out the dropout after self-attention.",
    ),
    Mistake(
        "no dropout after the feed-forward network",
        EncoderLayer.forward,
        (("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.feed_forward(hidden)"),),
        "The output of the feed-forward network has no dropout.",
        "Overfitting on small data.",
        "learners",
        message="You left out the dropout after the feed-forward network.",
    ),
    Mistake(
        "dropout of the sums",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.self_attend(hidden, keep, relative_positions, cache)",
            ),
            (
                'summed = observe("attention_residual", hidden + attended)',
                'summed = observe("attention_residual", self.dropout(hidden + attended))',
            ),
            ("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.feed_forward(hidden)"),
            (
                'summed = observe("feed_forward_residual", hidden + transformed)',
                'summed = observe("feed_forward_residual", self.dropout(hidden + transformed))',
            ),
        ),
        "Dropout comes after each residual connection.",
        "The residual path loses information in every layer.",
        "learners",
        message="You applied dropout to the sums. It belongs to the outputs of the sublayers.",
    ),
    Mistake(
        "dropout after the normalizations",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.self_attend(hidden, keep, relative_positions, cache)",
            ),
            (
                'hidden = observe("attention_norm", self.attention_norm(summed))',
                "hidden = self.dropout(self.attention_norm(summed))",
            ),
            ("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.feed_forward(hidden)"),
            ('observe("feed_forward_norm", self.feed_forward_norm(summed))', "self.dropout(self.feed_forward_norm(summed))"),
        ),
        "Dropout comes after each normalization.",
        "The residual path loses information in every layer.",
        "learners",
        message="You applied dropout after the normalizations. It belongs to the outputs of the sublayers.",
    ),
    Mistake(
        "mask ignored in the layer",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.dropout(self.self_attend(hidden, None, relative_positions, cache))",
            ),
        ),
        "The mask is not used.",
        "Tokens attend to padding.",
        "learners",
        message="You did not pass the mask to self-attention.",
    ),
    Mistake(
        "feed-forward network of the sum",
        EncoderLayer.forward,
        (("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.dropout(self.feed_forward(summed))"),),
        "The feed-forward network gets the sum before the normalization.",
        "Its input has any size.",
        "learners, by the name of a variable",
        message="You gave the sum to the feed-forward network before its normalization.",
    ),
    Mistake(
        "feed-forward network of the input",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                ("first = hidden\n    attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))"),
            ),
            ("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.dropout(self.feed_forward(first))"),
        ),
        "The feed-forward network gets the input of the layer.",
        "The two sublayers are parallel.",
        "GPT-J, which is so by design",
        message="You gave the input of the layer to the feed-forward network.",
    ),
    Mistake(
        "no activation function in the layer",
        EncoderLayer.forward,
        (
            (
                "transformed = self.dropout(self.feed_forward(hidden))",
                "transformed = self.dropout(self.feed_forward.output(self.feed_forward.intermediate(hidden)))",
            ),
        ),
        "The feed-forward network has no activation function.",
        "Two linear maps are one linear map.",
        "learners",
        message="You left out the activation function of the feed-forward network.",
    ),
    Mistake(
        "no feed-forward network",
        EncoderLayer.forward,
        (('summed = observe("feed_forward_residual", hidden + transformed)', "summed = hidden + 0 * transformed"),),
        "The feed-forward network is missing.",
        "Two thirds of the parameters are missing.",
        "learners",
        message="You left out the feed-forward network.",
    ),
    Mistake(
        "sublayers normalized before the sum",
        EncoderLayer.forward,
        (
            (
                'hidden = observe("attention_norm", self.attention_norm(summed))',
                'hidden = observe("attention_norm", hidden + self.attention_norm(attended))',
            ),
            (
                'observe("feed_forward_norm", self.feed_forward_norm(summed))',
                'observe("feed_forward_norm", hidden + self.feed_forward_norm(transformed))',
            ),
        ),
        "The output of each sublayer is normalized, and then the input is added.",
        "Vectors grow from layer to layer.",
        "learners: x + LayerNorm(Sublayer(x))",
        message="You normalized the output of each sublayer before adding its input.",
    ),
    Mistake(
        "sublayers in the wrong order",
        EncoderLayer.forward,
        (
            (
                "attended = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
                "attended = self.dropout(self.feed_forward(hidden))",
            ),
            (
                "transformed = self.dropout(self.feed_forward(hidden))",
                "transformed = self.dropout(self.self_attend(hidden, keep, relative_positions, cache))",
            ),
        ),
        "The feed-forward network comes before self-attention.",
        "A checkpoint gives other numbers.",
        "learners, by mistake",
        message="You swapped the sublayers: self-attention comes first.",
    ),
    Mistake(
        "feed-forward network of the attention output",
        EncoderLayer.forward,
        (("transformed = self.dropout(self.feed_forward(hidden))", "transformed = self.dropout(self.feed_forward(attended))"),),
        "The feed-forward network gets the output of attention without its input.",
        "Tokens lose their own information.",
        "learners, by the name of a variable",
        message=("You gave the output of attention to the feed-forward network, without the residual and the normalization."),
    ),
]
