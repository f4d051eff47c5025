"""Text generation: greedy search, sampling and beam search."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minibert.checks import check_number
from minibert.equations import length_penalty, softmax, top_k_filter, top_p_filter
from minibert.model.cache import KeyValueCache

NextTokenLogits = Callable[[Int[Tensor, "rows new"], KeyValueCache, Int[Tensor, " rows"]], Float[Tensor, "rows vocabulary"]]
"""A decoding step: from new tokens, the cache of earlier ones and the index of each row's sequence in the batch, to the
logits of the next token."""
TokenChoice = Callable[[Float[Tensor, "rows vocabulary"]], Int[Tensor, " rows"]]
"""The choice of the next token from its logits."""
NAN_LOGITS = "the model computes NaN instead of logits: its weights are not finite, or too large for their type"
NO_TOKEN = -1
"""An end token that is never generated."""
MAX_BEAMS = 1000
"""Maximum number of hypotheses of beam search."""
MAX_ALPHA = 10
"""Maximum exponent of the length penalty. Larger ones exceed the range of floating-point numbers for long outputs."""


@dataclass(frozen=True)
class GeneratedSequence:
    """One generated sequence."""

    tokens: list[int]
    """The new tokens; the last one is the end token, unless the maximum length was reached before."""
    log_probability: float
    """Log-probability of all tokens together, in nats."""

    def score(self, alpha: float, penalty: Callable[[int, float], float] = length_penalty) -> float:
        """Return the log-probability divided by the length penalty (Wu et al. 2016, equation 14)."""
        return self.log_probability / penalty(max(1, len(self.tokens)), alpha)


def most_likely(logits: Float[Tensor, "rows vocabulary"]) -> Int[Tensor, " rows"]:
    """Choose the most likely token: greedy search."""
    return logits.argmax(dim=-1)


def sampler(
    temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None, seed: int | None = None
) -> TokenChoice:
    """Return a function that samples the next token. The temperature is applied first, then `top_k`, then `top_p`.

    Args:
        temperature: divisor of the logits; below 1 makes likely tokens more likely, 0 is greedy search.
        top_k: sample from the k most likely tokens (`equations.top_k_filter`).
        top_p: sample from the most likely tokens that together have probability p (`equations.top_p_filter`).
        seed: equal seeds give equal samples; None gives different ones each time.

    Raises: ValueError for a temperature that is negative or not finite, and for `top_k` or `top_p` with temperature 0;
        TypeError for something else than a number.
    """
    for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)):
        if value is not None:
            check_number(name, value)
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature:g}, but must be a finite number, at least 0")
    if temperature == 0 and (top_k is not None or top_p is not None):
        raise ValueError("temperature 0 is greedy search: for top_k or top_p choose a temperature above 0, such as 1")
    generators: dict[torch.device, torch.Generator] = {}

    def choose(logits: Tensor) -> Tensor:
        if temperature == 0:
            return most_likely(logits)
        if logits.device not in generators:
            generator = generators[logits.device] = torch.Generator(logits.device)
            generator.seed() if seed is None else generator.manual_seed(seed)
        smallest = torch.finfo(logits.dtype).tiny  # in the type of the logits, a smaller temperature may be 0
        below_largest = logits - logits.amax(dim=-1, keepdim=True)
        # Without a softmax there are differences that are NaN. Such a token is chosen, so that its probability shows the error.
        below_largest = below_largest.nan_to_num(nan=0.0, neginf=-math.inf)
        logits = below_largest / max(temperature, smallest)
        logits = logits if top_k is None else top_k_filter(logits, top_k)
        logits = logits if top_p is None else top_p_filter(logits, top_p)
        return torch.multinomial(softmax(logits), 1, generator=generators[logits.device]).squeeze(-1)

    return choose


@torch.no_grad()
def greedy_search(
    next_logits: NextTokenLogits,
    prompt: Int[Tensor, "batch prompt"],
    eos_token_id: int | None,
    max_new_tokens: int | Int[Tensor, " batch"],
    choose: TokenChoice = most_likely,
) -> list[GeneratedSequence]:
    """Append the most likely token, or the one chosen by `choose`, until the end token or `max_new_tokens`.

    Args:
        max_new_tokens: one maximum for all prompts, or one for each.

    Raises: ValueError if `max_new_tokens` is less than 1, and for logits that are NaN.
    Tests: tests/model/test_generation.py::TestGreedySearch
    """
    active, rows = [*range(len(prompt))], torch.arange(len(prompt), device=prompt.device)
    tokens, cache, limits = prompt, KeyValueCache(), _limits(max_new_tokens, prompt)
    generated: list[list[int]] = [[] for _ in prompt]
    log_probabilities = [0.0] * len(prompt)
    for length in range(1, max(limits) + 1):
        chosen, values = choose_tokens(next_logits(tokens, cache, rows), choose)
        # The host waits for the numbers of each step, because only they show which texts have ended.
        step = [*zip(active, chosen.tolist(), values.tolist(), strict=True)]
        if any(math.isnan(value) for _, _, value in step):
            raise ValueError(NAN_LOGITS)
        for row, token, value in step:
            generated[row].append(token)
            log_probabilities[row] += value
        unfinished = [at for at, (row, token, _) in enumerate(step) if length < limits[row] and token != eos_token_id]
        if not unfinished:
            break
        if len(unfinished) < len(active):
            active, kept = [active[at] for at in unfinished], torch.tensor(unfinished, device=prompt.device)
            cache.select(kept)
            rows, chosen = rows[kept], chosen[kept]
        tokens = chosen[:, None]
    return [GeneratedSequence(*sequence) for sequence in zip(generated, log_probabilities, strict=True)]


def choose_tokens(
    logits: Float[Tensor, "rows vocabulary"], choose: TokenChoice = most_likely
) -> tuple[Int[Tensor, " rows"], Float[Tensor, " rows"]]:
    """Choose the next token of each row. Return the tokens and their log-probabilities.

    The log-probability is NaN, and the token any, if the logits of the row have no softmax because some are NaN.

    Tests: tests/model/test_generation.py::TestGreedySearch
    """
    chosen = choose(logits)
    return chosen, logits.log_softmax(dim=-1).gather(-1, chosen[:, None]).squeeze(-1)


@torch.no_grad()
def beam_search(
    next_logits: NextTokenLogits,
    prompt: Int[Tensor, "batch prompt"],
    eos_token_id: int,
    max_new_tokens: int | Int[Tensor, " batch"],
    beams: int = 4,
    alpha: float = 0.6,
    penalty: Callable[[int, float], float] = length_penalty,
) -> list[GeneratedSequence]:
    """Extend the `beams` most likely hypotheses in parallel until as many are finished; return the best one of each prompt.

    Args:
        max_new_tokens: one maximum for all prompts, or one for each.
        penalty: function of length and α that divides the log-probability.

    Source: Graves 2012; Vaswani et al. 2017, section 6.1 (beam 4, α = 0.6). The search ends as in transformers with
        `early_stopping=True`.
    Differs: the sequence of greedy search is always one of the candidates, so the result is never worse than it. A hypothesis
        of probability 0 is never one.
    Raises: as `greedy_search`.
    Tests: tests/model/test_generation.py::TestBeamSearch
    """
    greedy = greedy_search(next_logits, prompt, eos_token_id, max_new_tokens)
    found = beam_hypotheses(next_logits, prompt, eos_token_id, max_new_tokens, beams)
    return [
        max([first, *others], key=lambda sequence: sequence.score(alpha, penalty))
        for first, others in zip(greedy, found, strict=True)
    ]


@torch.no_grad()
def beam_hypotheses(
    next_logits: NextTokenLogits,
    prompt: Int[Tensor, "batch prompt"],
    eos_token_id: int | None,
    max_new_tokens: int | Int[Tensor, " batch"],
    beams: int,
) -> list[list[GeneratedSequence]]:
    """Return the hypotheses of beam search for each prompt. The arguments are those of `beam_search`.

    Raises: as `greedy_search`.
    Tests: tests/model/test_generation.py::TestBeamSearch
    """
    limits, end = _limits(max_new_tokens, prompt), NO_TOKEN if eos_token_id is None else eos_token_id
    finished: list[list[GeneratedSequence]] = [[] for _ in prompt]
    active, rows = [*range(len(prompt))], torch.arange(len(prompt), device=prompt.device)
    tokens, cache = prompt.repeat_interleave(beams, dim=0), KeyValueCache()
    texts: list[list[int]] = [[] for _ in tokens]
    scores = torch.full((len(prompt), beams), -torch.inf, device=prompt.device)
    scores[:, 0] = 0.0  # all beams are equal at first, so only one may be extended
    for length in range(1, max(limits) + 1):
        extended = extend_hypotheses(scores, next_logits(tokens, cache, rows.repeat_interleave(beams)))
        continued = without_ended(extended, end, beams)
        kept: list[int] = []
        kept_texts: list[list[int]] = []
        # As in `greedy_search`, the host waits for the numbers of each step.
        for place, (sentence, best, others) in enumerate(zip(active, extended.read(), continued.read(), strict=True)):
            if math.isnan(best[0].score):
                raise ValueError(NAN_LOGITS)
            # A finished hypothesis counts only among the best `beams`. The next best take the place of finished ones.
            finished[sentence] += _sequences([each for each in best[:beams] if each.token == end], texts)
            possible = _sequences(others, texts)
            if len(finished[sentence]) >= beams:
                continue
            if length == limits[sentence]:
                finished[sentence] += possible
            elif possible:
                kept.append(place)
                kept_texts += [[*texts[each.row], each.token] for each in others]
        if not kept:
            break
        active, texts = [active[place] for place in kept], kept_texts
        places = torch.tensor(kept, device=prompt.device)
        rows, scores = rows[places], continued.scores[places]
        cache.select(continued.rows[places].flatten())
        tokens = continued.tokens[places].view(-1, 1)
    return finished


class Hypothesis(NamedTuple):
    """A row of the batch, extended by one token."""

    score: float
    """Log-probability of all its tokens; minus infinity for one that is impossible."""
    row: int
    token: int


class Hypotheses(NamedTuple):
    """Hypotheses of each sentence, as tensors."""

    scores: Float[Tensor, "batch hypotheses"]
    rows: Int[Tensor, "batch hypotheses"]
    tokens: Int[Tensor, "batch hypotheses"]

    def read(self) -> list[list[Hypothesis]]:
        """Copy the numbers to the host."""
        return [[*map(Hypothesis, *columns)] for columns in zip(*(column.tolist() for column in self), strict=True)]


def extend_hypotheses(scores: Float[Tensor, "batch beams"], logits: Float[Tensor, "rows vocabulary"]) -> Hypotheses:
    """Return the most likely extensions of each sentence's hypotheses, from the best to the worst.

    There are two for each beam: enough to continue even if all of the best `beams` end.

    Args:
        scores: log-probabilities of the hypotheses.
        logits: logits of their next tokens, with one row for each hypothesis.

    Tests: tests/model/test_generation.py::TestBeamSearch
    """
    (batch, beams), vocabulary = scores.shape, logits.shape[-1]
    log_probabilities = logits.log_softmax(dim=-1)
    totals = (scores.to(log_probabilities).flatten()[:, None] + log_probabilities).view(batch, -1)
    best, extensions = totals.topk(min(2 * beams, totals.shape[1]))
    rows = torch.arange(batch, device=scores.device)[:, None] * beams + extensions // vocabulary
    return Hypotheses(best, rows, extensions % vocabulary)


def without_ended(extended: Hypotheses, eos_token_id: int, beams: int) -> Hypotheses:
    """Return the best `beams` hypotheses of each sentence that do not end. If there are fewer, others are impossible.

    Tests: tests/model/test_generation.py::TestBeamSearch
    """
    ends = extended.tokens == eos_token_id
    continued = ends.int().argsort(dim=1, stable=True)[:, :beams]
    possible = extended._replace(scores=extended.scores.masked_fill(ends, -torch.inf))
    return Hypotheses(*(column.gather(1, continued) for column in possible))


def _sequences(hypotheses: Sequence[Hypothesis], texts: Sequence[list[int]]) -> list[GeneratedSequence]:
    """Return the possible ones of some hypotheses. `texts` has the tokens of each row."""
    return [GeneratedSequence([*texts[row], token], score) for score, row, token in hypotheses if score > -math.inf]


def check_beam_search(beams: int, alpha: float) -> None:
    """Raise ValueError for a number of hypotheses or an exponent outside its range, TypeError for one that is no number."""
    check_whole_number("beams", beams)
    if not 1 <= beams <= MAX_BEAMS:
        raise ValueError(f"beams is {beams}, but must be from 1 to {MAX_BEAMS}")
    check_number("alpha", alpha)
    if not abs(alpha) <= MAX_ALPHA:
        raise ValueError(f"alpha is {alpha:g}, but must be from {-MAX_ALPHA} to {MAX_ALPHA}")


def check_max_new_tokens(max_new_tokens: int, free_positions: int) -> None:
    """Raise ValueError if a model has learned positions for fewer new tokens, TypeError if it is not a whole number."""
    check_whole_number("max_new_tokens", max_new_tokens)
    if max_new_tokens > free_positions:
        raise ValueError(
            f"max_new_tokens is {max_new_tokens}, but this model has positions for {free_positions} new tokens only: "
            "lower max_new_tokens, or shorten the text"
        )


def check_whole_number(name: str, value: object) -> None:
    """Raise TypeError for an argument that is not a whole number."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, but must be a whole number")


def _limits(max_new_tokens: int | Tensor, prompt: Tensor) -> list[int]:
    """Return the maximum number of new tokens of each prompt."""
    limits: list[int] = [max_new_tokens] * len(prompt) if isinstance(max_new_tokens, int) else max_new_tokens.tolist()
    if min(limits) < 1:
        raise ValueError(f"max_new_tokens is {min(limits)}, but must be at least 1")
    return limits
