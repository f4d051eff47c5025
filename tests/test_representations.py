"""What a notebook shows for the objects of the library: what they are, and no memory address."""

import re
from functools import partial
from pathlib import Path

import pytest
import torch

from minibert import Checkpoints, MaskedLMObjective, PretrainingObjective, TrainingRun, adamw, record, warmup_linear
from minibert.classroom.mistakes import MISTAKES
from minibert.model.cache import KeyValueCache
from minibert.model.config import BertConfig
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.heads import BertForMaskedLM, BertForPreTraining
from minibert.model.transformer import Transformer
from minibert.model.transformer_config import TransformerConfig
from minibert.training.classification import ClassificationObjective
from minibert.training.translation import TranslationObjective

SIZES = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 16}
BERT = BertForPreTraining(BertConfig(**SIZES, num_hidden_layers=1))


def test_a_recording_lists_its_paths_and_shapes() -> None:
    with record(BERT) as recording:
        BERT(torch.tensor([[5, 6, 7]]))
    lines = repr(recording).splitlines()
    assert lines[0] == f"Recording of {len(recording)} tensors"
    assert [line.split(maxsplit=1)[0] for line in lines[1:]] == recording.paths
    assert re.search(r"layers\.0\.attention\.weights +\(1, 2, 3, 3\)$", repr(recording), re.MULTILINE)


def test_a_long_recording_shows_its_beginning_and_its_end() -> None:
    model = BertForMaskedLM(BertConfig(**SIZES, num_hidden_layers=5))
    with record(model) as recording:
        assert repr(recording) == "Recording of 0 tensors"
        model(torch.tensor([[5, 6, 7]]))
    lines = repr(recording).splitlines()
    assert len(lines) == 32
    assert lines[16] == f"  … {len(recording) - 30} more: see .paths"
    assert [line.split()[0] for line in (lines[1], lines[-1])] == [recording.paths[0], recording.paths[-1]]


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (
            BERT,
            [
                "LayerNorm(8, eps=1e-12)",
                "heads=2, dropout=0.1, attention=auto",
                "activation=gelu",
                "pre_norm=False",
                "vocabulary=30, activation=gelu, tied=True",
            ],
        ),
        (
            GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=1), attention="explicit"),
            ["LayerNorm(8, eps=1e-05)", "attention=explicit", "activation=gelu_tanh", "pre_norm=True"],
        ),
        (
            Transformer(TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1, positions="alibi"), attention=torch.add),
            ["AlibiPositions(heads=2)", "activation=relu", "attention=add"],
        ),
    ],
    ids=["BERT", "GPT-2", "Transformer"],
)
def test_a_network_shows_the_settings_of_its_parts(model: torch.nn.Module, parts: list[str]) -> None:
    shown = repr(model)
    for part in parts:
        assert part in shown
    assert " at 0x" not in shown


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
        repr(PretrainingObjective("sop")): "PretrainingObjective(pairs='sop')",
        repr(ClassificationObjective("regression")): "ClassificationObjective(problem_type='regression', class_weights=None)",
        repr(TranslationObjective(0.2)): "TranslationObjective(label_smoothing=0.2)",
        repr(Checkpoints(Path("runs") / "x", keep=3)): "Checkpoints('runs/x', keep=3)",
        repr(KeyValueCache()): "KeyValueCache(0 tokens, 0 attention modules)",
        repr(run): "TrainingRun(BertForPreTraining, PretrainingObjective(pairs='nsp'), step 0 of 9)",
    }
    assert list(shown) == list(shown.values())
    assert " at 0x" not in repr(MISTAKES["no scale"])
