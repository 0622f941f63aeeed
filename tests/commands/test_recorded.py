"""What commands change is in the audit log as what people change is, with no actor and no secret."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from chat.models import AuditEvent

pytestmark = pytest.mark.django_db


def agent(*arguments: str) -> None:
    call_command("agent", *arguments, stdout=StringIO(), stderr=StringIO())


def test_an_agent_of_the_command_line_is_in_the_log(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("planted-secret")
    agent(
        "add", "Architect", "--agent-id", "01J", "--realm", "acme", "--client-id", "c",
        "--client-secret-file", str(secret),
    )  # fmt: skip
    agent("disable", "Architect")
    agent("enable", "Architect")
    secret.write_text("planted-other")
    agent("secret", "Architect", "--client-secret-file", str(secret))
    agent("reseal")
    events = list(AuditEvent.objects.order_by("pk"))
    assert [event.action for event in events] == [
        "agent.created", "agent.changed", "agent.changed", "agent.changed", "agent.secrets_resealed",
    ]  # fmt: skip
    assert {event.actor for event in events} == {""}
    assert {event.target for event in events[:4]} == {"agent:Architect"}
    assert events[1].data == {"before": {"enabled": True}, "after": {"enabled": False}}
    assert events[3].data == {"secret": "replaced"}
    assert "planted" not in str([event.data for event in events])
