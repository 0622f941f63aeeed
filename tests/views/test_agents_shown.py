"""An agent that cannot be asked is shown as such, with the reason, and is nobody's first choice."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.test import Client

from chat.models import Agent


def boot(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/", headers={"Accept": "application/json"}).json()
    return found


def test_an_agent_whose_key_cannot_be_opened_is_not_offered(
    client: Client, alice: Any, make_agent: Any, make_model: Any, settings: Any
) -> None:
    locked = make_agent(name="Locked", position=1)
    local = make_model(name="Local", position=2)
    Agent.objects.filter(pk=local.pk).update(sealed_secret="")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    client.force_login(alice)
    found = boot(client)
    shown = {agent["name"]: (agent["usable"], agent["problem"]) for agent in found["agents"]}
    assert shown == {"Locked": (False, "unreadable_key"), "Local": (True, "")}, "a local server needs no key"
    assert found["agent"]["name"] == "Local"
    html = client.get("/").content.decode()
    assert "Not available now" in html
    assert f'value="{locked.public_id}" form="composer" disabled' in html
    assert "/admin/" not in html
    alice.is_staff = True
    alice.save()
    assert "Its key cannot be opened" in client.get("/").content.decode()


def test_an_agent_without_a_key_says_so(client: Client, alice: Any, make_agent: Any) -> None:
    agent = make_agent()
    Agent.objects.filter(pk=agent.pk).update(sealed_secret="")
    client.force_login(alice)
    assert [agent["problem"] for agent in boot(client)["agents"]] == ["no_key"]
