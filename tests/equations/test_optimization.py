"""One step of AdamW, learning-rate schedules and clipping: values, gradients, properties, and PyTorch's own beside them."""

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


def walk(start: Tensor, gradients: list[Tensor], learning_rate: float, **options) -> Tensor:
    """Where a parameter is after a step for every gradient."""
    parameter, mean, square = start, torch.zeros_like(start), torch.zeros_like(start)
    for step, gradient in enumerate(gradients, start=1):
        parameter, mean, square = adamw_step(parameter, gradient, mean, square, step, learning_rate, **options)
    return parameter


class TestAdamWStep:
    @given(seeds, st.integers(0, 6), RATES, BETAS, st.sampled_from([1e-8, 1e-6, 1e-2]), st.floats(0, 0.3), st.booleans())
    def test_value(
        self, seed: int, steps: int, rate: float, betas: tuple[float, float], eps: float, decay: float, corrected: bool
    ) -> None:
        """Equals the algorithm in loops, step after step, with bias correction and without."""
        start, gradients = normal(seed, 3), [normal(seed + 1 + step, 3) for step in range(steps)]
        end = walk(start, gradients, rate, betas=betas, eps=eps, weight_decay=decay, bias_correction=corrected)
        for i in range(3):
            expected = reference.adamw(start[i].item(), [g[i].item() for g in gradients], rate, betas, eps, decay, corrected)
            assert math.isclose(end[i].item(), expected, rel_tol=1e-9, abs_tol=1e-12)

    def test_gradient(self) -> None:
        """It can be differentiated with respect to all that goes in, as learning to learn does."""
        leaves = [normal(seed, 3) for seed in range(3)] + [normal(3, 3).square() + 0.1]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        assert gradcheck(lambda *args: adamw_step(*args, step=3, learning_rate=0.1), leaves)
        assert gradgradcheck(lambda *args: adamw_step(*args, step=3, learning_rate=0.1), leaves)

    @settings(max_examples=20)
    @given(seeds, RATES, BETAS, st.floats(0, 0.3))
    def test_it_is_pytorchs(self, seed: int, rate: float, betas: tuple[float, float], decay: float) -> None:
        """Over 50 steps whose gradients have sizes from 1 down to 1e-9, where eps = 1e-8 weighs more than they do."""
        start = normal(seed, 10)
        sizes = 10.0 ** -torch.arange(10, dtype=torch.float64)
        gradients = [sizes * normal(seed + 1 + step, 10) for step in range(50)]
        theirs = start.clone().requires_grad_()
        optimizer = torch.optim.AdamW([theirs], lr=rate, betas=betas, weight_decay=decay)
        for gradient in gradients:
            theirs.grad = gradient.clone()
            optimizer.step()
        ours = walk(start, gradients, rate, betas=betas, weight_decay=decay)
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-9, atol=1e-12)

    def test_value_of_the_defaults(self) -> None:
        """Kingma and Ba's betas and eps, corrected, with a decay of 0.01."""
        start, gradients = normal(0, 4), [1e-8 * normal(step, 4) for step in range(1, 4)]
        named = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "bias_correction": True}
        torch.testing.assert_close(walk(start, gradients, 0.1), walk(start, gradients, 0.1, **named), rtol=0, atol=0)

    @given(seeds, RATES, st.floats(0, 0.3), st.integers(1, 5))
    def test_without_a_gradient_only_the_decay_moves(self, seed: int, rate: float, decay: float, steps: int) -> None:
        """A step with zero gradient multiplies the weight by 1 - ηλ: the decay does not pass through the root."""
        start = normal(seed, 4)
        end = walk(start, [torch.zeros(4, dtype=start.dtype)] * steps, rate, weight_decay=decay)
        torch.testing.assert_close(end, start * (1 - rate * decay) ** steps)

    @given(seeds, RATES, BETAS)
    def test_the_first_step_is_one_learning_rate_long(self, seed: int, rate: float, betas: tuple[float, float]) -> None:
        """Whatever the size of the gradient and the betas. Without correction it is (1-β₁)/√(1-β₂) as long: 3.16 times."""
        gradient = normal(seed, 4) + torch.tensor([5.0, -5.0, 500.0, -500.0], dtype=torch.float64)
        zero = torch.zeros_like(gradient)
        moved = walk(zero, [gradient], rate, betas=betas, eps=0.0)
        torch.testing.assert_close(moved, -rate * gradient.sign())
        moved = walk(zero, [gradient], rate, betas=betas, eps=0.0, bias_correction=False)
        torch.testing.assert_close(moved, -rate * (1 - betas[0]) / math.sqrt(1 - betas[1]) * gradient.sign())

    @given(seeds, RATES, BETAS, st.floats(1e-3, 1e3), st.booleans())
    def test_the_size_of_the_gradients_does_not_matter(
        self, seed: int, rate: float, betas: tuple[float, float], factor: float, corrected: bool
    ) -> None:
        """All gradients multiplied by c > 0 lead to the same place, but for eps and with the decay."""
        start, gradients = normal(seed, 3), [normal(seed + 1 + step, 3) for step in range(5)]
        options = {"betas": betas, "eps": 0.0, "weight_decay": 0.1, "bias_correction": corrected}
        torch.testing.assert_close(
            walk(start, [factor * g for g in gradients], rate, **options), walk(start, gradients, rate, **options)
        )

    @given(st.floats(1e-9, 1e-7), st.booleans())
    def test_eps_is_added_to_the_root_after_the_correction(self, size: float, negative: bool) -> None:
        """A first step with a gradient as small as eps moves by η |g| / (|g| + ε): half the rate where they are equal."""
        gradient = torch.tensor([-size if negative else size], dtype=torch.float64)
        moved = walk(torch.zeros(1, dtype=torch.float64), [gradient], 0.1, eps=1e-8)
        torch.testing.assert_close(moved, -0.1 * gradient / (gradient.abs() + 1e-8))

    @given(seeds, st.floats(0.5, 0.95), st.floats(0.5, 0.999))
    def test_an_even_gradient_moves_evenly(self, seed: int, beta_1: float, beta_2: float) -> None:
        """With the same gradient at every step, corrected means are the gradient and its square: each step is η long."""
        gradient = normal(seed, 3).abs() + 0.1
        moved = walk(torch.zeros_like(gradient), [gradient] * 7, 0.01, betas=(beta_1, beta_2), eps=0.0, weight_decay=0.0)
        torch.testing.assert_close(moved, torch.full_like(moved, -0.07))

    def test_there_is_no_step_before_the_first(self) -> None:
        """Its bias correction would divide by zero."""
        x = torch.ones(1)
        with pytest.raises(ValueError, match="step is 0"):
            adamw_step(x, x, x, x, step=0, learning_rate=0.1)

    @given(seeds)
    def test_nothing_is_changed_in_place(self, seed: int) -> None:
        """What went in is as it was."""
        before = [normal(seed + number, 3).abs() for number in range(4)]
        copies = [x.clone() for x in before]
        adamw_step(*before, step=1, learning_rate=0.1)
        for one, other in zip(before, copies, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


plans = st.integers(1, 60).flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, steps)))


