"""LoRA in networks: values, properties, and its place next to recordings, attention paths, compilation and half precision."""

import copy
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minibert import Bert, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, Transformer, load, record
from minibert.equations import lora
from minibert.model.adapters import BitFit, LoRA, merge, unmerge
from minibert.model.adapters.lora import LoRALinear, lora_modules
from minibert.model.transformer_config import TransformerConfig
from tests.model.adapters.networks import CONFIG, base_checkpoint, inputs, move, new_network, outputs
from tests.processes import run_forked
from tests.strategies import normal, seeds, tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*newly initialized")


def layer(seed: int, width: int, output: int, rank: int, moved: bool = True) -> LoRALinear:
    """Return a LoRA layer with random weights and α = 3; its update is zero unless `moved`."""
    torch.manual_seed(seed)
    adapted = LoRALinear(nn.Linear(width, output).double(), rank, alpha=3.0)
    if moved:
        nn.init.normal_(adapted.lora_b)
    return adapted


class TestLoRALinear:
    @given(tensors(axes=2, smallest=0), st.integers(1, 3), seeds)
    def test_value(self, x: torch.Tensor, rank: int, seed: int) -> None:
        """The layer computes the equation, with α/r."""
        adapted = layer(seed, x.shape[-1], 4, rank)
        plain = nn.Linear(x.shape[-1], 4).double()
        plain.weight, plain.bias = adapted.weight, adapted.bias
        torch.testing.assert_close(adapted(x), lora(x, plain, adapted.lora_a, adapted.lora_b, 3.0 / rank))

    @given(st.integers(1, 6), st.integers(1, 3), seeds)
    def test_value_of_the_initial_matrices(self, width: int, rank: int, seed: int) -> None:
        """A is uniform up to 1/√width, as the weights of a linear layer in PyTorch; B is zero."""
        adapted = layer(seed, width, 4, rank, moved=False)
        assert 0 < adapted.lora_a.abs().max() <= 1 / math.sqrt(width)
        assert not adapted.lora_b.any()

    @given(seeds)
    def test_value_of_the_distribution_of_the_initial_numbers(self, seed: int) -> None:
        """The numbers of A fill the interval from −1/√width to 1/√width evenly. The frozen weight is not touched."""
        adapted = layer(seed, 40, 4, 20)
        frozen = adapted.weight.clone()
        adapted.initialize_update()
        relative = adapted.lora_a * math.sqrt(40)
        assert relative.min() < -0.9
        assert relative.max() > 0.9
        assert 0.45 < relative.abs().mean() < 0.55
        assert torch.equal(adapted.weight, frozen)

    @given(seeds)
    def test_initialization_of_a_is_that_of_a_linear_layer(self, seed: int) -> None:
        """A is the weight of a new linear layer with the same random numbers, and the frozen map stays the same."""
        adapted = layer(seed, 40, 4, 20)
        frozen = adapted.weight.clone()
        torch.manual_seed(seed)
        adapted.initialize_update()
        torch.manual_seed(seed)
        assert torch.equal(adapted.lora_a, nn.Linear(40, 20, dtype=torch.float64).weight)
        assert torch.equal(adapted.weight, frozen)

    @given(tensors(axes=2, smallest=0), st.integers(1, 3), seeds)
    def test_identity_at_initialization(self, x: torch.Tensor, rank: int, seed: int) -> None:
        """Before training, the layer computes the frozen map, bit for bit."""
        adapted = layer(seed, x.shape[-1], 4, rank, moved=False)
        assert torch.equal(adapted(x), nn.functional.linear(x, adapted.weight, adapted.bias))

    @given(st.integers(1, 3), seeds)
    def test_training_can_begin(self, rank: int, seed: int) -> None:
        """Before training, one of both matrices has a gradient. With both zero, neither would ever move."""
        adapted = layer(seed, 3, 4, rank, moved=False)
        adapted(normal(seed, 5, 3)).square().sum().backward()
        assert any(matrix.grad is not None and matrix.grad.any() for matrix in (adapted.lora_a, adapted.lora_b))

    @given(tensors(axes=2, smallest=0), st.integers(1, 3), seeds)
    def test_merged_equals_unmerged(self, x: torch.Tensor, rank: int, seed: int) -> None:
        """Merged, the layer computes the same. Unmerged again, it computes the same bits as before."""
        adapted = layer(seed, x.shape[-1], 4, rank).eval()
        before = adapted(x)
        merge(adapted)
        torch.testing.assert_close(adapted(x), before)
        unmerge(adapted)
        assert torch.equal(adapted(x), before)

    def test_a_seed_determines_the_initial_matrices(self) -> None:
        """A is the first thing that is drawn, as the weights of a new linear layer in PyTorch."""
        frozen = nn.Linear(5, 4).double()
        torch.manual_seed(0)
        adapted = LoRALinear(frozen, 3, alpha=3.0)
        torch.manual_seed(0)
        drawn = nn.init.kaiming_uniform_(torch.empty(3, 5, dtype=torch.float64), a=math.sqrt(5))
        assert torch.equal(adapted.lora_a, drawn)

    def test_representation(self) -> None:
        """It shows the settings, and whether the update is merged."""
        adapted = layer(0, 5, 4, 2)
        assert repr(adapted) == (
            "LoRALinear(\n  in_features=5, out_features=4, bias=True, rank=2, alpha=3, merged=False\n"
            "  (dropout): Dropout(p=0.0, inplace=False)\n)"
        )
        merge(adapted)
        assert "merged=True" in repr(adapted)

    def test_layer_without_a_bias_has_none(self) -> None:
        assert LoRALinear(nn.Linear(3, 4, bias=False), 2, alpha=3.0).bias is None


