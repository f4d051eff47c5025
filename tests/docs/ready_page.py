"""docs/live_page.html: a live page of a small pretrained BERT, which guides and lessons link to.

The network is that of `minibert quickstart --seconds 600` with a vocabulary of 2,000 pieces.

    python -m tests.docs.ready_page [CHECKPOINT]

Without a checkpoint, the page is written again by the code of today, for the network that it has.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from minibert import BertConfig, BertForPreTraining
from minibert.docs.layout import REPOSITORY
from minibert.study import walk
from minibert.study.page.live import live_page
from minibert.study.stepthrough.selection import select
from minibert.study.subject import load_subject
from minibert.text.tokenizer import build_tokenizer

FILE = REPOSITORY / "docs" / "live_page.html"
TEXT = "returns a new [MASK] with the same shape ."
START = "mlm.probabilities"
FACTS = {"Model": "BERT, 2 layers of width 128, pretrained on docstrings of Python and torch", "Weights": "float16"}
DATA = '<script type="application/json" id="data">'


def content_of(page: str) -> dict[str, Any]:
    """Return the data of a page."""
    content: dict[str, Any] = json.loads(page.partition(DATA)[2].partition("</script>")[0])
    return content


def network_of(content: dict[str, Any]) -> tuple[BertForPreTraining, Tokenizer]:
    """Return the network and the tokenizer that a page has."""
    network = content["network"]
    weights = {
        name if name.startswith(("mlm.", "nsp.")) else f"bert.{name}": torch.from_numpy(
            np.frombuffer(base64.b64decode(weight["data"]), "<f2").astype("float32").reshape(weight["shape"])
        )
        for name, weight in network["weights"].items()
    }
    vocab_size, hidden_size = weights["bert.embeddings.words.weight"].shape
    model = BertForPreTraining(
        BertConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=len(network["layers"]),
            num_attention_heads=network["heads"],
            intermediate_size=len(weights["bert.layers.0.feed_forward.intermediate.bias"]),
            hidden_act=network["activation"],
            max_position_embeddings=network["maxTokens"],
            layer_norm_eps=network["eps"],
        )
    ).eval()
    model.load_state_dict(weights)
    return model, build_tokenizer(content["tokenizer"]["pieces"])


def page_of(model: BertForPreTraining, tokenizer: Tokenizer) -> str:
    """Return the page."""
    start = select(walk(model, tokenizer, TEXT), START)
    return live_page(model, tokenizer, TEXT, None, FACTS, start=start)


def current_page() -> str:
    """Return the page of today's code for the network of the page in docs."""
    return page_of(*network_of(content_of(FILE.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    network: Any = load_subject(Path(sys.argv[1])) if len(sys.argv) > 1 else None
    FILE.write_text(current_page() if network is None else page_of(*network), encoding="utf-8")
