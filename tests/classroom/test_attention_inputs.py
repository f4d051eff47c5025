"""The inputs of the exercises about attention."""

import torch

from minibert.classroom.draws import RandomDraw
from minibert.classroom.exercises.attention import attention_inputs


def test_the_usual_scores_of_attention_are_neither_alike_nor_does_one_exceed_all_others() -> None:
    """Their standard deviation, that of a product of queries and keys over the square root of their width, is about 1.5²."""
    inputs = attention_inputs(RandomDraw(0), (4, 4, 40, 40, 64, 3))
    scores = inputs["query"] @ inputs["key"].mT / 64**0.5
    assert abs(scores.std() - 1.5**2) < 0.2
    large = attention_inputs(RandomDraw(0), (4, 4, 40, 40, 64, 3), size=3.0)
    assert torch.allclose(large["query"], 2 * inputs["query"])
    assert torch.equal(large["value"], inputs["value"])
