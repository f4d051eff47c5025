"""The steps of a forward pass, for every network."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from minibert import (
    PRESETS,
    Bert,
    BertConfig,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LoRA,
    Transformer,
    TransformerConfig,
    load,
    load_tokenizer,
    record,
)
from minibert.model.config import POSITIONS
from minibert.model.families import NETWORKS as RELATIVES
from minibert.model.families import AlbertConfig
from minibert.model.pretrained import PretrainedModel
from minibert.model.t5 import T5ForConditionalGeneration
from minibert.model.t5_config import T5Config
from minibert.study import walk
from minibert.study.stepthrough.arithmetic import cell, evaluate
from minibert.study.stepthrough.step import TextStep, Walk
from minibert.study.stepthrough.symbols import has_symbol, in_layer, parameter_letters
from minibert.study.subject import load_subject, random_network, tokenizer_of
from minibert.trace import Operation, operations

TEXT, PAIR = "The cat sat on the [MASK] .", "It was 中文 !"
TOKENIZER = tokenizer_of([TEXT, PAIR])
SIZES = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
BERT = BertConfig(**SIZES, max_position_embeddings=40)
T5 = {
    "hidden_size": 12,
    "num_attention_heads": 3,
    "head_width": 4,
    "intermediate_size": 20,
    "encoder_layers": 1,
    "decoder_layers": 1,
}
HEADS = (
    Bert,
    BertForPreTraining,
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertForQuestionAnswering,
)


def transformer(positions: str, pre_norm: bool) -> PretrainedModel:
    sizes = {"hidden_size": 12, "num_attention_heads": 2, "intermediate_size": 20, "encoder_layers": 1, "decoder_layers": 1}
    return random_network(Transformer, TransformerConfig(**sizes, positions=positions, pre_norm=pre_norm), TOKENIZER)


def adapted() -> PretrainedModel:
    model = random_network(BertForSequenceClassification, BERT, TOKENIZER)
    LoRA(rank=2).apply(model)
    return model


NETWORKS = {
    **{kind.__name__: lambda kind=kind: random_network(kind, BERT, TOKENIZER) for kind in HEADS},
    "untied": lambda: random_network(BertForMaskedLM, replace(BERT, tie_word_embeddings=False), TOKENIZER),
    "relu": lambda: random_network(Bert, replace(BERT, hidden_act="relu"), TOKENIZER),
    "silu": lambda: random_network(Bert, replace(BERT, hidden_act="silu"), TOKENIZER),
    "quick_gelu": lambda: random_network(Bert, replace(BERT, hidden_act="quick_gelu"), TOKENIZER),
    **{
        f"T5, {name}": lambda options=options: random_network(T5ForConditionalGeneration, T5Config(**T5 | options), TOKENIZER)
        for name, options in {"1.0": {}, "1.1": {"is_gated": True, "tie_word_embeddings": False}}.items()
    },
    "GPT-2": lambda: random_network(GPT2LMHeadModel, GPT2Config(**SIZES), TOKENIZER),
    **{
        f"Transformer, {positions}, {'pre' if pre_norm else 'post'}-norm": lambda positions=positions, pre_norm=pre_norm: (
            transformer(positions, pre_norm)
        )
        for positions in POSITIONS
        for pre_norm in (False, True)
    },
}


def check(steps: Walk, cells: int = 1) -> None:
    """Every step is documented, and its output follows from its shown inputs."""
    generator = np.random.default_rng(0)
    for step in steps.values():
        assert step.explanation, step.path
        assert [axis.size for axis in step.axes] == [*step.output.shape], step.path
        assert not any(axis.name.startswith(("axis", "*")) for axis in step.axes), step.path
        if isinstance(step, TextStep):
            continue
        assert step.formula, step.path
        expected = step.output.double().numpy()
        size = max(1.0, np.abs(expected[np.isfinite(expected)]).max())
        np.testing.assert_allclose(evaluate(step.expression), expected, rtol=0, atol=1e-5 * size, err_msg=step.path)
        for _ in range(cells):
            index = tuple(int(generator.integers(length)) for length in expected.shape)
            assert cell(step.expression, index).value == pytest.approx(expected[index], abs=1e-5 * size), step.path
    check_symbols(steps)


def check_symbols(steps: Walk) -> None:
    """A formula has the symbols of the inputs of its step, and the weight of a linear map is transposed, as it is stored."""
    letters = parameter_letters(steps.steps)
    for step in steps.values():
        right = step.formula.partition(" = ")[2]
        inputs = {leaf.name for leaf in step.inputs} & {*steps}
        for path in inputs:
            own = {leaf.name for leaf in steps[path].inputs} & {*steps}
            symbol = in_layer(steps[path].symbol, step.layer, steps[path].layer)
            is_computed_here = own and own <= inputs
            assert is_computed_here or not steps[path].symbol or has_symbol(right, symbol), (step.path, right, symbol)
        for node in operations(step.expression):
            if node.name == "linear" and not isinstance(node.arguments[1], Operation):
                assert rf"{letters[node.arguments[1].name]}^\top" in right, (step.path, right)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_each_output_follows_from_the_inputs_of_its_step(make) -> None:
    """Recomputed in float64 from the recorded inputs, every step of every network has its recorded output."""
    model = make()
    steps = walk(model, TOKENIZER, TEXT, PAIR)
    check(steps)
    assert not model.training


def test_formulas_are_those_of_the_own_parts_of_t5() -> None:
    """Its maps have no bias, it has RMS normalization, and attention begins with larger queries."""
    steps = walk(NETWORKS["T5, 1.0"](), TOKENIZER, TEXT, PAIR)
    assert not any(r"^\top + b" in step.formula for step in steps.values())
    assert steps["encoder.layers.0.attention_norm"].formula == r"n = \mathrm{RMSNorm}({e^w})"
    assert steps["decoder.norm"].explanation.startswith("The final RMS normalization")
    assert steps["encoder.layers.0.attention.dot_products"].formula == r"P = {Q'} K^\top"
    query, scaled = (steps[f"encoder.layers.0.attention.{name}"].output for name in ("query", "scaled_query"))
    torch.testing.assert_close(scaled, query * 2)


@pytest.mark.parametrize("segments", [1, 2])
def test_a_step_says_what_only_this_forward_pass_can_say(segments: int) -> None:
    """The width of a head as a number, and that a text has no sentence B, also if the network has one segment only."""
    model = random_network(BertForPreTraining, replace(BERT, type_vocab_size=segments), TOKENIZER)
    alone, pair = (walk(model, TOKENIZER, TEXT, other) for other in (None, PAIR))
    width = BERT.hidden_size // BERT.num_attention_heads
    assert f"Here √d_k = √{width} = " in alone["layers.0.attention.scores"].explanation
    for path in ("nsp.logits", "nsp.probabilities"):
        assert alone[path].explanation.endswith("This text has no sentence B, so the numbers say nothing about it.")
        assert "no sentence B" not in pair[path].explanation


def test_each_output_follows_from_its_inputs_in_a_preset() -> None:
    check(walk(*load_subject(preset="tiny", texts=[TEXT]), TEXT))


@pytest.mark.long
@pytest.mark.parametrize("preset", [*PRESETS, "gpt2", "transformer-base"])
def test_each_output_follows_from_its_inputs_in_every_preset(preset: str) -> None:
    check(walk(*load_subject(preset=preset, texts=[TEXT]), TEXT))


@pytest.mark.slow
@pytest.mark.skipif("MINIBERT_DATA" not in os.environ, reason="MINIBERT_DATA is not set")
def test_each_output_follows_from_its_inputs_in_a_real_checkpoint() -> None:
    folder = Path(os.environ["MINIBERT_DATA"], "models/rxnfp_bert_pretrained")
    steps = walk(load(folder), load_tokenizer(folder), "C C ( = O ) [MASK] C C N", "O")
    check(steps)
    assert len(steps) > 270


def test_a_walk_with_an_adapter_has_its_steps() -> None:
    steps = walk(adapted(), TOKENIZER, TEXT)
    check(steps)
    assert any(path.endswith("lora_update") for path in steps)


def test_the_numbers_are_the_recorded_ones() -> None:
    """Each step has the tensor that `record` stores, bit for bit."""
    model = random_network(BertForPreTraining, BERT, TOKENIZER)
    steps = walk(model, TOKENIZER, TEXT, PAIR)
    encoding = TOKENIZER.encode(TEXT, PAIR)
    ids, segments = torch.tensor([encoding.ids]), torch.tensor([encoding.type_ids])
    with torch.no_grad(), record(model) as recording:
        model(ids, torch.ones_like(ids), segments)
    assert {*recording.paths} <= {path for step in steps.values() for path in (step.path, *step.aliases)}
    for path in recording.paths:
        assert torch.equal(steps[path].output, recording[path]), path


def reached(steps: Walk, path: str) -> set[str]:
    """Return all steps that a step depends on."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for leaf in steps[waiting.pop()].inputs:
            if leaf.kind in ("step", "input") and leaf.name in steps and leaf.name not in found:
                found.add(leaf.name)
                waiting.append(leaf.name)
    return found


