"""Parts of exercises: words for results, properties, and modules without chance."""

import numpy as np
import pytest
import torch
from torch import nn

from minibert.classroom.candidates import single_mistakes
from minibert.classroom.distance import changed_arguments, summarized, value_distance
from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercises import EXERCISES, adapters, attention, data, generation, networks
from minibert.classroom.probes import expected, probes
from minibert.equations import IGNORE_INDEX
from minibert.text.pairs import Pairs
from tests.classroom.test_exercise_inputs import LargerSizes

WITH_WORDS = [exercise for exercise in EXERCISES.values() if exercise.write]


@pytest.mark.parametrize("exercise", WITH_WORDS, ids=lambda exercise: exercise.name)
def test_results_that_differ_have_different_words(exercise) -> None:
    """Else a learner reads "The result is …, expected …" with the same words twice."""
    for variant in single_mistakes(exercise).variants:
        for number, (probe, right) in enumerate(zip(probes(exercise), expected(exercise), strict=True)):
            wrong = variant.values(number)
            if not wrong.error and value_distance(wrong, right, probe.case, exercise.changes) > probe.case.tolerance:
                texts = []
                for outcome in (wrong, right):
                    tensors = {**outcome.outputs, **changed_arguments(outcome.after, exercise.changes)}
                    compared = summarized(tensors, probe.case)
                    texts.append({name: exercise.write(tensor, probe.arguments) for name, tensor in compared.items()})
                assert texts[0] != texts[1], variant.mistakes[0].name


UNIFORM = torch.linspace(-1, 1, 64).reshape(4, 16) / 4


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (UNIFORM, "random numbers"),
        (1.01 * UNIFORM, "random numbers that are larger than those of a linear layer"),
        (0.81 * UNIFORM, "random numbers"),
        (0.79 * UNIFORM, "random numbers that are smaller than those of a linear layer"),
        (UNIFORM**3, "random numbers that are not uniform"),
        (UNIFORM.abs(), "random numbers without a negative one"),
        (2 * UNIFORM.abs(), "random numbers without a negative one that are larger than those of a linear layer"),
        (UNIFORM + adapters.OLD, "the numbers of before"),
        (0 * UNIFORM, "zeros"),
        (0 * UNIFORM + 0.2, "equal numbers"),
        (torch.tensor(0.0), "zeros"),
    ],
)
def test_random_numbers_are_described_by_their_distribution(matrix, words) -> None:
    assert adapters.kind_of_numbers(adapters.distribution_of_numbers(matrix), {}) == words


def test_a_matrix_without_numbers_has_no_distribution() -> None:
    assert adapters.kind_of_numbers(torch.zeros(2, 0), {}) == "no numbers"


def test_pieces_are_written_as_the_text_that_a_learner_may_have_found() -> None:
    arguments = {"word": "abc", "vocabulary": {"other"}}
    pieces = ["abc", "##bc", "c", "##a", "other", "[UNK]"]
    numbers = data.numbers_of_pieces([*pieces, "##other"])
    assert len({*numbers.tolist()}) == 7
    assert data.pieces_of_numbers(numbers, arguments) == str([*pieces, "another text"])
    long = "".join(chr(97 + number) for number in range(22))
    arguments = {"word": long, "vocabulary": set()}
    words = [long[: data.LONGEST], long[: data.LONGEST + 1], long]
    assert data.pieces_of_numbers(data.numbers_of_pieces(words), arguments) == str([words[0], "another text", long])


def test_tokens_are_compared_and_written_without_padding_at_the_end() -> None:
    rows = [torch.tensor([3, 0, 1, 0, 0]), torch.tensor([4, 1])]
    tokens = generation.without_padding(rows)
    assert tokens.tolist() == [[3, 0, 1], [4, 1, 0]]
    assert generation.rows_of_tokens(tokens, {}) == "[3 0 1]\n[4 1 0]"
    assert generation.without_padding([[3, 0], [4]]).tolist() == [[3], [4]]
    assert generation.without_padding([torch.zeros(3)]).shape == (1, 0)
    assert generation.rows_of_tokens(torch.tensor(3), {}) == ""
    assert generation.rows_of_tokens(torch.zeros(2, 1, 2), {}) == "[0.0 0.0]\n[0.0 0.0]"


