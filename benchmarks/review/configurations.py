"""Compare minibert with transformers and PyTorch on odd configurations and inputs, in float64.

    python -m benchmarks.review.configurations [--seed 0] [--cases 100] [--families BERT GPT-2] [--only SEED]

Prints a table and writes configurations.json. In each case a random network of transformers is saved, loaded by minibert, saved
again, and loaded by transformers again. All outputs, the loss, every stage and the gradients of all parameters are compared,
with both attention paths, and the weights after both conversions. The 2017 Transformer is also compared with
`torch.nn.Transformer`. The results:

equal      all differences are at most 1e-10, or 1e-10 of the largest output, gradient or value of the stage if that is above 1
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
from torch.nn import functional as F

from benchmarks.review.comparison import DifferenceError, check_all_equal, check_equal, gradients_of
from benchmarks.review.odd_configurations import CASES, Case
from benchmarks.review.page import OUTCOMES
from benchmarks.review.torch_transformer import compare_with_torch
from minibert.equations import IGNORE_INDEX
from minibert.model import read_checkpoint
from minibert.model.bert import DECODER_BIAS, PretrainedBert
from minibert.model.pretrained import PretrainedModel
from minibert.model.vit import PretrainedViT
from minibert.study.verify.stages import minibert_stages, silent_transformers, transformers_stages

TORCH = "torch.nn.Transformer"
FAMILIES = (*CASES, TORCH)
OUTPUTS = (
    *("last_hidden_state", "encoder_last_hidden_state", "pooler_output", "logits", "prediction_logits"),
    *("seq_relationship_logits", "sop_logits", "start_logits", "end_logits"),
)
OUR_NAMES = {"sop_logits": "seq_relationship_logits"}
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
}
"""Patterns of the message of a right refusal, and what is wrong."""


def make_theirs(case: Case) -> Any:
    """Create a network of transformers with random weights."""
    network = getattr(transformers, case.network.architecture)
    torch.manual_seed(case.seed)
    model = network._from_config(network.config_class(**case.fields), attn_implementation=case.attention).double().eval()
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


def attends(case: Case) -> Tensor:
    """Return the tokens of the batch, or of the decoder's input, that may attend to something. Of an image, all may."""
    if "pixel_values" in case.inputs:
        return torch.ones(len(case.inputs["pixel_values"]), 1, dtype=torch.bool)
    has_decoder = "decoder_input_ids" in case.inputs
    ids = case.inputs["decoder_input_ids" if has_decoder else "input_ids"]
    mask = case.inputs.get("decoder_attention_mask" if has_decoder else "attention_mask", torch.ones_like(ids)).bool()
    is_bert = issubclass(case.network, PretrainedBert)
    return mask.any(dim=1, keepdim=True).expand_as(mask) if is_bert else mask.cumsum(dim=1) > 0


def outputs_of(case: Case, model: Any, is_ours: bool) -> dict[str, Tensor]:
    """Return the outputs of what attends to something, and the loss if everything does."""
    compared, is_encoder = attends(case), issubclass(case.network, PretrainedBert | PretrainedViT)
    has_loss = bool(case.labels) and bool(compared.all())
    theirs_is_double = is_encoder and case.network.head != "replaced-tokens"  # that of transformers is in float32
    labels = case.labels if has_loss and (is_ours or theirs_is_double) else {}
    if not is_ours:
        labels = {case.their_labels.get(name, name): value for name, value in labels.items()}
    output = model(**case.inputs, **({} if is_ours else case.their_inputs), **labels)
    found = {OUR_NAMES.get(name, name): getattr(output, name) for name in OUTPUTS if getattr(output, name, None) is not None}
    for name, tensor in found.items():
        if is_encoder:
            found[name] = tensor[compared.any(dim=1)]
        elif name == "logits":
            found[name] = tensor[compared]
    if has_loss:
        found["loss"] = output.loss if labels else loss_of(case, output.logits)
    return found


