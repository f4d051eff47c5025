"""The table of the modules of a network."""

from torch import nn

from minibert.model.summary import modules


def test_equal_modules_of_a_list_are_one_row() -> None:
    """With the parameters of all of them. What is in the first of them follows."""
    network = nn.Module()
    network.layers = nn.ModuleList([nn.Sequential(nn.Linear(2, 3)) for _ in range(3)])
    assert [(name, size) for name, _, size in modules(network)] == [("layers.0-2", 27), ("layers.0-2.0", 9)]


def test_a_module_that_only_contains_others_is_no_row() -> None:
    """Neither is one without parameters, such as an activation function."""
    network = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))
    network.table = nn.Embedding(5, 2)
    assert [(name, size) for name, _, size in modules(network)] == [("0.0", 9), ("table", 10)]
