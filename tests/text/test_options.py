"""Limits of the options for text, tokenizers and examples."""

from pathlib import Path

import pytest

from minibert.text.options import (
    MAX_LENGTH,
    ExampleConfig,
    InvalidOption,
    ParallelTextOptions,
    TextOptions,
    VocabularyOptions,
)

ONE, TWO, THREE = ((Path("a"), Path("b"), Path("c"))[:count] for count in (1, 2, 3))
FILES = r"give two files \(source and target\), or one file with a tab between them"

VALID: list[tuple[type, dict[str, object]]] = [
    (TextOptions, {}),
    (TextOptions, {"text": THREE}),
    (TextOptions, {"dataset": "name"}),
    (TextOptions, {"validation_fraction": 0.0}),
    (TextOptions, {"validation_fraction": 0.999}),
    (ParallelTextOptions, {"text": ONE}),
    (ParallelTextOptions, {"text": TWO, "validation": ONE}),
    (ParallelTextOptions, {"text": ONE, "validation": TWO}),
    (ParallelTextOptions, {"text": ONE, "validation_fraction": 0.0}),
    (ParallelTextOptions, {"text": ONE, "validation_fraction": 0.999}),
    (ParallelTextOptions, {"text": ONE, "max_length": 3}),
    (ParallelTextOptions, {"text": ONE, "max_length": MAX_LENGTH}),
    (VocabularyOptions, {"vocab_size": 10}),
    (VocabularyOptions, {"alphabet_size": 1}),
    (ExampleConfig, {"max_length": 5}),
    (ExampleConfig, {"max_length": MAX_LENGTH}),
    (ExampleConfig, {"mlm_probability": 0.0, "short_seq_probability": 1.0}),
    (ExampleConfig, {"max_predictions": 1, "dupe_factor": 1}),
]

INVALID: list[tuple[type, dict[str, object], str]] = [
    (TextOptions, {"text": ONE, "dataset": "name"}, "give files .* or a dataset .*, not both"),
    (TextOptions, {"validation_fraction": -0.01}, "validation_fraction -0.01: must be at least 0 and below 1"),
    (TextOptions, {"validation_fraction": 1.0}, "validation_fraction 1: must be at least 0 and below 1"),
    (ParallelTextOptions, {"text": ()}, f"text: {FILES}"),
    (ParallelTextOptions, {"text": THREE}, f"text: {FILES}"),
    (ParallelTextOptions, {"text": ONE, "validation": THREE}, f"validation: {FILES}"),
    (ParallelTextOptions, {"text": ONE, "validation_fraction": -0.01}, "must be at least 0 and below 1"),
    (ParallelTextOptions, {"text": ONE, "validation_fraction": 1.0}, "must be at least 0 and below 1"),
    (ParallelTextOptions, {"text": ONE, "validation": ONE, "validation_fraction": 0.1}, "nothing is held out; leave it out"),
    (ParallelTextOptions, {"text": ONE, "max_length": 2}, r"max_length 2: must be at least 3, for \[CLS\], one token"),
    (ParallelTextOptions, {"text": ONE, "max_length": MAX_LENGTH + 1}, f"max_length 65537: must be at most {MAX_LENGTH}"),
    (VocabularyOptions, {"vocab_size": 9}, "vocab_size 9: must be at least 10"),
    (VocabularyOptions, {"alphabet_size": 0}, "alphabet_size 0: must be at least 1"),
    (ExampleConfig, {"max_length": 4}, r"max_length 4: must be at least 5, for \[CLS\] A \[SEP\] B \[SEP\]"),
    (ExampleConfig, {"max_length": MAX_LENGTH + 1}, f"max_length 65537: must be at most {MAX_LENGTH}"),
    (ExampleConfig, {"mlm_probability": 1.01}, "mlm_probability 1.01: must be from 0 to 1"),
    (ExampleConfig, {"short_seq_probability": -0.01}, "short_seq_probability -0.01: must be from 0 to 1"),
    (ExampleConfig, {"max_predictions": 0}, "max_predictions 0: must be at least 1"),
    (ExampleConfig, {"dupe_factor": 0}, "dupe_factor 0: must be at least 1"),
]


@pytest.mark.parametrize(("options", "values"), VALID)
def test_values_up_to_the_limits_are_valid(options: type, values: dict[str, object]) -> None:
    found = options(**values)
    assert {name: getattr(found, name) for name in values} == values


@pytest.mark.parametrize(("options", "values", "message"), INVALID)
def test_values_beyond_the_limits_are_named(options: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        options(**values)
