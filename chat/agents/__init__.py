"""The outside world: clients of agents. Knows neither Django nor Channels."""

from __future__ import annotations
