"""Compare minibert with transformers and PyTorch on odd configurations and inputs, in float64.

    python -m benchmarks.review.configurations [--seed 0] [--cases 100] [--families BERT GPT-2] [--only SEED]

Prints a table and writes configurations.json. In each case a random network of transformers is saved, loaded by minibert, saved
again, and loaded by transformers again. All outputs, the loss, every stage and the gradients of all parameters are compared,
with both attention paths, the weights after both conversions, and the losses of 30 steps of AdamW. The 2017 Transformer is also
compared with `torch.nn.Transformer`. The results:

equal      all differences are at most 1e-10, or 1e-10 of the largest output, gradient or value of the stage if that is above 1;
           in training, 1e-8
refused    minibert refuses the configuration or the input, for one of the REASONS
differing  a larger difference, a warning, or a refusal for another reason
crashed    any other exception

A query that may attend to nothing gives zeros in minibert, and the mean of all values in transformers: it is not compared.
A case is replaced by another one if transformers itself gives other results after a change of the 13th digit of its weights.
"""

import argparse
import json
import re
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from benchmarks.review.comparison import TRAINING_TOLERANCE, DifferenceError, check_all_equal, check_equal
from benchmarks.review.odd_configurations import CASES, Case
from benchmarks.review.page import OUTCOMES
from benchmarks.review.passes import attends, compare_passes, compare_training, losses_of, reference_of
from benchmarks.review.torch_transformer import compare_with_torch
from minibert.model import read_checkpoint
from minibert.model.pretrained import PretrainedModel
from minibert.study.verify.stages import minibert_stages, silent_transformers, transformers_stages

TORCH = "torch.nn.Transformer"
FAMILIES = (*CASES, TORCH)
TRAINED = "also the losses of 30 steps of AdamW, within 1e-8"
NOTES = (
    "Compared in float64: outputs, loss, every stage, the gradients of all parameters, and for a network with a loss the "
    "losses of 30 steps of AdamW. torch.nn.Transformer: the outputs, those of all layers, and the gradients.",
    "MarianMT and torch.nn.Transformer are the Transformer of 2017. T5 1.0 has no gates, and one matrix for its input and "
    "output; T5 1.1 and mT5 have gates and two matrices. ViT is the encoder with its pooler, or the classifier of images.",
)
REASONS = {
    r"must be at least 1, not 0": "no layer, head, segment or feature (transformers builds some such networks)",
    r"hidden_size .* is not divisible by num_attention_heads": "a width that cannot be divided among the heads",
    r"position_embedding_type .* is not supported": "relative positions, whose field transformers 5 ignores",
    r"_token_id .* is outside the vocabulary": "a special piece outside the vocabulary",
    r"hidden_act .* is unknown; choose one of": "an activation function that minibert does not have",
    r"scale_attn_\w+ (True|False) is not supported": "another scale of the scores than that of GPT-2",
    r"(tie_word|scale|share_encoder_decoder)_embeddings? False is not supported": "embeddings that are not shared and scaled",
    r"only equal values are supported": "encoder and decoder of different sizes",
    r"inner_group_num 2 is not supported": "several layers in a group of ALBERT",
    r"summary_activation 'relu' is not supported": "another summary of ELECTRA",
    r"sinusoidal_pos_embds True is not supported": "positions of DistilBERT that are not learned",
    r"source \d+ of the batch is empty": "a source without tokens",
    r"of image_size, \d+, is not a multiple of that of patch_size": "pixels outside the patches, which transformers ignores",
    r"pooler_act .* is unknown; choose one of": "an activation function that minibert does not have",
    r"an odd d_model, \d+, has no sinusoids": "an odd width, while sines and cosines come in pairs",
    r"is_decoder True is not supported": "one stack of T5 without the other",
    r"relative_attention_num_buckets must be at least 4, and": "too few buckets of distances, or too small a largest distance",
}
"""Patterns of the message of a right refusal, and what is wrong."""


