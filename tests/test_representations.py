"""What a notebook shows for the objects of the library: what they are, and no memory address."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from minibert import Checkpoints, MaskedLMObjective, PretrainingObjective, TrainingRun, adamw, record, warmup_linear
from minibert.classroom.mistakes import MISTAKES
from minibert.display import MAX_ROWS, table
from minibert.model.cache import KeyValueCache
from minibert.model.config import BertConfig
from minibert.model.heads import BertForMaskedLM, BertForPreTraining
from minibert.model.outputs import MaskedLMOutput
from minibert.observe import observe
from minibert.study.equations.registry import registry
from minibert.training.classification import ClassificationObjective
from minibert.training.translation import TranslationObjective
from tests.fragments import Fragment, shown

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
BERT = BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=1))


def test_a_recording_lists_its_paths_and_shapes() -> None:
    layer = BERT.bert.layers[0]
    with record(layer) as recording:
        layer(torch.zeros(1, 3, 8))
    lines = repr(recording).splitlines()
    assert lines[0] == f"Recording of {len(recording)} tensors"
    assert [line.split(maxsplit=1)[0] for line in lines[1:]] == recording.paths
    assert re.search(r"attention\.weights +\(1, 2, 3, 3\)$", repr(recording), re.MULTILINE)


def test_a_long_recording_shows_its_beginning_and_its_end() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=5))
    with record(model) as recording:
        assert repr(recording) == "Recording of 0 tensors"
        model(torch.tensor([[5, 6, 7]]))
    lines = repr(recording).splitlines()
    assert len(lines) == 32
    assert lines[16] == f"  … {len(recording) - 30} more: see .paths"
    assert [line.split()[0] for line in (lines[1], lines[-1])] == [recording.paths[0], recording.paths[-1]]


@pytest.mark.usefixtures("without_shape_checks")  # the run below has no data
def test_other_objects_show_their_arguments() -> None:
    run = TrainingRun(
        BERT,
        examples=None,
        objective=PretrainingObjective(),
        batch_sampler=None,
        optimizer=partial(adamw, learning_rate=1e-3),
        schedule=partial(warmup_linear, steps=9),
        steps=9,
    )
    shown = {
        repr(MaskedLMObjective()): "MaskedLMObjective()",
        repr(PretrainingObjective("sop")): "PretrainingObjective(pairs='sop', stores_scores=False)",
        repr(ClassificationObjective("regression")): "ClassificationObjective(problem_type='regression', class_weights=None)",
        repr(TranslationObjective(0.2)): "TranslationObjective(label_smoothing=0.2)",
        repr(Checkpoints(Path("runs") / "x", keep=3)): "Checkpoints('runs/x', keep=3)",
        repr(KeyValueCache()): "KeyValueCache(0 tokens, 0 attention modules)",
        repr(run): "TrainingRun(BertForPreTraining, PretrainingObjective(pairs='nsp', stores_scores=False), step 0 of 9)",
    }
    assert list(shown) == list(shown.values())
    assert " at 0x" not in repr(MISTAKES["no scale"])


def test_html_of_a_recording_lists_its_paths_shapes_and_first_values() -> None:
    layer = BERT.bert.layers[0]
    with record(layer) as recording:
        assert "Recording of 0 tensors" in shown(recording).text
        layer(torch.zeros(1, 3, 8))
    texts = shown(recording).texts
    assert [path for path in recording.paths if path in texts] == recording.paths
    assert "1 × 2 × 3 × 3" in texts
    assert any(text.startswith("0.3333, 0.3333") for text in texts)


def test_a_hostile_path_is_text() -> None:
    with record() as recording:
        observe("<img src=x onerror=alert(1)>\x1b[31m", torch.ones(3))
    assert "<img src=x onerror=alert(1)>\\u001b[31m" in shown(recording).texts


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(0, 3),
        torch.tensor([torch.nan, torch.inf]),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.ones(2, 2, device="meta"),
        torch.tensor([True]),
        torch.ones(2, requires_grad=True),
        torch.tensor([1 + 2j]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("without_shape_checks")  # the outputs of a network have none of these
def test_tensors_of_any_kind_in_outputs_and_recordings(tensor: torch.Tensor) -> None:
    output = MaskedLMOutput(tensor)
    assert "MaskedLMOutput" in repr(output)
    assert shown(output).text
    with record() as recording:
        observe("a", tensor)
    assert shown(recording).text


def test_an_equation_shows_formula_code_and_worked_example() -> None:
    equation = registry()["softmax"]
    fragment = shown(equation)
    assert "math" in fragment.elements
    assert equation.code.rstrip() in fragment.texts
    assert "[0.25 0.75]" in fragment.texts
    assert "exponentials = torch.exp(scores - scores.detach().amax(dim=-1, keepdim=True))" in fragment.texts
    lines = repr(equation).splitlines()
    assert lines[0] == "softmax"
    assert any(line.startswith("    softmax(x)_i = ") for line in lines)
    assert len(lines) < 30


def test_every_equation_can_be_shown() -> None:
    for equation in registry().values():
        assert shown(equation).text
        assert equation.summary.startswith(f"{equation.name}: ")


def test_a_long_table_shows_its_beginning_and_its_end() -> None:
    rows = [[str(number), str(number)] for number in range(MAX_ROWS + 7)]
    texts = Fragment(table(["row", "value"], rows)).texts
    assert f"… {len(rows) - MAX_ROWS} more" in texts
    assert {"0", str(len(rows) - 1)} <= {*texts}
    assert len(Fragment(table([], rows[:MAX_ROWS])).elements) < len(Fragment(table([], rows)).elements)


class TestInIPython:
    """IPython's pretty printer, with which notebooks and consoles make the text of an object."""

    def test_an_object_is_shown_in_full(self) -> None:
        pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is not installed").pretty
        assert pretty(registry()["softmax"]) == repr(registry()["softmax"])

    def test_each_object_of_a_list_is_shown_in_one_line(self) -> None:
        pretty = pytest.importorskip("IPython.lib.pretty", reason="IPython is not installed").pretty
        equations = [*registry().values()][:3]
        assert pretty(equations, max_width=1000) == f"[{', '.join(equation.summary for equation in equations)}]"
