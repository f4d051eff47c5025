"""The value of an idea, on a small model: each module is one experiment with one table and one figure (docs/ideas.md)."""
