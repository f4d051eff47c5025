"""The catalogue of typical mistakes in code for attention and BERT.

`variant("no scale")` returns a function with the mistake in it. Two mistakes can be combined unless they edit the same line.
`MISTAKES["no scale"]` describes the mistake.
"""

from minibert.classroom.mistakes.catalogue import CATALOGUE, MISTAKES
from minibert.classroom.mistakes.mistake import Kind, Mistake
from minibert.classroom.mistakes.variants import source_with, variant, variant_of

__all__ = ["CATALOGUE", "MISTAKES", "Kind", "Mistake", "source_with", "variant", "variant_of"]