def make_theirs(case: Case) -> Any:
    """Create a network of transformers with random weights."""
    network = getattr(transformers, case.network.architecture)
    torch.manual_seed(case.seed)
    model = network._from_config(network.config_class(**case.fields), attn_implementation=case.attention).double().eval()
    if case.is_untied:
        model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    for parameter in model.parameters():
        if parameter.requires_grad:  # the sinusoids of MarianMT have no gradient
            nn.init.normal_(parameter, std=case.std)
    for head in filter(None, map(partial(_submodule, model), ("cls.predictions", "lm_head", "predictions"))):
        if hasattr(head, "decoder"):  # an untied decoder has a second bias, which is not used
            head.bias.data.copy_(head.decoder.bias)
    return model


def _submodule(model: nn.Module, name: str) -> nn.Module | None:
    return dict(model.named_modules()).get(name)


def load_theirs(case: Case, folder: str) -> Any:
    """Load a checkpoint of minibert with transformers. All weights must be there."""
    network = getattr(transformers, case.network.architecture)
    options = {"dtype": torch.float64, "attn_implementation": case.attention}
    model, report = network.from_pretrained(folder, **options, output_loading_info=True)
    if any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")):
        raise DifferenceError(f"transformers reports {report}")
    return model.eval()


def is_rounding(case: Case) -> bool:
    """Return True if transformers does not agree with itself after a change of the 13th digit of its weights."""
    theirs, changed = make_theirs(case), make_theirs(case)
    for parameter in changed.parameters():
        parameter.data *= 1 + 1e-13 * torch.randn(parameter.shape, dtype=parameter.dtype)
    try:
        for one, other in zip(reference_of(case, theirs), reference_of(case, changed), strict=True):
            check_all_equal("", one, other)
        losses = (losses_of(case, each, is_ours=False) for each in (theirs, changed))
        check_equal("", *losses, tolerance=TRAINING_TOLERANCE)
    except DifferenceError:
        return True
    return False


def compare_stages(case: Case, ours: PretrainedModel, folder: str) -> None:
    """Compare every stage, for the tokens that attend to something."""
    tokens = attends(case)
    rows = tokens.any(dim=1)
    if not rows.any():
        return
    inputs, theirs = ({name: x[rows] for name, x in each.items()} for each in (case.inputs, case.inputs | case.their_inputs))
    expected, stages = transformers_stages(read_checkpoint(folder), ours, theirs), minibert_stages(ours, inputs)
    for name in (name for name in expected if name in stages):
        one, other = stages[name], expected[name]
        if name.endswith("scores"):  # transformers adds a large negative number to masked scores
            masked = stages.get(name.replace("scores", "masked_scores"), one).isinf()
            one, other = one.masked_fill(masked, 0), other.masked_fill(masked, 0)
        is_of_encoder = name.startswith("encoder.") or name.endswith(("cross_attention.key", "cross_attention.value"))
        if is_of_encoder or one.dim() == 2 or "pixel_values" in case.inputs:
            check_equal(f"stage {name}", one, other)  # every token of an encoder attends to something
        else:
            check_equal(f"stage {name}", *(_at_tokens(x, tokens[rows]) for x in (one, other)))


def _at_tokens(stage: Tensor, tokens: Tensor) -> Tensor:
    """Return the values of a stage at some tokens, which are its second axis from the end."""
    by_token = stage.movedim(-2, 1)
    return by_token.expand(len(tokens), *by_token.shape[1:])[tokens]


def check_weights(first: Any, second: Any) -> None:
    """Raise DifferenceError unless two networks have the same weights, bit for bit."""
    one, other = first.state_dict(), second.state_dict()
    names = sorted(one.keys() | other.keys())
    if different := [name for name in names if not torch.equal(one[name], other[name])]:
        raise DifferenceError(f"conversion changes {different}")


