"""Agents as an administrator set them up."""

from __future__ import annotations

from tests.serving import make_agent, make_model

__all__ = ["make_agent", "make_model"]
