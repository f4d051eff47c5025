"""Options for labeled data: combinations that are refused, and the sources that they name."""

from pathlib import Path
from typing import Any

import pytest

from minibert.text.labeled.options import LabeledDataOptions, LabeledSource, TableColumns
from minibert.text.options import InvalidOption

A, B = (Path("a.tsv"),), (Path("b.tsv"),)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_fraction": 1.0}, "validation_fraction 1: must be at least 0 and below 1"),
        ({"validation_fraction": -0.1}, "validation_fraction -0.1: must be"),
        ({"dataset": "x", "train": A}, "give either a dataset or files"),
        ({"dataset": "x", "validation": A}, "give either a dataset or files"),
        ({"validation": A}, "--validation without --train: give both"),
        ({"train": A, "validation": B, "validation_fraction": 0.2}, "--validation-fraction: there are validation data"),
        (
            {"dataset": "x", "validation_split": "test", "validation_fraction": 0.2},
            "--validation-fraction: there are validation",
        ),
        ({"train": A, "validation_split": "test"}, "--validation-split needs --dataset"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        LabeledDataOptions(**options)


@pytest.mark.parametrize(
    ("options", "train", "validation"),
    [
        ({}, None, None),
        ({"train": A}, LabeledSource(A), None),
        ({"train": A, "validation_fraction": 0.0}, LabeledSource(A), None),
        ({"train": A, "validation": B}, LabeledSource(A), LabeledSource(B)),
        ({"dataset": "x"}, LabeledSource(dataset="x"), None),
        (
            {"dataset": "x", "dataset_config": "y", "train_split": "part", "validation_split": "test"},
            LabeledSource((), "x", "y", "part"),
            LabeledSource((), "x", "y", "test"),
        ),
    ],
)
def test_sources_of_training_and_validation_data(
    options: dict[str, Any], train: LabeledSource | None, validation: LabeledSource | None
) -> None:
    """Without a source, there are built-in data, or a part of the training data is held out."""
    data = LabeledDataOptions(**options)
    assert (data.train_source, data.validation_source) == (train, validation)


def test_blanks_around_the_names_of_labels_are_left_out() -> None:
    assert TableColumns(label_names=" 0 = not good , 1=good").names_by_label == {"0": "not good", "1": "good"}