def test_a_scripted_model_ends_a_text_after_the_number_of_tokens_that_it_begins_with() -> None:
    table = torch.arange(12.0).reshape(3, 4)
    model = generation.ScriptedModel(table, prompt_length=2)
    logits = model(torch.tensor([[2, 7, 5], [1, 7, 5]]))
    assert logits.tolist() == [[8.0, 99.0, 10.0, 11.0], [4.0, -99.0, 6.0, 7.0]]


def test_a_nucleus_has_so_many_tokens() -> None:
    for size in (1, 2, 3):
        inputs = generation.nucleus(LargerSizes(), size)
        sums = inputs["logits"][0].sort(descending=True).values.softmax(0).cumsum(0)
        assert int((sums < inputs["p"]).sum()) + 1 == size


def test_equal_logits_are_the_second_and_the_third() -> None:
    inputs = generation.equal_logits(LargerSizes())
    ordered = inputs["logits"].sort(descending=True).values
    assert (ordered[:, 1] == ordered[:, 2]).all()
    assert (ordered[:, 0] > ordered[:, 1]).all()


def test_a_fixed_dropout_drops_every_third_number_in_training() -> None:
    dropout, ones = networks.FixedDropout(), torch.ones(2, 4)
    assert dropout(ones).tolist() == [[1.5, 1.5, 0.0, 1.5], [1.5, 0.0, 1.5, 1.5]]
    assert dropout.eval()(ones) is ones
    module = nn.Sequential(nn.Dropout(), nn.ModuleList([nn.Linear(1, 1), nn.Dropout().eval()]))
    assert networks.with_fixed_dropout(module) is module
    assert [(type(each), each.training) for each in module.modules() if "Dropout" in type(each).__name__] == [
        (networks.FixedDropout, True),
        (networks.FixedDropout, False),
    ]


def test_the_dropout_of_an_adapter_keeps_every_second_feature() -> None:
    dropout = adapters.low_rank_update_with_dropout(LargerSizes())["dropout"]
    assert dropout(torch.ones(6)).tolist() == [0, 2, 0, 2, 0, 2]


def test_equal_sizes_make_square_projections_of_all_heads() -> None:
    inputs = attention.multi_head_inputs(LargerSizes(), (3,) * 6)
    assert {tuple(inputs[name].shape) for name in ("w_q", "w_k", "w_v", "w_o")} == {(9, 9)}


def test_parameters_get_numbers_of_the_size_of_a_trained_network() -> None:
    class Ones(LargerSizes):
        def numbers(self, *shape, spread=1.0, mean=0.0):
            return torch.ones(shape)

    layer = networks.randomized(nn.Linear(9, 2), Ones())
    assert layer.weight.flatten().tolist() == [0.5] * 18
    assert layer.bias.tolist() == [0.75] * 2


def test_padding_hides_the_last_key_of_the_first_text() -> None:
    masks = torch.cat([networks.padding_mask(RandomDraw(seed), 2, 3) for seed in range(40)], dim=1)
    assert masks.shape == (2, 40, 1, 3)
    assert masks[0, :, 0].tolist() == [[True, True, False]] * 40
    assert {*masks[1, :, 0].sum(dim=1).tolist()} == {1, 2, 3}
    assert networks.padding_mask(RandomDraw(0), 1, 1).tolist() == [[[[True]]]]


def test_labels_are_on_no_padding_and_on_some_tokens_of_every_batch() -> None:
    inputs = networks.training(RandomDraw(0), 0.5)
    for batch in inputs["batches"]:
        keep, labels = batch["attention_mask"], batch["labels"]
        assert (labels[keep == 0] == IGNORE_INDEX).all()
        assert labels[0, :2].tolist() == [3, IGNORE_INDEX]
    assert (networks.no_masked_position(RandomDraw(0))["batches"][1]["labels"] == IGNORE_INDEX).all()
    assert inputs["schedule"].optimizer is inputs["optimizer"]
    assert networks.large_logits(RandomDraw(0))["model"].mlm.bias[::2].eq(200).all()


def test_permuted_heads_give_the_same_result() -> None:
    for recipe in (networks.cross_attention_layer, networks.attention_to_given_keys):
        arguments = recipe(RandomDraw(0))
        changed = networks.permute_heads(arguments)
        layer, other = arguments["self"], changed["self"]
        assert torch.allclose(layer(**without_self(arguments)), other(**without_self(changed)), atol=1e-5)
        half = layer.query.out_features // 2
        for name in ("query", "key", "value"):
            one, two = getattr(layer, name), getattr(other, name)
            assert torch.equal(one.weight[:half], two.weight[half:])
            assert torch.equal(one.bias[half:], two.bias[:half])
        assert torch.equal(layer.output.bias, other.output.bias)


