"""The letters tasks: sequences, solutions, and batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minibert.equations import IGNORE_INDEX
from minibert.text.letters import ALPHABET, LettersExamples, solve_letters
from minibert.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

TOKENIZER = build_tokenizer([*SPECIAL_TOKENS, *ALPHABET])
TASKS = ("copy", "reverse", "sort")


class TestLettersExamples:
    @pytest.mark.parametrize("task", TASKS)
    def test_value(self, task: str) -> None:
        """Each target is the solution of its source. All lengths occur."""
        text = LettersExamples(task, TOKENIZER, seed=0, size=400, max_length=6).texts(0)
        for source, target in zip(text.sources, text.targets, strict=True):
            assert target.split() == {"copy": list, "reverse": lambda s: s[::-1], "sort": sorted}[task](source.split())
        assert {len(source.split()) for source in text.sources} == {1, 2, 3, 4, 5, 6}

    def test_training_never_uses_validation_sequences(self) -> None:
        """No epoch contains validation sequences. Epochs differ from each other and are reproducible."""
        train = LettersExamples("sort", TOKENIZER, seed=0, size=2000, max_length=3)
        validation = LettersExamples("sort", TOKENIZER, seed=0, size=500, max_length=3, validation=True)
        seen = {source for number in range(3) for source in train.texts(number).sources}
        assert not seen & {*validation.texts(0).sources}
        assert train.texts(0) != train.texts(1)
        assert train.texts(1) == train.texts(1)

    def test_batches_contain_the_encoded_texts(self) -> None:
        """Decoding the ids of a batch gives the sources and targets."""
        examples = LettersExamples("reverse", TOKENIZER, seed=3, size=4, max_length=5)
        text, batch = examples.texts(2), examples.epoch(2).batch(np.arange(4))
        for source, target, ids, keep, labels in zip(
            text.sources, text.targets, batch.input_ids, batch.attention_mask, batch.labels, strict=True
        ):
            assert TOKENIZER.decode(ids[keep].tolist()) == source
            assert TOKENIZER.decode(labels[labels != IGNORE_INDEX].tolist()) == target
            assert torch.equal(ids[~keep], torch.zeros_like(ids[~keep]))


@given(st.lists(st.sampled_from(ALPHABET), max_size=9))
def test_solutions(letters: list[str]) -> None:
    """Sorting twice equals sorting once, reversing twice equals copying, and no letter is lost."""
    assert solve_letters("sort", solve_letters("sort", letters)) == solve_letters("sort", letters)
    assert solve_letters("reverse", solve_letters("reverse", letters)) == solve_letters("copy", letters) == letters
    assert sorted(solve_letters("reverse", letters)) == solve_letters("sort", letters)
