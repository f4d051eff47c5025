"""AdamW, learning-rate schedules and gradient clipping: values, gradients, properties, and comparison with PyTorch."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from minibert.equations import adamw_step, clip_by_global_norm, noam_schedule, warmup_linear_schedule
from tests import reference
from tests.strategies import normal, seeds

RATES = st.floats(1e-5, 0.1)
BETAS = st.tuples(st.floats(0, 0.95), st.floats(0, 0.999))


def train(start: Tensor, gradients: list[Tensor], learning_rate: float, **options) -> Tensor:
    """Apply one step for every gradient and return the parameter."""
    parameter, first_moment, second_moment = start, torch.zeros_like(start), torch.zeros_like(start)
    for step, gradient in enumerate(gradients, start=1):
        parameter, first_moment, second_moment = adamw_step(
            parameter, gradient, first_moment, second_moment, step, learning_rate, **options
        )
    return parameter


class TestAdamWStep:
    @given(seeds, st.integers(0, 6), RATES, BETAS, st.sampled_from([1e-8, 1e-6, 1e-2]), st.floats(0, 0.3), st.booleans())
    def test_value(
        self, seed: int, steps: int, learning_rate: float, betas: tuple[float, float], eps: float, decay: float, corrected: bool
    ) -> None:
        """The result equals the algorithm in loops, step by step, with and without bias correction."""
        start, gradients = normal(seed, 3), [normal(seed + 1 + step, 3) for step in range(steps)]
        end = train(start, gradients, learning_rate, betas=betas, eps=eps, weight_decay=decay, bias_correction=corrected)
        for i in range(3):
            expected = reference.adamw(
                start[i].item(), [g[i].item() for g in gradients], learning_rate, betas, eps, decay, corrected
            )
            assert math.isclose(end[i].item(), expected, rel_tol=1e-9, abs_tol=1e-12)

    def test_gradient(self) -> None:
        """The step is differentiable with respect to all inputs."""
        leaves = [normal(seed, 3) for seed in range(3)] + [normal(3, 3).square() + 0.1]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        assert gradcheck(lambda *args: adamw_step(*args, step=3, learning_rate=0.1), leaves)
        assert gradgradcheck(lambda *args: adamw_step(*args, step=3, learning_rate=0.1), leaves)

    @settings(max_examples=20)
    @given(seeds, RATES, BETAS, st.floats(0, 0.3))
    def test_result_equals_pytorch(self, seed: int, learning_rate: float, betas: tuple[float, float], decay: float) -> None:
        """Both give the same weights over 50 steps with gradients from 1 down to 1e-9, where eps = 1e-8 dominates."""
        start = normal(seed, 10)
        sizes = 10.0 ** -torch.arange(10, dtype=torch.float64)
        gradients = [sizes * normal(seed + 1 + step, 10) for step in range(50)]
        theirs = start.clone().requires_grad_()
        optimizer = torch.optim.AdamW([theirs], lr=learning_rate, betas=betas, weight_decay=decay)
        for gradient in gradients:
            theirs.grad = gradient.clone()
            optimizer.step()
        ours = train(start, gradients, learning_rate, betas=betas, weight_decay=decay)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)

    def test_value_of_the_defaults(self) -> None:
        """The defaults are Kingma and Ba's betas and eps, bias correction, and a weight decay of 0.01."""
        start, gradients = normal(0, 4), [1e-8 * normal(step, 4) for step in range(1, 4)]
        named = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "bias_correction": True}
        torch.testing.assert_close(train(start, gradients, 0.1), train(start, gradients, 0.1, **named), rtol=0, atol=0)

    @given(seeds, RATES, st.floats(0, 0.3), st.integers(1, 5))
    def test_zero_gradient_leaves_weight_decay_only(self, seed: int, learning_rate: float, decay: float, steps: int) -> None:
        """A step with zero gradient multiplies the weight by 1 - ηλ: the decay is not divided by the root."""
        start = normal(seed, 4)
        end = train(start, [torch.zeros(4, dtype=start.dtype)] * steps, learning_rate, weight_decay=decay)
        torch.testing.assert_close(end, start * (1 - learning_rate * decay) ** steps)

    @given(seeds, RATES, BETAS)
    def test_first_step_has_the_size_of_the_learning_rate(
        self, seed: int, learning_rate: float, betas: tuple[float, float]
    ) -> None:
        """For any gradient and betas. Without bias correction it is multiplied by (1-β₁)/√(1-β₂), 3.16 by default."""
        gradient = normal(seed, 4) + torch.tensor([5.0, -5.0, 500.0, -500.0], dtype=torch.float64)
        zero = torch.zeros_like(gradient)
        change = train(zero, [gradient], learning_rate, betas=betas, eps=0.0)
        torch.testing.assert_close(change, -learning_rate * gradient.sign())
        change = train(zero, [gradient], learning_rate, betas=betas, eps=0.0, bias_correction=False)
        torch.testing.assert_close(change, -learning_rate * (1 - betas[0]) / math.sqrt(1 - betas[1]) * gradient.sign())

    @given(seeds, RATES, BETAS, st.floats(1e-3, 1e3), st.booleans())
    def test_scale_of_the_gradients_has_no_influence(
        self, seed: int, learning_rate: float, betas: tuple[float, float], factor: float, corrected: bool
    ) -> None:
        """Multiplying all gradients by c > 0 changes nothing if eps is 0."""
        start, gradients = normal(seed, 3), [normal(seed + 1 + step, 3) for step in range(5)]
        options = {"betas": betas, "eps": 0.0, "weight_decay": 0.1, "bias_correction": corrected}
        torch.testing.assert_close(
            train(start, [factor * g for g in gradients], learning_rate, **options),
            train(start, gradients, learning_rate, **options),
        )

    @given(st.floats(1e-9, 1e-7), st.booleans())
    def test_eps_is_added_to_the_corrected_root(self, size: float, negative: bool) -> None:
        """The first step is η |g| / (|g| + ε): half the learning rate if the gradient is as small as eps."""
        gradient = torch.tensor([-size if negative else size], dtype=torch.float64)
        change = train(torch.zeros(1, dtype=torch.float64), [gradient], 0.1, eps=1e-8)
        torch.testing.assert_close(change, -0.1 * gradient / (gradient.abs() + 1e-8))

    @given(seeds, st.floats(0.5, 0.95), st.floats(0.5, 0.999))
    def test_constant_gradient_gives_constant_steps(self, seed: int, beta_1: float, beta_2: float) -> None:
        """For a constant gradient the corrected means are the gradient and its square, so each step has size η."""
        gradient = normal(seed, 3).abs() + 0.1
        change = train(torch.zeros_like(gradient), [gradient] * 7, 0.01, betas=(beta_1, beta_2), eps=0.0, weight_decay=0.0)
        torch.testing.assert_close(change, torch.full_like(change, -0.07))

    def test_step_zero_raises(self) -> None:
        """The bias correction of step 0 would divide by zero."""
        x = torch.ones(1)
        with pytest.raises(ValueError, match="step is 0"):
            adamw_step(x, x, x, x, step=0, learning_rate=0.1)

    @given(seeds)
    def test_inputs_are_not_changed(self, seed: int) -> None:
        """The input tensors have the same values afterwards."""
        before = [normal(seed + number, 3).abs() for number in range(4)]
        copies = [x.clone() for x in before]
        adamw_step(*before, step=1, learning_rate=0.1)
        for one, other in zip(before, copies, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


plans = st.integers(1, 60).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, steps)))


