"""Experiments: each a command that anyone can rerun."""
