"""What commands change is in the audit log as what people change is, with no actor and no secret."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command

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


def test_an_administrator_of_the_command_line_is_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "planted-password-93")
    monkeypatch.setenv("LOGNAME", "operator")
    call_command("createsuperuser", "--noinput", username="dora", email="", stdout=StringIO())
    (event,) = AuditEvent.objects.all()
    assert (event.action, event.target, event.actor) == ("person.created", "person:dora", "")
    assert event.data == {
        "command": "createsuperuser", "run_by": "operator", "after": {"is_superuser": True},
    }  # fmt: skip
    with pytest.raises(CommandError):
        call_command("createsuperuser", "--noinput", username="dora", email="", stdout=StringIO())
    get_user_model().objects.create_user("eve")
    assert AuditEvent.objects.count() == 1, "nothing else is taken for the command's work"


def test_a_password_of_the_command_line_is_in_the_log_and_a_refused_one_is_not(
    monkeypatch: pytest.MonkeyPatch, alice: Any
) -> None:
    typed = iter(["short"] * 6 + ["planted-password-93"] * 2)
    monkeypatch.setattr("getpass.getpass", lambda prompt="": next(typed))
    monkeypatch.setenv("LOGNAME", "operator")
    with pytest.raises(CommandError):
        call_command("changepassword", "alice", stdout=StringIO(), stderr=StringIO())
    assert not AuditEvent.objects.exists()
    call_command("changepassword", "alice", stdout=StringIO(), stderr=StringIO())
    (event,) = AuditEvent.objects.all()
    assert (event.action, event.target) == ("person.password_changed", "person:alice")
    assert event.data == {"command": "changepassword", "run_by": "operator"}
    alice.refresh_from_db()
    assert alice.check_password("planted-password-93")


def test_the_log_says_of_a_command_that_it_was_one(
    admin_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "planted-password-93")
    call_command("createsuperuser", "--noinput", username="dora", email="", stdout=StringIO())
    row = admin_client.get("/admin/chat/auditevent/?q=dora").content.decode()
    assert "command line" in row
