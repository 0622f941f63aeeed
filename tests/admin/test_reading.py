"""Reading a conversation: by a permission of its own, for a reason and a while, and its owner knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from chat.actions import Refused, reading
from chat.models import AuditEvent, Conversation, Reading
from tests.security.conftest import Owned, client_of, of_alice
from tests.serving import Serving, serving, wait_for

__all__ = ["client_of", "of_alice", "serving"]
pytestmark = pytest.mark.django_db
WHY = "A customer reports a wrong answer of Tuesday"


@pytest.fixture
def right(db: None) -> Permission:
    return Permission.objects.get(codename="read_conversations", content_type__app_label="chat")


@pytest.fixture
def reader(staff: Any, right: Permission) -> Any:
    staff.user_permissions.add(right)
    return staff


@pytest.fixture
def opened(reader: Any, of_alice: Owned) -> Reading:
    return reading.begin(reader, conversation=of_alice.conversation, reason=WHY, hours=1)


def page_of(row: Reading) -> str:
    return f"/admin/reading/{row.public_id}/"


@pytest.mark.parametrize("who", ["alice", "staff", "administrator"])
def test_without_the_permission_by_name_nobody_reads(
    who: str, request: pytest.FixtureRequest, of_alice: Owned, client_of: Callable[..., Client]
) -> None:
    """A superuser too: what is given to everybody of a kind was not given to anybody."""
    person = request.getfixturevalue(who)
    client = client_of(person)
    assert client.get("/admin/reading/").status_code in (302, 403)
    fields = {"conversation": of_alice.conversation, "reason": WHY, "hours": "1"}
    assert client.post("/admin/reading/", fields).status_code in (302, 403)
    with pytest.raises(Refused):
        reading.begin(person, conversation=of_alice.conversation, reason=WHY, hours=1)
    assert not Reading.objects.exists()


def test_a_group_can_give_the_permission(administrator: Any, right: Permission, of_alice: Owned) -> None:
    group = Group.objects.create(name="Readers")
    group.permissions.add(right)
    administrator.groups.add(group)
    assert reading.begin(administrator, conversation=of_alice.conversation, reason=WHY, hours=1)


def test_the_reader_sees_it_and_every_look_is_in_the_log(
    reader: Any, of_alice: Owned, client_of: Callable[..., Client]
) -> None:
    client = client_of(reader)
    fields = {"conversation": of_alice.conversation, "reason": WHY, "hours": "4"}
    made = client.post("/admin/reading/", fields)
    row = Reading.objects.get()
    assert made.headers["Location"] == page_of(row)
    for _ in range(2):
        page = client.get(page_of(row))
        assert page.status_code == 200
        for text in ("secret question", "secret answer", WHY, "alice"):
            assert text in page.content.decode()
    events = AuditEvent.objects.filter(target=f"conversation:{of_alice.conversation}").order_by("pk")
    assert [event.action for event in events] == ["reading.begun", "reading.looked", "reading.looked"]
    assert {event.actor for event in events} == {"staff"}
    assert events[0].data["reason"] == WHY
    assert Reading.objects.get().looks == 2


def test_what_was_written_runs_nothing_there(
    reader: Any, alice: Any, of_alice: Owned, client_of: Callable[..., Client]
) -> None:
    row = Conversation.objects.get(public_id=of_alice.conversation)
    row.messages.filter(role="assistant").update(text="<script>x</script> ![p](https://evil.example/p.png)")
    made = reading.begin(reader, conversation=of_alice.conversation, reason=WHY, hours=1)
    page = client_of(reader).get(page_of(made)).content.decode()
    assert "<script>x" not in page
    assert 'src="https://evil' not in page


@pytest.mark.parametrize("how", ["time", "end", "permission", "deleted", "other"])
def test_it_is_over(
    how: str, opened: Reading, reader: Any, right: Permission, alice: Any, make_person: Callable[..., Any],
    client_of: Callable[..., Client],
) -> None:  # fmt: skip
    client = client_of(reader)
    assert client.get(page_of(opened)).status_code == 200
    if how == "time":
        Reading.objects.update(until=timezone.now() - timedelta(seconds=1))
    elif how == "end":
        assert client.post(f"{page_of(opened)}end/").status_code == 302
    elif how == "permission":
        reader.user_permissions.remove(right)
    elif how == "deleted":
        Conversation.objects.update(deleted_at=timezone.now())
    else:
        other = make_person("dora", is_staff=True)
        other.user_permissions.add(right)
        client = client_of(other)
    looks = AuditEvent.objects.filter(action="reading.looked").count()
    answer = client.get(page_of(opened), follow=True)
    assert "secret" not in answer.content.decode()
    assert AuditEvent.objects.filter(action="reading.looked").count() == looks


def test_an_end_before_its_time_is_in_the_log_once(opened: Reading, reader: Any) -> None:
    for _ in range(2):
        reading.end(reader, reading=opened.public_id)
    event = AuditEvent.objects.get(action="reading.ended")
    assert (event.actor, event.data) == ("staff", {"reading": opened.public_id})


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [({"reason": "because"}, "reason"), ({"hours": 25}, "hours"), ({"conversation": "x"}, "conversation")],
)
def test_a_reason_and_an_end_are_asked_for(
    fields: dict[str, Any], wrong: str, reader: Any, of_alice: Owned
) -> None:
    values = {"conversation": of_alice.conversation, "reason": WHY, "hours": 1, **fields}
    with pytest.raises(ValidationError) as caught:
        reading.begin(reader, **values)
    assert list(caught.value.message_dict) == [wrong]


def test_the_owner_is_told_by_name_and_reason_and_it_stays(
    opened: Reading, alice: Any, of_alice: Owned, client_of: Callable[..., Client]
) -> None:
    client = client_of(alice)
    address = f"/c/{of_alice.conversation}/"
    assert address in client.get("/").content.decode().split('id="notices"')[1].split("</div>")[0]
    for _ in range(2):
        page = client.get(address).content.decode()
        assert "staff (administration) may read this conversation until" in page
        assert WHY in page
    assert client.get("/").content.decode().count(WHY) == 0
    Reading.objects.update(ended_at=timezone.now())
    assert "staff (administration) could read this from" in client.get(address).content.decode()


def test_the_notice_has_one_full_stop_after_the_time(opened: Reading) -> None:
    opened.until = datetime(2126, 11, 21, 20, 15, tzinfo=UTC)
    assert f"may read this conversation until 11/21/2126 8:15 PM. Reason: {WHY}" in reading.notice(opened)


def test_open_pages_of_the_owner_are_told_at_once(serving: Serving, request: pytest.FixtureRequest) -> None:
    of_alice, reader, alice = (request.getfixturevalue(n) for n in ("of_alice", "reader", "alice"))
    feed = serving.watch_feed(alice)
    reading.begin(reader, conversation=of_alice.conversation, reason=WHY, hours=1)
    wait_for(lambda: feed.frames, what="the feed tells of it")
    event = feed.events[-1]
    assert event["type"] == "conversation.opened_to"
    assert event["conversation"]["reading"]["who"] == "staff"
    assert event["conversation"]["reading"]["reason"] == WHY


def test_no_other_door_opens(opened: Reading, reader: Any, of_alice: Owned) -> None:
    assert not Conversation.objects.visible_to(reader).exists()


def test_the_list_of_readings_shows_no_word(
    opened: Reading, administrator: Any, client_of: Callable[..., Client]
) -> None:
    for path in ("/admin/chat/reading/", f"/admin/chat/reading/{opened.pk}/change/"):
        page = client_of(administrator).get(path).content.decode()
        assert WHY in page
        assert "secret" not in page
        assert "Of Alice" not in page
