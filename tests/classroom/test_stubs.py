"""Whole stubs of small functions: one with everything that a docstring can have, one with nothing, and a method."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from minibert.classroom.exercise import Case, Exercise, Role
from minibert.classroom.exercises import EXERCISES
from minibert.classroom.stubs import formulas, known_names, purpose, stub
from minibert.equations import gelu

SCALE = 2.5
lower = 3


def scaled_loss(
    logits: Float[Tensor, "*batch vocab"],
    labels: Int[Tensor, "*#batch"],
    keep: Bool[Tensor, "*batch"] | None = None,
    reduction: str = "mean",
    eps: float = 0.1,
) -> tuple[Float[Tensor, "*batch"], int]:
    r"""Compute a loss. It is scaled
    by a constant.

    A second paragraph is for readers of minibert.

    Args:
        logits: a score of each token,
            as one number.
        keep: True for a label that counts.

    Eq: $$L = -\log p \qquad p = e^{x}$$
    Source: A paper, section 1.
    Returns: the losses and their number.
    Differs: With `reduction` a mean is possible. Without labels the loss is 0. `eps` is added.

    >>> scaled_loss(torch.zeros(2), torch.tensor(1))  # a comment
    (tensor(3.), 2)
    """
    return math.log(2) * SCALE * logits.sum() + lower, 2


def plain(x, y=1):
    """Return x.

    >>> gelu(plain(torch.zeros(1)))
    tensor([0.])
    """
    return gelu(x)


class Layer(nn.Module):
    """One layer.

    Steps:
        nothing
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.parts = nn.ModuleList([nn.Linear(2, 2)])
        self.gain = nn.Parameter(torch.ones(2))
        self.dropout, self.heads, self.mode, self.activation = None, 2, "fast", gelu

    def forward(self, x: Float[Tensor, "tokens width"], keep: Tensor | None = None) -> Float[Tensor, "tokens width"]:
        r"""Scale the input.

        Eq: $$y = \frac{g \quad x}{1}$$
        """
        return self.gain * x

    def other(self, x: Tensor) -> Tensor:
        return x


def exercise_of(reference, **arguments) -> Exercise:
    case = Case("usual", lambda draw: arguments)
    limits = [Case(name, lambda draw: arguments, Role.LIMIT) for name in ("no label", "large scores", "no label")]
    return Exercise(reference.__name__, reference, (case, *(limits if arguments.get("labels") is not None else ())))


X = torch.ones(2, 2)
LOSS = exercise_of(scaled_loss, logits=X, labels=X[0].long(), keep=None, eps=0.1)
PLAIN = exercise_of(plain, x=X)
LAYER = exercise_of(Layer.forward, self=Layer(), x=X)


LOSS_STUB = r'''"""Exercise: scaled_loss.

Replace the last line by your code. Save, or run: minibert check scaled_loss
"""

import math
import torch
from torch import Tensor

SCALE = 2.5


def scaled_loss(
    logits: Tensor,
    labels: Tensor,
    keep: Tensor | None = None,
    eps: float = 0.1,
) -> tuple[Tensor, int]:
    r"""Compute a loss. It is scaled by a constant.

    Formula:
        L = − log p
        p = e^x

    Args:
        logits: float tensor (*batch, vocab); a score of each token, as one number.
        labels: int tensor (*#batch)
        keep: bool tensor (*batch), or None; True for a label that counts.
        eps: float

    Returns:
        float tensor (*batch)
        int
        the losses and their number.

    Axes:
        batch: sequences in a batch
        *name: any number of axes
        #name: the size of this axis, or 1

    Source: A paper, section 1.

    Differs: Without labels the loss is 0. `eps` is added.

    Limits of the formula: no label; large scores. The check tries them too; another result is only
    a warning.

    In LaTeX:
        L = -\log p
        p = e^{x}

    Example:

    >>> scaled_loss(torch.zeros(2), torch.tensor(1))  # a comment
    (tensor(3.), 2)
    """
    raise NotImplementedError
'''

