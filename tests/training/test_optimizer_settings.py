"""AdamW: the settings that reach it, the parameters that decay, and updates equal to the equation in float64."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from minibert.equations import adamw_step
from minibert.model import PRESETS, BertForPreTraining, TransformerConfig
from minibert.study import quickstart
from minibert.text.corpus import Document
from minibert.text.letters import ALPHABET, LettersExamples
from minibert.text.module_families import MODULE_FAMILIES
from minibert.text.options import ExampleConfig
from minibert.text.tokenized import TokenizedCorpus
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer
from minibert.training import pretraining, translation
from minibert.training.distributed import SINGLE_PROCESS
from minibert.training.optimizer import adamw
from minibert.training.options import DeviceOptions, LettersConfig, PretrainingConfig, TranslationConfig

WORDS = [f"w{number}" for number in range(20)]
TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *WORDS])
LETTERS = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])


class Tiny(nn.Module):
    """One parameter of each kind: an embedding, a matrix, a bias, and the gain and bias of a layer normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(4, 3)
        self.linear = nn.Linear(3, 2)
        self.norm = nn.LayerNorm(3)


def make_optimizer(model: nn.Module, **options: object) -> Optimizer:
    """The optimizer under test, with a learning rate of 0.1 unless another one is given."""
    return adamw(model, **{"learning_rate": 0.1, **options})


def documents() -> list[Document]:
    """Documents of random words."""
    generator = np.random.default_rng(0)
    return [Document(f"m{d}", tuple(" ".join(generator.choice(WORDS, 5)) for _ in range(3))) for d in range(20)]


def pretraining_optimizer(**settings: object) -> tuple[nn.Module, Optimizer]:
    """Model and optimizer of a pretraining run."""
    config = PretrainingConfig(**{"steps": 4, "batch_size": 4, "examples": ExampleConfig(max_length=16), **settings})
    corpus = TokenizedCorpus.from_documents(documents(), TOKENIZER)
    run = pretraining.pretraining_run(config, DeviceOptions(device="cpu"), corpus, TOKENIZER)
    return run.model, run.optimizer


def transformer_optimizer(config: TranslationConfig) -> tuple[nn.Module, Optimizer]:
    """Model and optimizer of a run of the 2017 Transformer."""
    examples = LettersExamples("copy", LETTERS, seed=0, size=20, max_length=4)
    run = translation.translation_run(config, DeviceOptions(device="cpu"), examples, LETTERS, max_length=8)
    return run.model, run.optimizer


def quickstart_optimizer() -> tuple[nn.Module, Optimizer]:
    """Model and optimizer of the pretraining in the quickstart."""
    task = quickstart.pretraining_task(quickstart.tokenize(documents(), TOKENIZER), steps=4, seed=0)
    run = task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS)
    return run.model, run.optimizer


def options_of_fine_tuning(start: quickstart.Start) -> list[dict[str, object]]:
    """The options of all parameter groups in the first update of the quickstart's fine-tuning."""
    found: list[dict[str, object]] = []
    labeled = [
        Document(f"{packages[0]}.m{number}", ("w1 w2 w3", "w4 w5"))
        for packages in MODULE_FAMILIES.values()
        for number in range(4)
    ]
    data = quickstart.tokenize(labeled, TOKENIZER)
    encoder = BertForPreTraining(quickstart.quickstart_config(TOKENIZER.get_vocab_size()))

    hook = register_optimizer_step_pre_hook(lambda optimizer, *_: found.extend(map(dict, optimizer.param_groups)))
    try:
        task = quickstart.fine_tuning_task(encoder, quickstart.CurveRun(quickstart.LEARNING_CURVE[0], start, seed=0), data)
        next(task.make_run(DeviceOptions(device="cpu"), SINGLE_PROCESS).run())
    finally:
        hook.remove()
    return found


@pytest.fixture
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(PRESETS["tiny"], hidden_size=16, num_attention_heads=2, intermediate_size=32)
    sequence = TransformerConfig(
        hidden_size=16, num_attention_heads=2, intermediate_size=32, encoder_layers=1, decoder_layers=1
    )
    monkeypatch.setitem(PRESETS, "tiny", small)
    monkeypatch.setitem(translation.TRANSFORMERS, "tiny", sequence)


