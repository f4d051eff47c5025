"""The settings of peft: which modules they choose, and how values are shown in errors."""

from pathlib import Path
from typing import Any

import pytest

from minibert.model.adapters.peft_config import PeftConfig, _shown

LAYERS = [f"encoder.layer.{number}.attention.self.{part}" for number in range(3) for part in ("query", "key")]
OTHERS = ["encoder.block.1.query", "h.1.query", "pooler.dense"]


def chosen(**fields: Any) -> list[str]:
    return [name for name in LAYERS + OTHERS if PeftConfig(Path("adapter_config.json"), fields).is_target(name)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"target_modules": "all-linear"}, LAYERS + OTHERS),
        ({"target_modules": "all-linear", "modules_to_save": ["pooler"]}, LAYERS + OTHERS[:2]),
        ({"target_modules": ["query"]}, [*LAYERS[::2], *OTHERS[:2]]),
        ({"target_modules": ["query"], "exclude_modules": ["h.1.query"]}, [*LAYERS[::2], OTHERS[0]]),
        ({"target_modules": r".*\.1\..*key"}, [LAYERS[3]]),
        ({"target_modules": ["query"], "layers_to_transform": 1}, [LAYERS[2], *OTHERS[:2]]),
        ({"target_modules": ["query"], "layers_to_transform": [0, 1], "layers_pattern": "layer"}, [LAYERS[0], LAYERS[2]]),
        (
            {"target_modules": ["query"], "layers_to_transform": [1], "layers_pattern": ["layer", "block"]},
            [LAYERS[2], OTHERS[0]],
        ),
        ({"target_modules": ["h.1.query"], "layers_to_transform": [2]}, ["h.1.query"]),
    ],
)
def test_modules_that_are_chosen(fields: dict[str, Any], expected: list[str]) -> None:
    assert chosen(**fields) == expected


@pytest.mark.parametrize(("length", "shown"), [(78, "'" + 78 * "x" + "'"), (79, "'" + 76 * "x" + "...")])
def test_long_values_are_shown_with_eighty_characters(length: int, shown: str) -> None:
    assert _shown(length * "x") == shown
    assert len(shown) == 80
