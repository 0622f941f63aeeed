"""English: 8:15 PM. Django's own 8:15 p.m. ends with a full stop, and a sentence would end with two."""

from __future__ import annotations

TIME_FORMAT = "g:i A"
DATETIME_FORMAT = "N j, Y, g:i A"
SHORT_DATETIME_FORMAT = "m/d/Y g:i A"
