"""Server processes that own running turns."""

from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """One process. It raises `beat` every few seconds; the others compare counts, not clocks."""

    public_id = models.CharField(max_length=26, unique=True)
    beat = models.PositiveBigIntegerField(default=0)
    started_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.public_id