def options_of(model: nn.Module, optimizer: Optimizer) -> dict[str, dict[str, object]]:
    """By parameter name, the options of its group. A schedule changes `lr`, so the peak is `initial_lr` where there is one."""
    groups = {id(parameter): group for group in optimizer.param_groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(groups)
    named = dict(model.named_parameters())
    assert {id(parameter) for parameter in named.values()} == set(groups)
    return {name: {"peak": groups[id(p)].get("initial_lr", groups[id(p)]["lr"]), **groups[id(p)]} for name, p in named.items()}


def distinct(options: dict[str, dict[str, object]], name: str) -> set[object]:
    """All values that an option has in any group."""
    return {option[name] for option in options.values()}


def test_default_options_are_those_of_kingma_and_ba_with_a_decay_of_one_hundredth() -> None:
    """Betas 0.9 and 0.999, eps 1e-8, weight decay 0.01 on matrices."""
    model = Tiny()
    options = options_of(model, make_optimizer(model))
    assert distinct(options, "betas") == {(0.9, 0.999)}
    assert distinct(options, "eps") == {1e-8}
    assert distinct(options, "lr") == {0.1}
    assert options["linear.weight"]["weight_decay"] == 0.01


def test_given_options_reach_every_group() -> None:
    model = Tiny()
    options = options_of(model, make_optimizer(model, betas=(0.7, 0.8), eps=1e-3, weight_decay=0.5, learning_rate=0.3))
    assert distinct(options, "betas") == {(0.7, 0.8)}
    assert distinct(options, "eps") == {1e-3}
    assert distinct(options, "lr") == {0.3}
    assert distinct(options, "amsgrad") == distinct(options, "maximize") == {False}
    assert options["embedding.weight"]["weight_decay"] == 0.5


def test_matrices_and_embeddings_decay_and_vectors_do_not() -> None:
    model = Tiny()
    options = options_of(model, make_optimizer(model, weight_decay=0.5))
    assert {name: option["weight_decay"] for name, option in options.items()} == {
        "embedding.weight": 0.5,
        "linear.weight": 0.5,
        "linear.bias": 0.0,
        "norm.weight": 0.0,
        "norm.bias": 0.0,
    }


def test_a_learning_rate_multiple_applies_to_its_parameter_alone_and_changes_no_decay() -> None:
    model = Tiny()
    multiples = {"linear.bias": 20.0, "embedding.weight": 0.5}
    options = options_of(model, make_optimizer(model, weight_decay=0.25, learning_rate_factors=multiples))
    assert {name: option["lr"] for name, option in options.items()} == {
        "embedding.weight": 0.05,
        "linear.weight": 0.1,
        "linear.bias": 2.0,
        "norm.weight": 0.1,
        "norm.bias": 0.1,
    }
    assert [options[name]["weight_decay"] for name in ("embedding.weight", "linear.weight", "linear.bias")] == [0.25, 0.25, 0]


@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.999), 1e-8), ((0.9, 0.98), 1e-9), ((0.6, 0.7), 1e-6)])
@pytest.mark.parametrize("scale", [0.1, 1.0, 1e6])
def test_three_updates_equal_the_equation(betas: tuple[float, float], eps: float, scale: float) -> None:
    """Gradients that differ from step to step, a tenth of eps, as large as eps, or far larger; in float64."""
    torch.manual_seed(0)
    model = Tiny().double()
    multiples = {"linear.bias": 3.0}
    optimizer = make_optimizer(model, betas=betas, eps=eps, weight_decay=0.3, learning_rate_factors=multiples)
    expected: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in expected.items()}
    for step in (1, 2, 3):
        for name, parameter in model.named_parameters():
            parameter.grad = eps * scale * torch.randn_like(parameter)
            expected[name], *updated = adamw_step(
                expected[name],
                parameter.grad,
                *moments[name],
                step,
                0.1 * multiples.get(name, 1.0),
                betas,
                eps,
                weight_decay=0.3 if parameter.ndim > 1 else 0.0,
            )
            moments[name] = (updated[0], updated[1])
        optimizer.step()
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter.detach(), expected[name], rtol=1e-12, atol=1e-13, msg=name)


def test_a_gradient_as_large_as_the_default_eps_moves_a_weight_by_half_the_learning_rate() -> None:
    """A value by hand: in the first step the direction is g / (|g| + eps)."""
    model = nn.Linear(1, 1).double()
    optimizer = make_optimizer(model, weight_decay=0.0)
    before = model.bias.item()
    model.bias.grad = torch.tensor([1e-8], dtype=torch.float64)
    model.weight.grad = torch.zeros_like(model.weight)
    optimizer.step()
    assert before - model.bias.item() == pytest.approx(0.05, rel=1e-9)


