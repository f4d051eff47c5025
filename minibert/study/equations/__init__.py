"""The registry of equations and their worked examples."""