def without_self(arguments):
    return {name: value for name, value in arguments.items() if name != "self"}


def test_one_text_is_the_first_of_every_tensor_of_a_batch() -> None:
    for recipe in (networks.encoder_layer, networks.decoder_layer, networks.masked_lm_head):
        arguments = recipe(LargerSizes())
        arguments["self"].eval()
        one = networks.one_text(arguments)
        for name, value in without_self(arguments).items():
            is_whole = name == "embeddings" or len(value) == 1
            assert torch.equal(one[name], value if is_whole else value[:1])
        arguments["self"].train()
        assert networks.one_text(arguments) is None
    assert networks.one_text(networks.attention_to_given_keys(LargerSizes())) is None


def pairs(a_start, a_end, b_start, b_end, label) -> Pairs:
    return Pairs(*(np.array(column) for column in (a_start, a_end, b_start, b_end, label)))


SECOND = data.DOCUMENT
OTHER, BEFORE = "A pair of label 0 is from two documents", "B does not follow A in a pair of label 0"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"a_start": [1, 0]}, ["A begins inside a sentence"]),
        ({"a_end": [5, 6]}, ["A ends inside a sentence"]),
        ({"b_start": [6, SECOND]}, ["B begins inside a sentence"]),
        ({"b_end": [9, SECOND + 5]}, ["B ends inside a sentence"]),
        ({"b_end": [6, SECOND + 5]}, ["B ends inside a sentence", "B has one token"]),
        ({"b_end": [15, SECOND + 5], "a_end": [10, 5], "b_start": [10, SECOND]}, []),
        ({"b_end": [20, SECOND + 5]}, ["An example is too long"]),
        ({"b_end": [16, SECOND + 5]}, ["B ends inside a sentence"]),
        ({"b_end": [17, SECOND + 5]}, ["An example is too long", "B ends inside a sentence"]),
        ({"b_start": [9, SECOND]}, ["B begins inside a sentence", "B has one token"]),
        ({"b_start": [SECOND, SECOND], "b_end": [SECOND + 5] * 2}, [OTHER, BEFORE]),
        ({"b_start": [5, 10], "b_end": [10, 15]}, ["A pair of label 1 is from one document"]),
        ({"b_start": [10, SECOND], "b_end": [15, SECOND + 5]}, [BEFORE]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_pairs_is_found(change, names) -> None:
    right = {"a_start": [0, 0], "a_end": [5, 5], "b_start": [5, SECOND], "b_end": [10, SECOND + 5], "label": [0, 1]}
    found = data.statistics(pairs(**{**right, **change}))
    assert [name for name, value in found.items() if value is True and name != "A has about half of all tokens"] == names


def test_shares_are_rounded_to_quarters() -> None:
    def shares(**change):
        starts = [0, 0, 0, 0, 0]
        right = {"a_start": starts, "a_end": [5] * 5, "b_start": [5] * 5, "b_end": [10] * 5, "label": [0, 0, 1, 1, -1]}
        found = data.statistics(pairs(**{**right, **change}))
        return [value for name, value in found.items() if name.startswith("share")]

    assert shares() == [0.0, 0.5]
    assert shares(label=[1, 1, 1, 0, -1], b_start=[5, 5, 5, SECOND, 5]) == [1.0, 0.75]
    assert shares(label=[-1] * 5) == [0.0, 0.0]


def test_half_of_all_tokens_is_in_the_first_segments() -> None:
    name = "A has about half of all tokens"
    columns = {"a_start": [0, 100], "b_start": [5, 105], "b_end": [10, 110], "label": [0, 0]}
    assert not data.statistics(pairs(**columns, a_end=[45, 102]))[name]  # 47 of 101
    assert data.statistics(pairs(**columns, a_end=[45, 103]))[name]
    assert not data.statistics(pairs(**columns, a_end=[45, 45]))[name]


def test_pairs_are_drawn_with_other_random_numbers_for_other_inputs() -> None:
    drawn = [data.documents(RandomDraw(seed))["generator"].random() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
