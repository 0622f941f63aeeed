"""Every action that can be in the audit log has words, in both places where it is told."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib import admin
from django.test import Client

from chat.admin.bases import Recorded
from chat.models import AuditEvent
from chat.models.audit_actions import ACTIONS, label_of

ROOT = Path(__file__).parents[2]
ACTION = re.compile(r"[a-z]+\.[a-z_]+")
KINDS = {action.partition(".")[0] for action in ACTIONS}
#: Names of settings there, which look the same.
OTHERS = ("chat/agents/", "chat/limits.py", "chat/management/commands/", "chat/migrations/")


def written() -> Iterator[tuple[str, str]]:
    """(action, file) of every action that a module names, and that an admin page makes up."""
    for path in sorted(ROOT.glob("chat/**/*.py")):
        name = str(path.relative_to(ROOT))
        if name == "chat/models/audit_actions.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("record", "record_change"):
                constants = [node.args[0]]
            elif name.startswith(OTHERS):
                continue
            else:
                constants = [node]
            values = [value for c in constants if isinstance(value := getattr(c, "value", None), str)]
            for value in filter(ACTION.fullmatch, values):
                if constants != [node] or value.partition(".")[0] in KINDS:
                    yield value, name
    for page in admin.site._registry.values():
        if isinstance(page, Recorded):
            for verb in ("created", "changed", "deleted"):
                yield f"{page.record_kind}.{verb}", type(page).__name__


def test_every_action_has_words() -> None:
    found = dict(written())
    assert len(found) > 40, "the walk finds them"
    assert {action: where for action, where in found.items() if action not in ACTIONS} == {}


def test_no_words_are_left_over() -> None:
    assert set(ACTIONS) - set(dict(written())) == set()


@pytest.mark.parametrize("action", ACTIONS)
def test_words_are_no_code_and_each_action_is_in_the_document(action: str) -> None:
    assert not ACTION.fullmatch(label_of(action)) and " " in label_of(action)
    kind, _, verb = action.partition(".")
    table = (ROOT / "docs" / "audit.md").read_text()
    assert f"`{action}`" in table or f"`{kind}.*`" in table or f"`.{verb}`" in table


@pytest.mark.django_db
def test_the_page_says_them(administrator: object, client: Client) -> None:
    AuditEvent.objects.append(administrator, "agent.refused", "agent:Architect")
    AuditEvent.objects.append(administrator, "once.upon", "a:time")
    client.force_login(administrator, backend="django.contrib.auth.backends.ModelBackend")  # type: ignore[arg-type]
    page = client.get("/admin/chat/auditevent/").content.decode()
    assert page.count("A change of agents was refused: no permission") == 2, "the list and its filter"
    assert "once.upon" in page
    one = AuditEvent.objects.get(action="agent.refused")
    assert (
        "A change of agents was refused"
        in client.get(f"/admin/chat/auditevent/{one.pk}/change/").content.decode()
    )
