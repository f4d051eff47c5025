"""Steps, heads and cells are chosen by name, and wrong choices are refused."""

import pytest
import torch

from minibert import BertConfig, BertForPreTraining, Transformer, TransformerConfig
from minibert.study import walk
from minibert.study.stepthrough.ranking import predictions
from minibert.study.stepthrough.selection import Selection, select
from minibert.study.subject import random_network, tokenizer_of

TEXT = "the cat sat on the [MASK] ."
TOKENIZER = tokenizer_of([TEXT])
SIZES = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
CONFIG = BertConfig(**SIZES, num_hidden_layers=3, max_position_embeddings=20)
STEPS = walk(random_network(BertForPreTraining, CONFIG, TOKENIZER), TOKENIZER, TEXT)
TRANSFORMER = TransformerConfig(**SIZES, encoder_layers=1, decoder_layers=1)
TRANSLATION = walk(random_network(Transformer, TRANSFORMER, TOKENIZER), TOKENIZER, "the cat", "cat sat")


@pytest.mark.parametrize(
    ("name", "layer", "path"),
    [
        ("scores", None, "layers.0.attention.scores"),
        ("scores", 2, "layers.2.attention.scores"),
        ("attention.scores", 1, "layers.1.attention.scores"),
        ("layers.1.attention.scores", None, "layers.1.attention.scores"),
        ("layers.1.attention.scores", 1, "layers.1.attention.scores"),
        ("layers.1.output", None, "layers.1.feed_forward_norm"),
        ("1", None, "text.characters"),
        ("pooler", None, "pooler"),
        ("mlm.probabilities", None, "mlm.probabilities"),
    ],
)
def test_a_step_is_chosen_by_name_path_or_number(name: str, layer: int | None, path: str) -> None:
    assert select(STEPS, name, layer).step.path == path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "scoers"}, "there is no step 'scoers'. Similar: scores"),
        ({"name": ""}, "there is no step ''"),
        ({"name": "layers.0.attention.weight"}, "Similar: layers.0.attention.weights"),
        ({"name": "0"}, f"the steps have the numbers 1 to {len(STEPS)}"),
        ({"name": "9" * 5000}, "the steps have the numbers 1 to"),
        ({"name": "-1"}, "there is no step '-1'"),
        ({"name": "٣"}, "there is no step"),
        ({"name": "scores", "layer": 3}, "no step 'scores' in layer 3, only in layers 0 to 2"),
        ({"name": "scores", "layer": -1}, "in layer -1, only in layers 0 to 2"),
        ({"name": "layers.1.output", "layer": 0}, "in layer 0, only in layer 1"),
        ({"name": "pooler", "layer": 0}, "belongs to no layer: leave out --layer"),
        ({"name": "probabilities"}, "give more of the path: mlm.probabilities, nsp.probabilities"),
        ({"name": "scores", "head": 2}, "has no head 2, only the heads 0 to 1"),
        ({"name": "scores", "head": -1}, "has no head -1"),
        ({"name": "pooler", "head": 0}, "has no heads: leave out --head"),
        ({"name": "scores", "cell": "9,0"}, "has the rows 0 to 8 and the columns 0 to 8"),
        ({"name": "scores", "cell": "0,9"}, "there is no cell 0,9"),
        ({"name": "scores", "cell": "3"}, "must be a row and a column, such as 3,5"),
        ({"name": "scores", "cell": "-1,0"}, "must be a row and a column"),
        ({"name": "scores", "cell": "1,2,3"}, "must be a row and a column"),
        ({"name": "scores", "cell": "a,b"}, "must be a row and a column"),
        ({"name": "scores", "cell": "²,0"}, "must be a row and a column"),
        ({"name": "pooler", "cell": "8"}, "there is no cell 8"),
    ],
)
def test_what_does_not_exist_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"step|cell") as error:
        select(STEPS, **arguments)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_the_parts_of_a_transformer_are_distinguished() -> None:
    with pytest.raises(ValueError, match="several steps end with 'scores'"):
        select(TRANSLATION, "scores")
    assert select(TRANSLATION, "cross_attention.scores").step.path == "decoder.layers.0.cross_attention.scores"
    assert select(TRANSLATION, "encoder.layers.0.attention.scores").matrix.shape == (4, 4)
    cross = select(TRANSLATION, "cross_attention.weights")
    assert cross.columns.labels == ("[CLS]", "the", "cat", "[SEP]")


def test_the_matrix_is_that_of_the_head() -> None:
    for head in (0, 1):
        selection = select(STEPS, "weights", layer=1, head=head, cell="2,3")
        recorded = STEPS["layers.1.attention.weights"].output[0, head]
        assert torch.equal(torch.from_numpy(selection.matrix), recorded.double())
        assert selection.index == (0, head, 2, 3)


def test_without_a_cell_the_largest_number_is_chosen() -> None:
    selection = select(STEPS, "masked_scores", layer=1, head=1)
    assert selection.matrix[selection.row, selection.column] == selection.matrix.max()


def test_a_vector_with_labels_is_a_column_and_one_without_is_a_row() -> None:
    assert select(STEPS, "nsp.probabilities").matrix.shape == (2, 1)
    assert select(STEPS, "pooler").matrix.shape == (1, 8)
    assert select(STEPS, "text.pieces", cell="3").index == (3,)
    assert select(STEPS, "pooler", cell="3").index == (0, 3)
    assert select(STEPS, "pooler", cell="0,3").index == (0, 3)


def test_every_step_has_a_matrix_of_its_numbers() -> None:
    for steps in (STEPS, TRANSLATION):
        for number, step in enumerate(steps.steps):
            selection = Selection(steps, number).at_largest()
            assert float(step.output[selection.index]) == selection.matrix[selection.row, selection.column]
            assert selection.matrix.size * max(selection.heads, 1) == step.output.numel(), step.path


def test_predictions_are_the_highest_probabilities() -> None:
    masked, next_sentence = predictions(STEPS, 3)
    probabilities = STEPS["mlm.probabilities"].output[0]
    assert [entry.value for entry in masked.ranked] == probabilities.topk(3).values.tolist()
    assert [entry.label for entry in masked.ranked] == [TOKENIZER.id_to_token(entry.number) for entry in masked.ranked]
    assert masked.title == "[MASK]"
    assert len(next_sentence.ranked) == 2
