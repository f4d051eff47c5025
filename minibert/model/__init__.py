"""The networks: parameters plus equations."""

from minibert.model.bert import Bert, BertOutput
from minibert.model.checkpoints.loading import Checkpoint, load, read_checkpoint
from minibert.model.config import PRESETS, BertConfig
from minibert.model.gpt2 import GPT2Config, GPT2LMHeadModel
from minibert.model.heads import (
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from minibert.model.transformer import Transformer
from minibert.model.transformer_config import TRANSFORMERS, TransformerConfig
from minibert.model.vit import ViTForImageClassification, ViTModel
from minibert.model.vit_config import ViTConfig

__all__ = [
    "PRESETS",
    "TRANSFORMERS",
    "Bert",
    "BertConfig",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertOutput",
    "Checkpoint",
    "GPT2Config",
    "GPT2LMHeadModel",
    "Transformer",
    "TransformerConfig",
    "ViTConfig",
    "ViTForImageClassification",
    "ViTModel",
    "load",
    "read_checkpoint",
]
