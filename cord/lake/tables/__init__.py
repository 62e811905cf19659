"""Rows: how they are laid down, and how they are asked for."""