PLAIN_STUB = r'''"""Exercise: plain.

Replace the last line by your code. Save, or run: minibert check plain
"""

import math
import torch


def plain(x):
    r"""Return x.

    Args:
        x
    """
    raise NotImplementedError
'''

LAYER_STUB = r'''"""Exercise: forward.

Replace the last line by your code. Save, or run: minibert check forward
"""

import math
import torch
from torch import Tensor


def forward(self, x: Tensor) -> Tensor:
    r"""One layer. Scale the input.

    Formula:
        y = (g x)/1

    Args:
        self: the module. The sizes are those of one test
        self.linear: Linear(in_features=2, out_features=3, bias=True); call self.linear(input)
        self.parts: ModuleList; call self.parts(input)
        self.gain: parameter of shape (2,)
        self.heads: int, such as 2
        self.activation: the function gelu; call self.activation(x)
        x: float tensor (tokens, width)

    Returns:
        float tensor (tokens, width)

    Axes:
        tokens: tokens of a sequence
        width: size of a vector: of a token (`hidden_size`), or of one attention head

    In LaTeX:
        y = \frac{g \quad x}{1}
    """
    raise NotImplementedError
'''


def test_a_stub_has_all_that_a_docstring_says() -> None:
    """Limits are named once; nothing is said of a parameter that no input has; the constants of the module are there."""
    assert stub(LOSS) == LOSS_STUB
    assert formulas(LOSS) == [r"L = -\log p", "p = e^{x}"]


def test_a_function_without_a_docstring_has_a_stub() -> None:
    def bare(x):
        return torch.exp(x)

    def decorated(x):
        return bare(x)

    decorated.__wrapped__ = bare
    for reference in (bare, decorated):
        text = stub(Exercise("bare", reference, (Case("usual", lambda draw: {"x": X}),)))
        assert text.endswith('def bare(x):\n    r"""Args:\n        x\n    """\n    raise NotImplementedError\n')
    assert purpose(exercise_of(Layer.other, self=Layer(), x=X)) == "One layer."


def test_the_steps_of_a_layer_are_in_its_stub() -> None:
    """Formulas are plain text there, and LaTeX at the end."""
    exercise = EXERCISES["masked_lm_head"]
    text = stub(exercise)
    assert formulas(exercise)[0] == r"h = \mathrm{hidden}\, W^\top + b_h"
    assert "    Steps:\n" in text
    assert ": h = hidden Wᵀ + b_h. " in text
    assert "    In LaTeX:\n        h = " in text
    assert all("=" in formula for formula in formulas(exercise))


def test_a_part_is_called_with_the_inputs_that_it_needs() -> None:
    class Part(nn.Module):
        def forward(self, x, keep=None, scale=1.0):
            return x

    module = Layer()
    module.part = Part()
    assert "self.part: Part(); call self.part(x, keep)\n" in stub(exercise_of(Layer.forward, self=module, x=X))


def test_a_short_stub() -> None:
    """An example with another function of minibert is left out."""
    assert stub(PLAIN) == PLAIN_STUB
    cell = "Then run this cell and the next one."
    assert stub(PLAIN, in_notebook=True) == PLAIN_STUB.replace("Save, or run: minibert check plain", cell)
    assert {"plain", "x", "Return", "math"} <= known_names(PLAIN)
    assert "gelu" not in known_names(PLAIN)


def test_the_stub_of_a_method_describes_the_module() -> None:
    """A switch that is off and a setting that names an implementation are left out."""
    assert stub(LAYER) == LAYER_STUB
    assert purpose(LAYER) == "One layer. Scale the input."
    assert formulas(LAYER) == [r"y = \frac{g \quad x}{1}"]


class Backwards:
    """Z is the purpose of the class.

    More.
    """

    def forward(self, x: Tensor) -> Tensor:
        """A is that of the method. Eq: $x$."""
        return x


def test_the_purpose_is_that_of_the_class_and_then_that_of_the_method_up_to_the_first_field() -> None:
    assert purpose(exercise_of(Backwards.forward, self=1, x=2)) == "Z is the purpose of the class. A is that of the method."