def network(tmp_path: Path, adapter: LoRA | None = None) -> BertForSequenceClassification:
    model = new_network(base_checkpoint(tmp_path))
    (adapter or LoRA()).apply(model)
    assert isinstance(model, BertForSequenceClassification)
    return model


def test_identity_at_initialization(tmp_path: Path) -> None:
    """A network with new LoRA computes the same bits, in every linear layer."""
    plain, adapted = new_network(base_checkpoint(tmp_path)), network(tmp_path, LoRA(targets=("all-linear",)))
    assert len(lora_modules(adapted)) == 3 * 6
    for one, other in zip(outputs(plain), outputs(adapted), strict=True):
        assert torch.equal(one, other)


def test_only_the_named_parameters_move(tmp_path: Path) -> None:
    """The matrices of the targets, the new head and the new pooler; nothing else, in ten steps of training."""
    model = network(tmp_path, LoRA(layers=(0, 2)))
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5)
    for _ in range(10):
        model(**inputs(), labels=torch.tensor([0, 2])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    matrices = {f"layers.{n}.attention.{p}.lora_{m}" for n in (0, 2) for p in ("query", "value") for m in "ab"}
    new = {f"{module}.{leaf}" for module in ("pooler.dense", "classifier") for leaf in ("weight", "bias")}
    assert {name.removeprefix("bert.") for name in moved} == matrices | new
    assert moved == {*model.adapter_parameters}


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
def test_biases_that_are_trained(bias: str) -> None:
    """None, those of the targets, or all, also of normalizations."""
    model = Bert(CONFIG)
    targets = [f"layers.{layer}.attention.query" for layer in range(3)]
    all_biases = [name for name, _ in model.named_parameters() if name.endswith("bias")]
    expected = {"none": [], "lora_only": [f"{target}.bias" for target in targets], "all": all_biases}[bias]
    matrices = [f"{target}.{matrix}" for target in targets for matrix in ("lora_a", "lora_b")]
    assert sorted(LoRA(targets=("query",), bias=bias).apply(model)) == sorted(matrices + expected)
    assert len(all_biases) > 3 * 6


def test_rank_of_the_update(tmp_path: Path) -> None:
    """After training, every merged weight differs from the frozen one by a matrix of rank r, here of other ranks in layer 1."""
    model = network(tmp_path, LoRA(rank=2, targets=("query", "intermediate"), rank_pattern={"layers.1": 3, "query": 1}))
    move(model)
    merge(model)
    found = {}
    for name, module in lora_modules(model).items():
        assert module.merged_weight is not None
        found[name] = int(torch.linalg.matrix_rank(module.merged_weight - module.weight))
    assert [*found.values()] == [1, 2, 3, 3, 1, 2]


def test_merged_model_cannot_be_trained(tmp_path: Path) -> None:
    """Until every layer is unmerged."""
    model = network(tmp_path)
    merge(model)
    model.eval()(**inputs())
    with pytest.raises(RuntimeError, match=r"call `unmerge\(model\)` first"):
        model.train()(**inputs())
    unmerge(model)
    model.train()(**inputs())


def test_weights_for_use_without_the_adapter(tmp_path: Path) -> None:
    """`merged` gives the weights of a plain network that computes the same, from the weights of another step too."""
    model = network(tmp_path)
    move(model)
    assert model.adapter is not None
    plain = new_network(base_checkpoint(tmp_path))
    plain.load_state_dict(model.adapter.merged(model, model.state_dict()))
    for one, other in zip(outputs(plain), outputs(model), strict=True):
        torch.testing.assert_close(one, other)
    before = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    assert not any(tensor.any() for tensor in model.adapter.merged(model, before).values())


def test_pooler_of_the_checkpoint_is_frozen_unless_named(tmp_path: Path) -> None:
    base = base_checkpoint(tmp_path, pooler=True)
    for adapter, trained in ((LoRA(), False), (LoRA(train=("head", "pooler")), True), (LoRA(train=("classifier",)), False)):
        model = new_network(base)
        adapter.apply(model)
        assert model.bert.pooler.dense.weight.requires_grad is trained
        assert model.classifier.weight.requires_grad


def test_head_can_be_left_out(tmp_path: Path) -> None:
    """A head that comes from the checkpoint is frozen if it is not in `train`. One that is new is trained."""
    network(tmp_path).save_pretrained(tmp_path / "trained")
    model = load(tmp_path / "trained")
    LoRA(train=()).apply(model)
    assert not model.classifier.weight.requires_grad
    model = new_network(base_checkpoint(tmp_path))
    LoRA(train=()).apply(model)
    assert model.classifier.weight.requires_grad


@pytest.mark.parametrize("attention", ["explicit", "fused", "auto"])
def test_attention_paths_agree(attention: str, tmp_path: Path) -> None:
    model = network(tmp_path, LoRA(targets=("query",)))
    move(model)
    expected = outputs(model.set_attention("explicit"))
    torch.testing.assert_close(outputs(model.set_attention(attention)), expected)  # type: ignore[arg-type]


def test_recording_has_the_updates(tmp_path: Path) -> None:
    """The update of a layer is recorded under the layer's name, and without it the network is the frozen one."""
    plain, model = new_network(base_checkpoint(tmp_path)), network(tmp_path)
    model.load_state_dict(plain.state_dict(), strict=False)
    for module in lora_modules(model).values():
        nn.init.normal_(module.lora_b)
    paths = [f"layers.{n}.attention.{part}.lora_update" for n in range(3) for part in ("query", "value")]
    with record(model) as recording:
        adapted = outputs(model)
    assert [path for path in recording.paths if "lora" in path] == paths
    assert not torch.equal(adapted[0], outputs(plain)[0])
    with record(model, edit={path: torch.zeros_like(recording[path]) for path in paths}):
        assert torch.equal(outputs(model)[0], outputs(plain)[0])


@pytest.mark.slow
def test_network_compiles_without_graph_breaks() -> None:
    """`fullgraph=True` works, and gives the same values. Runs without shape checks."""
    code = """
import torch
from minibert import BertConfig, BertForSequenceClassification
from minibert.model.adapters import LoRA
config = BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
model = BertForSequenceClassification(config)
LoRA(targets=("query", "output"), dropout=0.1).apply(model)
for parameter in model.parameters():
    torch.nn.init.normal_(parameter)
ids = torch.tensor([[1, 7, 9, 2]])
compiled = torch.compile(model.eval(), fullgraph=True, backend="aot_eager")
torch.testing.assert_close(compiled(ids).logits, model(ids).logits)
"""
    exit_code, output = run_forked(code)
    assert exit_code == 0, output


def test_autocast_to_bfloat16(tmp_path: Path) -> None:
    """Products are computed in bfloat16; the gradients of the matrices have the type of the matrices."""
    model = network(tmp_path).float()
    move(model)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**inputs(), labels=torch.tensor([0, 2]))
    torch.testing.assert_close(output.logits.float(), model(**inputs()).logits, atol=0.15, rtol=0.05)
    output.loss.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in gradients)


