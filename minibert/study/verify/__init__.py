"""Stage-by-stage comparison of a checkpoint in minibert and in transformers."""
