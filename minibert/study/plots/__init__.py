"""Figures of one forward pass for papers and slides.

Each function draws on an `Axes` that it receives, and returns it, so that it can be a part of any figure. The numbers are
recorded tensors (`minibert.record`), or values of `minibert.equations`. `minibert plot` writes the same figures to files.
"""

from minibert.study.drawing import save
from minibert.study.plots.attention import attention_head, attention_heads, attention_layer, attention_weights
from minibert.study.plots.embeddings import embedding_norms, embedding_steps
from minibert.study.plots.lens import Lens, lens_probabilities, lens_ranks, logit_lens
from minibert.study.plots.positions import alibi_slopes, position_vectors
from minibert.study.plots.rotation import rotary_scores, rotation

__all__ = [
    "Lens",
    "alibi_slopes",
    "attention_head",
    "attention_heads",
    "attention_layer",
    "attention_weights",
    "embedding_norms",
    "embedding_steps",
    "lens_probabilities",
    "lens_ranks",
    "logit_lens",
    "position_vectors",
    "rotary_scores",
    "rotation",
    "save",
]
