"""Decoding strategies by worked examples: sampling, greedy search, beam search, and models with and without a cache."""

import math
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from minibert import GPT2Config, GPT2LMHeadModel, Transformer, TransformerConfig
from minibert.equations import length_penalty
from minibert.model.cache import KeyValueCache
from minibert.model.config import POSITIONS
from minibert.model.generation import GeneratedSequence, beam_search, greedy_search, sampler
from tests.strategies import normal

START, END = 0, 1
A, B, C, D, E, F = 2, 3, 4, 5, 6, 7
PROMPT = torch.tensor([[START]])
Table = Mapping[int, Mapping[int, float]]
"""From a token to the probabilities of the tokens that may follow it; all others share what is left."""


class Language:
    """A step function in which the next token depends on the last one alone. It counts its calls."""

    def __init__(self, table: Table, vocabulary: int = 12) -> None:
        self.calls = 0
        self.table = torch.zeros(vocabulary, vocabulary, dtype=torch.float64)
        for last in range(vocabulary):
            given = table.get(last, {})
            self.table[last] = (1 - sum(given.values())) / (vocabulary - len(given)) + 1e-9
            for token, probability in given.items():
                self.table[last, token] = probability

    def __call__(self, tokens: Tensor, cache: KeyValueCache, rows: Tensor) -> Tensor:
        self.calls += 1
        return self.table[tokens[:, -1]].log()

    def probability(self, tokens: list[int]) -> float:
        return math.prod(self.table[last, token].item() for last, token in zip([START, *tokens], tokens, strict=False))


def search(table: Table, most: int, beams: int, alpha: float = 0.0) -> list[int]:
    """The output of beam search; its log-probability must be that of its tokens."""
    language = Language(table)
    output = beam_search(language, PROMPT, END, most, beams, alpha)[0]
    assert output.log_probability == pytest.approx(math.log(language.probability(output.tokens)), rel=1e-6)
    return output.tokens


class TestSampler:
    def test_the_seed_decides_and_zero_is_one_of_them(self) -> None:
        """The same draws from the same seed, others from another."""
        logits = torch.zeros(100, 50)
        for seed in (0, 1, 12345):
            assert torch.equal(sampler(seed=seed)(logits), sampler(seed=seed)(logits))
            assert not torch.equal(sampler(seed=seed)(logits), sampler(seed=seed + 1)(logits))

    def test_one_seed_is_for_all_draws_of_a_sampler(self) -> None:
        """The second draw is not the first one again; two samplers agree on both."""
        logits = torch.zeros(100, 50)
        one, other = sampler(seed=3), sampler(seed=3)
        first, second = one(logits), one(logits)
        assert not torch.equal(first, second)
        assert torch.equal(other(logits), first)
        assert torch.equal(other(logits), second)

    @pytest.mark.parametrize("seed", [5, None])
    def test_the_global_random_state_is_left_alone(self, seed: int | None) -> None:
        """With or without a seed, no draw changes it."""
        before = torch.get_rng_state()
        sampler(seed=seed)(torch.zeros(10, 50))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_global_seed_has_no_part_in_it(self) -> None:
        """With a seed of its own it draws the same after any global seed; without one, it draws differently after the same."""
        logits, drawn, unseeded = torch.zeros(100, 50), [], []
        for seed in (1, 2):
            torch.manual_seed(seed)
            drawn.append(sampler(seed=7)(logits))
            torch.manual_seed(0)
            unseeded.append(sampler()(logits))
        assert torch.equal(*drawn)
        assert not torch.equal(*unseeded)

    def test_temperature_comes_before_top_p(self) -> None:
        """At temperature 2 the probabilities .50 .30 .15 .05 are .38 .29 .21 .12; at 1/2 they are .68 .25 .06 .01."""
        logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(1000, -1)
        assert set(sampler(2.0, top_p=0.75, seed=0)(logits).tolist()) == {0, 1, 2}
        assert set(sampler(1.0, top_p=0.75, seed=0)(logits).tolist()) == {0, 1}
        assert set(sampler(0.5, top_p=0.6, seed=0)(logits).tolist()) == {0}
        assert set(sampler(1.0, top_p=0.6, seed=0)(logits).tolist()) == {0, 1}

    def test_top_k_comes_before_top_p(self) -> None:
        """The best two of .50 .30 .15 .05 are .625 and .375 of what is left, of which the first alone has 0.6."""
        logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(1000, -1)
        assert set(sampler(top_k=2, top_p=0.6, seed=0)(logits).tolist()) == {0}

    def test_the_tokens_that_are_left_keep_their_proportions(self) -> None:
        """At temperature 1/2, .4 .3 .2 .1 are in proportion 16 : 9 : 4 : 1; the best two share 25."""
        logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().expand(40_000, -1)
        share = (sampler(0.5, top_k=2, seed=0)(logits) == 0).double().mean().item()
        assert abs(share - 16 / 25) < 5 * math.sqrt(0.64 * 0.36 / 40_000)

    def test_temperature_zero_takes_the_first_of_equals(self) -> None:
        """Greedy search, without a random number."""
        logits = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]])
        before = torch.get_rng_state()
        assert sampler(0.0)(logits).tolist() == [1, 0]
        assert sampler(0.0, seed=4)(logits).tolist() == [1, 0]
        assert torch.equal(torch.get_rng_state(), before)


