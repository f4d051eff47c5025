"""Knowledge distillation: what a small network learns from the outputs of a large one. Hinton et al. 2015; Sanh et al. 2019."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vector_norm

from minibert.checks import check_tensor
from minibert.precision import at_least_float32


def soft_target_loss(
    student: Float[Tensor, "*batch classes"], teacher: Float[Tensor, "*batch classes"], temperature: float = 2.0
) -> Float[Tensor, "*batch"]:
    r"""Compute how far the student's probabilities are from the teacher's, in nats, for each prediction separately.

    Both are softmax probabilities of logits divided by a temperature. A temperature above 1 makes small probabilities larger,
    so that the student learns which wrong answers the teacher takes for nearly right.

    Eq: $$\ell(z, t) = T^2 \sum_k p_k \log\frac{p_k}{q_k}, \qquad p = \mathrm{softmax}(t / T), \quad
        q = \mathrm{softmax}(z / T), \qquad \frac{\partial \ell}{\partial z} = T\,(q - p)$$
    Source: Hinton et al. 2015, section 2. Without $T^2$, the gradient would shrink with the square of the temperature.
    Differs: the paper's cross-entropy also has the teacher's entropy, which does not depend on the student (as in Sanh et al.
        2019, equation of L_ce). Here a student with the probabilities of its teacher has the loss 0.
    Tests: tests/equations/test_distillation.py::TestSoftTargetLoss
    Lesson: lessons/12_transfer.py

    Raises: ValueError for logits of different shapes, and for a temperature that is not above 0.

    >>> soft_target_loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]]), temperature=1.0)
    tensor([0.3278])
    """
    check_tensor("student", student)
    check_tensor("teacher", teacher, shape=student.shape)
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, but must be above 0")
    log_q, log_p = ((at_least_float32(logits) / temperature).log_softmax(dim=-1) for logits in (student, teacher))
    # A class that the teacher rules out, with the logit -inf, adds nothing: 0 log 0 is 0.
    log_ratio = (log_p - log_q).masked_fill(log_p == -torch.inf, 0.0)
    return temperature**2 * (log_p.exp() * log_ratio).sum(dim=-1)


def cosine_loss(student: Float[Tensor, "*batch width"], teacher: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch"]:
    r"""Compute how much the directions of two vectors differ, from 0 for the same to 2 for opposite ones.

    Eq: $$\ell(h, g) = 1 - \frac{h \cdot g}{|h|\,|g|}$$
    Source: Sanh et al. 2019, section 2 (L_cos), for the last hidden states of student and teacher.
    Differs: a vector of zeros has no direction; its loss is 1, and its gradient is finite.
    Tests: tests/equations/test_distillation.py::TestCosineLoss
    Lesson: lessons/12_transfer.py

    Raises: ValueError for vectors of different shapes.

    >>> cosine_loss(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 2.0], [5.0, 0.0]]))
    tensor([1., 0.])
    """
    check_tensor("student", student)
    check_tensor("teacher", teacher, shape=student.shape)
    student, teacher = at_least_float32(student), at_least_float32(teacher)
    tiny = torch.finfo(student.dtype).tiny ** 0.5
    student_norm, teacher_norm = (vector_norm(each, dim=-1).clamp(min=tiny) for each in (student, teacher))
    cosines: Tensor = (student * teacher).sum(dim=-1) / (student_norm * teacher_norm)
    return 1 - cosines
