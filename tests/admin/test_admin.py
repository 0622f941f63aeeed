"""The administration's pages: secrets never come out, the ledger is only read, no conversation is there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.test import Client

from chat.models import Agent, AuditEvent, Conversation, LedgerEntry, Message, new_id

pytestmark = pytest.mark.django_db

SECRET = "planted-secret-9c1e"
FIELDS = {
    "name": "Architect",
    "kind": "stackspot",
    "description": "",
    "examples": "[]",
    "base_url": "https://agents.example",
    "token_url": "https://id.example/token",
    "agent_id": "01K6101856EC0MKJ8KN4S2B9CM",
    "client_id": "client-1",
    "new_secret": SECRET,
    "options": "{}",
    "on_length": "ask",
    "on_stop": "cut",
    "continue_times": "3",
    "ca_bundle": "",
    "proxy": "",
    "enabled": "on",
    "position": "10",
}


@pytest.fixture
def browser_of(administrator: Any) -> Client:
    client = Client()
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def agent() -> Agent:
    agent = Agent(
        name="Architect", kind="stackspot", base_url="https://agents.example", token_url="https://id.example/t",
        agent_id="01K6101856EC0MKJ8KN4S2B9CM", client_id="client-1",
    )  # fmt: skip
    agent.set_secret(SECRET)
    agent.save()
    return agent


def entry(**fields: Any) -> LedgerEntry:
    now = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    values: dict[str, Any] = {
        "public_id": new_id(), "username": "alice", "agent_name": "Architect", "provider": "stackspot",
        "conversation_id": new_id(), "message_id": new_id(), "certainty": "reported", "outcome": "completed",
        "started_at": now, "ended_at": now, "duration_ms": 1200, "user_tokens": 11, "output_tokens": 7,
    }  # fmt: skip
    row = LedgerEntry(**{**values, **fields})
    LedgerEntry.objects.append([row])
    return row


# -- agents ----------------------------------------------------------------------------------------


def test_it_seals_the_secret_that_was_typed(browser_of: Client) -> None:
    answer = browser_of.post("/admin/chat/agent/add/", FIELDS)
    assert answer.status_code == 302, answer.content.decode()
    agent = Agent.objects.get()
    assert agent.secret() == SECRET
    assert SECRET not in agent.sealed_secret


def test_no_part_of_a_secret_is_in_any_page(browser_of: Client, agent: Agent) -> None:
    for path in ("", "chat/agent/", f"chat/agent/{agent.pk}/change/", f"chat/agent/{agent.pk}/history/"):
        page = browser_of.get(f"/admin/{path}").content.decode()
        assert SECRET[-4:] not in page
        assert agent.sealed_secret not in page
    assert ">set<" in browser_of.get(f"/admin/chat/agent/{agent.pk}/change/").content.decode()


def test_a_refused_form_does_not_show_the_secret_again(browser_of: Client) -> None:
    answer = browser_of.post("/admin/chat/agent/add/", {**FIELDS, "agent_id": "a/b"})
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()
    assert not Agent.objects.exists()


def test_an_empty_field_keeps_the_secret(browser_of: Client, agent: Agent) -> None:
    changed = browser_of.post(
        f"/admin/chat/agent/{agent.pk}/change/", {**FIELDS, "new_secret": "", "name": "New"}
    )
    assert changed.status_code == 302, changed.content.decode()
    agent.refresh_from_db()
    assert (agent.name, agent.secret()) == ("New", SECRET)


def test_a_preset_fills_in_what_is_empty(browser_of: Client) -> None:
    fields = {**FIELDS, "kind": "openai", "base_url": "", "token_url": "", "client_id": "", "new_secret": "",
              "agent_id": "llama3.2", "preset": "ollama", "requests_per_minute": "30"}  # fmt: skip
    assert browser_of.post("/admin/chat/agent/add/", fields).status_code == 302
    row = Agent.objects.get()
    assert (row.base_url, row.requests_per_minute, row.sealed_secret) == ("http://localhost:11434/v1", 30, "")


def test_an_option_out_of_its_range_is_refused_by_name_and_range(browser_of: Client) -> None:
    fields = {**FIELDS, "kind": "openai", "token_url": "", "client_id": "", "options": '{"temperature": 3}'}
    form = browser_of.post("/admin/chat/agent/add/", fields).context["adminform"].form
    assert form.errors == {"options": ["temperature must be a number from 0 to 2"]}


def test_an_azure_address_without_its_name_is_refused(browser_of: Client) -> None:
    fields = {**FIELDS, "kind": "openai", "token_url": "", "client_id": "", "base_url": "", "preset": "azure"}
    form = browser_of.post("/admin/chat/agent/add/", fields).context["adminform"].form
    assert "your own name" in form.errors["base_url"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "http://agents.example"),
        ("token_url", "https://u:p@id.example/token"),
        ("agent_id", "a?b"),
        ("new_secret", ""),
        ("options", '{"no_such_option": 1}'),
        ("options", "[]"),
        ("examples", '{"a": 1}'),
        ("proxy", "ftp://proxy"),
    ],
)
def test_it_says_what_is_wrong_beside_the_field(browser_of: Client, field: str, value: str) -> None:
    answer = browser_of.post("/admin/chat/agent/add/", {**FIELDS, field: value})
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]


def test_it_switches_agents_off_and_on(browser_of: Client, agent: Agent) -> None:
    chosen = {"_selected_action": [agent.pk]}
    browser_of.post("/admin/chat/agent/", {"action": "disable", **chosen})
    assert not Agent.objects.usable().exists()
    browser_of.post("/admin/chat/agent/", {"action": "enable", **chosen})
    assert Agent.objects.usable().exists()


def test_staff_without_the_permission_changes_no_agent(staff: Any, agent: Agent) -> None:
    client = Client()
    client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    fields = {**FIELDS, "base_url": "https://evil.example"}
    assert client.get(f"/admin/chat/agent/{agent.pk}/change/").status_code == 403
    assert client.post(f"/admin/chat/agent/{agent.pk}/change/", fields).status_code == 403
    assert client.post("/admin/chat/agent/add/", fields).status_code == 403
    agent.refresh_from_db()
    assert agent.base_url == "https://agents.example"
    told = AuditEvent.objects.filter(action="agent.refused").order_by("pk").values_list("actor", "target")
    assert list(told) == [("staff", f"agent:{agent.name}"), ("staff", "agent:-")], "S21"


def test_nobody_changes_an_agent_through_the_fields_of_a_send(alice: Any, agent: Agent) -> None:
    """S21: mass assignment."""
    client = Client()
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    more = {
        "base_url": "https://evil.example",
        "agent__base_url": "https://evil.example",
        "options": {"a": 1},
    }
    client.post("/c/", {"text": "Hi", "agent": agent.public_id, **more}, content_type="application/json")
    before = agent.base_url, agent.options
    agent.refresh_from_db()
    assert (agent.base_url, agent.options) == before
    assert client.post(f"/admin/chat/agent/{agent.pk}/change/", {**FIELDS, **more}).status_code in (302, 403)
    agent.refresh_from_db()
    assert agent.base_url == before[0]


# -- the ledger ------------------------------------------------------------------------------------


def test_the_ledger_is_read_on_the_audits_pages(browser_of: Client, staff: Any) -> None:
    """Django's own list counts and sorts all rows, which takes long where they are many."""
    row = entry()
    for path, shown in (("", "/admin/audit/?view=calls"), (f"{row.pk}/change/", f"calls/{row.public_id}/")):
        answer = browser_of.get(f"/admin/chat/ledgerentry/{path}")
        assert answer.status_code == 302 and answer["Location"].endswith(shown)
        assert browser_of.get(answer["Location"]).status_code == 200
    assert browser_of.get("/admin/chat/ledgerentry/x/change/").status_code == 404
    browser_of.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
    for path in ("", f"{row.pk}/change/"):
        assert browser_of.get(f"/admin/chat/ledgerentry/{path}").status_code == 403


