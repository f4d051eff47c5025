"""Parameter-efficient fine-tuning: few parameters are trained, the rest of a loaded network is frozen."""

from minibert.model.adapters.adapter import Adapter
from minibert.model.adapters.bitfit import BitFit
from minibert.model.adapters.bottleneck import Bottleneck
from minibert.model.adapters.loading import load_adapter
from minibert.model.adapters.lora import LoRA, merge, unmerge

__all__ = ["Adapter", "BitFit", "Bottleneck", "LoRA", "load_adapter", "merge", "unmerge"]
