"""Replaced-token detection: the generator's samples, and the losses of ELECTRA. Clark et al. 2020, section 2."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from minibert.checks import check_tensor, value_outside
from minibert.equations.objectives import IGNORE_INDEX, Reduction, binary_cross_entropy, reduce_losses
from minibert.precision import at_least_float32

BELOW_ONE = 1 - 2**-53
"""The largest floating-point number below 1."""


def sample_tokens(logits: Float[Tensor, "*batch vocabulary"], uniform: Float[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    r"""Draw a token from each distribution of logits: the first one at which the sum of the probabilities exceeds u.

    Eq: $$\hat x = \min\Big\{k : \sum_{j \le k} \mathrm{softmax}(z)_j > u\Big\}, \qquad u \sim \mathrm{U}[0, 1)$$
    Source: Clark et al. 2020, section 2 (x̂ ~ p_G); the inverse-transform method, Devroye 1986, section III.2.
    Differs: the authors' code adds Gumbel noise to the logits and takes the maximum, which needs a random number for every
        token of the vocabulary. The distribution of the samples is the same. The samples have no gradient.
    Tests: tests/equations/test_replaced_tokens.py::TestSampleTokens
    Lesson: lessons/09_pretraining_objectives.py

    Args:
        uniform: random numbers from 0 to below 1.

    Raises: ValueError for numbers of another shape, or outside of this interval (checked on the CPU only).

    >>> logits = torch.tensor([0.5, 0.2, 0.3]).log().expand(3, 3)
    >>> sample_tokens(logits, torch.tensor([0.4, 0.6, 0.9])).tolist()
    [0, 1, 2]
    """
    check_tensor("uniform", uniform, shape=logits.shape[:-1])
    if (wrong := value_outside(uniform, 0, BELOW_ONE)) is not None:
        raise ValueError(f"uniform has the value {wrong}, expected numbers from 0 to below 1")
    sums = torch.softmax(at_least_float32(logits.detach()), dim=-1).cumsum(dim=-1)
    # The last sum is 1 only up to rounding. The comparison with a share of it never leaves the vocabulary.
    return (sums <= uniform[..., None].double() * sums[..., -1:]).sum(dim=-1)


def replaced_token_labels(
    corrupted_ids: Int[Tensor, "*batch tokens"], original_ids: Int[Tensor, "*batch tokens"], keep: Bool[Tensor, "*batch tokens"]
) -> Int[Tensor, "*batch tokens"]:
    r"""Compute the labels of replaced-token detection: 1 for a token that is not the original one, 0 for an original one.

    Eq: $$y_t = 1\big[x^{\mathrm{corrupt}}_t \ne x_t\big]$$
    Source: Clark et al. 2020, section 2: "if the generator happens to generate the correct token, that token is considered
        real".
    Differs: padding, where `keep` is False, has the label `IGNORE_INDEX`.
    Tests: tests/equations/test_replaced_tokens.py::TestReplacedTokenLabels
    Lesson: lessons/09_pretraining_objectives.py

    >>> ids = torch.tensor([7, 8, 9, 0])
    >>> replaced_token_labels(torch.tensor([7, 5, 9, 0]), ids, keep=ids != 0).tolist()
    [0, 1, 0, -100]
    """
    return (corrupted_ids != original_ids).long().masked_fill(~keep, IGNORE_INDEX)


def replaced_token_loss(
    logits: Float[Tensor, "*batch tokens"], labels: Int[Tensor, "*batch tokens"], reduction: Reduction = "mean"
) -> Float[Tensor, ""]:
    r"""Compute the loss of the discriminator: the mean binary cross-entropy over all tokens, masked or not.

    Eq: $$L_{\mathrm{Disc}} = -\frac{1}{n} \sum_{t=1}^{n} \big[y_t \log \sigma(z_t) + (1 - y_t) \log(1 - \sigma(z_t))\big]$$
    Source: Clark et al. 2020, section 2. D = 1 - σ(z) there is the probability of a real token.
    Differs: the label 1 means "replaced", as in the authors' code; D is the probability of the other class. Tokens whose label
        is `IGNORE_INDEX` are not counted. Without a token the loss is 0.
    Tests: tests/equations/test_replaced_tokens.py::TestReplacedTokenLoss
    Lesson: lessons/09_pretraining_objectives.py

    Args:
        labels: 1 for a replaced token, 0 for an original one, `IGNORE_INDEX` for padding.

    Raises: TypeError unless the labels are an int64 tensor; ValueError for another shape, or another label (checked on the CPU
        only).

    >>> replaced_token_loss(torch.tensor([0.0, 0.0, 9.0]), torch.tensor([1, 0, IGNORE_INDEX]))  # undecided: ln 2
    tensor(0.6931)
    """
    check_tensor("labels", labels, torch.int64, shape=logits.shape)
    counted = labels != IGNORE_INDEX
    targets = labels.masked_fill(~counted, 0)
    if (wrong := value_outside(targets, 0, 1)) is not None:
        raise ValueError(f"labels has the value {wrong}, expected 1 for a replaced token, 0 for an original one, or -100")
    losses = binary_cross_entropy(logits, targets.to(logits.dtype)).masked_fill(~counted, 0.0)
    return reduce_losses(losses, labels, reduction)


def electra_loss(
    generator_loss: Float[Tensor, ""], discriminator_loss: Float[Tensor, ""], discriminator_weight: float = 50.0
) -> Float[Tensor, ""]:
    r"""Compute the loss of ELECTRA, from the masked-LM loss of the generator and the loss of the discriminator.

    Eq: $$L = L_{\mathrm{MLM}} + \lambda L_{\mathrm{Disc}}$$
    Source: Clark et al. 2020, section 2, with λ = 50 (appendix A).
    Differs: the paper writes sums over the text; both losses are means, over masked tokens and over all tokens, as in the
        authors' code. The discriminator's loss has no gradient for the generator, because the samples have none.
    Tests: tests/equations/test_replaced_tokens.py::TestElectraLoss
    Lesson: lessons/09_pretraining_objectives.py

    >>> electra_loss(torch.tensor(6.0), torch.tensor(0.5))
    tensor(31.)
    """
    return generator_loss + discriminator_weight * discriminator_loss
