"""The networks: parameters plus formulas."""

from minibert.model.bert import Bert, BertOutput
from minibert.model.config import PRESETS, BertConfig
from minibert.model.heads import BertForPreTraining, BertForSequenceClassification

__all__ = ["PRESETS", "Bert", "BertConfig", "BertForPreTraining", "BertForSequenceClassification", "BertOutput"]
