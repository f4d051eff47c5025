"""The structure of BERT that its relatives change. Each property has the value of BERT; other families override it."""

from typing import ClassVar, Literal


class Structure:
    """The parts of a network in which the families differ. `families.FAMILIES` has the families."""

    counts_padding: ClassVar[bool] = True
    """True if the positions are 0, 1, 2, …; False if padding is not counted (`equations.positions_without_padding`)."""
    has_segments: ClassVar[bool] = True
    """True if there are segment embeddings."""
    has_pooler: ClassVar[bool] = True
    """True if the encoder has a pooler."""
    pair_task: ClassVar[Literal["nsp", "sop"]] = "nsp"
    """The task of the head for sentence pairs in the paper: next-sentence or sentence-order prediction."""
    classifier_act: ClassVar[str] = "tanh"
    """Activation function of the hidden layer of a classifier for sequences, where that is not the pooler."""

    hidden_size: int
    num_hidden_layers: int
    hidden_act: str
    hidden_dropout_prob: float
    classifier_dropout: float | None

    @property
    def embedding_width(self) -> int:
        """Width of the embeddings."""
        return self.hidden_size

    @property
    def projects_embeddings(self) -> bool:
        """True if a linear map leads from the embeddings to the first layer."""
        return False

    @property
    def layer_groups(self) -> int:
        """Number of layers with parameters of their own."""
        return self.num_hidden_layers

    @property
    def mlm_act(self) -> str:
        """Activation function of the masked-LM head."""
        return self.hidden_act

    @property
    def head_dropout_prob(self) -> float:
        """Dropout probability before a classifier."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    @property
    def hidden_head_dropout_prob(self) -> float:
        """Dropout probability before the hidden layer of a classifier for sequences."""
        return self.head_dropout_prob

    @property
    def token_head_dropout_prob(self) -> float:
        """Dropout probability before a classifier for tokens."""
        return self.head_dropout_prob

    @property
    def pair_head_dropout_prob(self) -> float:
        """Dropout probability before the next-sentence head."""
        return 0.0

    @property
    def span_head_dropout_prob(self) -> float:
        """Dropout probability before the head for answers in a text."""
        return 0.0
