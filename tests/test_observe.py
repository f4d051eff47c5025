"""Recording: paths, edits, gradients, and clean-up after the block."""

import asyncio
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from minibert import Bert, BertConfig, BertForPreTraining, record
from minibert.equations import scaled_dot_product_attention
from minibert.model.stacks import LayerStack
from minibert.observe import is_recording, observe
from tests.processes import run_forked

CONFIG = BertConfig(
    vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16
)
IDS = torch.tensor([[1, 7, 9, 2]])
NORM = ("mean", "variance")
ATTENTION = ("query", "key", "value", "dot_products", "scores", "weights", "context", "merged", "output")
LAYER = (
    *(f"attention.{name}" for name in ATTENTION),
    "attention_residual",
    *(f"attention_norm.{name}" for name in NORM),
    *("attention_norm", "intermediate", "activation", "feed_forward", "feed_forward_residual"),
    *(f"feed_forward_norm.{name}" for name in NORM),
    *("feed_forward_norm", "output"),
)
PATHS = [
    *(f"embeddings.{name}" for name in ("words", "positions", "segments", "sum")),
    *(f"embeddings.norm.{name}" for name in NORM),
    "embeddings.output",
    *(f"layers.{n}.{name}" for n in range(2) for name in LAYER),
    *("pooler.linear", "pooler", "mlm.linear", "mlm.activation"),
    *(f"mlm.norm.{name}" for name in NORM),
    *("mlm.transform", "mlm.logits", "nsp.logits"),
]


@pytest.fixture
def model() -> BertForPreTraining:
    torch.manual_seed(0)
    return BertForPreTraining(CONFIG).eval()


def test_observe_is_the_identity_without_a_recording() -> None:
    """Without a recording the same tensor object is returned."""
    x = torch.ones(2)
    assert observe("anything", x) is x
    assert not is_recording()


def test_paths_of_a_bert(model: BertForPreTraining) -> None:
    """All steps are recorded in the order of the forward pass, with paths relative to the encoder."""
    with record(model) as recording:
        model(IDS)
    assert recording.paths == PATHS


def test_masked_scores_are_recorded(model: BertForPreTraining) -> None:
    """With padding, the masked scores are -inf at the padding."""
    with record(model) as recording:
        model(IDS, attention_mask=torch.tensor([[1, 1, 1, 0]]))
    assert recording["layers.0.attention.masked_scores"][..., 3].isneginf().all()
    assert recording["layers.0.attention.scores"].isfinite().all()


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_paths_do_not_contain_wrappers(model: BertForPreTraining, wrap) -> None:
    """Compiled or parallel models have the same paths. A compiled model runs uncompiled during a recording."""
    wrapped = wrap(model)
    wrapped(IDS)
    with record(wrapped) as recording:
        wrapped(IDS)
    assert recording.paths == PATHS


def test_recorded_tensors_are_consistent(model: BertForPreTraining) -> None:
    """Scores, weights and context are related by the formula, and the last layer's output is the model's output."""
    with record(model) as recording:
        output = model.bert(IDS)
    part = {name: recording[f"layers.1.attention.{name}"] for name in ("query", "key", "value", "scores", "weights", "context")}
    torch.testing.assert_close(part["scores"], part["query"] @ part["key"].mT / 2)
    torch.testing.assert_close(part["weights"], part["scores"].softmax(-1))
    torch.testing.assert_close(part["context"], part["weights"] @ part["value"])
    torch.testing.assert_close(recording["layers.1.output"], output.last_hidden_state)


def test_recording_does_not_change_the_output(model: BertForPreTraining) -> None:
    """With and without a recording, the outputs are equal up to rounding."""
    plain = model(IDS)
    with record(model):
        recorded = model(IDS)
    torch.testing.assert_close(plain.prediction_logits, recorded.prediction_logits)


def test_gradients(model: BertForPreTraining) -> None:
    """The gradient at a path is the derivative with respect to that tensor: ones for the logits of a sum."""
    with record(model, gradients=True) as recording:
        model(IDS).prediction_logits.sum().backward()
    torch.testing.assert_close(recording.gradient("mlm.logits"), torch.ones(1, 4, 50))
    assert recording.gradient("layers.0.attention.weights").shape == (1, 2, 4, 4)
    with pytest.raises(RuntimeError, match=r"no gradient has reached 'nsp\.logits'"):
        recording.gradient("nsp.logits")


def test_tensors_are_detached_without_gradients(model: BertForPreTraining) -> None:
    """The tensors are detached, so that no memory is held. The error message says how to record gradients."""
    with record(model) as recording:
        model(IDS)
    assert not recording["mlm.logits"].requires_grad
    with pytest.raises(RuntimeError, match="gradients=True"):
        recording.gradient("mlm.logits")


