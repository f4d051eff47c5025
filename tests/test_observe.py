"""Looking inside: paths, edits, gradients, and that nothing is left behind."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from minibert import Bert, BertConfig, BertForPreTraining, record
from minibert.equations import scaled_dot_product_attention
from minibert.observe import is_recording, observe

CONFIG = BertConfig(
    vocab_size=50, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, max_position_embeddings=16
)
IDS = torch.tensor([[1, 7, 9, 2]])
LAYER = [
    *(f"attention.{name}" for name in ("query", "key", "value", "scores", "weights", "context", "output")),
    *("attention_residual", "attention_norm", "intermediate", "activation", "feed_forward", "output"),
]
PATHS = [
    *(f"embeddings.{name}" for name in ("words", "positions", "segments", "sum", "output")),
    *(f"layers.{n}.{name}" for n in range(2) for name in LAYER),
    "pooler",
    *("mlm.transform", "mlm.logits", "nsp.logits"),
]


@pytest.fixture
def model() -> BertForPreTraining:
    torch.manual_seed(0)
    return BertForPreTraining(CONFIG).eval()


def test_off_it_is_the_identity() -> None:
    """Nobody records: the very same tensor comes back."""
    x = torch.ones(2)
    assert observe("anything", x) is x
    assert not is_recording()


def test_every_step_has_its_path(model: BertForPreTraining) -> None:
    """All the steps, in the order of the forward pass, relative to the Bert inside."""
    with record(model) as recording:
        model(IDS)
    assert recording.paths == PATHS


def test_a_mask_is_observed_too(model: BertForPreTraining) -> None:
    """With padding there are masked scores: -inf where the padding is."""
    with record(model) as recording:
        model(IDS, attention_mask=torch.tensor([[1, 1, 1, 0]]))
    assert recording["layers.0.attention.masked_scores"][..., 3].isneginf().all()
    assert recording["layers.0.attention.scores"].isfinite().all()


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda model: torch.compile(model, backend="eager")])
def test_wrappers_do_not_show_in_paths(model: BertForPreTraining, wrap) -> None:
    """Compiled or parallel, the paths are the same; a compiled model runs uncompiled while it is recorded."""
    wrapped = wrap(model)
    wrapped(IDS)
    with record(wrapped) as recording:
        wrapped(IDS)
    assert recording.paths == PATHS


def test_the_recorded_numbers_are_the_models_own(model: BertForPreTraining) -> None:
    """Scores, weights and context fit each other, and the last layer's output is what the model returns."""
    with record(model) as recording:
        output = model.bert(IDS)
    part = {name: recording[f"layers.1.attention.{name}"] for name in ("query", "key", "value", "scores", "weights", "context")}
    torch.testing.assert_close(part["scores"], part["query"] @ part["key"].mT / 2)
    torch.testing.assert_close(part["weights"], part["scores"].softmax(-1))
    torch.testing.assert_close(part["context"], part["weights"] @ part["value"])
    torch.testing.assert_close(recording["layers.1.output"], output.last_hidden_state)


def test_recording_changes_no_number(model: BertForPreTraining) -> None:
    """Recorded or not, the output is the same to rounding: the fast paths equal the formulas."""
    plain = model(IDS)
    with record(model):
        recorded = model(IDS)
    torch.testing.assert_close(plain.prediction_logits, recorded.prediction_logits)


def test_gradients(model: BertForPreTraining) -> None:
    """The gradient at a path is the derivative with respect to that tensor: for the logits of a sum, ones."""
    with record(model, gradients=True) as recording:
        model(IDS).prediction_logits.sum().backward()
    torch.testing.assert_close(recording.gradient("mlm.logits"), torch.ones(1, 4, 50))
    assert recording.gradient("layers.0.attention.weights").shape == (1, 2, 4, 4)
    with pytest.raises(RuntimeError, match=r"no gradient has reached 'nsp\.logits'"):
        recording.gradient("nsp.logits")


def test_without_gradients_none_are_kept(model: BertForPreTraining) -> None:
    """The tensors are cut from the graph, so that no memory is held, and asking says how to get them."""
    with record(model) as recording:
        model(IDS)
    assert not recording["mlm.logits"].requires_grad
    with pytest.raises(RuntimeError, match="gradients=True"):
        recording.gradient("mlm.logits")


@pytest.mark.parametrize("edit", [torch.zeros(1, 2, 4, 4), torch.zeros_like])
def test_an_edit_replaces_what_follows(model: BertForPreTraining, edit) -> None:
    """With all attention weights put to zero the context is zero; other layers go on as they are."""
    with record(model, edit={"layers.0.attention.weights": edit}) as recording:
        model(IDS)
    assert not recording["layers.0.attention.weights"].any()
    assert not recording["layers.0.attention.context"].any()
    assert recording["layers.1.attention.context"].any()


def test_an_edit_must_keep_the_shape(model: BertForPreTraining) -> None:
    """The message names path and both shapes; afterwards nobody records any more."""
    with pytest.raises(ValueError, match=r"'pooler'.*\(1, 3\).*\(1, 8\)"), record(model, edit={"pooler": torch.zeros(1, 3)}):
        model(IDS)
    assert not is_recording()


def test_unknown_names_raise_with_near_ones(model: BertForPreTraining) -> None:
    """A slip of the pen is answered with what was probably meant, for reading and for editing."""
    with record(model) as recording:
        model(IDS)
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.weights"):
        recording["layers.0.attention.wieghts"]
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.weights"), record(model, edit={"layers.0.attn.weights": IDS}):
        model(IDS)
    with pytest.raises(KeyError, match="was the model called inside the block"), record(model) as recording:
        recording["pooler"]


def test_explicitly_fused_attention_hides_its_inner_steps(model: BertForPreTraining) -> None:
    """What was asked for is honoured: only the context is seen, and the message says why."""
    with record(model.set_attention("fused")) as recording:
        model(IDS)
    assert "layers.0.attention.context" in recording
    with pytest.raises(KeyError, match="not observed with attention='fused'"):
        recording["layers.0.attention.weights"]


def test_nothing_is_left_behind(model: BertForPreTraining) -> None:
    """After the block, after an exception in it, and after one that is caught in it: no hooks, and paths still right."""

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


def test_blocks_can_be_nested(model: BertForPreTraining) -> None:
    """Each block has its own recording, of its own model: the inner one does not disturb the outer."""
    other = Bert(CONFIG)
    with record(model) as outer:
        with record(other) as inner:
            other(IDS)
            model(IDS)
        model(IDS)
    assert inner.paths == [path for path in PATHS if not path.startswith(("mlm", "nsp"))]
    assert len(outer.every("pooler")) == 2


def test_an_equation_can_be_recorded_by_itself() -> None:
    """Without a model the paths are the bare names."""
    x = torch.randn(3, 4)
    with record() as recording:
        scaled_dot_product_attention(x, x, x)
    assert list(recording) == ["scores", "weights", "context"]


def test_compiles_into_one_graph() -> None:
    """`fullgraph=True`: not one graph break, so observing costs nothing when nobody records. (Without shape checks.)"""
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