@pytest.mark.usefixtures("small_models")
class TestOptionsOfRuns:
    def test_pretraining_has_the_defaults_of_adamw(self) -> None:
        """Betas 0.9 and 0.999, eps 1e-8, decay 0.01, and the learning rate of the preset."""
        options = options_of(*pretraining_optimizer())
        assert distinct(options, "betas") == {(0.9, 0.999)}
        assert distinct(options, "eps") == {1e-8}
        assert distinct(options, "peak") == {1e-3}
        assert {option["weight_decay"] for name, option in options.items() if name.endswith("bias")} == {0.0}
        assert options["bert.embeddings.positions.weight"]["weight_decay"] == 0.01

    def test_pretraining_has_the_learning_rate_and_decay_of_its_recipe(self) -> None:
        options = options_of(*pretraining_optimizer(learning_rate=0.02, weight_decay=0.4))
        assert distinct(options, "peak") == {0.02}
        assert distinct(options, "weight_decay") == {0.4, 0.0}

    @pytest.mark.parametrize("config", [TranslationConfig(learning_rate_factor=0.7), LettersConfig(learning_rate_factor=0.7)])
    def test_the_transformer_has_the_options_of_the_paper_and_no_decay(self, config: TranslationConfig) -> None:
        """Vaswani et al. 2017, section 5.3: betas 0.9 and 0.98, eps 1e-9."""
        options = options_of(*transformer_optimizer(config))
        assert distinct(options, "betas") == {(0.9, 0.98)}
        assert distinct(options, "eps") == {1e-9}
        assert distinct(options, "weight_decay") == {0.0}
        assert distinct(options, "peak") == {0.7}

    def test_the_quickstart_has_a_second_beta_of_98_hundredths_and_a_faster_bias(self) -> None:
        """The learning rate of the masked-LM bias is 20 times that of the other parameters."""
        options = options_of(*quickstart_optimizer())
        assert distinct(options, "betas") == {(0.9, 0.98)}
        assert distinct(options, "eps") == {1e-8}
        assert {name for name, option in options.items() if option["peak"] != 2e-3} == {"mlm.bias"}
        assert options["mlm.bias"]["peak"] == pytest.approx(0.04)
        assert options["mlm.bias"]["weight_decay"] == 0.0
        assert options["bert.embeddings.positions.weight"]["weight_decay"] == 0.01

    @pytest.mark.parametrize(
        ("make", "betas", "eps", "decay"),
        [
            (pretraining_optimizer, (0.9, 0.999), 1e-8, 0.01),
            (partial(transformer_optimizer, TranslationConfig()), (0.9, 0.98), 1e-9, 0.0),
            (quickstart_optimizer, (0.9, 0.98), 1e-8, 0.01),
        ],
    )
    def test_the_first_update_of_a_run_equals_the_equation(
        self, make: Callable[[], tuple[nn.Module, Optimizer]], betas: tuple[float, float], eps: float, decay: float
    ) -> None:
        """With every gradient as large as eps and a learning rate large enough to be exact in float32."""
        model, optimizer = make()
        for group in optimizer.param_groups:
            group["lr"] = 1.0
        before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, eps)
        optimizer.step()
        for name, parameter in model.named_parameters():
            zeros = torch.zeros_like(before[name])
            some_decay = decay if parameter.ndim > 1 else 0.0
            expected, _, _ = adamw_step(
                before[name], parameter.grad, zeros, zeros, 1, 1.0, betas=betas, eps=eps, weight_decay=some_decay
            )
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("start", ["pretrained", "from scratch"])
def test_fine_tuning_in_the_quickstart_has_the_defaults_and_a_peak_of_one_thousandth(start: quickstart.Start) -> None:
    groups = options_of_fine_tuning(start)
    assert {group["betas"] for group in groups} == {(0.9, 0.999)}
    assert {group["eps"] for group in groups} == {1e-8}
    assert {group["initial_lr"] for group in groups} == {1e-3}
    assert {group["weight_decay"] for group in groups} == {0.01, 0.0}


def test_peak_learning_rates_of_the_presets() -> None:
    """Devlin et al. 2019, section A.2: 1e-4 for base and large; smaller models have larger ones."""
    presets = ("tiny", "mini", "small", "medium", "base", "large")
    assert [PretrainingConfig(preset=preset).peak_learning_rate for preset in presets] == [1e-3, 5e-4, 5e-4, 3e-4, 1e-4, 1e-4]
    assert PretrainingConfig(preset="base", learning_rate=0.3).peak_learning_rate == 0.3


def test_defaults_are_those_of_the_papers() -> None:
    """Devlin et al. 2019, section A.2, and Vaswani et al. 2017, sections 5.3 and 5.4."""
    bert, transformer, examples = PretrainingConfig(), TranslationConfig(), ExampleConfig()
    assert (bert.warmup_fraction, bert.weight_decay, bert.dropout, bert.max_grad_norm) == (0.1, 0.01, 0.1, 1.0)
    assert (transformer.learning_rate_factor, transformer.dropout, transformer.label_smoothing, transformer.max_grad_norm) == (
        1.0,
        0.1,
        0.1,
        1.0,
    )
    assert (examples.mlm_probability, examples.short_seq_probability, examples.max_predictions) == (0.15, 0.1, None)
    assert (transformer.decay, transformer.pre_norm, transformer.positions) == ("inverse-sqrt", False, "sinusoidal")
