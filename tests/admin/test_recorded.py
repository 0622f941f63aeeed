"""What is done at the administration's doors is in the audit log, before and after, without secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client

from chat import actions
from chat.actions.recording import record_settings
from chat.models import Agent, AuditEvent, Conversation
from chat.turns.sweeper import sweep
from tests.admin.test_admin import FIELDS, SECRET
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


def last(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("pk")


def text_of_the_log() -> str:
    return " ".join(f"{event.actor} {event.target} {event.data}" for event in AuditEvent.objects.all())


# -- agents ------------------------------------------------------------------------------------------


def test_an_agent_is_recorded_before_and_after_without_its_secret(admin: Client) -> None:
    assert admin.post("/admin/chat/agent/add/", FIELDS).status_code == 302
    made = last("agent.created")
    assert (made.actor, made.target) == ("administrator", "agent:Architect")
    assert made.data["after"]["base_url"] == "https://agents.example"
    assert made.data["secret"] == "set"

    pk = Agent.objects.get().pk
    changed = {
        **FIELDS,
        "name": "Builder",
        "new_secret": "another-planted-secret",
        "options": '{"stream": true}',
    }
    changed["options"] = "{}"
    assert admin.post(f"/admin/chat/agent/{pk}/change/", changed).status_code == 302
    event = last("agent.changed")
    assert event.data == {
        "before": {"name": "Architect"}, "after": {"name": "Builder"}, "secret": "replaced",
    }  # fmt: skip
    admin.post("/admin/chat/agent/", {"action": "disable", "_selected_action": [pk]})
    assert last("agent.changed").data == {"before": {"enabled": True}, "after": {"enabled": False}}
    admin.post(f"/admin/chat/agent/{pk}/delete/", {"post": "yes"})
    assert last("agent.deleted").data["before"]["name"] == "Builder"
    for secret in (SECRET, "another-planted-secret"):
        assert secret not in text_of_the_log()


def test_a_save_that_changes_nothing_is_no_event(admin: Client) -> None:
    admin.post("/admin/chat/agent/add/", FIELDS)
    pk, before = Agent.objects.get().pk, AuditEvent.objects.count()
    admin.post(f"/admin/chat/agent/{pk}/change/", {**FIELDS, "new_secret": ""})
    assert AuditEvent.objects.count() == before


def test_the_password_of_a_proxy_is_not_in_the_log(admin: Client) -> None:
    admin.post("/admin/chat/agent/add/", {**FIELDS, "proxy": "http://who:planted-pw@proxy.example:8080"})
    assert last("agent.created").data["after"]["proxy"] == "http://…@proxy.example:8080"
    assert "planted-pw" not in text_of_the_log()


# -- people ------------------------------------------------------------------------------------------


def test_a_change_of_a_person_names_groups_and_permissions(admin: Client, alice: Any) -> None:
    team = Group.objects.create(name="Payments")
    right = Permission.objects.get(codename="view_ledgerentry")
    fields = {
        "username": "alice", "is_staff": "on", "groups": [team.pk], "user_permissions": [right.pk],
        "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00",
    }  # fmt: skip
    answer = admin.post(f"/admin/auth/user/{alice.pk}/change/", fields)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    event = last("person.changed")
    assert event.target == "person:alice"
    assert event.data["before"] == {
        "is_active": True, "is_staff": False, "groups": [], "user_permissions": [],
    }  # fmt: skip
    assert event.data["after"]["groups"] == ["Payments"]
    assert event.data["after"]["user_permissions"] == [str(right)]
    assert event.data["after"]["is_active"] is False


def test_people_and_groups_that_come_and_go_are_recorded(admin: Client, alice: Any) -> None:
    admin.post("/admin/auth/group/add/", {"name": "Payments"})
    assert last("group.created").data == {"after": {"name": "Payments", "permissions": []}}
    new = {"username": "dora", "password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    assert admin.post("/admin/auth/user/add/", new).status_code == 302
    assert last("person.created").target == "person:dora"
    admin.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"})
    assert last("person.deleted").data["before"]["username"] == "alice"


@pytest.mark.parametrize("door", ["/accounts/password_change/", "/admin/password_change/"])
def test_ones_own_new_password_is_recorded_without_it(admin: Client, door: str) -> None:
    fields = {
        "old_password": PASSWORD,
        "new_password1": "planted-new-pw-93",
        "new_password2": "planted-new-pw-93",
    }
    assert admin.post(door, fields).status_code == 302
    assert last("person.password_changed").target == "person:administrator"
    assert "planted-new-pw" not in text_of_the_log()


def test_a_password_given_by_an_administrator_is_recorded(admin: Client, alice: Any) -> None:
    fields = {"password1": "planted-new-pw-93", "password2": "planted-new-pw-93", "usable_password": "true"}
    path = f"/admin/auth/user/{alice.pk}/password/"
    assert admin.post(path, {**fields, "password2": "x"}).status_code == 200
    assert not AuditEvent.objects.filter(action="person.password_changed").exists()
    assert admin.post(path, fields).status_code == 302
    event = last("person.password_changed")
    assert (event.actor, event.target) == ("administrator", "person:alice")
    assert admin.get("/admin/auth/user/x/password/").status_code == 404


# -- signing in --------------------------------------------------------------------------------------


def sign_in(client: Client, username: str, password: str, **headers: str) -> int:
    fields = {"username": username, "password": password}
    return client.post("/accounts/login/", fields, headers=headers).status_code


def test_signing_in_and_out_is_recorded_with_a_coarse_network_and_a_request(
    alice: Any, client: Client
) -> None:
    client.defaults["REMOTE_ADDR"] = "203.0.113.77"
    assert sign_in(client, "alice", PASSWORD) == 302
    client.post("/accounts/logout/")
    came, left = last("person.signed_in"), last("person.signed_out")
    for event in (came, left):
        assert (event.actor, event.actor_id, event.target) == ("alice", alice.pk, "person:alice")
        assert event.address == "203.0.113.0/24"
        assert len(event.request_id) == 26
    assert came.request_id != left.request_id
    assert AuditEvent.objects.all().first_broken() is None


def test_a_trusted_proxys_request_id_is_taken_over(alice: Any, client: Client, settings: Any) -> None:
    sign_in(client, "alice", PASSWORD, X_Request_Id="from-the-proxy-1")
    assert last("person.signed_in").request_id != "from-the-proxy-1"
    settings.TRUST_PROXY = True
    sign_in(client, "alice", PASSWORD, X_Request_Id="from-the-proxy-1")
    assert last("person.signed_in").request_id == "from-the-proxy-1"
    sign_in(client, "alice", PASSWORD, X_Request_Id="x" * 65)
    assert len(last("person.signed_in").request_id) == 26


def test_wrong_passwords_and_the_lockout_are_recorded_once_each(alice: Any, client: Client) -> None:
    for _ in range(8):
        sign_in(client, "alice", "wrong")
    assert AuditEvent.objects.filter(action="person.sign_in_failed").count() == 5
    assert AuditEvent.objects.filter(action="person.locked_out").count() == 1
    assert last("person.locked_out").target == "person:alice"


def test_a_password_typed_as_a_name_is_not_kept(client: Client) -> None:
    sign_in(client, "planted-pw-as-name", "x")
    assert last("person.sign_in_failed").target == "person:?"
    assert "planted-pw" not in text_of_the_log()


# -- the rest ----------------------------------------------------------------------------------------


def test_a_deleted_conversation_is_recorded_without_its_title(alice: Any) -> None:
    from django.utils import timezone

    row = Conversation.objects.create(owner=alice, title="planted title", updated_at=timezone.now())
    actions.delete(alice, conversation=row.public_id)
    actions.restore(alice, conversation=row.public_id)
    for action in ("conversation.deleted", "conversation.restored"):
        assert (last(action).actor, last(action).target) == ("alice", f"conversation:{row.public_id}")
    actions.delete(alice, conversation=row.public_id)
    Conversation.objects.update(deleted_at=timezone.now() - timedelta(hours=2))
    sweep()
    event = AuditEvent.objects.get(action="conversation.purged")
    assert (event.actor, event.target) == ("", f"conversation:{row.public_id}")
    assert "planted title" not in text_of_the_log()


def test_another_setting_at_a_start_is_recorded_and_the_same_is_not(db: None) -> None:
    first = {"STKWEB_THREADS": "4", "STKWEB_SECRET_KEY": "planted-key", "HOME": "/root"}
    record_settings(first)
    record_settings(first)
    record_settings({**first, "STKWEB_THREADS": "8", "DATABASE_URL": "postgres://u:planted@host/db"})
    events = list(AuditEvent.objects.filter(action="settings.changed").order_by("pk"))
    assert [event.data["after"] for event in events] == [
        {"STKWEB_SECRET_KEY": "set", "STKWEB_THREADS": "4"},
        {"STKWEB_THREADS": "8", "DATABASE_URL": "set"},
    ]
    assert events[1].data["before"] == {"STKWEB_THREADS": "4", "DATABASE_URL": None}
    assert "planted" not in text_of_the_log()
