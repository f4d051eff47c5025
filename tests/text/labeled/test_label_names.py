"""Names of classes: their order, the names of a checkpoint, and classes without examples."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minibert.text.labeled.findings import LabeledData, LabeledDataError
from minibert.text.labeled.label_names import check_labels, check_pairs, label_order, labels_to_score, labels_to_train
from minibert.text.labeled.text_rows import TextRow

MNLI = ("contradiction", "entailment", "neutral")
HUGGING_FACE = ("entailment", "neutral", "contradiction")


@given(st.lists(st.integers() | st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_labels_that_are_numbers_are_in_the_order_of_their_values(numbers: list[float]) -> None:
    labels = [str(number) for number in numbers]
    values = [float(label) for label in label_order(labels)]
    assert values == sorted(values)
    assert {*label_order(labels)} == {*labels}


def test_order_of_labels() -> None:
    assert label_order(["10", "9", "100"]) == ("9", "10", "100")
    assert label_order([f"{2**60 + 1}", f"{2**60}"]) == (f"{2**60}", f"{2**60 + 1}")
    assert label_order(["b", "A", "a", "b"]) == ("A", "a", "b")
    assert label_order(["10", "9", "x"]) == ("10", "9", "x")
    assert label_order([]) == ()


def test_labels_of_a_checkpoint_are_matched_by_name_and_keep_their_order() -> None:
    match = labels_to_train({*MNLI}, HUGGING_FACE)
    assert match.labels == HUGGING_FACE
    assert not match.names
    assert match.note == "labels: 'entailment', 'neutral', 'contradiction', in the order of the checkpoint"
    assert labels_to_train({"neutral", "entailment"}, HUGGING_FACE).labels == HUGGING_FACE
    assert labels_to_score({"neutral"}, HUGGING_FACE).labels == HUGGING_FACE


def test_names_that_differ_in_case_are_the_same_if_that_is_clear() -> None:
    match = labels_to_train({"positive", "Negative "}, ("NEGATIVE", "POSITIVE"))
    assert match.labels == ("NEGATIVE", "POSITIVE")
    assert match.names == {"positive": "POSITIVE", "Negative ": "NEGATIVE"}
    assert "'positive' is 'POSITIVE'" in match.note
    assert match.rename(TextRow("x", label="positive")) == TextRow("x", label="POSITIVE")
    assert match.rename(TextRow("x", label=("positive", "other"))) == TextRow("x", label=("POSITIVE", "other"))


def test_up_to_five_labels_with_other_names_are_listed() -> None:
    match = labels_to_score([*"abcdef"], [*"ABCDEF"])
    assert match.note == "labels of the model: 'a' is 'A', 'b' is 'B', 'c' is 'C', 'd' is 'D', 'e' is 'E'"
    assert len(match.names) == 6


def test_labels_that_a_model_does_not_have_are_wrong_predictions() -> None:
    """They are no error, also if some of them are numbers and there are as many as in the model."""
    match = labels_to_score({"a", "b", "7"}, ("a", "b", "c"))
    assert (match.labels, match.names, match.note) == (("a", "b", "c"), {}, "")


@pytest.mark.parametrize(("found", "stored"), [({"Pos", "pos"}, ("POS", "NEG")), ({"pos"}, ("POS", "Pos"))])
def test_names_that_differ_in_case_are_not_matched_if_that_is_not_clear(found: set[str], stored: tuple[str, ...]) -> None:
    assert labels_to_train(found, stored).labels == label_order(found)
    with pytest.raises(LabeledDataError, match="labels of the data"):
        labels_to_score(found, stored)


@pytest.mark.parametrize("choose", [labels_to_train, labels_to_score])
def test_numbers_are_never_matched_with_names_by_their_order(choose) -> None:
    """A good MNLI model scores 4% if its classes are taken in another order."""
    with pytest.raises(LabeledDataError, match=r"numbers '0', '1', '2', .*names: 'entailment'.*--label-names 0=NAME,1=NAME"):
        choose({"0", "1", "2"}, HUGGING_FACE)


def test_other_labels_need_a_new_output_layer() -> None:
    match = labels_to_train({"neg", "pos"}, HUGGING_FACE)
    assert match.labels == ("neg", "pos")
    stored = "'entailment', 'neutral', 'contradiction'"
    assert match.note == f"labels: 'neg', 'pos'; those of the checkpoint are {stored}, so its output layer is replaced"
    assert labels_to_train({"entailment", "not_entailment"}, HUGGING_FACE).labels == ("entailment", "not_entailment")


def test_a_model_is_not_scored_on_labels_of_which_it_has_none() -> None:
    with pytest.raises(LabeledDataError, match="'neg', 'pos', and those of the model 'entailment', 'neutral', 'contradiction'"):
        labels_to_score({"neg", "pos"}, HUGGING_FACE)


def test_placeholders_are_no_names() -> None:
    """LABEL_0 and LABEL_1 are what every config without names has."""
    assert labels_to_train({"neg", "pos"}, ("LABEL_0", "LABEL_1")).labels == ("neg", "pos")
    assert labels_to_train({"LABEL_0", "LABEL_1"}, ("LABEL_0", "LABEL_1")).labels == ("LABEL_0", "LABEL_1")
    match = labels_to_train({"0", "1"}, ("LABEL_0", "LABEL_1"))
    assert (match.labels, match.note) == (("0", "1"), "labels: '0', '1', which the checkpoint calls 'LABEL_0', 'LABEL_1'")
    assert "LABEL_0" not in labels_to_train({"1", "2"}, ("LABEL_0", "LABEL_1")).note
    match = labels_to_score({"0", "1"}, ("LABEL_0", "LABEL_1"))
    assert match.names == {"0": "LABEL_0", "1": "LABEL_1"}
    assert "no names" in match.note
    with pytest.raises(LabeledDataError, match=r"--label-names neg=NAME,pos=NAME"):
        labels_to_score({"neg", "pos"}, ("LABEL_0", "LABEL_1"))
    with pytest.raises(LabeledDataError, match=r"--label-names '\$\(ls\)=NAME,pos=NAME'"):  # to be copied into a shell
        labels_to_score({"$(ls)", "pos"}, ("LABEL_0", "LABEL_1"))


def test_numbers_of_a_model_are_its_names() -> None:
    assert labels_to_score({"1", "0"}, ("0", "1")).names == {}
    assert labels_to_train({"2", "1"}, ("0", "1", "2")).labels == ("0", "1", "2")


@pytest.mark.parametrize("stored", [("LABEL_0", "LABEL_1", "LABEL_2"), ("0", "1", "2")])
def test_numbers_from_1_are_not_those_from_0(stored: tuple[str, ...]) -> None:
    with pytest.raises(LabeledDataError, match="--label-names 1=NAME,2=NAME,3=NAME"):
        labels_to_score({"1", "2", "3"}, stored)
    labels_to_score({"1", "2"}, stored)


def data(*labels: str | tuple[str, ...], name: str = "train.tsv") -> LabeledData[TextRow]:
    rows = [TextRow(f"text {line}", label=label, line=line, file=name) for line, label in enumerate(labels, start=2)]
    return LabeledData(rows, name=name)


def messages(train: LabeledData[TextRow], validation: LabeledData[TextRow]) -> list[str]:
    return [str(finding) for finding in check_labels(train, validation)]


def test_classes_without_faults_give_no_findings() -> None:
    assert messages(data("a", "b", "a", "b"), data("a", "b")) == []
    assert messages(data("a", "b", "a", "b"), data()) == []


def test_one_class_only_is_an_error() -> None:
    [finding] = check_labels(data("a", "a"), data())
    assert finding.is_error
    assert "all training rows have the label 'a'" in finding.message
    assert not any(finding.is_error for finding in check_labels(data(("a",), ("a",)), data()))  # none, or a
    assert messages(data("a", "b", "a", "b"), data("a", "a", name="v.tsv")) == ["v.tsv: all validation rows have the label 'a'"]


def test_independent_classes_of_which_no_text_has_one_are_an_error() -> None:
    [finding] = check_labels(data((), ()), data())
    assert finding.is_error
    assert "no text has a label" in finding.message


def test_a_class_with_one_example() -> None:
    assert messages(data("a", "b", "a"), data()) == ["train.tsv, line 3: is the only training text with the label 'b'"]
    header = TextRow("text", label="label", line=1, file="train.tsv")
    for row, hint in (
        (header, "; delete it if it is a header"),
        (replace(header, unit="row"), ""),
        (replace(header, line=2), ""),
    ):
        [message] = messages(LabeledData([row, *data("a", "a").rows]), data())
        assert message.endswith(f"is the only training text with the label 'label'{hint}")
    many = messages(data("a", "a", *map(str, range(30))), data())
    assert len(many) == 6
    assert "25 more labels have only one text" in many[-1]


def test_a_label_that_is_only_in_the_validation_data() -> None:
    [message] = messages(data("a", "b", "a", "b"), data("c", "a", "c", name="v.tsv"))
    assert message == "v.tsv, line 2: the label 'c' is not in the training data; predictions for it count as wrong (2 rows)"
    [message] = messages(data("a", "B", "a", "B"), data("a", "b", name="v.tsv"))
    assert "the training data have 'B'" in message


def test_several_labels_of_a_text_that_are_only_in_the_validation_data() -> None:
    """They are in the order of the text."""
    names = "fedcbazyxwvu"
    found = messages(data(("k", "l"), ("k", "l")), data(("k", *names), ("l",), name="v.tsv"))
    assert [message.partition(": the label ")[2][1] for message in found] == [*names]


ONE, PAIR = TextRow("x", line=1, file="a.tsv"), TextRow("x", "y", line=2, file="b.tsv")


@pytest.mark.parametrize(
    ("train", "validation", "messages"),
    [
        ([ONE, ONE], [ONE], []),
        ([PAIR, PAIR], [PAIR], []),
        ([], [], []),
        ([ONE, PAIR, ONE], [PAIR], ["b.tsv, line 2: has a pair of texts, where other rows have one text"]),
        ([PAIR], [PAIR, ONE], ["a.tsv, line 1: has one text, where other rows have pairs"]),
    ],
)
def test_single_texts_among_pairs_are_an_error(train: list[TextRow], validation: list[TextRow], messages: list[str]) -> None:
    """It names the first row that differs from the first one."""
    findings = check_pairs(LabeledData(train), LabeledData(validation))
    advice = "; choose the same columns with --text-column and --pair-column"
    assert [*map(str, findings)] == [f"{message}{advice}" for message in messages]
    assert all(finding.is_error for finding in findings)
