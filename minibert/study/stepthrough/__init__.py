"""Step-through: every number of a forward pass, with its formula and the numbers that it was computed from."""
