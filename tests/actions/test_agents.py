"""The agent that the environment describes at the first start."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from chat.actions.agents import from_environment
from chat.models import Agent

pytestmark = pytest.mark.django_db

VALUES = {
    "STACKSPOT_REALM": "acme",
    "STACKSPOT_CLIENT_ID": "client-1",
    "STACKSPOT_CLIENT_SECRET": "planted-secret-77",
    "STACKSPOT_AGENT_ID": "01K6101856EC0MKJ8KN4S2B9CM",
    "STKAI_AGENT_BASE_URL": "",
    "STKAI_AUTH_TOKEN_URL": "",
}


def test_it_makes_the_agent_that_the_environment_describes(demo_agent: Any) -> None:
    agent, missing = from_environment(VALUES)
    assert missing == []
    assert agent is not None
    assert agent.token_url == "https://idm.stackspot.com/acme/oidc/oauth/token"
    assert agent.base_url == "https://genai-inference-app.stackspot.com"
    assert agent.secret() == VALUES["STACKSPOT_CLIENT_SECRET"]
    assert Agent.objects.first() == agent, "it comes before the demo agent"


def test_it_makes_it_once(demo_agent: Any) -> None:
    from_environment(VALUES)
    Agent.objects.filter(kind="stackspot").update(name="Renamed", enabled=False)
    assert from_environment(VALUES) == (None, [])
    assert Agent.objects.count() == 2


def test_it_prefers_the_sdk_s_own_addresses() -> None:
    urls = {
        "STKAI_AGENT_BASE_URL": "https://agents.example/",
        "STKAI_AUTH_TOKEN_URL": "https://id.example/token",
    }
    agent, _ = from_environment({**VALUES, **urls, "STACKSPOT_REALM": ""})
    assert agent is not None
    assert (agent.base_url, agent.token_url) == ("https://agents.example/", "https://id.example/token")


def test_it_does_nothing_without_an_agent_id() -> None:
    assert from_environment({**VALUES, "STACKSPOT_AGENT_ID": ""}) == (None, [])


def test_it_says_what_is_missing() -> None:
    values = {**VALUES, "STACKSPOT_REALM": "", "STACKSPOT_CLIENT_SECRET": ""}
    assert from_environment(values) == (None, ["STACKSPOT_CLIENT_SECRET", "STACKSPOT_REALM"])
    assert not Agent.objects.exists()


def test_it_does_not_make_an_agent_that_cannot_answer() -> None:
    with pytest.raises(ValidationError):
        from_environment({**VALUES, "STACKSPOT_AGENT_ID": "a/b"})
    assert not Agent.objects.exists()


def test_a_name_that_is_taken_gets_a_number() -> None:
    Agent.objects.create(name="StackSpot", kind="demo")
    agent, _ = from_environment(VALUES)
    assert agent is not None
    assert agent.name == "StackSpot 2"
