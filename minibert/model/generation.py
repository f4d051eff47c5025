"""Writing: token after token, the likeliest, one drawn by lot, or several outputs side by side."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minibert.equations import length_penalty, softmax, top_k_filter, top_p_filter
from minibert.model.cache import KeyValueCache

Step = Callable[[Int[Tensor, "rows new"], KeyValueCache, Int[Tensor, " rows"]], Float[Tensor, "rows vocabulary"]]
"""From new tokens, what is kept of those before them, and which sequence of the batch each row belongs to: the logits of what
comes next."""
TokenChoice = Callable[[Float[Tensor, "rows vocabulary"]], Int[Tensor, " rows"]]
"""From logits to the next token."""


@dataclass(frozen=True)
class GeneratedSequence:
    """One output."""

    tokens: list[int]
    """What was written; the last one is the end, unless there was no room for it."""
    log_probability: float
    """Of all of them together, in nats."""

    def score(self, alpha: float, penalty: Callable[[int, float], float] = length_penalty) -> float:
        """By what outputs of different lengths are compared (Wu et al. 2016, equation 14)."""
        return self.log_probability / penalty(max(1, len(self.tokens)), alpha)


def most_likely(logits: Float[Tensor, "rows vocabulary"]) -> Int[Tensor, " rows"]:
    """The next token of greedy search."""
    return logits.argmax(dim=-1)


def sampler(
    temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None, seed: int | None = None
) -> TokenChoice:
    """Draws the next token by lot.

    Args:
        temperature: the logits are divided by it: below 1 likely tokens become likelier, and 0 is greedy search.
        top_k: draw from so many of the most likely ones (`equations.top_k_filter`).
        top_p: draw from the most likely ones that have this probability together (`equations.top_p_filter`).
        seed: the same gives the same; None is another every time.

    Raises: ValueError for a temperature below 0, and for `top_k` or `top_p` where nothing is drawn.
    """
    if not temperature >= 0:
        raise ValueError(f"temperature is {temperature:g}: it must be at least 0")
    if temperature == 0 and (top_k is not None or top_p is not None):
        raise ValueError("temperature is 0, which takes the likeliest token: for top_k or top_p it must be above, such as 1")
    generators: dict[torch.device, torch.Generator] = {}

    def pick(logits: Tensor) -> Tensor:
        if temperature == 0:
            return most_likely(logits)
        if logits.device not in generators:
            made = generators[logits.device] = torch.Generator(logits.device)
            made.seed() if seed is None else made.manual_seed(seed)
        logits = (logits - logits.amax(dim=-1, keepdim=True)) / temperature
        logits = logits if top_k is None else top_k_filter(logits, top_k)
        logits = logits if top_p is None else top_p_filter(logits, top_p)
        return torch.multinomial(softmax(logits), 1, generator=generators[logits.device]).squeeze(-1)

    return pick


@torch.no_grad()
def greedy_search(
    step: Step, prompt: Int[Tensor, "batch prompt"], end: int | None, most: int, pick: TokenChoice = most_likely
) -> list[GeneratedSequence]:
    """Takes the most likely token, or the one that `pick` says, until it is the end, or `most` are written.

    Tests: tests/model/test_generation.py::TestGreedySearch
    """
    rows, tokens, cache = torch.arange(len(prompt), device=prompt.device), prompt, KeyValueCache()
    written: list[list[int]] = [[] for _ in prompt]
    totals = [0.0] * len(prompt)
    for _ in range(most):
        logits = step(tokens, cache, rows)
        chosen = pick(logits)
        gained = logits.log_softmax(dim=-1).gather(-1, chosen[:, None]).squeeze(-1)
        for row, token, gain in zip(rows.tolist(), chosen.tolist(), gained.tolist(), strict=True):
            written[row].append(token)
            totals[row] += gain
        going = (chosen != end).nonzero().squeeze(-1) if end is not None else torch.arange(len(rows), device=rows.device)
        if not len(going):
            break
        if len(going) < len(rows):
            cache.choose(going)
        rows, tokens = rows[going], chosen[going, None]
    return [GeneratedSequence(some, total) for some, total in zip(written, totals, strict=True)]


@torch.no_grad()
def beam_search(
    step: Step,
    prompt: Int[Tensor, "batch prompt"],
    end: int,
    most: int,
    beams: int = 4,
    alpha: float = 0.6,
    penalty: Callable[[int, float], float] = length_penalty,
) -> list[GeneratedSequence]:
    """Follows the `beams` likeliest beginnings side by side, until as many outputs have ended; the best of these.

    Source: Graves 2012; Vaswani et al. 2017, section 6.1 (beam 4, α = 0.6). When it ends: transformers' `early_stopping=True`.
    Differs: the output of greedy search is always one of those that are compared, so that nothing worse comes out.
    Tests: tests/model/test_generation.py::TestBeamSearch

    Args:
        penalty: of length and α, what a log-probability is divided by.
    """
    ended: list[list[GeneratedSequence]] = [[some] for some in greedy_search(step, prompt, end, most)]
    active = torch.arange(len(prompt), device=prompt.device)
    tokens, cache = prompt.repeat_interleave(beams, dim=0), KeyValueCache()
    written = tokens[:, :0]
    scores = torch.full((len(prompt), beams), -torch.inf, device=prompt.device)
    scores[:, 0] = 0.0  # at first all beams are the same one
    for _ in range(most):
        log_probabilities = step(tokens, cache, active.repeat_interleave(beams)).log_softmax(dim=-1)
        vocabulary = log_probabilities.shape[-1]
        totals = (scores.to(log_probabilities).flatten()[:, None] + log_probabilities).view(len(active), -1)
        best, places = totals.topk(min(2 * beams, totals.shape[1]))  # as many could end, and as many more go on
        beam, token = places // vocabulary, places % vocabulary
        rows = torch.arange(len(active), device=active.device)[:, None] * beams + beam
        ends = token == end
        # An end counts where it is among the best; the places of such beams are taken by the next best.
        for sentence, place in ends[:, :beams].nonzero().tolist():
            output = [*written[rows[sentence, place]].tolist(), end]
            ended[active[sentence]].append(GeneratedSequence(output, best[sentence, place].item()))
        going_on = ends.int().argsort(dim=1, stable=True)[:, :beams]
        scores = best.masked_fill(ends, -torch.inf).gather(1, going_on)
        rows, token = rows.gather(1, going_on), token.gather(1, going_on)
        written = torch.cat([written[rows], token[..., None]], dim=2)
        # As many as there are beams have ended, the one of greedy search not counted: then a sentence is done.
        open_ended = torch.tensor([len(ended[sentence]) <= beams for sentence in active.tolist()], device=active.device)
        active, scores, written = active[open_ended], scores[open_ended], written[open_ended].flatten(0, 1)
        if not len(active):
            break
        cache.choose(rows[open_ended].flatten())
        tokens = written[:, -1:]
    for sentence, row in zip(active.repeat_interleave(beams).tolist(), range(len(written)), strict=True):
        if (total := scores.flatten()[row].item()) > -torch.inf:
            ended[sentence].append(GeneratedSequence(written[row].tolist(), total))
    return [max(some, key=lambda output: output.score(alpha, penalty)) for some in ended]