def test_nobody_writes_the_ledger_in_the_administration(browser_of: Client) -> None:
    row = entry()
    before = LedgerEntry.objects.values().get()
    base = "/admin/chat/ledgerentry"
    for path in (f"{base}/add/", f"{base}/{row.pk}/delete/", f"{base}/{row.pk}/change/"):
        assert browser_of.post(path, {"username": "mallory"}).status_code == 403, path
    deleted = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    browser_of.post(f"{base}/", deleted)
    assert LedgerEntry.objects.values().get() == before


# -- what is not there -----------------------------------------------------------------------------


def test_no_conversation_is_reachable() -> None:
    registered = {model._meta.label for model in admin.site._registry}
    ours = {"chat.Agent", "chat.LedgerEntry", "chat.Share", "chat.AuditEvent", "chat.Reading"}
    ours |= {"chat.Price", "chat.Budget", "chat.BudgetRequest", "chat.Membership"}
    assert registered == {"auth.User", "auth.Group"} | ours


def test_deleting_a_person_shows_nothing_they_wrote(browser_of: Client, alice: Any) -> None:
    now = datetime.now(UTC)
    row = Conversation.objects.create(owner=alice, title="planted title", updated_at=now)
    Message.objects.create(conversation=row, role="user", text="planted text", author=alice, created_at=now)
    page = browser_of.get(f"/admin/auth/user/{alice.pk}/delete/").content.decode()
    assert "planted" not in page
    assert row.public_id not in page
    assert "Conversations: 1" in page
    assert browser_of.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Conversation.objects.exists()


def test_every_model_of_ours_is_decided_upon() -> None:
    """A new model is either registered above or kept out here, on purpose."""
    kept_out = {"Conversation", "Message", "Draft", "SendReceipt", "Worker", "ShareVersion", "ShareOpening"}
    kept_out |= {"Rollup", "RollupKey", "RollupState", "BudgetHold", "BudgetPeriod", "PendingCall"}
    kept_out |= {"BudgetConsent", "BudgetTold"}
    kept_out |= {"ContextFile", "FileBytes", "Attachment", "Handing"}
    shown = {"Agent", "LedgerEntry", "Share", "AuditEvent", "Reading"}
    shown |= {"Budget", "BudgetGrant", "BudgetRequest", "Membership", "Price"}
    assert {model.__name__ for model in apps.get_app_config("chat").get_models()} == kept_out | shown