class TestWarmupLinearSchedule:
    @given(plans)
    def test_value(self, plan: tuple[int, int]) -> None:
        """The result equals the definition for every step, and for some steps after the last."""
        steps, warmup = plan
        for step in range(1, steps + 4):
            expected = reference.warmup_linear(step, steps, warmup)
            assert math.isclose(warmup_linear_schedule(step, steps, warmup), expected, abs_tol=1e-12)

    @given(plans)
    def test_linear_warmup_and_linear_decay(self, plan: tuple[int, int]) -> None:
        """Every step has a factor above 0. The factor rises linearly to 1, falls linearly, and is 0 after the last step."""
        steps, warmup = plan
        rates = [warmup_linear_schedule(step, steps, warmup) for step in range(1, steps + 2)]
        assert all(0 < rate <= 1 for rate in rates[:-1])
        assert rates[-1] == 0
        assert warmup_linear_schedule(steps + 5, steps, warmup) == 0
        assert math.isclose(max(rates), 1.0)
        rising, decay = np.diff([0.0, *rates[:warmup]]), np.diff(rates[warmup:])
        np.testing.assert_allclose(rising, 1 / max(1, warmup))
        if warmup < steps:
            np.testing.assert_allclose(decay, -1 / (steps - warmup))


class TestNoamSchedule:
    @given(st.integers(1, 10_000), st.integers(1, 1024), st.integers(1, 5000))
    def test_value(self, step: int, width: int, warmup: int) -> None:
        """The result equals equation 3."""
        assert math.isclose(noam_schedule(step, width, warmup), reference.noam(step, width, warmup))

    def test_value_of_the_paper(self) -> None:
        """For d_model = 512 and 4,000 warm-up steps the maximum is 7.0e-4."""
        assert math.isclose(noam_schedule(4000, d_model=512), 6.987712e-4, rel_tol=1e-6)
        assert noam_schedule(0, d_model=512) == 0

    @given(st.integers(1, 1024), st.integers(2, 5000))
    def test_maximum_is_at_the_end_of_the_warmup(self, width: int, warmup: int) -> None:
        """The maximum is 1 / √(d_model · warmup_steps). It is half of that halfway there, and at four times as many steps."""
        peak = noam_schedule(warmup, width, warmup)
        assert math.isclose(peak, 1 / math.sqrt(width * warmup))
        assert all(noam_schedule(step, width, warmup) < peak for step in (warmup - 1, warmup + 1))
        assert math.isclose(noam_schedule(2 * warmup, width, 4 * warmup), noam_schedule(4 * warmup, width, 4 * warmup) / 2)
        assert math.isclose(noam_schedule(4 * warmup, width, warmup), peak / 2)

    @given(st.integers(1, 100), st.integers(1, 256))
    def test_four_times_the_width_halves_the_learning_rate(self, step: int, width: int) -> None:
        """The learning rate is proportional to the inverse square root of the width."""
        assert math.isclose(noam_schedule(step, 4 * width), noam_schedule(step, width) / 2)


