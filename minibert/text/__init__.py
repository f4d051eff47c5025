"""Characters to token ids, to examples, to batches."""
