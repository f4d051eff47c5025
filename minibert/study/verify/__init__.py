"""Comparison with transformers, stage by stage."""
