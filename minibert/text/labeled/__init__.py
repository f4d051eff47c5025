"""Labeled data for fine-tuning: files → rows, with the faults that were found → examples → batches."""
