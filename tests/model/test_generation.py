"""Tests of text generation: greedy search, beam search, sampling, and the key-value cache."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minibert.equations import softmax
from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS
from minibert.model.generation import (
    GeneratedSequence,
    Hypotheses,
    Hypothesis,
    _sequences,
    beam_search,
    choose_tokens,
    greedy_search,
    most_likely,
    sampler,
    without_ended,
)
from tests.model.test_transformer import KEEP, SOURCE, random_model
from tests.strategies import normal, seeds

EOS = 3
PROMPT = torch.tensor([[2], [2]])


def bigram_model(
    seed: int, vocabulary: int = 6, spread: float = 2.0, impossible: bool = False
) -> Callable[[Tensor, KeyValueCache, Tensor], Tensor]:
    """Create a bigram model: the next token depends only on the last token and on the row, so all outputs can be listed.

    Args:
        impossible: about half of all next tokens have probability 0.
    """
    table = spread * normal(seed, 2, vocabulary, vocabulary)
    if impossible:
        table = torch.where((table < 0) & (table < table.amax(dim=-1, keepdim=True)), -torch.inf, table)

    def step(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
        return table[rows, tokens[:, -1]]

    return step


def log_probability(step: Callable[[Tensor, KeyValueCache, Tensor], Tensor], row: int, tokens: list[int]) -> float:
    """Return the log-probability of an output, summed token by token."""
    previous, total = 2, 0.0
    for token in tokens:
        logits = step(torch.tensor([[previous]]), KeyValueCache(), torch.tensor([row]))
        total += logits.log_softmax(-1)[0, token].item()
        previous = token
    return total


def transitions(tokens: list[int]) -> list[tuple[int, int]]:
    """Return the pairs of neighboring tokens of an output, in order. In a bigram model, they decide how likely it is."""
    return sorted(pairwise([2, *tokens]))


def all_outputs(max_tokens: int, vocabulary: int = 6) -> list[list[int]]:
    """List all possible outputs: finished ones of at most `max_tokens` tokens, and unfinished ones of that length."""
    found, unfinished = [], [[]]
    for _ in range(max_tokens):
        extended = [[*prefix, token] for prefix in unfinished for token in range(vocabulary)]
        found += [prefix for prefix in extended if prefix[-1] == EOS]
        unfinished = [prefix for prefix in extended if prefix[-1] != EOS]
    return found + unfinished


class TestGreedySearch:
    @given(seeds, st.integers(1, 6))
    def test_value(self, seed: int, max_tokens: int) -> None:
        """The output equals that of a loop over one row: append the most likely token until the end token or the limit.

        The log-probability is the sum over the tokens.
        """
        step = bigram_model(seed)
        for row, output in enumerate(greedy_search(step, PROMPT, EOS, max_tokens)):
            expected, previous = [], 2
            while len(expected) < max_tokens and EOS not in expected:
                previous = int(step(torch.tensor([[previous]]), KeyValueCache(), torch.tensor([row])).argmax())
                expected.append(previous)
            assert output.tokens == expected
            assert output.log_probability == pytest.approx(log_probability(step, row, expected))

    @given(seeds, st.integers(1, 6))
    def test_output_stops_at_the_end_token_and_each_token_is_the_most_likely(self, seed: int, max_tokens: int) -> None:
        """The end token occurs only as the last one. At each position, no other token has a higher probability."""
        step = bigram_model(seed)
        for row, output in enumerate(greedy_search(step, PROMPT, EOS, max_tokens)):
            assert EOS not in output.tokens[:-1]
            assert output.tokens[-1] == EOS or len(output.tokens) == max_tokens
            for position in range(len(output.tokens)):
                others = [[*output.tokens[:position], token] for token in range(6)]
                best = max(others, key=lambda tokens, row=row: log_probability(step, row, tokens))
                assert best == output.tokens[: position + 1]

    @pytest.mark.parametrize("search", [greedy_search, beam_search, partial(greedy_search, choose=sampler(seed=0))])
    def test_logits_that_are_nan_are_refused(self, search: Callable[..., list[GeneratedSequence]]) -> None:
        """Otherwise the output would be the first token again and again. Minus infinity is a probability of 0."""
        logits = torch.tensor([[0.0, -math.inf, 1.0, 2.0]] * 2)
        assert search(lambda tokens, cache, rows: logits[rows], PROMPT, EOS, 1)
        logits[1, 2] = math.nan
        with pytest.raises(ValueError, match="the model computes NaN instead of logits"):
            search(lambda tokens, cache, rows: logits[rows], PROMPT, EOS, 1)

    @given(seeds, st.sampled_from([math.nan, math.inf, None]), st.booleans())
    def test_the_probability_is_nan_exactly_where_there_is_no_softmax(
        self, seed: int, wrong: float | None, sampled: bool
    ) -> None:
        """One logit is NaN or infinite, or all are minus infinity; other rows keep their tokens and probabilities."""
        logits = normal(seed, 3, 5)
        logits[0, 1:3] = -math.inf
        expected = choose_tokens(logits, sampler(seed=0) if sampled else most_likely)
        assert expected[1].isfinite().all()
        assert torch.equal(expected[1], logits.log_softmax(dim=-1)[range(3), expected[0]])
        logits[2, 3 if wrong is not None else slice(None)] = -math.inf if wrong is None else wrong
        chosen, found = choose_tokens(logits, sampler(seed=0) if sampled else most_likely)
        assert found[2].isnan()
        assert torch.equal(chosen[:2], expected[0][:2])
        assert torch.equal(found[:2], expected[1][:2])

    def test_without_end_token_the_output_has_the_maximum_length(self) -> None:
        assert all(len(output.tokens) == 7 for output in greedy_search(bigram_model(0), PROMPT, None, 7))


class TestBeamSearch:
    @given(seeds, st.integers(1, 6))
    def test_one_beam_is_greedy_search(self, seed: int, max_tokens: int) -> None:
        """With one beam, the length penalty has no influence."""
        step = bigram_model(seed)
        one, other = (
            beam_search(step, PROMPT, EOS, max_tokens, beams=1, alpha=1.0),
            greedy_search(step, PROMPT, EOS, max_tokens),
        )
        assert [output.tokens for output in one] == [output.tokens for output in other]

    @given(seeds, st.integers(1, 6), st.integers(1, 5), st.floats(0, 2))
    def test_score_is_never_below_greedy_search(self, seed: int, max_tokens: int, beams: int, alpha: float) -> None:
        """The score is at least that of greedy search, and the log-probability is that of the tokens."""
        step = bigram_model(seed)
        for row, (best, greedy) in enumerate(
            zip(
                beam_search(step, PROMPT, EOS, max_tokens, beams, alpha),
                greedy_search(step, PROMPT, EOS, max_tokens),
                strict=True,
            )
        ):
            assert best.score(alpha) >= greedy.score(alpha)
            assert best.log_probability == pytest.approx(log_probability(step, row, best.tokens))
            assert EOS not in best.tokens[:-1]
            assert best.tokens[-1] == EOS or len(best.tokens) == max_tokens

    @settings(max_examples=30)
    @given(seeds, st.sampled_from([0.0, 0.6]))
    def test_value_with_enough_beams_is_the_best_of_all_outputs(self, seed: int, alpha: float) -> None:
        """With as many beams as there are prefixes, the result is the best of all possible outputs."""
        step, max_tokens = bigram_model(seed, vocabulary=4), 3
        for row, best in enumerate(beam_search(step, PROMPT, EOS, max_tokens, beams=64, alpha=alpha)):
            all_scores = [
                GeneratedSequence(tokens, log_probability(step, row, tokens)).score(alpha)
                for tokens in all_outputs(max_tokens, vocabulary=4)
            ]
            assert best.score(alpha) == pytest.approx(max(all_scores))

    @settings(max_examples=40)
    @given(seeds, st.integers(2, 6), st.integers(2, 4), st.sampled_from([0.0, 0.6, 3.0]), st.booleans())
    @example(1, 6, 4, 3.0, False)  # the best output would differ if finished outputs were continued
    @example(195300, 6, 3, 0.0, True)  # several outputs are equally likely
    def test_value(self, seed: int, max_tokens: int, beams: int, alpha: float, impossible: bool) -> None:
        """The output equals that of a loop over one row with lists. Many outputs have similar probabilities here.

        Outputs of probability 0 do not count, neither as finished nor as unfinished.
        """
        step = bigram_model(seed, vocabulary=6, spread=1.0, impossible=impossible)
        found = beam_search(step, PROMPT, EOS, max_tokens, beams, alpha)
        for row, greedy in enumerate(greedy_search(step, PROMPT, EOS, max_tokens)):
            finished, unfinished = [greedy.tokens], [[]]
            for _ in range(max_tokens):
                extended = [[*prefix, token] for prefix in unfinished for token in range(6)]
                extended = [tokens for tokens in extended if log_probability(step, row, tokens) > -math.inf]
                extended.sort(key=lambda tokens, row=row: -log_probability(step, row, tokens))
                finished += [tokens for tokens in extended[:beams] if tokens[-1] == EOS]
                unfinished = [tokens for tokens in extended if tokens[-1] != EOS][:beams]
                if len(finished) > beams:
                    unfinished = []
                    break
            scores = [
                GeneratedSequence(tokens, log_probability(step, row, tokens)).score(alpha) for tokens in finished + unfinished
            ]
            assert found[row].score(alpha) == pytest.approx(max(scores))
            assert found[row].log_probability == pytest.approx(log_probability(step, row, found[row].tokens))
            # Outputs with the same transitions in another order are equally likely: rounding decides which one stays.
            assert transitions(found[row].tokens) in [transitions(tokens) for tokens in finished + unfinished]

    @given(seeds, st.integers(1, 6), st.integers(1, 6))
    def test_rows_are_searched_independently(self, seed: int, limit: int, other_limit: int) -> None:
        """A row alone has the same output as in a batch whose other row has another maximum length. So has greedy search."""
        step = bigram_model(seed)

        def second_row(tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
            return step(tokens, cache, rows + 1)

        limits = torch.tensor([other_limit, limit])
        for search in (greedy_search, partial(beam_search, beams=3)):
            both, alone = search(step, PROMPT, EOS, limits), search(second_row, PROMPT[1:], EOS, limit)
            assert both[1] == alone[0]

    @pytest.mark.parametrize(
        ("tokens", "scores"), [([4, 5, EOS], [-1.0, -2.0]), ([EOS, 5, EOS], [-2.0, -math.inf]), ([EOS, EOS], 2 * [-math.inf])]
    )
    def test_hypotheses_that_have_ended_are_impossible(self, tokens: list[int], scores: list[float]) -> None:
        """They are taken only if there are no others."""
        count = len(tokens)
        extended = Hypotheses(-1.0 - torch.arange(count)[None], torch.arange(count)[None], torch.tensor([tokens]))
        assert without_ended(extended, EOS, beams=2).scores.tolist() == [scores]

    def test_many_sentences_are_searched_as_one(self) -> None:
        """A sentence is done by its own finished hypotheses, however many other sentences there are."""
        step = bigram_model(1)
        for beams in (1, 2, 3):
            alone = [beam_search(step, PROMPT, EOS, 5, beams)[0], beam_search(step, PROMPT, EOS, 5, beams)[1]]
            many = beam_search(lambda tokens, cache, rows: step(tokens, cache, rows % 2), PROMPT.repeat(4, 1), EOS, 5, beams)
            assert many == alone * 4

    def test_at_the_limit_of_its_prompt_a_hypothesis_counts_without_an_end_token(self) -> None:
        """Greedy search begins with token 4, after which all tokens are equally likely. After 5 there is only one.

        Another prompt has a higher limit. The end token is impossible.
        """
        table = torch.zeros(6, 6)
        table[:, EOS] = -math.inf
        table[2] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.6, 0.4]).log()
        table[5, :5] = -math.inf
        limits = torch.tensor([3, 5])
        outputs = beam_search(lambda tokens, cache, rows: table[tokens[:, -1]], PROMPT, EOS, limits, beams=2, alpha=0.0)
        assert [output.tokens for output in outputs] == [[5] * 3, [5] * 5]
        assert [output.log_probability for output in outputs] == pytest.approx([math.log(0.4)] * 2)

    def test_a_hypothesis_of_probability_zero_is_no_sequence(self) -> None:
        hypotheses = [Hypothesis(-1.0, 1, 7), Hypothesis(-math.inf, 0, EOS)]
        assert _sequences(hypotheses, [[4], [5, 6]]) == [GeneratedSequence([5, 6, 7], -1.0)]

    def test_hypotheses_of_probability_zero_do_not_end_the_search(self) -> None:
        """Of 4 beams only one is possible. The end token of the others has probability 0 and does not count as finished."""
        table = torch.zeros(6, 6)
        for last, following in ((2, 4), (4, 5), (5, EOS)):
            table[last] = -torch.inf
            table[last, following] = 0.0
        (output,) = beam_search(lambda tokens, cache, rows: table[tokens[:, -1]], PROMPT[:1], EOS, 9, beams=4)
        assert output == GeneratedSequence([4, 5, EOS], 0.0)


class TestSampler:
    def test_frequencies_match_the_probabilities(self) -> None:
        """In 30,000 samples at temperature 2, the frequency of each token is within five standard deviations."""
        logits = torch.tensor([2.0, 0.0, -1.0, 1.0])
        drawn = sampler(temperature=2.0, seed=0)(logits.expand(30_000, -1))
        expected = softmax(logits / 2)
        shares = torch.bincount(drawn, minlength=4) / 30_000
        assert ((shares - expected).abs() < 5 * (expected * (1 - expected) / 30_000).sqrt()).all()

    def test_filtered_tokens_are_never_sampled(self) -> None:
        """This holds for top-k, for top-p, and for both together."""
        logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(2000, -1)
        assert {*sampler(top_k=2, seed=0)(logits).tolist()} == {0, 1}
        assert {*sampler(top_p=0.9, seed=0)(logits).tolist()} == {0, 1, 2}
        assert {*sampler(top_k=2, top_p=0.4, seed=0)(logits).tolist()} == {0}

    def test_seed_determines_the_samples(self) -> None:
        """Equal seeds give equal samples, different seeds different ones. Without a seed, every sampler differs."""
        logits = torch.zeros(200, 50)
        one, same, other, none = (sampler(seed=seed)(logits).tolist() for seed in (1, 1, 2, None))
        assert one == same
        assert one != other
        assert none not in (one, sampler()(logits).tolist())

    def test_temperature_zero_is_greedy_search(self) -> None:
        """Negative and NaN temperatures are rejected, and so is top-k with temperature 0."""
        logits = normal(0, 5, 9)
        assert torch.equal(sampler(temperature=0.0)(logits), most_likely(logits))
        with pytest.raises(ValueError, match="temperature is -1"):
            sampler(temperature=-1.0)
        with pytest.raises(ValueError, match="temperature is nan"):
            sampler(temperature=float("nan"))
        with pytest.raises(ValueError, match="for top_k or top_p choose a temperature above"):
            sampler(temperature=0.0, top_k=3)
        for temperature in (1e-6, 1e-45, 5e-324):
            assert torch.equal(sampler(temperature)(logits.float()), most_likely(logits))
        with pytest.raises(ValueError, match="temperature is inf"):
            sampler(temperature=math.inf)


class TestCache:
    @pytest.mark.parametrize("kind", [{"positions": kind} for kind in POSITIONS] + [{"pre_norm": True}], ids=str)
    @settings(max_examples=8, deadline=None)
    @given(seed=seeds, lengths=st.lists(st.integers(1, 3), min_size=1, max_size=4))
    def test_cache_does_not_change_the_scores(self, kind: dict[str, object], seed: int, lengths: list[int]) -> None:
        """Decoding one or several tokens at a time computes the same scores as decoding the whole target at once."""
        model, cache = random_model(seed, **kind), KeyValueCache()
        target = torch.randint(4, 23, (2, sum(lengths)), generator=torch.Generator().manual_seed(seed))
        memory = model.encode(SOURCE, KEEP)
        parts = [model.decode(part, memory, KEEP, cache=cache) for part in target.split(lengths, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model.decode(target, memory, KEEP))
        assert cache.tokens == sum(lengths)

    @settings(max_examples=8, deadline=None)
    @given(seed=seeds)
    def test_rows_can_be_selected(self, seed: int) -> None:
        """After a selection, decoding continues as if the batch had always consisted of the selected rows."""
        model, cache = random_model(seed), KeyValueCache()
        memory = model.encode(SOURCE, KEEP)
        model.decode(torch.tensor([[2, 7], [2, 9]]), memory, KEEP, cache=cache)
        rows = torch.tensor([1, 1, 0])
        cache.select(rows)
        after = model.decode(torch.tensor([[5], [6], [8]]), memory[rows], KEEP[rows], cache=cache)[:, -1]
        expected = model.decode(torch.tensor([[2, 9, 5], [2, 9, 6], [2, 7, 8]]), memory[rows], KEEP[rows])[:, -1]
        torch.testing.assert_close(after, expected)


class TestGenerate:
    @settings(max_examples=5, deadline=None)
    @given(seeds, st.integers(1, 4))
    def test_batch_and_single_rows_give_the_same_outputs(self, seed: int, beams: int) -> None:
        """The outputs for a batch equal those for its rows. The log-probability is the one that the model computes."""
        model = random_model(seed)
        together = model.generate(SOURCE, KEEP, beams, max_new_tokens=6)
        alone = [model.generate(SOURCE[:1], None, beams, max_new_tokens=6)[0]]
        alone += model.generate(SOURCE[1:, :3], None, beams, max_new_tokens=6)
        for row, (one, other) in enumerate(zip(together, alone, strict=True)):
            assert one.tokens == other.tokens
            target = torch.tensor([[2, *one.tokens[:-1]]])
            scores = model(SOURCE[row : row + 1], KEEP[row : row + 1], target).logits.log_softmax(-1)[0]
            total = sum(scores[position, token].item() for position, token in enumerate(one.tokens))
            assert one.log_probability == pytest.approx(total)

    @settings(max_examples=2, deadline=None)
    @given(seeds, st.lists(st.integers(1, 9), min_size=2, max_size=2), st.integers(1, 2), st.booleans())
    def test_maximum_length_is_the_sources_own(self, seed: int, lengths: list[int], beams: int, before: bool) -> None:
        """By default it is 50 more than the source has tokens, whatever else is in the batch, with padding on either side."""
        model = random_model(seed, positions="alibi")
        with torch.no_grad():
            model.words.weight[EOS] = -model.words.weight.sum(0)  # make the end token unlikely
        rows = [torch.randint(4, 23, (length,), generator=torch.Generator().manual_seed(seed + length)) for length in lengths]
        batch = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side="left" if before else "right")
        for row, output in zip(rows, model.generate(batch, batch != 0, beams), strict=True):
            assert output.tokens == model.generate(row[None], beams=beams)[0].tokens
            assert len(output.tokens) == len(row) + 50 or output.tokens[-1] == EOS

    @pytest.mark.usefixtures("without_shape_checks")
    @pytest.mark.parametrize("wrong", [2.5, True, "3", torch.tensor([3, 4])], ids=repr)
    @pytest.mark.parametrize("name", ["beams", "max_new_tokens"])
    def test_numbers_that_are_not_whole_are_rejected(self, name: str, wrong: object) -> None:
        """2.5 tokens were 2, and 2.5 beams an error of PyTorch."""
        with pytest.raises(TypeError, match=rf"{name} is .*, but must be a whole number"):
            random_model(0).generate(SOURCE, **{name: wrong})  # type: ignore[arg-type]