class TestWarmupLinearSchedule:
    @given(plans)
    def test_value(self, plan: tuple[int, int]) -> None:
        """Equals the definition for every step, and for some after the last."""
        steps, warmup = plan
        for step in range(1, steps + 4):
            expected = reference.warmup_linear(step, steps, warmup)
            assert math.isclose(warmup_linear_schedule(step, steps, warmup), expected, abs_tol=1e-12)

    @given(plans)
    def test_it_rises_evenly_to_one_and_falls_evenly_to_zero(self, plan: tuple[int, int]) -> None:
        """Every step has a rate above 0; two straight lines, which meet at 1; nothing is left for a step after the last."""
        steps, warmup = plan
        rates = [warmup_linear_schedule(step, steps, warmup) for step in range(1, steps + 2)]
        assert all(0 < rate <= 1 for rate in rates[:-1])
        assert rates[-1] == 0
        assert math.isclose(max(rates), 1.0)
        rising, decay = np.diff([0.0, *rates[:warmup]]), np.diff(rates[warmup:])
        np.testing.assert_allclose(rising, 1 / max(1, warmup))
        if warmup < steps:
            np.testing.assert_allclose(decay, -1 / (steps - warmup))


class TestNoamSchedule:
    @given(st.integers(1, 10_000), st.integers(1, 1024), st.integers(1, 5000))
    def test_value(self, step: int, width: int, warmup: int) -> None:
        """Equals equation 3."""
        assert math.isclose(noam_schedule(step, width, warmup), reference.noam(step, width, warmup))

    def test_value_of_the_paper(self) -> None:
        """A width of 512 with 4,000 steps of warm-up peaks at 7.0e-4."""
        assert math.isclose(noam_schedule(4000, width=512), 6.987712e-4, rel_tol=1e-6)
        assert noam_schedule(0, width=512) == 0

    @given(st.integers(1, 1024), st.integers(2, 5000))
    def test_it_is_largest_where_the_warm_up_ends(self, width: int, warmup: int) -> None:
        """1 / √(width · warmup); half of that halfway there, and at four times as many steps."""
        peak = noam_schedule(warmup, width, warmup)
        assert math.isclose(peak, 1 / math.sqrt(width * warmup))
        assert all(noam_schedule(step, width, warmup) < peak for step in (warmup - 1, warmup + 1))
        assert math.isclose(noam_schedule(2 * warmup, width, 4 * warmup), noam_schedule(4 * warmup, width, 4 * warmup) / 2)
        assert math.isclose(noam_schedule(4 * warmup, width, warmup), peak / 2)

    @given(st.integers(1, 100), st.integers(1, 256))
    def test_a_model_four_times_as_wide_learns_half_as_fast(self, step: int, width: int) -> None:
        """The rate falls with the root of the width."""
        assert math.isclose(noam_schedule(step, 4 * width), noam_schedule(step, width) / 2)