class TestGreedySearch:
    def test_ties_go_to_the_first_token(self) -> None:
        """Among equally likely tokens, the one with the smallest id."""
        table = {START: {A: 0.3, B: 0.3, C: 0.3}, A: {D: 0.4, E: 0.4}, D: {END: 0.45, F: 0.45}}
        assert [greedy_search(Language(table), PROMPT, END, 5)[0].tokens for _ in range(3)] == [[A, D, END]] * 3

    def test_it_ends_when_all_rows_have_ended(self) -> None:
        """One call of the model per token of the longest output, and rows that have ended are left out."""
        table = {2: {END: 0.9}, 3: {4: 0.9}, 4: {5: 0.9}, 5: {END: 0.9}}
        language = Language(table)
        outputs = greedy_search(language, torch.tensor([[2], [3]]), END, 10)
        assert [output.tokens for output in outputs] == [[END], [4, 5, END]]
        assert language.calls == 3
        assert outputs[1].log_probability == pytest.approx(3 * math.log(0.9), rel=1e-6)

    @pytest.mark.parametrize("most", [1, 2, 5])
    def test_it_writes_no_more_than_it_may(self, most: int) -> None:
        """The output has that many tokens if the end never comes, or if there is none."""
        for end in (END, None):
            output = greedy_search(Language({START: {A: 0.9}, A: {A: 0.9}}), PROMPT, end, most)[0]
            assert output.tokens == [A] * most
            assert output.log_probability == pytest.approx(most * math.log(0.9), rel=1e-6)

    def test_the_probability_is_the_models_and_not_the_samplers(self) -> None:
        """A sampler at another temperature, with one token left, has no part in it."""
        output = greedy_search(Language({START: {A: 0.6}, A: {END: 0.7}}), PROMPT, END, 5, sampler(3.0, top_k=1, seed=0))[0]
        assert output.tokens == [A, END]
        assert output.log_probability == pytest.approx(math.log(0.6 * 0.7), rel=1e-6)