@pytest.mark.parametrize("edit", [torch.zeros(1, 2, 4, 4), torch.zeros_like])
def test_edit_changes_the_rest_of_the_forward_pass(model: BertForPreTraining, edit) -> None:
    """If all attention weights are set to zero, the context is zero; other layers are not edited."""
    with record(model, edit={"layers.0.attention.weights": edit}) as recording:
        model(IDS)
    assert not recording["layers.0.attention.weights"].any()
    assert not recording["layers.0.attention.context"].any()
    assert recording["layers.1.attention.context"].any()


def test_edit_with_another_shape_raises(model: BertForPreTraining) -> None:
    """The message contains the path and both shapes. Afterwards no recording is active."""
    with pytest.raises(ValueError, match=r"'pooler'.*\(1, 3\).*\(1, 8\)"), record(model, edit={"pooler": torch.zeros(1, 3)}):
        model(IDS)
    assert not is_recording()


def test_error_for_an_unknown_path_lists_similar_paths(model: BertForPreTraining) -> None:
    """A typing error is answered with similar paths, for reading and for editing."""
    with record(model) as recording:
        model(IDS)
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.weights"):
        recording["layers.0.attention.wieghts"]
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.weights"), record(model, edit={"layers.0.attn.weights": IDS}):
        model(IDS)
    with pytest.raises(KeyError, match="call the model inside the"), record(model) as recording:
        recording["pooler"]


def test_fused_attention_records_the_context_only(model: BertForPreTraining) -> None:
    """An explicit request for fused attention is respected, and the error message explains the missing steps."""
    with record(model.set_attention("fused")) as recording:
        model(IDS)
    assert "layers.0.attention.context" in recording
    with pytest.raises(KeyError, match="With attention='fused' the steps inside attention are not observed"):
        recording["layers.0.attention.weights"]


def test_hooks_are_removed(model: BertForPreTraining) -> None:
    """After the block, after an exception in it, and after a caught exception, there are no hooks and the paths are right."""

    def hooks() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    with record(model) as recording:
        with pytest.raises(ValueError, match="input_ids"):
            model(torch.tensor([[99]]))
        model(IDS)
        assert hooks() > 0
    assert recording.paths[0] == "embeddings.words"
    assert recording.paths == PATHS
    with pytest.raises(ZeroDivisionError), record(model):
        raise ZeroDivisionError
    assert hooks() == 0
    assert not is_recording()
    assert pickle.dumps(model)


def test_feed_forward_module_does_not_occur_in_paths() -> None:
    """A module named `feed_forward` is left out of the path of its steps; the name `feed_forward` in `observe` is kept."""

    class FeedForward(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return observe("activation", observe("intermediate", x + 1).relu())

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.feed_forward = FeedForward()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return observe("output", observe("feed_forward", self.feed_forward(x)) + x)

    layers = nn.Sequential(Layer(), Layer())
    with record(layers) as recording:
        layers(torch.ones(2))
    steps = ("intermediate", "activation", "feed_forward", "output")
    assert recording.paths == [f"{n}.{step}" for n in range(2) for step in steps]


def test_recordings_can_be_nested(model: BertForPreTraining) -> None:
    """Each block has a recording of its own model, independent of the other block."""
    other = Bert(CONFIG)
    with record(model) as outer:
        with record(other) as inner:
            other(IDS)
            model(IDS)
        model(IDS)
    assert inner.paths == [path for path in PATHS if not path.startswith(("mlm", "nsp"))]
    assert len(outer.all("pooler")) == 2


def test_recordings_in_threads_are_independent(model: BertForPreTraining) -> None:
    """Each thread records its own calls of the shared model, and a thread without a recording is not recorded."""
    count, calls = 6, 5
    started = threading.Barrier(count)

    def run(number: int) -> None:
        ids = torch.full((1, 3), number + 1)
        started.wait()
        for _ in range(calls):
            if number == 0:
                model(ids)
                assert not is_recording()
                continue
            with record(model) as recording:
                output = model(ids)
                model(ids)
            assert recording.paths == PATHS
            assert all(len(recording.all(path)) == 2 for path in PATHS)
            assert torch.equal(recording["mlm.logits"], output.prediction_logits)

    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(run, number) for number in range(count)]:
            done.result()
    assert not is_recording()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_recordings_in_asyncio_tasks_are_independent(model: BertForPreTraining) -> None:
    """Tasks of one thread take turns inside their blocks."""

    async def run(number: int) -> None:
        with record(model) as recording:
            for _ in range(3):
                await asyncio.sleep(0)
                output = model(torch.full((1, 2), number))
        assert recording.paths == PATHS
        assert len(recording.all("pooler")) == 3
        assert torch.equal(recording["mlm.logits"], output.prediction_logits)

    async def all_tasks() -> None:
        await asyncio.gather(*(run(number) for number in range(4)))

    asyncio.run(all_tasks())


def test_edits_of_one_thread_do_not_reach_another(model: BertForPreTraining) -> None:
    expected = model(IDS).prediction_logits
    with record(model, edit={"layers.0.output": torch.zeros_like}), ThreadPoolExecutor(1) as threads:
        other = threads.submit(lambda: model(IDS).prediction_logits).result()
        edited = model(IDS).prediction_logits
    assert torch.equal(other, expected)
    assert not torch.allclose(edited, expected)