def loss_of(case: Case, logits: Tensor) -> Tensor:
    """Compute the loss of a decoder, or of a detector of replaced tokens; that of transformers is in float32."""
    labels = case.labels["labels"]
    if case.network.head == "replaced-tokens":
        has_label = labels != IGNORE_INDEX
        return F.binary_cross_entropy_with_logits(logits[has_label], labels[has_label].to(logits))
    if "decoder_input_ids" not in case.inputs:  # a decoder alone predicts the next token
        logits, labels = logits[:, :-1], labels[:, 1:]
    has_target = labels != IGNORE_INDEX
    return F.cross_entropy(logits[has_target], labels[has_target]) if has_target.any() else logits.new_zeros(())


def reference_of(case: Case, theirs: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the outputs of transformers, and the gradients under our names."""
    outputs = outputs_of(case, theirs, is_ours=False)
    gradients = case.network.names.read(gradients_of(theirs, outputs))
    if DECODER_BIAS in gradients:
        gradients["mlm.bias"] = gradients.pop(DECODER_BIAS)
    return outputs, gradients


def compare_passes(case: Case, ours: PretrainedModel, theirs: Any) -> None:
    """Compare outputs and gradients, with both attention paths."""
    expected, gradients = reference_of(case, theirs)
    for path in ("explicit", "fused"):
        outputs = outputs_of(case, ours.set_attention(path), is_ours=True)
        if outputs.keys() != expected.keys():
            raise DifferenceError(f"outputs {sorted(outputs)}, not {sorted(expected)}")
        check_all_equal(path, outputs, expected)
        if all(tensor.isfinite().all() for tensor in expected.values()):  # NaN, without epsilon, has no gradient
            own = {ours.names.relative(name): gradient for name, gradient in gradients_of(ours, outputs).items()}
            # The kernel of a convolution is a matrix here.
            matched = {name: each.view_as(own[name]) if name in own else each for name, each in gradients.items()}
            check_all_equal(f"{path} gradient of", own, matched)


def is_rounding(case: Case) -> bool:
    """Return True if transformers does not agree with itself after a change of the 13th digit of its weights."""
    theirs = make_theirs(case)
    before = reference_of(case, theirs)
    for parameter in theirs.parameters():
        parameter.data *= 1 + 1e-13 * torch.randn(parameter.shape, dtype=parameter.dtype)
    try:
        for one, other in zip(before, reference_of(case, theirs), strict=True):
            check_all_equal("", one, other)
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


def compare_with_transformers(case: Case, folder: str) -> None:
    """Compare everything with transformers. Raises: whatever minibert raises, and DifferenceError."""
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


def compare_libraries(family: str, seed: int, folder: str) -> None:
    """Run one case. Raises: whatever minibert raises, and DifferenceError."""
    if family == TORCH:
        compare_with_torch(seed)
    else:
        compare_with_transformers(CASES[family](seed), folder)


def judge(family: str, seed: int) -> tuple[str, str]:
    """Return the result of a case, and the reason."""
    with tempfile.TemporaryDirectory(prefix="odd ä ") as folder:
        try:
            compare_libraries(family, seed, folder)
        except (ValueError, TypeError) as error:
            message = str(error).replace(folder, "")
            right = next((reason for pattern, reason in REASONS.items() if re.search(pattern, message)), None)
            return ("differing", f"refused: {message}") if right is None else ("refused", right)
        except (DifferenceError, Warning) as error:
            is_replaced = family != TORCH and is_rounding(CASES[family](seed))
            return ("replaced" if is_replaced else "differing"), str(error)
        except Exception:
            return "crashed", traceback.format_exc()
    return "equal", ""


def review_family(family: str, seeds: Iterator[int], cases: int) -> tuple[dict[str, object], list[str]]:
    """Judge cases until `cases` of them count. Return a row of the table, and notes."""
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    while counts.total() - counts["replaced"] < cases:
        seed = next(seeds)
        result, reason = judge(family, seed)
        counts[result] += 1
        reasons[reason] += result == "refused"
        if result in ("differing", "crashed"):
            print(f"{family}, seed {seed}: {result}: {reason}", CASES[family](seed) if family in CASES else "", flush=True)
    notes = [f"{family}: {count} refused: {reason}" for reason, count in reasons.most_common() if count]
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
        report = {"seed": options.seed, "rows": rows, "notes": notes}
        Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return int(any(row["differing"] or row["crashed"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