class TestBeamSearch:
    def test_it_stops_when_as_many_have_ended_as_there_are_beams(self) -> None:
        """With 2 beams, after [END] and [A, END]. [A, B, END] would have the best score, and is not reached."""
        table = {START: {A: 0.5, END: 0.4}, A: {END: 0.6, B: 0.39}, B: {END: 0.99}}
        assert search(table, 5, beams=2, alpha=3.0) == [A, END]
        assert search(table, 5, beams=3, alpha=3.0) == [A, B, END]
        language = Language(table)
        beam_search(language, PROMPT, END, 5, beams=2, alpha=3.0)
        assert language.calls == 2 + 2  # greedy search, and the two steps of the beams

    def test_it_does_not_stop_before_as_many_have_ended(self) -> None:
        """With 2 beams, [END] alone is not enough; the output of greedy search does not count. [B, END] comes next."""
        table = {START: {A: 0.45, END: 0.3, B: 0.24}, A: {C: 0.4, D: 0.35}, B: {END: 0.98}}
        assert search(table, 2, beams=2, alpha=3.0) == [B, END]

    def test_an_end_counts_only_among_the_best(self) -> None:
        """With 2 beams, [END] is third: it is no output, though nothing better comes after."""
        table = {START: {A: 0.4, B: 0.35, END: 0.2}, A: {C: 0.4, D: 0.3, E: 0.25}, B: {C: 0.4, D: 0.3, E: 0.25}}
        assert search(table, 2, beams=2) == [A, C]
        assert search(table, 2, beams=3) == [END]

    def test_an_end_counts_in_each_of_the_best_places(self) -> None:
        """With 2 beams, [END] is second, and in the end the best."""
        table = {START: {A: 0.5, END: 0.4}, A: {C: 0.35, D: 0.33, E: 0.3}}
        assert search(table, 2, beams=2) == [END]
        assert search(table, 2, beams=1) == [A, C]

    def test_the_place_of_an_ended_beam_goes_to_the_next_best(self) -> None:
        """With 2 beams, [END] is second and [B] third, which goes on in its place and gives the best output of all."""
        table = {START: {A: 0.4, END: 0.32, B: 0.27}, A: {C: 0.35, D: 0.33, E: 0.3}, B: {F: 0.99}, F: {END: 0.99}}
        assert search(table, 3, beams=2, alpha=3.0) == [B, F, END]

    def test_outputs_without_an_end_compete_when_there_is_no_more_room(self) -> None:
        """[B, C] has not ended, is not the output of greedy search, and is the most likely."""
        table = {START: {A: 0.5, B: 0.45}, A: {C: 0.3, D: 0.3, E: 0.35}, B: {C: 0.9}}
        assert search(table, 2, beams=2) == [B, C]

    def test_outputs_without_an_end_do_not_compete_when_enough_have_ended(self) -> None:
        """[A, B] has the best score when [END] and [A, END] have ended, and is dropped."""
        table = {
            START: {A: 0.5, END: 0.4},
            A: {B: 0.55, END: 0.4499},
            B: dict.fromkeys((C, D, E, F), 0.1),
        }
        language = Language(table)
        score = {
            tuple(tokens): GeneratedSequence(tokens, math.log(language.probability(tokens))).score(3.0)
            for tokens in ([END], [A, END], [A, B])
        }
        assert max(score, key=score.get) == (A, B)
        assert search(table, 5, beams=2, alpha=3.0) == [END]

    def test_the_output_of_greedy_search_is_always_compared(self) -> None:
        """[A, E, END] leaves the 2 beams at its second token, which is none of the best, and is the best in the end."""
        table = {
            START: {A: 0.42, B: 0.4},
            B: {C: 0.5, D: 0.49},
            A: {E: 0.4, C: 0.1},
            E: {END: 0.999},
            C: dict.fromkeys((D, E, F), 0.1),
            D: dict.fromkeys((C, E, F), 0.1),
        }
        assert search(table, 3, beams=2) == [A, E, END]

    @pytest.mark.parametrize("beams", [1, 2, 3, 5])
    @pytest.mark.parametrize("most", [1, 2, 4])
    def test_it_writes_no_more_than_it_may(self, most: int, beams: int) -> None:
        """The output is as long as it may be if the end never comes."""
        table = {START: {A: 0.5, B: 0.4}, A: {A: 0.5, B: 0.4}, B: {A: 0.5, B: 0.4}}
        assert search(table, most, beams) == [A] * most

    def test_ties_are_broken_the_same_way_every_time_and_greedy_output_comes_first(self) -> None:
        """Ten tokens are exactly as likely; all outputs have one score, and the one of greedy search is taken."""
        others = range(2, 12)
        table = {START: dict.fromkeys(others, 0.1), **{token: {END: 0.5} for token in others}}
        found = [search(table, 4, beams) for beams in (1, 2, 3, 5, 8) for _ in range(3)]
        assert found == [[A, END]] * 15

    def test_a_length_penalty_prefers_longer_outputs(self) -> None:
        """By the score that is asked for: none at α = 0, by the given function where there is one."""
        table = {START: {END: 0.45, A: 0.5}, A: {B: 0.9}, B: {END: 0.9}}
        outputs = {}
        for alpha, penalty in ((0.0, length_penalty), (1.0, length_penalty), (1.0, lambda length, alpha: 1.0)):
            outputs[alpha, penalty is length_penalty] = beam_search(Language(table), PROMPT, END, 4, 2, alpha, penalty)[
                0
            ].tokens
        assert outputs == {(0.0, True): [END], (1.0, True): [A, B, END], (1.0, False): [END]}

    def test_rows_end_by_themselves(self) -> None:
        """A row that is done leaves the batch; the others go on, each with its own tokens."""
        table = {
            2: {END: 0.5, 3: 0.45},
            3: {END: 0.9},
            4: {5: 0.6, 6: 0.35},
            5: {7: 0.6, 8: 0.3},
            6: {7: 0.9},
            7: {8: 0.9},
            8: {END: 0.9},
        }
        starts = torch.tensor([[4], [2], [4]])
        together = beam_search(Language(table), starts, END, 6, beams=2, alpha=0.6)
        alone = [beam_search(Language(table), starts[[row]], END, 6, beams=2, alpha=0.6)[0] for row in range(3)]
        assert [output.tokens for output in together] == [output.tokens for output in alone]
        assert together[0].tokens == [5, 7, 8, END]
        assert together[1].tokens == [END]


