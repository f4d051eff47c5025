"""Runs as configs make them: label smoothing, dropout, precision, and the number of examples that are worked on at a time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minibert.equations import IGNORE_INDEX
from minibert.model import PRESETS, TransformerConfig
from minibert.text.corpus import Document
from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import pretraining, translation
from minibert.training.options import DeviceOptions, LettersConfig, PretrainingConfig, TranslationConfig
from minibert.training.run import TrainingRun

KINDS = ("pretraining", "transformer")


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    monkeypatch.setitem(PRESETS, "tiny", replace(PRESETS["tiny"], **shape, num_hidden_layers=1))
    monkeypatch.setitem(translation.TRANSFORMERS, "tiny", TransformerConfig(**shape, encoder_layers=1, decoder_layers=1))


def make_run(kind: str, machine: dict[str, Any] | None = None, **settings: Any) -> TrainingRun:
    """A run of one kind, with these settings in its config."""
    options = DeviceOptions(**{"device": "cpu", **(machine or {})})
    if kind == "transformer":
        tokenizer = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
        config = TranslationConfig(**{"steps": 3, "batch_tokens": 400, "warmup_steps": 2, **settings})
        examples = LettersExamples("copy", tokenizer, seed=0, size=80, max_length=3)
        return translation.translation_run(config, options, examples, tokenizer, max_length=6)
    tokenizer = build_tokenizer([*SPECIAL_TOKENS, *"abcdef"])
    words = np.random.default_rng(0).choice([*"abcdef"], (60, 2, 4))
    documents = [Document(f"d{number}", tuple(" ".join(some) for some in text)) for number, text in enumerate(words)]
    config = PretrainingConfig(**{"steps": 3, "batch_size": 40, "examples": ExampleConfig(max_length=12), **settings})
    corpus = TokenizedCorpus.from_documents(documents, tokenizer)
    return pretraining.pretraining_run(config, options, corpus, tokenizer)


def first_batches(run: TrainingRun) -> list[Any]:
    """The micro-batches of the first step."""
    _, batches = next(run.batches())
    return batches


def losses(run: TrainingRun) -> list[float]:
    """The sum of the loss terms at every step."""
    return [sum(step.losses.values()) for step in run.run()]


def parameters(run: TrainingRun) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in run.model.parameters()]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothing_is_that_of_the_recipe(smoothing: float) -> None:
    """Vaswani et al. 2017, section 5.4: the label has 1 - ε, and ε is spread over the whole vocabulary."""
    run = make_run("transformer", label_smoothing=smoothing, dropout=0.0, precision="float64")
    (batch,) = first_batches(run)
    with torch.no_grad():
        logits = run.model(batch.input_ids, batch.attention_mask, batch.decoder_input_ids).logits
    targets = batch.labels != IGNORE_INDEX
    log_probabilities = logits.log_softmax(dim=-1)[targets]
    of_the_label = log_probabilities.gather(1, batch.labels[targets][:, None])[:, 0]
    expected = -((1 - smoothing) * of_the_label + smoothing * log_probabilities.mean(dim=-1)).mean()
    assert next(run.run()).losses["target"] == pytest.approx(expected.item(), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_that_of_the_recipe(kind: str) -> None:
    """Without dropout the losses do not depend on torch's random state; with it they do."""
    found = {}
    for dropout in (0.0, 0.3):
        for seed in (0, 1):
            run = make_run(kind, dropout=dropout)
            torch.manual_seed(seed)
            found[dropout, seed] = losses(run)
        assert run.model.config.hidden_dropout_prob == dropout
    assert found[0.0, 0] == found[0.0, 1]
    assert found[0.3, 0] != found[0.3, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_have_the_precision_of_the_recipe_and_bfloat16_rounds_products_alone(kind: str) -> None:
    """With bfloat16 the weights are float32, and the first loss is near that of float32 but not equal to it."""
    runs = {name: make_run(kind, precision=name, dropout=0.0) for name in ("float32", "bfloat16", "float64")}
    types = {name: {parameter.dtype for parameter in parameters(run)} for name, run in runs.items()}
    assert types == {"float32": {torch.float32}, "bfloat16": {torch.float32}, "float64": {torch.float64}}
    first = {name: losses(run)[0] for name, run in runs.items()}
    assert first["float32"] == pytest.approx(first["float64"], rel=1e-5)
    assert first["bfloat16"] == pytest.approx(first["float32"], rel=2e-2)
    assert abs(first["bfloat16"] - first["float32"]) > 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_first_weights(kind: str) -> None:
    first, same, other = (parameters(make_run(kind, seed=seed)) for seed in (1, 1, 2))
    assert all(map(torch.equal, first, same))
    assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_worked_on_in_micro_batches_of_at_most_the_given_size(kind: str) -> None:
    whole = [len(batch.input_ids) for batch in first_batches(make_run(kind, {"micro_batch_size": 1000}))]
    parts = [len(batch.input_ids) for batch in first_batches(make_run(kind, {"micro_batch_size": 7}))]
    assert len(whole) == 1
    assert sum(parts) == sum(whole)
    assert max(parts) == 7


def test_on_a_cpu_pretraining_works_on_sixteen_examples_at_a_time() -> None:
    """Unless another number is given; the 2017 Transformer works on all of a step."""
    assert [len(batch.input_ids) for batch in first_batches(make_run("pretraining"))] == [16, 16, 8]
    assert len(first_batches(make_run("transformer"))) == 1


def test_a_run_has_as_many_steps_as_its_recipe() -> None:
    for kind in KINDS:
        assert len(losses(make_run(kind))) == 3


def test_defaults_for_letters_have_neither_dropout_nor_smoothing() -> None:
    config = LettersConfig()
    assert (config.dropout, config.label_smoothing, config.decay) == (0.0, 0.0, "linear")
    assert (config.steps, config.batch_tokens, config.warmup_steps, config.learning_rate_factor) == (1400, 1024, 100, 0.12)
