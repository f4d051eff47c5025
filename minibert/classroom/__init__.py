"""For learning by doing: what goes wrong, and how to tell."""
