"""The losses of distillation: values, gradients, and properties that follow from the formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn import functional as F

from minibert.equations import cosine_loss, cross_entropy, soft_target_loss
from tests import reference
from tests.strategies import normal, seeds

temperatures = st.sampled_from([0.5, 1.0, 2.0, 7.5])
sizes = st.tuples(st.integers(1, 4), st.integers(1, 6))


def drawn(seed: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Draw the logits, or the vectors, of student and teacher."""
    return 3 * normal(seed, *shape), 3 * normal(seed + 1, *shape)


class TestSoftTargetLoss:
    @given(seeds, sizes, temperatures)
    def test_value(self, seed: int, shape: tuple[int, int], temperature: float) -> None:
        """The result equals the formula in loops, one loss for each prediction."""
        student, teacher = drawn(seed, shape)
        expected = [
            reference.soft_target_loss(z.numpy(), t.numpy(), temperature) for z, t in zip(student, teacher, strict=True)
        ]
        np.testing.assert_allclose(soft_target_loss(student, teacher, temperature), expected, atol=1e-12)

    @given(seeds, sizes, temperatures)
    def test_value_equals_that_of_torch(self, seed: int, shape: tuple[int, int], temperature: float) -> None:
        """As in the code of DistilBERT: KLDivLoss with "batchmean", times T²."""
        student, teacher = drawn(seed, shape)
        tempered = F.log_softmax(student / temperature, dim=-1), F.softmax(teacher / temperature, dim=-1)
        expected = F.kl_div(*tempered, reduction="batchmean") * temperature**2
        torch.testing.assert_close(soft_target_loss(student, teacher, temperature).mean(), expected)

    @given(seeds, sizes, temperatures)
    def test_the_gradient_is_the_difference_of_the_probabilities(
        self, seed: int, shape: tuple[int, int], temperature: float
    ) -> None:
        """∂ℓ/∂z = T (q - p)."""
        student, teacher = drawn(seed, shape)
        student.requires_grad_()
        soft_target_loss(student, teacher, temperature).sum().backward()
        q, p = (torch.softmax(logits.detach() / temperature, dim=-1) for logits in (student, teacher))
        torch.testing.assert_close(student.grad, temperature * (q - p))

    def test_gradient(self) -> None:
        student, teacher = (each.requires_grad_() for each in drawn(0, (3, 4)))
        assert gradcheck(lambda z, t: soft_target_loss(z, t, 1.5), (student, teacher))

    @given(seeds, sizes, temperatures, st.floats(-50, 50))
    def test_a_student_with_the_probabilities_of_its_teacher_has_no_loss(
        self, seed: int, shape: tuple[int, int], temperature: float, shift: float
    ) -> None:
        """A constant added to all logits changes nothing. Other students have a loss above 0."""
        student, teacher = drawn(seed, shape)
        torch.testing.assert_close(soft_target_loss(teacher + shift, teacher, temperature), torch.zeros(shape[0]).double())
        assert (soft_target_loss(student, teacher, temperature) > -1e-12).all()
        if shape[1] > 1:
            assert (soft_target_loss(student, teacher, temperature) > 0).all()

    @given(seeds)
    def test_a_certain_teacher_gives_the_cross_entropy(self, seed: int) -> None:
        """Also with logits of -inf, as those of pieces that are ruled out: 0 log 0 is 0, and no gradient is NaN."""
        student, _ = drawn(seed, (4, 5))
        labels = torch.tensor([0, 4, 2, 1])
        teacher = torch.full_like(student, -math.inf).scatter(1, labels[:, None], 3.0).requires_grad_()
        student.requires_grad_()
        losses = soft_target_loss(student, teacher, temperature=1.0)
        torch.testing.assert_close(losses, cross_entropy(student, labels))
        losses.sum().backward()
        assert student.grad.isfinite().all()
        assert teacher.grad.isfinite().all()

    def test_classes_that_both_rule_out_add_nothing(self) -> None:
        student, teacher = torch.tensor([[0.0, 1.0, -math.inf]]), torch.tensor([[0.5, 0.0, -math.inf]])
        torch.testing.assert_close(soft_target_loss(student, teacher), soft_target_loss(student[:, :2], teacher[:, :2]))

    @given(seeds)
    def test_a_high_temperature_compares_the_logits(self, seed: int) -> None:
        """For T → ∞, the loss is that of Hinton et al. 2015, equation 4: Σ (z_k - t_k)² / 2K, of centered logits."""
        student, teacher = drawn(seed, (2, 6))
        difference = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
        torch.testing.assert_close(
            soft_target_loss(student, teacher, 1e4), difference.square().sum(-1) / 12, rtol=1e-2, atol=1e-4
        )

    def test_the_default_temperature_is_2(self) -> None:
        student, teacher = drawn(0, (3, 4))
        assert torch.equal(soft_target_loss(student, teacher), soft_target_loss(student, teacher, 2.0))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_single_precision(self, dtype: torch.dtype) -> None:
        student, teacher = (each.to(dtype) for each in drawn(0, (3, 4)))
        found = soft_target_loss(student, teacher)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, soft_target_loss(student.float(), teacher.float()))

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
    def test_a_temperature_is_above_zero(self, temperature: float) -> None:
        with pytest.raises(ValueError, match="but must be above 0"):
            soft_target_loss(torch.zeros(1, 2), torch.zeros(1, 2), temperature)

    @pytest.mark.usefixtures("without_shape_checks")
    def test_different_shapes(self) -> None:
        with pytest.raises(ValueError, match="teacher"):
            soft_target_loss(torch.zeros(1, 2), torch.zeros(1, 3))


