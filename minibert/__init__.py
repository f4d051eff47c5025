"""minibert: the Transformer and BERT written by hand in PyTorch, to read, to teach with, and to check.

Axis names in the shape annotations:

    batch             sequences in a batch
    tokens            tokens of a sequence
    queries, keys     tokens that attend, and tokens that are attended to
    sources, targets  tokens of the source sequence and of the target sequence
    heads             attention heads
    width             size of a vector: of a token (`hidden_size`), or of one attention head
    head_width        size of the vectors of one attention head
    value_width       size of the value vectors of one attention head, usually the same
    intermediate      size of the hidden layer of the feed-forward network
    vocabulary        entries of the vocabulary
    positions         positions in a text: all of them, or those with a prediction, such as masked tokens
    classes           classes of a classification
    next_sentence     the two classes of next-sentence prediction
    ends              start and end of an answer
    output            size of the vectors that a linear map computes
    rank, bottleneck  size of the small vectors inside LoRA and inside a bottleneck adapter
    characters        characters of a text
    inputs, outputs   entries of the vectors that a linear map gets, and of those that it computes
    rows              rows of a table of embeddings that are in use
    channels, image_height, image_width
                      channels of an image, such as colors, and its size in pixels
    patches, pixels   patches of an image, and the numbers of a patch: its pixels in all channels
    pooled            size of a pooled vector
    beams, hypotheses unfinished outputs of beam search, and outputs that it chooses among

`*batch` matches any number of axes. `#keys` matches an axis that may also be 1, for broadcasting.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = {
    "Answering": "training.answering",
    "Bert": "model",
    "BertConfig": "model",
    "BertForMaskedLM": "model",
    "BertForNextSentencePrediction": "model",
    "BertForPreTraining": "model",
    "BertForQuestionAnswering": "model",
    "BertForSequenceClassification": "model",
    "BertForTokenClassification": "model",
    "BitFit": "model.adapters",
    "Bottleneck": "model.adapters",
    "Checkpoints": "training.checkpoints",
    "Classification": "training.classification",
    "GPT2Config": "model",
    "GPT2LMHeadModel": "model",
    "LoRA": "model.adapters",
    "MaskedLMObjective": "training.pretraining_objectives",
    "NextTokenObjective": "training.next_token",
    "PRESETS": "model",
    "PretrainingObjective": "training.pretraining_objectives",
    "TRANSFORMERS": "model",
    "Tagging": "training.tagging",
    "TextEmbedder": "study.embedding",
    "TrainingRun": "training.run",
    "Transfer": "training.transfer",
    "TransferConfig": "training.transfer_options",
    "Transformer": "model",
    "TransformerConfig": "model",
    "ViTConfig": "model",
    "ViTForImageClassification": "model",
    "ViTModel": "model",
    "adamw": "training.optimizer",
    "equations": "equations",
    "evaluate": "training.loop",
    "load": "model",
    "load_tokenizer": "text.tokenizer_loading",
    "predict": "training.logits",
    "record": "observe",
    "train": "training.loop",
    "warmup_linear": "training.optimizer",
}
"""Module of each public name. A module is imported on the first access to one of its names, so `import minibert` is fast."""

__all__ = [*_MODULES]

if TYPE_CHECKING:
    from minibert import equations as equations
    from minibert.model import PRESETS as PRESETS
    from minibert.model import TRANSFORMERS as TRANSFORMERS
    from minibert.model import Bert as Bert
    from minibert.model import BertConfig as BertConfig
    from minibert.model import BertForMaskedLM as BertForMaskedLM
    from minibert.model import BertForNextSentencePrediction as BertForNextSentencePrediction
    from minibert.model import BertForPreTraining as BertForPreTraining
    from minibert.model import BertForQuestionAnswering as BertForQuestionAnswering
    from minibert.model import BertForSequenceClassification as BertForSequenceClassification
    from minibert.model import BertForTokenClassification as BertForTokenClassification
    from minibert.model import GPT2Config as GPT2Config
    from minibert.model import GPT2LMHeadModel as GPT2LMHeadModel
    from minibert.model import Transformer as Transformer
    from minibert.model import TransformerConfig as TransformerConfig
    from minibert.model import ViTConfig as ViTConfig
    from minibert.model import ViTForImageClassification as ViTForImageClassification
    from minibert.model import ViTModel as ViTModel
    from minibert.model import load as load
    from minibert.model.adapters import BitFit as BitFit
    from minibert.model.adapters import Bottleneck as Bottleneck
    from minibert.model.adapters import LoRA as LoRA
    from minibert.observe import record as record
    from minibert.study.embedding import TextEmbedder as TextEmbedder
    from minibert.text.tokenizer_loading import load_tokenizer as load_tokenizer
    from minibert.training.answering import Answering as Answering
    from minibert.training.checkpoints import Checkpoints as Checkpoints
    from minibert.training.classification import Classification as Classification
    from minibert.training.logits import predict as predict
    from minibert.training.loop import evaluate as evaluate
    from minibert.training.loop import train as train
    from minibert.training.next_token import NextTokenObjective as NextTokenObjective
    from minibert.training.optimizer import adamw as adamw
    from minibert.training.optimizer import warmup_linear as warmup_linear
    from minibert.training.pretraining_objectives import MaskedLMObjective as MaskedLMObjective
    from minibert.training.pretraining_objectives import PretrainingObjective as PretrainingObjective
    from minibert.training.run import TrainingRun as TrainingRun
    from minibert.training.tagging import Tagging as Tagging
    from minibert.training.transfer import Transfer as Transfer
    from minibert.training.transfer_options import TransferConfig as TransferConfig


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'minibert' has no attribute {name!r}")
    module = import_module(f"minibert.{_MODULES[name]}")
    return getattr(module, name, module)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