gradient_lists = st.tuples(seeds, st.integers(1, 4), st.floats(0.01, 10)).map(
    lambda drawn: [drawn[2] * normal(drawn[0] + number, number % 3, 2) for number in range(1, drawn[1] + 1)]
)


class TestClipByGlobalNorm:
    @given(gradient_lists, st.floats(0.1, 5))
    def test_value(self, gradients: list[Tensor], max_norm: float) -> None:
        """The result equals the algorithm in loops over all elements of all gradients."""
        clipped, norm = clip_by_global_norm(gradients, max_norm)
        flat = [x for gradient in gradients for x in gradient.flatten().tolist()]
        np.testing.assert_allclose(torch.cat([g.flatten() for g in clipped]), reference.clip(flat, max_norm), rtol=1e-9)
        assert math.isclose(norm.item(), math.sqrt(sum(x * x for x in flat)))

    def test_value_of_the_default(self) -> None:
        """The default maximum norm is 1, as in BERT."""
        (clipped,), norm = clip_by_global_norm([torch.tensor([3.0, 4.0])])
        torch.testing.assert_close(clipped, torch.tensor([0.6, 0.8]))
        assert norm == 5

    @pytest.mark.parametrize("max_norm", [0.5, 100.0])
    def test_gradient(self, max_norm: float) -> None:
        """The derivative is right with and without clipping."""
        leaves = [normal(seed, 2).requires_grad_() for seed in range(2)]

        def clip(*gradients: Tensor) -> tuple[Tensor, ...]:
            clipped, norm = clip_by_global_norm(gradients, max_norm)
            return *clipped, norm

        assert gradcheck(clip, leaves)
        assert gradgradcheck(clip, leaves)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_direction_is_kept_and_norm_is_limited(self, gradients: list[Tensor], max_norm: float) -> None:
        """Long gradients are scaled to the maximum norm, short ones are unchanged, and all have the same factor."""
        clipped, norm = clip_by_global_norm(gradients, max_norm)
        before, after = (torch.cat([g.flatten() for g in some]) for some in (gradients, clipped))
        torch.testing.assert_close(after.norm().item(), min(max_norm, before.norm().item()))
        torch.testing.assert_close(after * before.norm(), before * after.norm())
        if norm <= max_norm:
            torch.testing.assert_close(after, before, rtol=0, atol=0)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_splitting_into_tensors_has_no_influence(self, gradients: list[Tensor], max_norm: float) -> None:
        """One long gradient is clipped like its pieces, because the norm is that of all gradients together."""
        pieces, _ = clip_by_global_norm(gradients, max_norm)
        (whole,), _ = clip_by_global_norm([torch.cat([g.flatten() for g in gradients])], max_norm)
        torch.testing.assert_close(torch.cat([g.flatten() for g in pieces]), whole)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_result_is_close_to_pytorch(self, gradients: list[Tensor], max_norm: float) -> None:
        """PyTorch divides by the norm plus 1e-6."""
        parameters = [torch.zeros_like(gradient).requires_grad_() for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        clipped, our_norm = clip_by_global_norm(gradients, max_norm)
        torch.testing.assert_close(our_norm, norm)
        for ours, parameter in zip(clipped, parameters, strict=True):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-9)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_the_norm_of_half_precision_gradients_is_in_single_precision(self, dtype: torch.dtype) -> None:
        """Squares would be rounded, and in float16 be infinite above 256."""
        gradients = [(500 * normal(seed, 3, 4)).to(dtype) for seed in range(2)]
        clipped, norm = clip_by_global_norm(gradients, 10.0)
        exact, exact_norm = clip_by_global_norm([gradient.double() for gradient in gradients], 10.0)
        torch.testing.assert_close(norm, exact_norm.float(), rtol=1e-6, atol=0)
        for found, expected in zip(clipped, exact, strict=True):
            torch.testing.assert_close(found, expected.to(dtype))

    def test_zero_gradients_stay_zero(self) -> None:
        """Zero gradients cause no division by zero."""
        (clipped,), norm = clip_by_global_norm([torch.zeros(3)])
        assert not clipped.any()
        assert norm == 0
