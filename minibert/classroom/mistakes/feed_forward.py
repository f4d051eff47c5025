"""Mistakes in the feed-forward network."""

from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.equations import feed_forward

FEED_FORWARD_MISTAKES = [
    Mistake(
        "no activation",
        feed_forward,
        (("activation(intermediate)", "intermediate"),),
        "The activation function is missing.",
        "Two linear maps are equal to one, so the network is linear.",
        "learners",
        message="You left out the activation function.",
    ),
    Mistake(
        "activation after the second map",
        feed_forward,
        (
            (
                'observe("activation", activation(intermediate)) @ weight_2 + bias_2',
                'activation(observe("activation", activation(intermediate)) @ weight_2 + bias_2)',
            ),
        ),
        "The activation function is also applied after the second linear map.",
        "The sublayer cannot add negative numbers.",
        "learners who build it from two equal layers",
        message="You applied the activation function again after the second linear map.",
    ),
    Mistake(
        "no first bias",
        feed_forward,
        (("hidden @ weight_1 + bias_1", "hidden @ weight_1"),),
        "b1 is missing.",
        "All hidden units switch at zero.",
        "learners",
        message="You left out the first bias.",
    ),
    Mistake(
        "first bias after the activation",
        feed_forward,
        (
            ("hidden @ weight_1 + bias_1", "hidden @ weight_1"),
            ("activation(intermediate))", "activation(intermediate) + bias_1)"),
        ),
        "b1 is added after the activation function.",
        "All hidden units switch at zero, and b1 has the same effect as b2.",
        "learners",
        message="You added the first bias after the activation function.",
    ),
    Mistake(
        "positions mixed",
        feed_forward,
        (("hidden @ weight_1 + bias_1", "(hidden - hidden.mean(dim=0) * (hidden.ndim > 1)) @ weight_1 + bias_1"),),
        "The mean over the first axis is subtracted from every token.",
        "Tokens influence each other, although each should be computed separately.",
        "learners who want to normalize",
        message="You subtracted the mean over the first axis from every token.",
    ),
    Mistake(
        "no second bias",
        feed_forward,
        ((" @ weight_2 + bias_2", " @ weight_2"),),
        "b2 is missing.",
        "The sublayer cannot add a constant.",
        "learners",
        message="You left out the second bias.",
    ),
    Mistake(
        "activation before the first map",
        feed_forward,
        (
            ("hidden @ weight_1", "activation(hidden) @ weight_1"),
            ("activation(intermediate)", "intermediate"),
        ),
        "The activation function is applied to the input.",
        "Negative numbers of the input are lost, and both linear maps are equal to one.",
        "learners",
        message="You applied the activation function before the first linear map.",
    ),
    Mistake(
        "input added to the network",
        feed_forward,
        (
            (
                'observe("activation", activation(intermediate)) @ weight_2 + bias_2',
                'hidden + observe("activation", activation(intermediate)) @ weight_2 + bias_2',
            ),
        ),
        "The input is added to the output.",
        "The residual connection belongs to the layer. Added here too, it counts twice.",
        "learners",
        message="You added the input. The residual connection belongs to the layer around this function.",
    ),
    Mistake(
        "weights of the network transposed",
        feed_forward,
        (
            ("hidden @ weight_1", "hidden @ weight_1.mT"),
            (" @ weight_2", " @ weight_2.mT"),
        ),
        "Both matrices are transposed.",
        "The shapes fit if all widths are equal, but the numbers are wrong.",
        "torch.nn.Linear, which stores the transposed matrices",
        message="You multiplied with the transposes of both matrices, as torch.nn.Linear does.",
    ),
    Mistake(
        "always ReLU",
        feed_forward,
        (("activation(intermediate)", "torch.relu(intermediate)"),),
        "The activation function is an argument, but ReLU is used.",
        "It is correct for the original Transformer and wrong for BERT.",
        "learners",
        message="You used ReLU instead of the activation function that was given.",
    ),
    Mistake(
        "GELU as the default activation",
        feed_forward,
        (("activation: Callable[[Tensor], Tensor] = relu", "activation: Callable[[Tensor], Tensor] = gelu"),),
        "The default activation function is GELU.",
        "BERT uses GELU. The Transformer of the paper uses ReLU.",
        "BERT and GPT-2",
        Kind.CONVENTION,
        message="You used GELU as the default activation function instead of ReLU.",
    ),
    Mistake(
        "activation after both maps only",
        feed_forward,
        (
            ('observe("activation", activation(intermediate)) @', "activation(intermediate @"),
            ("@ weight_2 + bias_2)", "@ weight_2 + bias_2))"),
        ),
        "The activation function comes after both linear maps.",
        "Two linear maps are equal to one.",
        "learners",
        message="You applied the activation function after both linear maps instead of between them.",
    ),
]
