"""Heads that BERT does not have, of its relatives."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from minibert.equations import replaced_token_loss
from minibert.kernels import AttentionImplementation
from minibert.model.bert import BertOutput
from minibert.model.config import BertConfig
from minibert.model.heads import BertForSequenceClassification, BertWithHead
from minibert.model.layers import ACTIVATION_FUNCTIONS
from minibert.model.linear import Dropout, Linear
from minibert.model.outputs import ReplacedTokensOutput
from minibert.observe import observe


class SequenceClassificationWithoutPooler(BertForSequenceClassification):
    r"""A classifier for sequences with a hidden layer of its own on the vector of the first token, in place of the pooler.

    Source: the code of RoBERTa (`RobertaClassificationHead` of fairseq), ELECTRA and DistilBERT. They differ in the activation
        function, tanh, GELU and ReLU, and in dropout before the hidden layer, which DistilBERT does not have.
    Steps:
        pre_classifier.linear (batch width): $$u = x_0 W^\top + b$$ The hidden layer of the classifier.
        pre_classifier.activation (batch width): $$v = f(u)$$ The activation function of each feature.
    """

    head_modules = ("pre_classifier", "classifier")
    pooled = False

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.hidden_dropout = Dropout(config.hidden_head_dropout_prob)
        self.pre_classifier = Linear(config.hidden_size, config.hidden_size)
        self.activation = (ACTIVATION_FUNCTIONS | {"tanh": torch.tanh})[config.classifier_act]
        self.initialize(self.pre_classifier)

    def sequence_vector(self, encoded: BertOutput) -> Float[Tensor, "batch width"]:
        """Return the hidden layer's output for the first token."""
        first = self.hidden_dropout(encoded.last_hidden_state[:, 0])
        hidden = observe("pre_classifier.linear", self.pre_classifier(first))
        return observe("pre_classifier.activation", self.activation(hidden))


class ReplacedTokenHead(nn.Module):
    r"""The head of ELECTRA's discriminator: for each token the score of "a generator has replaced it".

    Source: Clark et al. 2020, section 2.
    Steps:
        linear (batch tokens width): $$u = x W^\top + b$$ The hidden layer of the head.
        activation (batch tokens width): $$v = f(u)$$ The activation function of each feature.
        logits (batch tokens): $$z = v \cdot w + c$$ The score of "replaced" for each token.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)
        self.activation = ACTIVATION_FUNCTIONS[config.hidden_act]
        self.output = Linear(config.hidden_size, 1)

    def forward(self, hidden: Float[Tensor, "*positions width"]) -> Float[Tensor, "*positions"]:
        activation = observe("activation", self.activation(observe("linear", self.dense(hidden))))
        return observe("logits", self.output(activation).squeeze(-1))


class ReplacedTokenDetection(BertWithHead):
    """An encoder that says for each token whether a generator has replaced it (Clark et al. 2020)."""

    head = "replaced-tokens"
    head_modules = ("replaced",)
    pooled = False

    def __init__(self, config: BertConfig, attention: AttentionImplementation = "auto") -> None:
        super().__init__(config, attention)
        self.replaced = ReplacedTokenHead(config)
        self.initialize(self.replaced)

    def apply_head(self, encoded: BertOutput, labels: Int[Tensor, "batch tokens"] | None = None) -> ReplacedTokensOutput:
        """Compute the scores, and the mean binary cross-entropy of the tokens whose label is not -100.

        Args:
            labels: 1 for a token that was replaced, 0 for an original one, -100 for padding.

        Differs: transformers leaves out the tokens that the attention mask excludes.
        """
        logits = self.replaced(encoded.last_hidden_state)
        return ReplacedTokensOutput(logits, None if labels is None else replaced_token_loss(logits, labels))