gradient_lists = st.tuples(seeds, st.integers(1, 4), st.floats(0.01, 10)).map(
    lambda drawn: [drawn[2] * normal(drawn[0] + number, number % 3, 2) for number in range(1, drawn[1] + 1)]
)


class TestClipByGlobalNorm:
    @given(gradient_lists, st.floats(0.1, 5))
    def test_value(self, gradients: list[Tensor], largest: float) -> None:
        """Equals the algorithm in loops over all numbers of all gradients."""
        clipped, norm = clip_by_global_norm(gradients, largest)
        flat = [x for gradient in gradients for x in gradient.flatten().tolist()]
        np.testing.assert_allclose(torch.cat([g.flatten() for g in clipped]), reference.clip(flat, largest), rtol=1e-9)
        assert math.isclose(norm.item(), math.sqrt(sum(x * x for x in flat)))

    def test_value_of_bert(self) -> None:
        """Everything is clipped to length 1 unless something else is said."""
        (clipped,), norm = clip_by_global_norm([torch.tensor([3.0, 4.0])])
        torch.testing.assert_close(clipped, torch.tensor([0.6, 0.8]))
        assert norm == 5

    @pytest.mark.parametrize("largest", [0.5, 100.0])
    def test_gradient(self, largest: float) -> None:
        """Where it clips, and where it does not."""
        leaves = [normal(seed, 2).requires_grad_() for seed in range(2)]

        def clip(*gradients: Tensor) -> tuple[Tensor, ...]:
            clipped, norm = clip_by_global_norm(gradients, largest)
            return *clipped, norm

        assert gradcheck(clip, leaves)
        assert gradgradcheck(clip, leaves)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_the_direction_stays_and_the_length_is_at_most_the_largest(self, gradients: list[Tensor], largest: float) -> None:
        """Long ones come out as long as allowed, short ones as they were; all with the same factor."""
        clipped, norm = clip_by_global_norm(gradients, largest)
        before, after = (torch.cat([g.flatten() for g in some]) for some in (gradients, clipped))
        torch.testing.assert_close(after.norm().item(), min(largest, before.norm().item()))
        torch.testing.assert_close(after * before.norm(), before * after.norm())
        if norm <= largest:
            torch.testing.assert_close(after, before, rtol=0, atol=0)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_how_the_weights_are_cut_into_tensors_does_not_matter(self, gradients: list[Tensor], largest: float) -> None:
        """One long gradient is clipped as its pieces are: the norm is that of all together."""
        pieces, _ = clip_by_global_norm(gradients, largest)
        (whole,), _ = clip_by_global_norm([torch.cat([g.flatten() for g in gradients])], largest)
        torch.testing.assert_close(torch.cat([g.flatten() for g in pieces]), whole)

    @given(gradient_lists, st.floats(0.1, 5))
    def test_it_is_pytorchs_to_a_millionth(self, gradients: list[Tensor], largest: float) -> None:
        """Which divides by the norm plus 1e-6."""
        parameters = [torch.zeros_like(gradient).requires_grad_() for gradient in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters, largest)
        clipped, our_norm = clip_by_global_norm(gradients, largest)
        torch.testing.assert_close(our_norm, norm)
        for ours, parameter in zip(clipped, parameters, strict=True):
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-9)

    def test_gradients_of_zero_stay_zero(self) -> None:
        """No division by zero."""
        (clipped,), norm = clip_by_global_norm([torch.zeros(3)])
        assert not clipped.any()
        assert norm == 0
