"""Checkpoint files: reading and writing weights, parameter names of other libraries, and `load`."""
