"""What is the same for every adapter."""

import pytest

from minibert import Bert
from minibert.model.adapters import BitFit
from tests.model.adapters.networks import CONFIG


def test_a_network_has_one_adapter() -> None:
    """The second one is refused, and the first one stays."""
    model = Bert(CONFIG)
    trained = BitFit(train=()).apply(model)
    with pytest.raises(ValueError, match=r"^the network has an adapter already \(bitfit\): load its base model again"):
        BitFit(targets=("query",), train=()).apply(model)
    assert model.adapter_parameters == trained
