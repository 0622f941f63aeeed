from __future__ import annotations

from tests.serving import agent, make_agent, serving

__all__ = ["agent", "make_agent", "serving"]
