from __future__ import annotations

from tests.serving import agent, make_agent, make_model, serving

__all__ = ["agent", "make_agent", "make_model", "serving"]