SIZES = {
    "vocab_size": 23,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 40,
}
SOURCE = torch.tensor([[5, 6, 7, 8, 9], [5, 9, 4, 0, 0]])
KEEP = SOURCE != 0


def randomized(model: nn.Module, seed: int) -> nn.Module:
    """Random parameters everywhere, in float64, in evaluation mode."""
    for place, parameter in enumerate(model.parameters()):
        parameter.data = 0.4 * normal(1000 * seed + place, *parameter.shape)
    return model.double().eval()


def gpt2(seed: int = 0) -> GPT2LMHeadModel:
    return randomized(GPT2LMHeadModel(GPT2Config(**SIZES, num_hidden_layers=2)), seed)


def transformer(seed: int = 0, **kind: object) -> Transformer:
    return randomized(Transformer(TransformerConfig(**{**SIZES, **kind}, encoder_layers=1, decoder_layers=2)), seed)


def without_end(model: Transformer) -> Transformer:
    """The same model, for which the end of the sentence is the least likely token, since all outputs point away from it."""
    weights = dict(model.named_parameters())
    with torch.no_grad():
        weights["decoder.layers.1.feed_forward_norm.bias"].fill_(5.0)
        weights["words.weight"][model.config.eos_token_id] = -5.0
    return model


def beams_without_a_cache(
    next_log_probabilities: Callable[[list[int]], Tensor], end: int, most: int, beams: int, alpha: float
) -> list[int]:
    """Beam search for one sentence, in lists: the whole output goes through the model at every step."""
    greedy, total = [], 0.0
    while len(greedy) < most and end not in greedy:
        best = next_log_probabilities(greedy).max(dim=-1)
        greedy.append(best.indices.item())
        total += best.values.item()
    ended, going = [(greedy, total)], [([], 0.0)]
    for _ in range(most):
        longer = [
            ([*tokens, token], total + gain)
            for tokens, total in going
            for token, gain in enumerate(next_log_probabilities(tokens).tolist())
        ]
        longer.sort(key=lambda some: -some[1])
        ended += [some for some in longer[:beams] if some[0][-1] == end]
        going = [some for some in longer if some[0][-1] != end][:beams]
        if len(ended) > beams:
            going = []
            break
    return max(ended + going, key=lambda some: some[1] / length_penalty(len(some[0]), alpha))[0]


