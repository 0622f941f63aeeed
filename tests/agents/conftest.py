from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from chat.agents import HttpSession
from tests.agent_server import agent_server

__all__ = ["agent_server", "http"]

# A busy machine is no defect of the code under test.
settings.register_profile("agents", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("agents")


@pytest.fixture
async def http() -> AsyncIterator[HttpSession]:
    session = HttpSession()
    yield session
    await session.close()


def pytest_configure(config: pytest.Config) -> None:
    # These tests also run without the project's configuration, as whoever takes this room alone would.
    config.addinivalue_line("markers", "server: starts a real server process")
