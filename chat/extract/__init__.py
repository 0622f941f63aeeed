"""Looks into files: what they are, their text, their preview. Knows no framework, no rows, no network.

`kinds` reads only the first bytes and may be used anywhere. Everything that parses a file runs as a
process of its own with limits on memory, time and output: `python -m chat.extract` (chat/files/boxed.py).
"""
