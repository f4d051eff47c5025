"""Writing: greedy, by lot, with beams; with a cache, which changes nothing but the time."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from minibert.equations import softmax
from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS
from minibert.model.generation import GeneratedSequence, beam_search, greedy_search, most_likely, sampler
from tests.model.test_transformer import KEEP, SOURCE, random_model
from tests.strategies import normal, seeds

END = 3
PROMPT = torch.tensor([[2], [2]])


def table_of(seed: int, vocabulary: int = 6, spread: float = 2.0) -> Callable[[Tensor, KeyValueCache, Tensor], Tensor]:
    """A language of which the next token depends on the last one and on the sentence alone: it can be searched by hand."""
    table = spread * normal(seed, 2, vocabulary, vocabulary)

    def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
        return table[rows, tokens[:, -1]]

    return step


def log_probability(step: Callable[[Tensor, KeyValueCache, Tensor], Tensor], row: int, tokens: list[int]) -> float:
    """Of an output, token by token."""
    before, total = 2, 0.0
    for token in tokens:
        logits = step(torch.tensor([[before]]), KeyValueCache(), torch.tensor([row]))
        total += logits.log_softmax(-1)[0, token].item()
        before = token
    return total


def every_output(most: int, vocabulary: int = 6) -> list[list[int]]:
    """Everything that could be written with so many tokens: ended, or as long as it may be."""
    found, open_ended = [], [[]]
    for _ in range(most):
        longer = [[*some, token] for some in open_ended for token in range(vocabulary)]
        found += [some for some in longer if some[-1] == END]
        open_ended = [some for some in longer if some[-1] != END]
    return found + open_ended


class TestGreedySearch:
    @given(seeds, st.integers(1, 6))
    def test_value(self, seed: int, most: int) -> None:
        """Equals a loop over one sentence: the most likely token, until the end or the limit; its probability is the sum."""
        step = table_of(seed)
        for row, output in enumerate(greedy_search(step, PROMPT, END, most)):
            expected, before = [], 2
            while len(expected) < most and END not in expected:
                before = int(step(torch.tensor([[before]]), KeyValueCache(), torch.tensor([row])).argmax())
                expected.append(before)
            assert output.tokens == expected
            assert output.log_probability == pytest.approx(log_probability(step, row, expected))

    @given(seeds, st.integers(1, 6))
    def test_nothing_is_written_after_the_end_and_each_token_is_the_likeliest(self, seed: int, most: int) -> None:
        """The end is the last token or is not there; no other token would have been likelier where one was written."""
        step = table_of(seed)
        for row, output in enumerate(greedy_search(step, PROMPT, END, most)):
            assert END not in output.tokens[:-1]
            assert output.tokens[-1] == END or len(output.tokens) == most
            for place in range(len(output.tokens)):
                others = [[*output.tokens[:place], token] for token in range(6)]
                best = max(others, key=lambda tokens, row=row: log_probability(step, row, tokens))
                assert best == output.tokens[: place + 1]

    def test_without_an_end_it_goes_on(self) -> None:
        """For as long as it may."""
        assert all(len(output.tokens) == 7 for output in greedy_search(table_of(0), PROMPT, None, 7))


class TestBeamSearch:
    @given(seeds, st.integers(1, 6))
    def test_one_beam_is_greedy_search(self, seed: int, most: int) -> None:
        """The same outputs, whatever the penalty."""
        step = table_of(seed)
        one, other = beam_search(step, PROMPT, END, most, beams=1, alpha=1.0), greedy_search(step, PROMPT, END, most)
        assert [output.tokens for output in one] == [output.tokens for output in other]

    @given(seeds, st.integers(1, 6), st.integers(1, 5), st.floats(0, 2))
    def test_it_is_never_worse_than_greedy_search(self, seed: int, most: int, beams: int, alpha: float) -> None:
        """By the score that is asked for; and a score is what the tokens have."""
        step = table_of(seed)
        for row, (best, greedy) in enumerate(
            zip(beam_search(step, PROMPT, END, most, beams, alpha), greedy_search(step, PROMPT, END, most), strict=True)
        ):
            assert best.score(alpha) >= greedy.score(alpha)
            assert best.log_probability == pytest.approx(log_probability(step, row, best.tokens))
            assert END not in best.tokens[:-1]
            assert best.tokens[-1] == END or len(best.tokens) == most

    @settings(max_examples=30)
    @given(seeds, st.sampled_from([0.0, 0.6]))
    def test_value_with_room_for_all_it_finds_the_best_of_all(self, seed: int, alpha: float) -> None:
        """With as many beams as there are beginnings, it is the best of everything that could be written."""
        step, most = table_of(seed, vocabulary=4), 3
        for row, best in enumerate(beam_search(step, PROMPT, END, most, beams=64, alpha=alpha)):
            all_scores = [
                GeneratedSequence(tokens, log_probability(step, row, tokens)).score(alpha)
                for tokens in every_output(most, vocabulary=4)
            ]
            assert best.score(alpha) == pytest.approx(max(all_scores))

    @settings(max_examples=40)
    @given(seeds, st.integers(2, 6), st.integers(2, 4), st.sampled_from([0.0, 0.6, 3.0]))
    def test_value(self, seed: int, most: int, beams: int, alpha: float) -> None:
        """Equals lists in loops, one sentence after the other, where many outputs are nearly as likely."""
        step = table_of(seed, vocabulary=6, spread=1.0)
        found = beam_search(step, PROMPT, END, most, beams, alpha)
        for row, greedy in enumerate(greedy_search(step, PROMPT, END, most)):
            ended, going = [greedy.tokens], [[]]
            for _ in range(most):
                longer = [[*some, token] for some in going for token in range(6)]
                longer.sort(key=lambda tokens, row=row: -log_probability(step, row, tokens))
                ended += [tokens for tokens in longer[:beams] if tokens[-1] == END]
                going = [tokens for tokens in longer if tokens[-1] != END][:beams]
                if len(ended) > beams:
                    going = []
                    break
            scores = [GeneratedSequence(tokens, log_probability(step, row, tokens)).score(alpha) for tokens in ended + going]
            assert found[row].score(alpha) == pytest.approx(max(scores))
            assert found[row].log_probability == pytest.approx(log_probability(step, row, found[row].tokens))
            assert found[row].tokens in ended + going

    @given(seeds)
    def test_rows_are_searched_by_themselves(self, seed: int) -> None:
        """A sentence alone has the output that it has in a batch."""
        step = table_of(seed)
        both = beam_search(step, PROMPT, END, 5, beams=3)
        alone = beam_search(lambda tokens, cache, rows: step(tokens, cache, rows + 1), PROMPT[1:], END, 5, beams=3)
        assert both[1].tokens == alone[0].tokens


class TestSampler:
    def test_it_draws_as_often_as_is_probable(self) -> None:
        """30,000 draws at temperature 2: each token within five standard deviations."""
        logits = torch.tensor([2.0, 0.0, -1.0, 1.0])
        drawn = sampler(temperature=2.0, seed=0)(logits.expand(30_000, -1))
        expected = softmax(logits / 2)
        shares = torch.bincount(drawn, minlength=4) / 30_000
        assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / 30_000).sqrt()).all()

    def test_only_what_is_left_is_drawn(self) -> None:
        """With top-k, with top-p, with both."""
        logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2000, -1)
        assert {*sampler(top_k=2, seed=0)(logits).tolist()} == {0, 1}
        assert {*sampler(top_p=0.9, seed=0)(logits).tolist()} == {0, 1, 2}
        assert {*sampler(top_k=2, top_p=0.4, seed=0)(logits).tolist()} == {0}

    def test_a_seed_gives_the_same_and_another_another(self) -> None:
        """And no seed another every time."""
        logits = torch.zeros(200, 50)
        one, same, other, none = (sampler(seed=seed)(logits).tolist() for seed in (1, 1, 2, None))
        assert one == same
        assert one != other
        assert none not in (one, sampler()(logits).tolist())

    def test_temperature_zero_is_greedy(self) -> None:
        """And one below is refused."""
        logits = normal(0, 5, 9)
        assert torch.equal(sampler(temperature=0.0)(logits), most_likely(logits))
        with pytest.raises(ValueError, match="temperature is -1"):
            sampler(temperature=-1.0)
        with pytest.raises(ValueError, match="temperature is nan"):
            sampler(temperature=float("nan"))
        with pytest.raises(ValueError, match="for top_k or top_p choose a temperature above"):
            sampler(temperature=0.0, top_k=3)
        assert torch.equal(sampler(temperature=1e-45)(logits), most_likely(logits))


class TestCache:
    @pytest.mark.parametrize("kind", [{"positions": kind} for kind in POSITIONS] + [{"pre_norm": True}], ids=str)
    @settings(max_examples=8, deadline=None)
    @given(seed=seeds, cuts=st.lists(st.integers(1, 3), min_size=1, max_size=4))
    def test_what_is_kept_changes_nothing(self, kind: dict[str, object], seed: int, cuts: list[int]) -> None:
        """Token by token, or several at a time, the scores are those of the whole target at once."""
        model, cache = random_model(seed, **kind), KeyValueCache()
        target = torch.randint(4, 23, (2, sum(cuts)), generator=torch.Generator().manual_seed(seed))
        memory = model.encode(SOURCE, KEEP)
        parts = [model.decode(part, memory, KEEP, cache=cache) for part in target.split(cuts, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model.decode(target, memory, KEEP))
        assert cache.tokens == sum(cuts)

    @settings(max_examples=8, deadline=None)
    @given(seed=seeds)
    def test_rows_can_be_chosen(self, seed: int) -> None:
        """What follows is as if the chosen rows had been there from the beginning."""
        model, cache = random_model(seed), KeyValueCache()
        memory = model.encode(SOURCE, KEEP)
        model.decode(torch.tensor([[2, 7], [2, 9]]), memory, KEEP, cache=cache)
        rows = torch.tensor([1, 1, 0])
        cache.select(rows)
        after = model.decode(torch.tensor([[5], [6], [8]]), memory[rows], KEEP[rows], cache=cache)[:, -1]
        whole = model.decode(torch.tensor([[2, 9, 5], [2, 9, 6], [2, 7, 8]]), memory[rows], KEEP[rows])[:, -1]
        torch.testing.assert_close(after, whole)


class TestGenerate:
    @settings(max_examples=5, deadline=None)
    @given(seeds, st.integers(1, 4))
    def test_a_model_writes_one_at_a_time_what_it_writes_together(self, seed: int, beams: int) -> None:
        """The outputs for a batch are those for its rows; the probability is what the model gives to the output."""
        model = random_model(seed)
        together = model.generate(SOURCE, KEEP, beams, max_new_tokens=6)
        alone = [model.generate(SOURCE[:1], None, beams, max_new_tokens=6)[0]]
        alone += model.generate(SOURCE[1:, :3], None, beams, max_new_tokens=6)
        for row, (one, other) in enumerate(zip(together, alone, strict=True)):
            assert one.tokens == other.tokens
            target = torch.tensor([[2, *one.tokens[:-1]]])
            scores = model(SOURCE[row : row + 1], KEEP[row : row + 1], target).logits.log_softmax(-1)[0]
            total = sum(scores[place, token].item() for place, token in enumerate(one.tokens))
            assert one.log_probability == pytest.approx(total)

    def test_there_is_room_for_fifty_more_than_the_source_has(self) -> None:
        """Unless it is said otherwise."""
        model = random_model()
        with torch.no_grad():
            model.words.weight[END] = -model.words.weight.sum(0)  # as unlikely as can be
        lengths = [len(output.tokens) for output in model.generate(SOURCE, KEEP, beams=1)]
        assert max(lengths) == len(SOURCE[0]) + 50