class TestCosineLoss:
    @given(seeds, sizes)
    def test_value(self, seed: int, shape: tuple[int, int]) -> None:
        student, teacher = drawn(seed, shape)
        expected = [reference.cosine_loss(h.numpy(), g.numpy()) for h, g in zip(student, teacher, strict=True)]
        np.testing.assert_allclose(cosine_loss(student, teacher), expected, atol=1e-12)
        torch.testing.assert_close(cosine_loss(student, teacher), 1 - F.cosine_similarity(student, teacher, dim=-1))

    def test_gradient(self) -> None:
        assert gradcheck(cosine_loss, [each.requires_grad_() for each in drawn(0, (3, 4))])

    @given(seeds, sizes, st.floats(0.01, 100))
    def test_lengths_do_not_matter(self, seed: int, shape: tuple[int, int], factor: float) -> None:
        """The loss is 0 for the same direction, 2 for the opposite one, and in between for others."""
        student, teacher = drawn(seed, shape)
        losses = cosine_loss(student, teacher)
        torch.testing.assert_close(cosine_loss(factor * student, teacher), losses)
        torch.testing.assert_close(cosine_loss(factor * teacher, teacher), torch.zeros_like(losses))
        torch.testing.assert_close(cosine_loss(-factor * teacher, teacher), torch.full_like(losses, 2.0))
        assert ((losses > -1e-12) & (losses < 2 + 1e-12)).all()

    @given(seeds, sizes)
    def test_each_vector_has_its_own_loss(self, seed: int, shape: tuple[int, int]) -> None:
        """Stacked batches have the losses of each batch. A single vector needs no batch axis."""
        student, teacher = drawn(seed, shape)
        losses = cosine_loss(student, teacher)
        stacked = cosine_loss(torch.stack([student, teacher]), torch.stack([teacher, teacher]))
        torch.testing.assert_close(stacked, torch.stack([losses, torch.zeros_like(losses)]))
        torch.testing.assert_close(cosine_loss(student[0], teacher[0]), losses[0])

    def test_a_vector_of_zeros_has_no_direction(self) -> None:
        student = torch.zeros(1, 3, requires_grad=True)
        loss = cosine_loss(student, torch.ones(1, 3))
        assert loss.item() == 1
        loss.sum().backward()
        assert student.grad.isfinite().all()

    @pytest.mark.usefixtures("without_shape_checks")
    def test_different_shapes(self) -> None:
        with pytest.raises(ValueError, match="teacher"):
            cosine_loss(torch.zeros(1, 2), torch.zeros(1, 3))
