"""Options: their limits, and how those of a command are stored."""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from minibert.text.options import InvalidOption
from minibert.training.adapter_options import AdapterConfig
from minibert.training.options import (
    DeviceOptions,
    FineTuningConfig,
    LettersConfig,
    OutputOptions,
    PretrainingConfig,
    TranslationConfig,
    options_from_json,
    options_to_json,
)
from minibert.training.transfer_options import TransferConfig

COUNTS, POSITIVE, SHARES, NOT_NEGATIVE = (0, 1), (0.0, 1e-9), (1.0, 0.0), (-1, 0)
"""A value that is just out of range, and one that is not."""
LIMITS: dict[type[Any], dict[str, tuple[float, float]]] = {
    PretrainingConfig: {
        **dict.fromkeys(("steps", "batch_size"), COUNTS),
        **dict.fromkeys(("learning_rate", "max_grad_norm"), POSITIVE),
        **dict.fromkeys(("warmup_fraction", "dropout"), SHARES),
        **dict.fromkeys(("weight_decay", "seed"), NOT_NEGATIVE),
    },
    TranslationConfig: {
        **dict.fromkeys(("steps", "batch_tokens", "warmup_steps"), COUNTS),
        **dict.fromkeys(("learning_rate_factor", "max_grad_norm"), POSITIVE),
        **dict.fromkeys(("dropout", "label_smoothing"), SHARES),
        "seed": NOT_NEGATIVE,
    },
    FineTuningConfig: {
        **dict.fromkeys(("batch_size", "steps"), COUNTS),
        **dict.fromkeys(("epochs", "learning_rate", "max_grad_norm"), POSITIVE),
        **dict.fromkeys(("warmup_fraction", "dropout", "classifier_dropout"), SHARES),
        **dict.fromkeys(("weight_decay", "seed"), NOT_NEGATIVE),
    },
    DeviceOptions: {"micro_batch_size": COUNTS},
    OutputOptions: {
        **dict.fromkeys(("checkpoint_every", "keep", "evaluate_every", "patience"), COUNTS),
        "show": NOT_NEGATIVE,
    },
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in LIMITS.items() for name in names])
def test_limits(kind: type[Any], name: str) -> None:
    """A value out of range is an error with the name of the option. The limit itself is a value."""
    refused, allowed = LIMITS[kind][name]
    with pytest.raises(InvalidOption, match=f"^{name} {refused:g}: must be "):
        kind(**{name: refused})
    assert getattr(kind(**{name: allowed}), name) == allowed


@pytest.mark.parametrize("kind", LIMITS)
def test_of_several_errors_the_first_one_is_named(kind: type[Any]) -> None:
    """In the order in which the options are listed above."""
    for first, second in pairwise(LIMITS[kind]):
        with pytest.raises(InvalidOption, match=f"^{first} "):
            kind(**{name: LIMITS[kind][name][0] for name in (second, first)})


@pytest.mark.parametrize("name", ["warmup_fraction", "dropout", "weight_decay", "learning_rate"])
def test_nothing_is_negative(name: str) -> None:
    with pytest.raises(InvalidOption, match=f"{name} -0.5: must be "):
        PretrainingConfig(**{name: -0.5})


def test_an_integer_that_is_too_large_is_shown_whole() -> None:
    with pytest.raises(InvalidOption, match=f"^seed {10**400}: must be at least 0 and below 2\\^63$"):
        PretrainingConfig(seed=10**400)


def test_the_limits_of_a_subclass_are_those_of_its_class() -> None:
    with pytest.raises(InvalidOption, match="warmup_steps 0: must be at least 1"):
        LettersConfig(warmup_steps=0)


@pytest.mark.parametrize(("hidden_size", "whole", "adapter"), [(768, 5e-5, 1e-3), (256, 5e-5, 1e-3), (255, 1e-3, 3e-3)])
def test_peak_learning_rates_of_fine_tuning(hidden_size: int, whole: float, adapter: float) -> None:
    """Higher for small models, and for adapters. A given one is that of all models."""
    assert FineTuningConfig().peak_learning_rate(hidden_size) == whole
    assert FineTuningConfig(adapter=AdapterConfig("lora")).peak_learning_rate(hidden_size) == adapter
    assert FineTuningConfig(learning_rate=0.5).peak_learning_rate(hidden_size) == 0.5


@dataclass(frozen=True)
class Command(OutputOptions):
    """Options of a command."""

    files: tuple[Path, ...] = ()
    start: Path | None = None
    sizes: tuple[int, ...] | None = None
    transfer: TransferConfig = field(default_factory=TransferConfig)


class TestStoredOptions:
    def test_they_are_json_values_with_the_name_of_their_class(self) -> None:
        stored = options_to_json(Command(out=Path("run"), files=(Path("a.txt"),)))
        assert json.loads(json.dumps(stored)) == stored
        assert [*stored] == ["Command"]
        assert (stored["Command"]["out"], stored["Command"]["files"]) == (
            str(Path("run").absolute()),
            [str(Path("a.txt").absolute())],
        )
        assert (stored["Command"]["start"], stored["Command"]["transfer"]["layer_decay"]) == (None, 1.0)

    def test_they_are_read_as_they_were(self, tmp_path: Path) -> None:
        """Fields that the class does not have are left out."""
        options = Command(
            tmp_path, True, files=(tmp_path / "a", tmp_path / "b"), start=tmp_path, sizes=(3, 4), transfer=TransferConfig("0-3")
        )
        stored = options_to_json(options)
        assert options_from_json(Command, stored) == options
        stored["Command"] |= {"was_removed": 1}
        stored["Command"]["transfer"] |= {"was_removed": 1}
        assert options_from_json(Command, stored) == options

    def test_those_of_another_class_are_none(self) -> None:
        assert options_from_json(Command, options_to_json(OutputOptions())) is None

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ([], "Command must be an object"),
            ({"files": "a.txt"}, "'a.txt' has the wrong type"),
            ({"keep": [1]}, r"'\[1\]' has the wrong type"),
        ],
    )
    def test_damaged_ones_are_refused(self, fields: Any, error: str) -> None:
        with pytest.raises(TypeError, match=error):
            options_from_json(Command, {"Command": fields})
