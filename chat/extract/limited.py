"""Limits that a process puts upon itself before it looks into a file."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """memory, output: bytes; seconds: of processor time; pages, characters, pixels: of the file."""

    memory: int = 768 * 1024 * 1024
    output: int = 64 * 1024 * 1024
    seconds: int = 20
    pages: int = 500
    characters: int = 2_000_000
    pixels: int = 50_000_000

    def close(self) -> None:
        """From now on this process has no more than that, and cannot take it back."""
        for name, value in (
            (resource.RLIMIT_AS, self.memory), (resource.RLIMIT_FSIZE, self.output),
            (resource.RLIMIT_CPU, self.seconds), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0),
        ):  # fmt: skip
            resource.setrlimit(name, (value, value))