def compare_with_transformers(case: Case, folder: str) -> bool:
    """Compare everything with transformers. Return True if the network has a loss and was trained.

    Raises: whatever minibert raises, and DifferenceError.
    """
    try:
        with silent_transformers():
            theirs = make_theirs(case)
            theirs.save_pretrained(f"{folder}/theirs")
    except Exception:  # transformers refuses the configuration, by any exception; minibert must refuse it, too
        path = Path(folder, "config.json")
        path.write_text(json.dumps(case.fields | {"model_type": case.network.config_class.model_types[0]}))
        case.network(case.network.config_class.load_json(path))
        raise DifferenceError("transformers refuses the configuration") from None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = case.network.from_pretrained(f"{folder}/theirs", dtype=torch.float64)
        ours.save_pretrained(f"{folder}/ours")
        again = case.network.from_pretrained(f"{folder}/ours", dtype=torch.float64)
    compare_passes(case, ours, theirs)
    compare_stages(case, ours, f"{folder}/theirs")
    with silent_transformers():
        returned = load_theirs(case, f"{folder}/ours")
    check_weights(theirs, returned)
    check_weights(ours, again)
    compare_passes(case, again, returned)
    return compare_training(case, again, returned)


def compare_libraries(family: str, seed: int, folder: str) -> bool:
    """Run one case. Return True if the network was trained. Raises: whatever minibert raises, and DifferenceError."""
    if family == TORCH:
        compare_with_torch(seed)
        return False
    return compare_with_transformers(CASES[family](seed), folder)


def judge(family: str, seed: int) -> tuple[str, str]:
    """Return the result of a case, and the reason; of an equal one, `TRAINED` or nothing."""
    with tempfile.TemporaryDirectory(prefix="odd ä ") as folder:
        try:
            return "equal", TRAINED if compare_libraries(family, seed, folder) else ""
        except (ValueError, TypeError) as error:
            message = str(error).replace(folder, "")
            right = next((reason for pattern, reason in REASONS.items() if re.search(pattern, message)), None)
            return ("differing", f"refused: {message}") if right is None else ("refused", right)
        except (DifferenceError, Warning) as error:
            is_replaced = family != TORCH and is_rounding(CASES[family](seed))
            return ("replaced" if is_replaced else "differing"), str(error)
        except Exception:
            return "crashed", traceback.format_exc()


def review_family(family: str, seeds: Iterator[int], cases: int) -> tuple[dict[str, object], list[str]]:
    """Judge cases until `cases` of them count. Return a row of the table, and notes."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    while counts.total() - counts["replaced"] < cases:
        seed = next(seeds)
        result, reason = judge(family, seed)
        counts[result] += 1
        reasons[f"{result}: {reason}"] += result == "refused" or reason == TRAINED
        if result in ("differing", "crashed"):
            print(f"{family}, seed {seed}: {result}: {reason}", CASES[family](seed) if family in CASES else "", flush=True)
    notes = [f"{family}: {count} {reason}" for reason, count in reasons.most_common() if count]
    if replaced := counts.pop("replaced", 0):
        notes.append(f"{family}: {replaced} replaced, where rounding alone changes the results of transformers")
    return {"area": "odd configurations", "kind": family, "cases": cases, **{name: counts[name] for name in OUTCOMES}}, notes


def main() -> int:
    """Run all cases, print the table, and write it. Return 1 if a case differs or crashes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=100, help="number of cases for each family")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--only", type=int, help="the case with this seed alone")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="torch.nn.modules.transformer")  # it has a faster path that is not taken
    rows, notes = [], []
    for family in options.families:
        if options.only is not None:
            print(family, *judge(family, options.only))
            continue
        row, more = review_family(family, count(options.seed * 1_000_000), options.cases)
        print(f"{family:24}" + "".join(f"{name} {row[name]}  " for name in OUTCOMES), flush=True)
        rows, notes = [*rows, row], [*notes, *more]
    print(*notes, sep="\n")
    if options.families == [*FAMILIES] and options.only is None:
        report = {"seed": options.seed, "rows": rows, "notes": [*NOTES, *notes]}
        Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(row["differing"] or row["crashed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
