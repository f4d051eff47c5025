"""Layer normalization, activation functions, and the feed-forward network. Vaswani et al. 2017, sections 3.1 and 3.3."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from minibert.observe import observe
from minibert.precision import in_single_precision


@in_single_precision
def layer_norm(
    hidden: Float[Tensor, "*batch width"],
    gain: Float[Tensor, " width"],
    bias: Float[Tensor, " width"],
    eps: float = 1e-12,
) -> Float[Tensor, "*batch width"]:
    r"""Normalize each token to mean 0 and variance 1 over its width, then apply a learned gain and bias.

    Half-precision input is normalized in single precision: in half precision a square can overflow, and an eps of 1e-12 is
    zero.

    Eq: $$y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot g + b, \qquad
        \mu = \frac{1}{d}\sum_i x_i, \quad \sigma^2 = \frac{1}{d}\sum_i (x_i - \mu)^2$$
    Source: Ba et al. 2016, equations 3 and 4; used after every sublayer in Vaswani et al. 2017, section 3.1.
    Differs: the variance divides by d, not d - 1. BERT's code adds eps = 1e-12 inside the root (Ba et al. have no eps,
        PyTorch's default is 1e-5).
    Steps:
        mean (*batch 1): $$\mu = \frac{1}{d}\sum_i x_i$$ The mean of each token's vector.
        variance (*batch 1): $$\sigma^2 = \frac{1}{d}\sum_i (x_i - \mu)^2$$ The mean of the squared distances from the mean.
    Tests: tests/equations/test_layers.py::TestLayerNorm
    Lesson: lessons/05_encoder_layer.py

    >>> layer_norm(torch.tensor([1.0, 3.0]), gain=torch.tensor([1.0, 10.0]), bias=torch.tensor([0.5, 0.0]))
    tensor([-0.5000, 10.0000])
    """
    centered = hidden - observe("mean", hidden.mean(dim=-1, keepdim=True))
    variance = observe("variance", centered.square().mean(dim=-1, keepdim=True))
    normalized = centered / torch.sqrt(variance + eps)
    return normalized * gain + bias


@in_single_precision
def rms_norm(
    hidden: Float[Tensor, "*batch width"], gain: Float[Tensor, " width"], eps: float = 1e-6
) -> Float[Tensor, "*batch width"]:
    r"""Divide each token by the root of its mean square over its width, then apply a learned gain.

    Half-precision input is normalized in single precision, as in `layer_norm`.

    Eq: $$y = \frac{x}{\sqrt{\frac{1}{d}\sum_i x_i^2 + \varepsilon}} \odot g$$
    Source: Zhang and Sennrich 2019, equation 4; Raffel et al. 2020, section 2.1 ("the activations are only rescaled and no
        additive bias is applied").
    Differs: the mean is not subtracted, and there is no bias. Zhang and Sennrich have no eps; that of T5 is 1e-6, inside the
        root.
    Steps:
        mean_square (*batch 1): $$m = \frac{1}{d}\sum_i x_i^2$$ The mean of the squares of each token's vector.
    Tests: tests/equations/test_layers.py::TestRmsNorm
    Lesson: lessons/05_encoder_layer.py

    >>> rms_norm(torch.tensor([1.0, 7.0]), gain=torch.tensor([1.0, 10.0]))  # the mean square is 25
    tensor([ 0.2000, 14.0000])
    """
    mean_square = observe("mean_square", hidden.square().mean(dim=-1, keepdim=True))
    return hidden / torch.sqrt(mean_square + eps) * gain


def add_and_norm(
    hidden: Float[Tensor, "*batch width"],
    sublayer: Callable[[Tensor], Tensor],
    gain: Float[Tensor, " width"],
    bias: Float[Tensor, " width"],
    eps: float = 1e-12,
) -> Float[Tensor, "*batch width"]:
    r"""Compute a sublayer (attention or the feed-forward network), add its input, and normalize the sum.

    Eq: $$y = \mathrm{LayerNorm}(x + \mathrm{Sublayer}(x))$$
    Source: Vaswani et al. 2017, section 3.1 ("Add & Norm" in figure 1). This is post-norm; BERT uses it too.
    Differs: later versions of tensor2tensor and The Annotated Transformer use pre-norm, x + Sublayer(LayerNorm(x)). Xiong et
        al. 2020 compare the two.
    Tests: tests/equations/test_layers.py::TestAddAndNorm
    Lesson: lessons/05_encoder_layer.py

    >>> add_and_norm(torch.tensor([1.0, 2.0]), lambda x: 3 * x, gain=torch.ones(2), bias=torch.zeros(2))
    tensor([-1.,  1.])
    """
    return layer_norm(hidden + sublayer(hidden), gain, bias, eps)


def relu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Compute the rectified linear unit: positive numbers stay, negative numbers become zero.

    Eq: $$\mathrm{ReLU}(x) = \max(0, x)$$
    Source: Vaswani et al. 2017, equation 2.
    Differs: at 0, where ReLU has no derivative, the gradient is 0, as in PyTorch and other libraries. The gradient of
        `clamp(min=0)` at 0 is 1.
    Tests: tests/equations/test_layers.py::TestRelu
    Lesson: lessons/05_encoder_layer.py

    >>> relu(torch.tensor([-2.0, 3.0]))
    tensor([0., 3.])
    """
    return torch.relu(x)


@in_single_precision
def gelu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Compute the Gaussian error linear unit: x times the probability that a standard normal variable is below x.

    Eq: $$\mathrm{GELU}(x) = x\,\Phi(x) = \frac{x}{2}\left(1 + \mathrm{erf}(x / \sqrt 2)\right)$$
    Source: Hendrycks and Gimpel 2016, section 2; Devlin et al. 2019, section A.2.
    Differs: Google's BERT repository computes the tanh approximation, which is up to 5e-4 away. Hugging Face's "gelu" is
        the exact function, as here.
    Tests: tests/equations/test_layers.py::TestGelu
    Lesson: lessons/05_encoder_layer.py

    >>> gelu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


@in_single_precision
def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Approximate GELU with tanh, which used to be faster to compute than the error function.

    Eq: $$\mathrm{GELU}(x) \approx \frac{x}{2}\left(1 + \tanh\!\left[\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right]\right)$$
    Source: Hendrycks and Gimpel 2016, section 2; used by Google's BERT repository and by GPT-2.
    Differs: up to 5e-4 away from `gelu`. Hugging Face calls it "gelu_new" and "gelu_pytorch_tanh".
    Tests: tests/equations/test_layers.py::TestGeluTanh
    Lesson: lessons/05_encoder_layer.py

    >>> gelu_tanh(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1588,  0.0000,  0.8412])
    """
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(inner))


def feed_forward(
    hidden: Float[Tensor, "*batch width"],
    weight_1: Float[Tensor, "width intermediate"],
    bias_1: Float[Tensor, " intermediate"],
    weight_2: Float[Tensor, "intermediate width"],
    bias_2: Float[Tensor, " width"],
    activation: Callable[[Tensor], Tensor] = relu,
) -> Float[Tensor, "*batch width"]:
    r"""Compute two linear maps with an activation function between them, for each position separately.

    Eq: $$\mathrm{FFN}(x) = f(xW_1 + b_1)\,W_2 + b_2$$
    Source: Vaswani et al. 2017, equation 2, where f is ReLU; Devlin et al. 2019, section A.2, where f is GELU.
    Differs: the weights multiply from the right, as in the paper; `torch.nn.Linear` stores their transposes.
    Steps:
        intermediate (*batch intermediate): $$u = xW_1 + b_1$$ The first linear map, to more features.
        activation (*batch intermediate): $$a = f(u)$$ The activation function of each feature.
        feed_forward (*batch width): $$F = aW_2 + b_2$$ The second linear map, back to the width of the model.
    Tests: tests/equations/test_layers.py::TestFeedForward
    Lesson: lessons/05_encoder_layer.py

    >>> feed_forward(torch.tensor([2.0]), torch.tensor([[1.0, -1.0]]), torch.zeros(2), torch.ones(2, 1), torch.ones(1))
    tensor([3.])
    """
    intermediate = observe("intermediate", hidden @ weight_1 + bias_1)
    return observe("feed_forward", observe("activation", activation(intermediate)) @ weight_2 + bias_2)
