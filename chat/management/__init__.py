"""Doors for those who run it: commands."""
