"""The way of a send to its conversation follows the rule of all others."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat.models import Conversation, new_id


@pytest.mark.parametrize("captured", [False, True], ids=["bare", "through Django's cursor"])
def test_a_send_finds_exactly_the_conversations_that_are_visible(
    alice: Any, bob: Any, captured: bool
) -> None:
    now = timezone.now()
    rows = [
        Conversation.objects.create(owner=owner, title="t", updated_at=now, deleted_at=deleted)
        for owner in (alice, bob)
        for deleted in (None, now)
    ]
    names = [*(row.public_id for row in rows), rows[0].public_id.lower(), new_id(), "", "x", "0' OR '1"]
    gone = type(alice)(pk=alice.pk, username="alice", is_active=False)
    for user in (alice, bob, gone, AnonymousUser()):
        for name in names:
            visible = set(Conversation.objects.visible_to(user).named(name))
            with CaptureQueriesContext(connection) if captured else nullcontext():
                found = Conversation.objects.one_to_send_into(user, name)
            assert ({found} if found else set()) == visible
    assert Conversation.objects.one_to_send_into(alice, rows[0].public_id) == rows[0]
