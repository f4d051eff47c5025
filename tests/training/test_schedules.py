"""Learning-rate schedules: exact values at the steps that matter, in the optimizer and in the runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from minibert.model import PRESETS, TransformerConfig
from minibert.text.corpus import Document
from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import pretraining, translation
from minibert.training.optimizer import noam, warmup_linear
from minibert.training.options import DeviceOptions, PretrainingConfig, TranslationConfig

LETTERS = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
ScheduleMaker = Callable[[Optimizer], LRScheduler]


def linear(steps: int, **options: float) -> ScheduleMaker:
    """The schedule of BERT."""
    return partial(warmup_linear, steps=steps, **options)


def transformer(width: int, warmup: int, ends: int | None = None) -> ScheduleMaker:
    """The schedule of the 2017 Transformer, with a decay by the root of the step, or linear to zero at step `ends`."""
    return partial(noam, width=width, warmup_steps=warmup, linear_decay_steps=ends)


def factors(make: ScheduleMaker, steps: int, peaks: Sequence[float] = (1.0,)) -> list[list[float]]:
    """The learning rates of the parameter groups at steps 1 to `steps`."""
    optimizer = SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": peak} for peak in peaks])
    schedule = make(optimizer)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


def of_one_group(make: ScheduleMaker, steps: int) -> list[float]:
    return [rates[0] for rates in factors(make, steps)]


class TestWarmupLinear:
    def test_value_at_every_step(self) -> None:
        """Ten steps of which three rise: thirds up to 1, one step more at 1, then sevenths down to 1/7, and 0 afterward."""
        expected = [1 / 3, 2 / 3, 1, 1, 6 / 7, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7, 0, 0]
        assert of_one_group(linear(10, warmup_fraction=0.3), 12) == pytest.approx(expected, rel=1e-14)

    def test_value_at_first_peak_middle_and_last_step_of_a_long_run(self) -> None:
        """A thousand steps with the default warm-up of one tenth."""
        found = of_one_group(linear(1000), 1001)
        at = {step: found[step - 1] for step in (1, 50, 100, 101, 550, 551, 1000, 1001)}
        expected = {1: 0.01, 50: 0.5, 100: 1, 101: 1, 550: 451 / 900, 551: 0.5, 1000: 1 / 900, 1001: 0}
        assert at == pytest.approx(expected, rel=1e-14)

    @pytest.mark.parametrize(("warmup", "rising"), [(0.04, 1), (0.14, 1), (0.16, 2), (0.24, 2), (0.26, 3)])
    def test_the_warmup_share_is_rounded_to_the_nearest_step_and_is_at_least_one(self, warmup: float, rising: int) -> None:
        found = of_one_group(linear(10, warmup_fraction=warmup), 10)
        assert found[0] == pytest.approx(1 / rising)
        assert found[rising - 1] == 1
        assert found[9] == pytest.approx(1 / (10 - rising))

    def test_a_warmup_share_of_zero_means_no_warmup(self) -> None:
        """The factors are those of transformers, from the first step on."""
        assert of_one_group(linear(4, warmup_fraction=0.0), 5) == [1, 0.75, 0.5, 0.25, 0]

    def test_it_multiplies_the_learning_rate_of_each_group(self) -> None:
        """Groups with different learning rates keep their ratio at every step."""
        found = factors(linear(10, warmup_fraction=0.3), 11, peaks=(0.5, 10.0))
        assert [rates[0] for rates in found] == pytest.approx(
            [0.5 * one for one in of_one_group(linear(10, warmup_fraction=0.3), 11)]
        )
        assert [rates[1] for rates in found] == pytest.approx([20 * rates[0] for rates in found])


class TestNoam:
    def test_value_with_root_decay(self) -> None:
        """Width 64, four steps of warm-up: the peak (64 · 4)^-0.5 = 1/16 is reached at step 4, half of it at step 16."""
        found = of_one_group(transformer(64, 4), 100)
        at = {step: found[step - 1] for step in (1, 2, 3, 4, 9, 16, 100)}
        expected = {1: 1 / 64, 2: 1 / 32, 3: 3 / 64, 4: 1 / 16, 9: 1 / 24, 16: 1 / 32, 100: 1 / 80}
        assert at == pytest.approx(expected, rel=1e-14)

    def test_value_with_linear_decay(self) -> None:
        """The same peak; then eighths of it, and zero after step 12."""
        found = of_one_group(transformer(64, 4, ends=12), 14)
        expected = [1, 2, 3, 4, 4, 3.5, 3, 2.5, 2, 1.5, 1, 0.5, 0, 0]
        assert found == pytest.approx([value / 64 for value in expected], rel=1e-14)

    @pytest.mark.parametrize("ends", [None, 12])
    def test_it_multiplies_the_learning_rate_of_each_group(self, ends: int | None) -> None:
        found = factors(transformer(64, 4, ends), 12, peaks=(2.0, 6.0))
        assert [rates[0] for rates in found] == pytest.approx([2 * one for one in of_one_group(transformer(64, 4, ends), 12)])
        assert [rates[1] for rates in found] == pytest.approx([3 * rates[0] for rates in found])


def learning_rates_of_pretraining(config: PretrainingConfig) -> list[float]:
    """The learning rate of every step of a pretraining run."""
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdef"])
    words = np.random.default_rng(0).choice([*"abcdef"], (10, 2, 4))
    texts = [Document(f"d{number}", tuple(" ".join(words) for words in text)) for number, text in enumerate(words)]
    corpus = TokenizedCorpus.from_documents(texts, tokenizer)
    run = pretraining.pretraining_run(config, DeviceOptions(device="cpu"), corpus, tokenizer)
    return [step.learning_rate for step in run.run()]


def learning_rates_of_a_transformer(config: TranslationConfig) -> list[float]:
    """The learning rate of every step of a Transformer of width 16."""
    examples = LettersExamples("copy", LETTERS, seed=0, size=8, max_length=3)
    run = translation.translation_run(config, DeviceOptions(device="cpu"), examples, LETTERS, max_length=6)
    return [step.learning_rate for step in run.run()]


class TestRuns:
    @pytest.fixture(autouse=True)
    def small_models(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
        monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], **shape, num_hidden_layers=1))
        monkeypatch.setitem(translation.TRANSFORMERS, "tiny", TransformerConfig(**shape, encoder_layers=1, decoder_layers=1))

    def test_pretraining_warms_up_and_decays_linearly_over_all_its_steps(self) -> None:
        config = PretrainingConfig(
            steps=10, batch_size=2, learning_rate=0.007, warmup_fraction=0.3, examples=ExampleConfig(max_length=12)
        )
        expected = [7 / 3, 14 / 3, 7, 7, 6, 5, 4, 3, 2, 1]
        assert learning_rates_of_pretraining(config) == pytest.approx([value / 1000 for value in expected])

    @pytest.mark.parametrize("decay", ["inverse-sqrt", "linear"])
    def test_the_transformer_has_the_schedule_of_its_width_warmup_and_steps(self, decay: str) -> None:
        """Width 16 and four steps of warm-up: the peak is 1/8 of the factor."""
        config = TranslationConfig(steps=12, batch_tokens=40, warmup_steps=4, decay=decay, learning_rate_factor=0.08)
        linearly = [0.25, 0.5, 0.75, 1, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
        by_root = [0.25, 0.5, 0.75, *((4 / step) ** 0.5 for step in range(4, 13))]
        expected = [0.01 * factor for factor in (linearly if decay == "linear" else by_root)]
        assert learning_rates_of_a_transformer(config) == pytest.approx(expected)
