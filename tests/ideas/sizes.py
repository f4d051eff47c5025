"""A small network for the tests of the experiments."""

from dataclasses import replace

from tests.training import test_distillation

CONFIG = replace(test_distillation.CONFIG, num_hidden_layers=3)