@pytest.mark.usefixtures("without_shape_checks")
def test_compilation_is_on_again_after_the_last_of_overlapping_recordings(model: BertForPreTraining) -> None:
    """The blocks of two threads may end in any order."""
    compiled: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        compiled.append(1)
        return graph.forward

    function = torch.compile(lambda x: x + 1, backend=backend)
    for order in ([0, 1], [1, 0]):
        blocks = [record(model), record(model)]
        for block in blocks:
            block.__enter__()
        for number in order:
            torch.compiler.reset()
            function(torch.ones(2))
            assert not compiled
            blocks[number].__exit__(None, None, None)
        function(torch.ones(2))
        assert compiled.pop()


@pytest.mark.parametrize("wrapped", [False, True])
def test_recomputed_layers_are_recorded_once_with_gradients(model: BertForPreTraining, wrapped: bool) -> None:
    """Activation checkpointing, ours or PyTorch's, runs a layer twice. The recording has the first run and its gradients."""
    with record(model, gradients=True) as expected:
        model(IDS).prediction_logits.square().sum().backward()
    if wrapped:
        model.bert.layers = LayerStack(checkpoint_wrapper(layer) for layer in model.bert.layers)
    else:
        model.set_recompute(True)
    with record(model, gradients=True) as recording:
        model(IDS).prediction_logits.square().sum().backward()
    assert recording.paths == PATHS
    for path in PATHS:
        assert len(recording.all(path)) == 1
        assert torch.equal(recording[path], expected[path])
        if not path.startswith(("nsp", "pooler")):
            torch.testing.assert_close(recording.gradient(path), expected.gradient(path))


def test_gradients_of_recomputed_layers_after_the_block_and_with_edits(model: BertForPreTraining) -> None:
    model.set_recompute(True)
    edit = {"layers.1.attention.scores": lambda scores: 2 * scores}
    gradients = []
    for recompute in (False, True):
        model.set_recompute(recompute)
        model.zero_grad()
        with record(model, gradients=True, edit=edit) as recording:
            loss = model(IDS).prediction_logits.square().sum()
        loss.backward()
        gradients.append([recording.gradient("layers.0.attention.scores"), model.bert.layers[1].attention.key.weight.grad])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_an_equation_can_be_recorded_without_a_model() -> None:
    """The paths are then the bare names."""
    x = torch.randn(3, 4)
    with record() as recording:
        scaled_dot_product_attention(x, x, x)
    assert list(recording) == ["dot_products", "scores", "weights", "context"]


@pytest.mark.slow
def test_a_compiled_model_takes_texts_of_all_lengths() -> None:
    """One compiled program, without a graph break, for every batch size and length: in training and in evaluation."""
    code = """
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from minibert import BertConfig, BertForPreTraining, BertForSequenceClassification
sizes = dict(vocab_size=60, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
config = BertConfig(**sizes, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
for network in (BertForPreTraining, BertForSequenceClassification):
    for is_training in (True, False):
        model = network(config).train(is_training)
        counter = CompileCounterWithBackend("aot_eager")
        compiled, counts = torch.compile(model, fullgraph=True, dynamic=True, backend=counter), []
        for rows, tokens in ((2, 4), (3, 7), (4, 30)):
            ids = torch.randint(1, 60, (rows, tokens))
            mask = (torch.arange(tokens) < torch.randint(1, tokens + 1, (rows, 1))).long()
            gradients = []
            for each in (compiled, model):
                model.zero_grad()
                with torch.set_grad_enabled(is_training):
                    output = each(ids, mask)
                    loss = sum(value.pow(2).sum() for value in vars(output).values() if value is not None)
                    if is_training:
                        loss.backward()
                gradients.append([loss, *(p.grad for p in model.parameters() if p.grad is not None)])
            torch.testing.assert_close(*gradients)
            counts.append(counter.frame_count)
        assert 0 < counts[0] == counts[-1], (network, is_training, counts)  # the first batch may be traced twice
"""
    exit_code, output = run_forked(code)
    assert exit_code == 0, output


@pytest.mark.slow
def test_models_compile_without_graph_breaks() -> None:
    """`fullgraph=True` works, so `observe` costs nothing without a recording. Runs without shape checks."""
    code = """
import torch
from minibert import BertConfig, BertForPreTraining, record
config = BertConfig(vocab_size=60, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
model = BertForPreTraining(config).eval()
ids = torch.tensor([[1, 7, 9, 2]])
compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
torch.testing.assert_close(compiled(ids, torch.ones_like(ids)).prediction_logits, model(ids).prediction_logits)
with record(compiled) as recording:
    compiled(ids)
assert recording["layers.1.attention.weights"].shape == (1, 2, 4, 4)
torch.testing.assert_close(compiled(ids).prediction_logits, model(ids).prediction_logits)
"""
    exit_code, output = run_forked(code)
    assert exit_code == 0, output