def test_a_prediction_leads_back_to_the_characters() -> None:
    """From the probabilities one can go back through every layer to the ids, and from these to the characters."""
    steps = walk(random_network(BertForPreTraining, BERT, TOKENIZER), TOKENIZER, TEXT)
    found = reached(steps, "mlm.probabilities")
    assert {"text.ids", "embeddings.words", "layers.0.attention.weights", "layers.0.feed_forward_norm"} <= found
    pieces = steps["text.pieces"]
    assert isinstance(pieces, TextStep)
    characters = "".join(steps["text.characters"].entries)
    assert [characters[start:end] for start, end in pieces.sources[1:4]] == ["The", "cat", "sat"]


@pytest.mark.parametrize(
    ("kind", "path", "labels"),
    [
        (BertForNextSentencePrediction, "nsp.probabilities", ("B is next", "B is not next")),
        (BertForSequenceClassification, "classifier.probabilities", ("LABEL_0", "LABEL_1")),
        (BertForQuestionAnswering, "span.probabilities", None),
    ],
)
def test_probabilities_of_heads_have_labels(kind: type[PretrainedModel], path: str, labels: Sequence[str] | None) -> None:
    steps = walk(random_network(kind, BERT, TOKENIZER), TOKENIZER, TEXT, PAIR)
    assert torch.allclose(steps[path].output.sum(-1), torch.tensor(1.0))
    expected = labels or tuple(TOKENIZER.encode(TEXT, PAIR).tokens)
    assert steps[path].axes[-1].labels == expected


