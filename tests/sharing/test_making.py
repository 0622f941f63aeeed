"""Making a link: the preview is what a reader gets, what is off stays off, and the administrator's rules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from chat.actions import Refused, sharing
from chat.models import Conversation, Message, Share, State
from chat.sharing.snapshot import BLANK, Shown, freeze
from tests.sharing.conftest import Link, add_turn
from tests.sharing.pages import fields_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(client_of: Callable[..., Client], alice: Any) -> Client:
    return client_of(alice)


def made(client: Client, thread: str, **fields: Any) -> Any:
    """Look at the preview with these fields, then make the link, as the form does."""
    path = f"/c/{thread}/share/"
    seen = fields_of(client.get(path).content.decode()) | fields
    seen = fields_of(client.post(path, {**seen, "action": "preview"}).content.decode()) | fields
    return client.post(path, {**seen, "action": "make"})


def address_of(answer: Any) -> str:
    found = re.search(r'id="address" readonly value="http://testserver([^"]+)"', answer.content.decode())
    assert found, answer.content.decode()
    return found[1]


def prose_of(page: str) -> list[str]:
    """The HTML of every message on a page."""
    return re.findall(r"<article class=\"[qa]\">.*?</article>", page, re.S)


def test_looking_at_the_preview_makes_nothing(owner: Client, conversation: Conversation) -> None:
    page = owner.get(f"/c/{conversation.public_id}/share/")
    assert page.status_code == 200
    assert "expand and contract" in page.content.decode()
    owner.post(f"/c/{conversation.public_id}/share/", {"action": "preview", "names": "on"})
    assert not Share.objects.exists()


def test_the_preview_is_the_very_html_that_a_reader_gets(
    owner: Client, conversation: Conversation, client: Client
) -> None:
    path = f"/c/{conversation.public_id}/share/"
    fields = {"audience": "anyone", "names": "on"}
    preview = owner.post(path, {**fields_of(owner.get(path).content.decode()), **fields, "action": "preview"})
    link = address_of(made(owner, conversation.public_id, **fields))
    reader = client.get(link).content.decode()
    assert prose_of(preview.content.decode()) == prose_of(reader) != []
    assert (
        re.search(r"<h1[^>]*>(.*?)</h1>\n<p class=\"meta\">.*?</p>", reader, re.S)[0]
        in preview.content.decode()
    )  # type: ignore[index]


def test_the_link_shows_the_moment_of_the_preview(
    owner: Client, conversation: Conversation, client: Client, alice: Any, demo_agent: Any
) -> None:
    path = f"/c/{conversation.public_id}/share/"
    seen = fields_of(owner.get(path).content.decode()) | {"audience": "anyone", "action": "make"}
    add_turn(conversation, alice, demo_agent, "Later?", "A later answer.")
    page = client.get(address_of(owner.post(path, seen))).content.decode()
    assert "expand and contract" in page
    assert "later answer" not in page


@pytest.mark.parametrize("change", [{"names": "on"}, {"tokens": "on", "reasoning": "on"}, {"hide": "FIRST"}])
def test_what_was_not_looked_at_is_shown_first(
    change: dict[str, str], owner: Client, conversation: Conversation
) -> None:
    Message.objects.filter(role="assistant").update(reasoning="I thought.")
    first = conversation.messages.order_by("pk")[0].public_id
    path = f"/c/{conversation.public_id}/share/"
    seen = fields_of(owner.get(path).content.decode())
    changed = {name: value.replace("FIRST", first) for name, value in change.items()}
    answer = owner.post(path, {**seen, **changed, "audience": "anyone", "action": "make"})
    assert answer.status_code == 409
    assert not Share.objects.exists()
    again = owner.post(path, {**fields_of(answer.content.decode()), "audience": "anyone", "action": "make"})
    assert again.status_code == 200
    assert Share.objects.exists()


def test_names_reasoning_and_tokens_are_off_until_switched_on(
    conversation: Conversation, share: Callable[..., Link], client: Client, alice: Any
) -> None:
    from chat.models import LedgerEntry, new_id

    alice.first_name, alice.last_name = "Alice", "Prado"
    alice.save()
    answer = conversation.messages.filter(role="assistant").first()
    assert answer is not None
    Message.objects.filter(pk=answer.pk).update(reasoning="A private thought.")
    now = timezone.now()
    entry = LedgerEntry(
        public_id=new_id(), username="alice", agent_name="Demo", provider="demo",
        conversation_id=conversation.public_id, message_id=answer.public_id, user_tokens=11,
        enrichment_tokens=578, output_tokens=361,
        certainty="reported", outcome="completed", started_at=now, ended_at=now, duration_ms=1,
    )  # fmt: skip
    LedgerEntry.objects.append([entry])
    closed = client.get(share(conversation).path).content.decode()
    for word in ("Prado", "alice", "private thought", "578", "tokens"):
        assert word not in closed
    opened = client.get(share(conversation, Shown(("names", "reasoning", "tokens"))).path).content.decode()
    for word in (
        "Alice Prado",
        "A private thought.",
        "950 tokens",
        "11 asked",
        "578 knowledge",
        "361 answered",
    ):
        assert word in opened


def test_single_messages_can_be_hidden(
    conversation: Conversation, share: Callable[..., Link], client: Client
) -> None:
    ids = list(conversation.messages.order_by("pk").values_list("public_id", flat=True))
    page = client.get(share(conversation, Shown(hidden=[ids[0], ids[3]])).path).content.decode()
    assert "orders?" not in page
    assert "two" not in page
    assert "expand and contract" in page
    assert "How long?" in page
    with pytest.raises(sharing.NotShared):
        share(conversation, Shown(hidden=ids))


def test_what_the_scan_finds_is_blanked_unless_the_owner_says_otherwise(
    owner: Client, alice: Any, make_conversation: Callable[..., Conversation], client: Client
) -> None:
    row = make_conversation(
        alice, [("My CPF is 529.982.247-25", "Your key is `AKIAIOSFODNN7EXAMPLE`.")], title="Of x@example.com"
    )
    page = owner.get(f"/c/{row.public_id}/share/").content.decode()
    assert page.count('name="blank"') == 3
    assert f"<mark>{BLANK}</mark>" in page, "what is blanked is marked in the preview"
    for kind in ("CPF", "Key or token", "E-mail address"):
        assert f"Blank: {kind}" in page
    blanked = client.get(address_of(made(owner, row.public_id, audience="anyone"))).content.decode()
    for secret in ("529.982", "AKIA", "x@example"):
        assert secret not in blanked
    assert blanked.count(BLANK) == 5, "the title stands there three times"
    kept = client.get(address_of(made(owner, row.public_id, audience="anyone", blank=[]))).content.decode()
    for secret in ("529.982.247-25", "AKIAIOSFODNN7EXAMPLE", "x@example.com"):
        assert secret in kept


def test_a_blanked_secret_is_not_in_the_frozen_text_either(
    alice: Any, make_conversation: Callable[..., Conversation], share: Callable[..., Link]
) -> None:
    link = share(make_conversation(alice, [("The key?", "AKIAIOSFODNN7EXAMPLE")]))
    assert "AKIA" not in link.row.versions.get().content


def test_the_same_secret_twice_can_be_decided_twice() -> None:
    from chat.sharing.snapshot import Part, Source

    source = Source("t", "2026-01-01", "a", [Part("k", "question", "a@example.com b a@example.com")])
    hits = freeze(source, Shown()).hits
    assert len({hit.id for hit in hits}) == 2
    content = freeze(source, Shown(kept=[hits[1].id])).content
    assert content["messages"][0]["text"] == f"{BLANK} b a@example.com"


def test_an_answer_that_is_being_written_is_left_out(
    conversation: Conversation, share: Callable[..., Link], client: Client, alice: Any, demo_agent: Any
) -> None:
    add_turn(conversation, alice, demo_agent, "And?", "half an ans", state=State.STREAMING)
    page = client.get(share(conversation).path).content.decode()
    assert "half an ans" not in page
    assert "And?" in page


def test_an_answer_that_was_cut_off_says_so(
    conversation: Conversation, share: Callable[..., Link], client: Client, alice: Any, demo_agent: Any
) -> None:
    add_turn(
        conversation, alice, demo_agent, "And?", "half", state=State.FAILED, error_code="stalled",
        error_id="01ARZ3NDEKTSV4RRFFQ69G5FAV",
    )  # fmt: skip
    page = client.get(share(conversation).path).content.decode()
    assert "This answer is not finished." in page
    assert "silent" not in page, "why is nobody's business"


def test_only_the_shown_branch_is_shared(
    conversation: Conversation, share: Callable[..., Link], client: Client, alice: Any, demo_agent: Any
) -> None:
    question = conversation.messages.order_by("pk")[2]
    Message.objects.create(
        conversation=conversation, role="assistant", parent=question, text="A discarded answer.",
        created_at=timezone.now(), agent_name="Demo",
    )  # fmt: skip
    assert "discarded" not in client.get(share(conversation).path).content.decode()


# -- who and how long ------------------------------------------------------------------------------


def test_a_link_ends_after_thirty_days_unless_something_else_is_chosen(
    owner: Client, conversation: Conversation
) -> None:
    page = owner.get(f"/c/{conversation.public_id}/share/").content.decode()
    assert 'name="days" type="number" min="1" max="90" value="30"' in page
    assert re.search(r'name="audience" value="colleagues" checked', page)
    made(owner, conversation.public_id)
    row = Share.objects.get()
    assert row.audience == "colleagues"
    assert timedelta(days=29, hours=23) < row.expires_at - timezone.now() <= timedelta(days=30)


BAD = [
    ({"days": "91"}, "days"), ({"days": "0"}, "days"), ({"days": "x"}, "days"), ({"days": "-1"}, "days"),
    ({"openings": "0"}, "openings"), ({"openings": "abc"}, "openings"), ({"openings": "100001"}, "openings"),
    ({"passphrase": "short"}, "passphrase"), ({"passphrase": "x" * 129}, "passphrase"),
    ({"audience": "everybody"}, "forbidden"), ({"audience": ""}, "forbidden"),
    ({"audience": "groups"}, "groups"), ({"embed": "on"}, "forbidden"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "problem"), BAD)
def test_it_says_what_is_wrong_and_makes_nothing(
    fields: dict[str, str], problem: str, owner: Client, conversation: Conversation
) -> None:
    from django.utils.html import escape

    from chat.views.sharing import PROBLEMS

    answer = made(owner, conversation.public_id, **{"audience": "anyone", **fields})
    assert escape(str(PROBLEMS[problem])) in answer.content.decode()
    assert not Share.objects.exists()


def test_a_group_that_is_not_one_s_own_cannot_be_chosen(owner: Client, conversation: Conversation) -> None:
    group = Group.objects.create(name="Board")
    page = owner.get(f"/c/{conversation.public_id}/share/").content.decode()
    assert "Board" not in page
    made(owner, conversation.public_id, audience="groups", group=[group.pk])
    assert not Share.objects.exists()


FORBIDDEN = [
    ({"SHARE_WITH": ["colleagues"]}, {"audience": "anyone"}, {"audience": "colleagues"}),
    ({"SHARE_WITH": ["anyone"]}, {"audience": "colleagues"}, {"audience": "anyone"}),
    ({"SHARE_MAX_DAYS": 7}, {"days": "8"}, {"days": "7"}),
    ({"SHARE_PASSPHRASE": "required"}, {}, {"passphrase": "a sunny afternoon"}),
    ({"SHARE_PASSPHRASE": "off"}, {"passphrase": "a sunny afternoon"}, {}),
    ({"SHARE_OPTIONS": ["names"]}, {"openings": "3"}, {}),
    ({"SHARE_OPTIONS": ["names"]}, {"live": "on"}, {}),
]


@pytest.mark.parametrize(("policy", "refused", "taken"), FORBIDDEN)
def test_the_administrator_can_forbid_each_of_it(
    policy: dict[str, Any], refused: dict[str, str], taken: dict[str, str], owner: Client,
    conversation: Conversation, settings: Any,
) -> None:  # fmt: skip
    for name, value in policy.items():
        setattr(settings, name, value)
    made(owner, conversation.public_id, **{"audience": "anyone", **refused})
    assert not Share.objects.exists()
    made(owner, conversation.public_id, **{"audience": "anyone", **taken})
    assert Share.objects.exists()


def test_what_the_administrator_does_not_allow_is_not_shown_even_when_asked_for(
    conversation: Conversation, share: Callable[..., Link], settings: Any, alice: Any
) -> None:
    settings.SHARE_OPTIONS = []
    content = json.loads(share(conversation, Shown(("names", "tokens"))).row.versions.get().content)
    assert "author" not in content


def test_sharing_itself_can_be_forbidden(
    owner: Client, conversation: Conversation, settings: Any, alice: Any
) -> None:
    assert (
        f"/c/{conversation.public_id}/share/" in owner.get(f"/c/{conversation.public_id}/").content.decode()
    )
    settings.SHARE_WITH = []
    assert owner.get(f"/c/{conversation.public_id}/share/").status_code == 404
    assert "/share/" not in owner.get(f"/c/{conversation.public_id}/").content.decode()
    with pytest.raises(Refused):
        sharing.preview(alice, conversation=conversation.public_id, shown=Shown())


def test_the_passphrase_is_never_sent_back(owner: Client, conversation: Conversation) -> None:
    answer = made(owner, conversation.public_id, passphrase="planted-passphrase", days="0")
    assert "planted-passphrase" not in answer.content.decode()


def test_nobody_can_share_what_is_not_theirs(
    conversation: Conversation, client_of: Callable[..., Client], bob: Any
) -> None:
    stranger, path = client_of(bob), f"/c/{conversation.public_id}/share/"
    never = stranger.get("/c/01ARZ3NDEKTSV4RRFFQ69G5FAV/share/")
    for answer in (stranger.get(path), stranger.post(path, {"action": "make"})):
        assert answer.status_code == 404
        assert answer.content == never.content
