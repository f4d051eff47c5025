"""Text generation: greedy search, sampling and beam search."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minibert.equations import length_penalty, softmax, top_k_filter, top_p_filter
from minibert.model.cache import KeyValueCache

NextTokenLogits = Callable[[Int[Tensor, "rows new"], KeyValueCache, Int[Tensor, " rows"]], Float[Tensor, "rows vocabulary"]]
"""A decoding step: from new tokens, the cache of earlier ones and the index of each row's sequence in the batch, to the
logits of the next token."""
TokenChoice = Callable[[Float[Tensor, "rows vocabulary"]], Int[Tensor, " rows"]]
"""The choice of the next token from its logits."""
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

    Raises: ValueError for a temperature that is negative or not finite, and for `top_k` or `top_p` with temperature 0.
    """
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
        logits = (logits - logits.amax(dim=-1, keepdim=True)) / max(temperature, smallest)
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
    rows, tokens, cache = torch.arange(len(prompt), device=prompt.device), prompt, KeyValueCache()
    limits = _limits(max_new_tokens, prompt)
    generated: list[list[int]] = [[] for _ in prompt]
    log_probabilities = [0.0] * len(prompt)
    for length in range(1, int(limits.max()) + 1):
        logits = next_logits(tokens, cache, rows)
        if logits.isnan().any():
            raise ValueError(
                "the model computes NaN instead of logits: its weights are not finite, or too large for their type"
            )
        chosen = choose(logits)
        chosen_log_probabilities = logits.log_softmax(dim=-1).gather(-1, chosen[:, None]).squeeze(-1)
        for row, token, value in zip(rows.tolist(), chosen.tolist(), chosen_log_probabilities.tolist(), strict=True):
            generated[row].append(token)
            log_probabilities[row] += value
        is_unfinished = limits[rows] > length
        if eos_token_id is not None:
            is_unfinished &= chosen != eos_token_id
        unfinished = is_unfinished.nonzero().squeeze(-1)
        if not len(unfinished):
            break
        if len(unfinished) < len(rows):
            cache.select(unfinished)
        rows, tokens = rows[unfinished], chosen[unfinished, None]
    return [GeneratedSequence(*sequence) for sequence in zip(generated, log_probabilities, strict=True)]


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
    limits = _limits(max_new_tokens, prompt)
    finished: list[list[GeneratedSequence]] = [
        [sequence] for sequence in greedy_search(next_logits, prompt, eos_token_id, max_new_tokens)
    ]
    active = torch.arange(len(prompt), device=prompt.device)
    tokens, cache = prompt.repeat_interleave(beams, dim=0), KeyValueCache()
    generated = tokens[:, :0]
    scores = torch.full((len(prompt), beams), -torch.inf, device=prompt.device)
    scores[:, 0] = 0.0  # all beams are equal at first, so only one may be extended
    for length in range(1, int(limits.max()) + 1):
        log_probabilities = next_logits(tokens, cache, active.repeat_interleave(beams)).log_softmax(dim=-1)
        vocabulary = log_probabilities.shape[-1]
        totals = (scores.to(log_probabilities).flatten()[:, None] + log_probabilities).view(len(active), -1)
        best, candidates = totals.topk(min(2 * beams, totals.shape[1]))  # enough to continue even if `beams` of them end
        beam, token = candidates // vocabulary, candidates % vocabulary
        rows = torch.arange(len(active), device=active.device)[:, None] * beams + beam
        ends = token == eos_token_id
        # A finished hypothesis counts only among the best `beams`. The next best take the place of finished ones.
        for sentence, candidate in (ends & (best > -torch.inf))[:, :beams].nonzero().tolist():
            output = [*generated[rows[sentence, candidate]].tolist(), eos_token_id]
            finished[active[sentence]].append(GeneratedSequence(output, best[sentence, candidate].item()))
        continued = ends.int().argsort(dim=1, stable=True)[:, :beams]
        scores = best.masked_fill(ends, -torch.inf).gather(1, continued)
        rows, token = rows.gather(1, continued), token.gather(1, continued)
        generated = torch.cat([generated[rows], token[..., None]], dim=2)
        # A sentence is done when `beams` hypotheses are finished; the one of greedy search comes in addition.
        unfinished = torch.tensor([len(finished[sentence]) <= beams for sentence in active.tolist()], device=active.device)
        possible = scores > -torch.inf
        at_limit = limits[active] == length
        for sentence, candidate in ((unfinished & at_limit)[:, None] & possible).nonzero().tolist():
            output = generated[sentence, candidate].tolist()
            finished[active[sentence]].append(GeneratedSequence(output, scores[sentence, candidate].item()))
        unfinished &= possible.any(dim=1) & ~at_limit
        active, scores, generated = active[unfinished], scores[unfinished], generated[unfinished].flatten(0, 1)
        if not len(active):
            break
        cache.select(rows[unfinished].flatten())
        tokens = generated[:, -1:]
    return [max(sequences, key=lambda sequence: sequence.score(alpha, penalty)) for sequences in finished]


def check_beam_search(beams: int, alpha: float) -> None:
    """Raise ValueError for a number of hypotheses or an exponent outside its range, TypeError for one that is no number."""
    check_whole_number("beams", beams)
    if not 1 <= beams <= MAX_BEAMS:
        raise ValueError(f"beams is {beams}, but must be from 1 to {MAX_BEAMS}")
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


def _limits(max_new_tokens: int | Tensor, prompt: Tensor) -> Int[Tensor, " batch"]:
    """Return the maximum number of new tokens of each prompt."""
    limits = torch.as_tensor(max_new_tokens, device=prompt.device).expand(len(prompt))
    if (limits < 1).any():
        raise ValueError(f"max_new_tokens is {int(limits.min())}, but must be at least 1")
    return limits