def test_the_classes_of_a_pair_are_those_of_the_family() -> None:
    """The head of ALBERT says whether A and B are in order. It is trained on the order of sentences."""
    config = AlbertConfig(**SIZES, embedding_size=6)
    steps = walk(random_network(RELATIVES["AlbertForPreTraining"], config, TOKENIZER), TOKENIZER, TEXT, PAIR)
    assert steps["nsp.probabilities"].axes[-1].labels == ("A and B are in order", "A and B are swapped")
    assert steps["nsp.logits"].axes[-1].labels == ("A and B are in order", "A and B are swapped")


def test_masked_tokens_are_predicted() -> None:
    """Predictions are at the [MASK]; their columns are the pieces of the vocabulary."""
    steps = walk(random_network(BertForMaskedLM, BERT, TOKENIZER), TOKENIZER, TEXT)
    rows, columns = steps["mlm.probabilities"].axes
    assert rows.labels == ("[MASK]",)
    assert columns.labels[TOKENIZER.token_to_id("cat")] == "cat"


@pytest.mark.parametrize(
    ("problem_type", "total"), [("single_label_classification", 1.0), ("multi_label_classification", None), ("regression", 0)]
)
def test_classes_follow_the_problem_type(problem_type: str, total: float | None) -> None:
    """Independent classes have a sigmoid each; a regression ends at its number."""
    classes = {0: "a"} if problem_type == "regression" else {0: "a", 1: "b", 2: "c"}
    config = replace(BERT, problem_type=problem_type, id2label=classes)
    steps = walk(random_network(BertForSequenceClassification, config, TOKENIZER), TOKENIZER, TEXT)
    if total == 0:
        assert [*steps][-1] == "classifier.logits"
    else:
        assert (steps["classifier.probabilities"].output.sum().item() == pytest.approx(1.0)) == (total == 1.0)


def test_an_unknown_step_is_named_with_similar_ones() -> None:
    steps = walk(random_network(Bert, BERT, TOKENIZER), TOKENIZER, TEXT)
    with pytest.raises(KeyError, match=r"layers\.0\.attention\.scores"):
        _ = steps["layers.0.attention.score"]


@pytest.mark.parametrize(("text", "message"), [("", "no tokens"), ("cat " * 60, "max_position_embeddings")])
def test_texts_that_a_network_cannot_process(text: str, message: str) -> None:
    tokenizer = tokenizer_of([TEXT])
    if not text:
        tokenizer.post_processor = None
    with pytest.raises(ValueError, match=message):
        walk(random_network(Bert, BERT, tokenizer), tokenizer, text)