class TestModelsWithAndWithoutACache:
    @pytest.mark.parametrize("beams", [1, 3])
    @pytest.mark.parametrize("kind", [{"positions": kind} for kind in POSITIONS] + [{"pre_norm": True}], ids=str)
    def test_a_transformer_generates_the_same(self, kind: dict[str, object], beams: int) -> None:
        """Equals beam search in lists, without a cache, one sentence at a time."""
        model = transformer(**kind)
        start, end = model.config.decoder_start_token_id, model.config.eos_token_id
        for row, output in enumerate(model.generate(SOURCE, KEEP, beams, alpha=0.6, max_new_tokens=4)):
            memory = model.encode(SOURCE[row : row + 1, KEEP[row]])

            def following(tokens: list[int], memory: Tensor = memory) -> Tensor:
                return model.decode(torch.tensor([[start, *tokens]]), memory)[0, -1].detach().log_softmax(-1)

            assert output.tokens == beams_without_a_cache(following, end, 4, beams, 0.6)

    @pytest.mark.parametrize(
        "drawn",
        [{}, {"temperature": 1.5, "seed": 3}, {"temperature": 0.7, "top_k": 4, "top_p": 0.8, "seed": 0}],
        ids=["greedy", "drawn", "drawn from some"],
    )
    def test_gpt2_generates_the_same(self, drawn: dict[str, float]) -> None:
        """Greedy or drawn, padding in front included: as if the whole text went through the model for every token."""
        model = gpt2()
        ids = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 4]])
        keep = torch.tensor([[False, False, True, True], [True] * 4])
        pick = sampler(**{"temperature": 0.0, **drawn})
        whole, mask = ids, keep
        for _ in range(8):
            token = pick(model(whole, mask).logits[:, -1].detach())[:, None]
            whole, mask = torch.cat([whole, token], dim=1), torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        outputs = model.generate(ids, keep, max_new_tokens=8, **drawn)
        assert [output.tokens for output in outputs] == whole[:, 4:].tolist()
        scores = model(whole, mask).logits.detach().log_softmax(-1)[:, 3:-1]
        totals = scores.gather(-1, whole[:, 4:, None]).sum(dim=(1, 2))
        assert [output.log_probability for output in outputs] == pytest.approx(totals.tolist())

    def test_rows_that_end_change_nothing_for_the_others(self) -> None:
        """With any token for the end, greedy outputs are those without an end, cut behind its first occurrence."""
        ids = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 4], [0, 11, 12, 13]])
        uneven = 0
        for seed in range(3):
            model = gpt2(seed)
            whole = [output.tokens for output in model.generate(ids, ids != 0, max_new_tokens=6)]
            for end in {token for tokens in whole for token in tokens}:
                expected = [tokens[: tokens.index(end) + 1] if end in tokens else tokens for tokens in whole]
                uneven += len({len(tokens) for tokens in expected}) > 1
                found = model.generate(ids, ids != 0, max_new_tokens=6, eos_token_id=end)
                assert [output.tokens for output in found] == expected
        assert uneven > 3

    def test_gpt2_uses_every_argument_of_the_sampler(self) -> None:
        """The seed, the temperature, top-k and top-p each change what is drawn; the global seed does not."""
        model, ids = gpt2(), torch.tensor([[5, 6, 7, 8]])

        def tokens(**drawn: float) -> list[int]:
            return model.generate(ids, max_new_tokens=12, **{"temperature": 2.0, "seed": 1, **drawn})[0].tokens

        greedy = model.generate(ids, max_new_tokens=12)[0].tokens
        torch.manual_seed(0)
        first = tokens()
        torch.manual_seed(1)
        assert tokens() == first
        assert tokens(seed=2) != first
        assert tokens(temperature=0.2) != first
        assert tokens(top_k=2) != first
        assert tokens(top_p=0.2) != first
        assert tokens(top_k=1) == tokens(top_p=1e-6) == tokens(temperature=0.0) == greedy != first

    def test_a_transformer_compares_outputs_by_the_given_penalty(self) -> None:
        """The penalty is called with the given α, and with the length of each output."""
        lengths, alphas = set(), set()

        def penalty(length: int, alpha: float) -> float:
            lengths.add(length)
            alphas.add(alpha)
            return 1.0

        without_end(transformer()).generate(SOURCE, KEEP, beams=2, alpha=0.3, max_new_tokens=3, penalty=penalty)
        assert alphas == {0.3}
        assert lengths == {3}

    @pytest.mark.parametrize("beams", [1, 3])
    def test_a_transformer_writes_no_more_than_it_may(self, beams: int) -> None:
        """As many tokens as asked for; by default with learned positions, as many as there are positions."""
        model = without_end(transformer(positions="learned", max_position_embeddings=8))
        assert [len(output.tokens) for output in model.generate(SOURCE, KEEP, beams, max_new_tokens=3)] == [3, 3]
        assert [len(output.tokens) for output in model.generate(SOURCE, KEEP, beams)] == [8, 8]

    def test_a_transformer_writes_up_to_fifty_tokens_more_than_the_source_has(self) -> None:
        """By default, with positions that have no end. Padding is not counted."""
        for beams in (1, 2):
            outputs = without_end(transformer()).generate(SOURCE, KEEP, beams)
            assert [len(output.tokens) for output in outputs] == [55, 53]