def test_copies_are_independent(tmp_path: Path) -> None:
    """A deep copy of a merged network is merged, and another type can be chosen for it."""
    model = network(tmp_path)
    move(model)
    merge(model)
    other = copy.deepcopy(model).float()
    expected = outputs(model)[0].float()
    unmerge(model)
    torch.testing.assert_close(outputs(other)[0], expected)


def test_every_architecture_can_have_lora() -> None:
    """Decoders too, with cross-attention."""
    sizes = {"vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    gpt2 = GPT2LMHeadModel(GPT2Config(**sizes, num_hidden_layers=1))
    assert len(LoRA().apply(gpt2)) == 4
    transformer = Transformer(TransformerConfig(**sizes, encoder_layers=1, decoder_layers=1))
    assert len(LoRA(targets=("query",)).apply(transformer)) == 2 * 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be a whole number of at least 1"),
        ({"rank": True}, "rank must be a whole number"),
        ({"rank_pattern": {"query": 0}}, "rank must be a whole number"),
        ({"alpha": math.nan}, "alpha must be a finite number"),
        ({"alpha": 0}, "alpha must be a finite number other than 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
    ],
)
def test_settings_outside_their_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRA(**settings)  # type: ignore[arg-type]


def test_second_adapter_is_rejected(tmp_path: Path) -> None:
    model = network(tmp_path)
    with pytest.raises(ValueError, match=r"has an adapter already \(lora\)"):
        BitFit().apply(model)


def test_config_of_the_tests_has_no_dropout() -> None:
    assert CONFIG.hidden_dropout_prob == 0
