"""Training: one loop, and one file per task with its objective, its data and its metrics."""
