"""Agents as an administrator set them up, and the turns' runtime beside the test's rows."""

from __future__ import annotations

from tests.agent_server import agent_server
from tests.serving import agent, make_agent, make_model, serving

__all__ = ["agent", "agent_server", "make_agent", "make_model", "serving"]
