"""A live page: a step-through whose numbers the browser computes, of any text and after any change.

The page has the network and the tokenizer as JSON, for the scripts `network.js` and `tokens.js`.
"""

import base64
from collections.abc import Mapping
from string import Template
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from minibert.model.pretrained import PretrainedModel
from minibert.model.stacks import LayerStack
from minibert.study.page.experiments import experiments_json
from minibert.study.page.introduction import introduction
from minibert.study.page.page import SCRIPTS, heading, page_html, read
from minibert.study.page.templates import is_causal, step_templates
from minibert.study.page.tokenizer_data import tokenizer_json
from minibert.study.stepthrough.predictions import problem_type
from minibert.study.stepthrough.selection import Selection
from minibert.text.layout import word_prefix
from minibert.text.tokenizer import MASK, special_token

STUDY_FILE = "study.html"
"""The live page of a model that was trained, next to the model."""
LIVE = "Live: this page computes every number, also after you change the text or the network."
HEADS = frozenset({
    "encoder", "mlm", "pretraining", "nsp", "sequence-classification", "token-classification", "question-answering",
    "replaced-tokens", "lm",
})  # fmt: skip
"""The heads that `bert_heads.js` and `gpt2.js` compute, by their names in `load`."""
LIVE_SCRIPTS = (
    "data", "arithmetic", "tensors", "recording", "equations", "network", "bert", "bert_heads", "gpt2",
    "letters", "tokens", "wordpiece", "byte_pairs", "character_table", "unigram",
    "live_predictions", "live_changes", "live_walk", "experiment", "laboratory",
)  # fmt: skip
"""The scripts that compute, in an order in which each one uses classes of earlier ones only."""
PAGE_SCRIPTS = (
    *SCRIPTS[:-1],
    *(name for name in LIVE_SCRIPTS if name not in SCRIPTS),
    "experiment_choice", "controls", "live_page",
    SCRIPTS[-1],
)  # fmt: skip
"""The scripts of the page. The last one of a step-through starts both pages."""


def live_page(
    model: PretrainedModel,
    tokenizer: Tokenizer,
    text: str,
    pair: str | None = None,
    facts: Mapping[str, str] | None = None,
    *,
    start: Selection | None = None,
) -> str:
    """Return a live page as HTML.

    Args:
        text: the text that the page opens with.
        pair: sentence B.
        facts: what is run, such as {"Model": "bert-base-uncased"}. The page shows it under the title.
        start: the step and the cell that the page opens at. Default: the first step.

    Raises: ValueError for a network or a tokenizer that the page cannot compute.
    """
    templates = step_templates(model, tokenizer)
    softmaxes = [step["path"] for step in templates["steps"] if step["equation"] == "softmax"]
    predictions = [path for path in softmaxes if path.endswith("probabilities")]
    config: Any = model.config
    head_width = config.hidden_size // config.num_attention_heads
    network = network_json(model, tokenizer)
    content = {
        **heading(facts, start),
        "text": text,
        "pair": pair,
        "network": network,
        "tokenizer": tokenizer_json(tokenizer),
        "templates": templates,
        "experiments": experiments_json(
            predictions,
            head_width,
            special_token(tokenizer, MASK),
            has_projection=getattr(config, "projects_embeddings", False),
            is_causal=is_causal(model),
            start=word_prefix(tokenizer),
        ),
    }
    title = text if pair is None else f"{text} / {pair}"
    controls = Template(read("live.html")).substitute(introduction(network, tokenizer))
    return page_html(title, content, PAGE_SCRIPTS, "page.css", "live.css", source=LIVE, controls=controls)


def network_json(model: PretrainedModel, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return a BERT, one of its relatives or a GPT-2, with its weights in half precision; see `NetworkData` in `network.js`.

    Raises: ValueError for another head, for a weight that is too large for half precision, and for parameters of added
        modules.
    """
    config: Any = model.config
    kind = problem_type(config)
    stack = next(module for module in model.modules() if isinstance(module, LayerStack))
    if (head := getattr(model, "head", None)) not in HEADS:
        raise ValueError(f"a live page has no head {head}, as {type(model).__name__} has")
    with torch.device("meta"):
        known = type(model)(config).state_dict()
    if added := next((name for name in model.state_dict() if name not in known), None):
        raise ValueError(f"a live page does not compute {added}, which was added to the network, as adapters are")
    return {
        "head": head,
        "isCausal": is_causal(model),
        "heads": config.num_attention_heads,
        "layers": _shared_layers(stack),
        "activation": config.hidden_act,
        "mlmActivation": getattr(config, "mlm_act", None),
        "classifierActivation": getattr(config, "classifier_act", None),
        "pairTask": getattr(config, "pair_task", None),
        "uncounted": None if getattr(config, "counts_padding", True) else config.pad_token_id,
        "eps": config.layer_norm_eps,
        "segments": getattr(config, "type_vocab_size", 0),
        "maxTokens": config.max_tokens,
        "predictsClasses": kind != "regression",
        "isMultiLabel": kind == "multi_label_classification",
        "mask": None if is_causal(model) else tokenizer.token_to_id(special_token(tokenizer, MASK)),
        "tables": [_name(f"{name}.weight") for name, module in model.named_modules() if isinstance(module, nn.Embedding)],
        "weights": {_name(name): _half_precision(name, tensor) for name, tensor in model.state_dict().items()},
    }


def _name(name: str) -> str:
    """Return the name of a weight without that of the encoder."""
    return name.removeprefix("bert.")


def _shared_layers(stack: LayerStack) -> list[int]:
    """Return for each layer the number of the one whose parameters it has."""
    numbers = {id(layer): number for number, layer in enumerate(stack)}
    return [numbers[id(layer)] for layer in stack.passes]


def _half_precision(name: str, tensor: Tensor) -> dict[str, Any]:
    half = tensor.detach().to("cpu", torch.float16)
    if not half.isfinite().all():
        raise ValueError(f"{name} has the value {tensor.abs().max():g}, which is too large for half precision")
    data = half.numpy().astype(np.dtype("<f2")).tobytes()
    return {"shape": [*tensor.shape], "data": base64.b64encode(data).decode()}
