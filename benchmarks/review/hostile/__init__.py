"""Damaged and hostile inputs of the commands, by area, and their judge."""
