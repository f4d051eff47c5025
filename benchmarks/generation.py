"""Speed of GPT-2's greedy generation, next to `generate` of transformers with the same weights.

python -m benchmarks.generation [--sizes tiny mini small] [--new-tokens 128] [--rounds 7] [--threads 2] [--out FILE]

Only a run of all sizes with these options replaces generation.json. The result of another one is printed, and written to --out.

One text of 16 random tokens is continued, in float32, with the keys and values of earlier tokens stored on both sides. Before
anything is timed, both have to generate the same tokens, and both models have to compute the same scores in float64. "A/A"
compares minibert with itself: what differs from 1 there is noise.

A step reads every weight once, so that the speed of the memory is a limit: its share is the time in which the weights are
summed, over the time of a step. The weights are random, but the size "small" is that of the published GPT-2.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch
import transformers
from torch import Tensor, nn

from benchmarks.output import result_path, write_result
from minibert import PRESETS, GPT2Config, GPT2LMHeadModel
from minibert.timing import ratio, time_in_turn

PROMPT = 16
SIZES = {
    **{
        name: GPT2Config(
            hidden_size=PRESETS[name].hidden_size,
            num_attention_heads=PRESETS[name].num_attention_heads,
            num_hidden_layers=PRESETS[name].num_hidden_layers,
            intermediate_size=PRESETS[name].intermediate_size,
        )
        for name in ("tiny", "mini")
    },
    "small": GPT2Config(),
}
"""Sizes of the small BERTs, and that of GPT-2 with 124 million parameters. All have GPT-2's 50,257 pieces."""


def both_models(config: GPT2Config) -> tuple[GPT2LMHeadModel, nn.Module]:
    """Return the same network twice, in evaluation mode: minibert's and transformers'."""
    torch.manual_seed(0)
    ours = GPT2LMHeadModel(config).eval()
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config.hub_fields())).eval()
    theirs.load_state_dict(GPT2LMHeadModel.export_weights(ours.state_dict(), config), strict=False)
    return ours, theirs


def our_tokens(model: GPT2LMHeadModel, prompt: Tensor, new_tokens: int) -> list[list[int]]:
    """Generate with minibert."""
    return [output.tokens for output in model.generate(prompt, max_new_tokens=new_tokens)]


def their_tokens(model: nn.Module, prompt: Tensor, new_tokens: int) -> list[list[int]]:
    """Generate with transformers: greedy search with stored keys and values. No token ends the text."""
    settings = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new_tokens, **settings)
    tokens: list[list[int]] = out[:, prompt.shape[1] :].tolist()
    return tokens


@torch.no_grad()
def check_equality(config: GPT2Config, prompt: Tensor, new_tokens: int) -> float:
    """Compare the tokens, and the scores in float64 of a network with two layers. Return the largest difference of scores.

    Raises: AssertionError if they differ.
    """
    ours, theirs = both_models(config)
    found = our_tokens(ours, prompt, new_tokens)
    assert found == their_tokens(theirs, prompt, new_tokens), "the tokens differ"
    ours, theirs = (model.double() for model in both_models(replace(config, num_hidden_layers=2)))
    text = torch.cat([prompt, torch.tensor(found)], dim=1)
    difference = float((ours(text).logits - theirs(text).logits).abs().max())
    assert difference < 1e-9, difference
    return difference


def seconds_of_memory(model: nn.Module) -> float:
    """Return the shortest time in which the weights that a step multiplies are read."""
    matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "positions" not in name]
    return min(time_in_turn({"sum": lambda: [weight.sum() for weight in matrices]}, rounds=9)["sum"])


def measure(config: GPT2Config, new_tokens: int, rounds: int) -> dict[str, object]:
    """Time minibert, the same again, and transformers."""
    prompt = torch.randint(0, config.vocab_size, (1, PROMPT), generator=torch.Generator().manual_seed(0))
    difference = check_equality(config, prompt, new_tokens)
    ours, theirs = both_models(config)
    ways: dict[str, Callable[[], object]] = {
        "minibert": lambda: our_tokens(ours, prompt, new_tokens),
        "minibert again": lambda: our_tokens(ours, prompt, new_tokens),
        "transformers": lambda: their_tokens(theirs, prompt, new_tokens),
    }
    seconds = time_in_turn(ways, rounds, warmup=1)
    per_token = {name: 1000 * statistics.median(times) / new_tokens for name, times in seconds.items()}
    return {
        "milliseconds per token": {name: round(value, 3) for name, value in per_token.items()},
        "times faster than transformers": asdict(ratio(seconds["transformers"], seconds["minibert"])),
        "A/A": asdict(ratio(seconds["minibert again"], seconds["minibert"])),
        "share of the memory's speed": round(1000 * seconds_of_memory(ours) / per_token["minibert"], 3),
        "largest difference of scores in float64": difference,
    }


def main() -> None:
    """Measure all sizes, print a line for each, and write generation.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=[*SIZES])
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    path = result_path(parser, options, Path(__file__).with_suffix(".json"))
    rows = []
    for name in options.sizes:
        rows.append({"size": name} | measure(SIZES[name], options.new_tokens, options.rounds))
        print(json.dumps(rows[-1]), flush=True)
    result = {"torch": torch.__version__, "transformers": transformers.__version__, "threads": options.threads}
    settings = {"new tokens": options.new_tokens, "prompt": PROMPT, "batch": 1, "precision": "float32"}
    write_result(path, result | settings | {"rows": rows})


if __name__ == "__main__":
    main()
