"""Rules that meet: what is switched off later, what is embedded, what is used up while it is open."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from chat.actions import Refused, share_reading, sharing
from chat.models import Agent, Conversation, Message, Share, ShareVersion
from chat.sharing.snapshot import BLANK, Part, Shown, Source, difference, freeze
from tests.sharing.conftest import PASSPHRASE, Link, add_turn
from tests.sharing.test_keeping import framers, ticket_in
from tests.sharing.test_opening import unknown

pytestmark = pytest.mark.django_db
KEY = "AKIAIOSFODNN7EXAMPLE"


def source(*parts: Part, title: str = "t", author: str = "a") -> Source:
    return Source(title, "2026-11-21T10:31+00:00", author, parts)


def test_the_scan_reads_titles_thoughts_and_names_of_files_too() -> None:
    files = [{"id": "01F", "name": f"{KEY}.txt", "size": 1}]
    parts = [Part("1", "question", "Q", files=files), Part("2", "answer", "A", "Demo", f"hm, {KEY}")]
    frozen = freeze(source(*parts, title=KEY), Shown(("files", "reasoning")))
    assert KEY not in json.dumps(frozen.content)
    assert len(frozen.hits) == 3
    question, answer = frozen.content["messages"]
    assert question["files"][0]["name"] == f"{BLANK}.txt"
    assert answer["reasoning"] == f"hm, {BLANK}"


def test_a_blank_tells_nothing_of_what_was_there() -> None:
    texts = [KEY, "529.982.247-25", "maria@example.com"]
    content = freeze(source(*(Part(t, "question", t) for t in texts)), Shown()).content
    assert {message["text"] for message in content["messages"]} == {BLANK}


def test_blanking_cannot_be_switched_off_as_a_whole(
    alice: Any, make_conversation: Callable[..., Conversation], share: Callable[..., Link]
) -> None:
    link = share(make_conversation(alice, [("The key?", KEY)]), Shown(kept=None))
    assert KEY not in link.row.versions.get().content


@pytest.mark.parametrize("what", ["title", "author"])
def test_another_title_or_name_is_a_difference(what: str) -> None:
    shown = Shown(("names",))
    old = freeze(source(Part("1", "question", "Q")), shown).content
    new = freeze(source(Part("1", "question", "Q"), **{what: "another"}), shown).content
    assert difference(old, new).title


def test_an_answer_that_its_length_cut_off_says_so(
    conversation: Conversation, share: Callable[..., Link], client: Client, alice: Any, demo_agent: Any
) -> None:
    assert "This answer is not finished." not in client.get(share(conversation).path).content.decode()
    add_turn(conversation, alice, demo_agent, "And?", "half", stop_reason="length")
    assert "This answer is not finished." in client.get(share(conversation).path).content.decode()


def test_what_is_not_allowed_any_more_leaves_live_links_and_the_next_version(
    conversation: Conversation, share: Callable[..., Link], settings: Any
) -> None:
    row = share(conversation, Shown(("names",)), live=True).row
    assert share_reading.opened(row).content["author"] == "alice"
    settings.SHARE_OPTIONS = ["live"]
    assert "author" not in share_reading.opened(row).content
    assert sharing.shown_of(row).choices == []


def test_a_foreign_group_is_refused_beside_one_s_own(
    conversation: Conversation, share: Callable[..., Link], alice: Any
) -> None:
    own, foreign = (Group.objects.create(name=name) for name in ("Payments", "Board"))
    alice.groups.add(own)
    with pytest.raises(sharing.NotShared, match="groups"):
        share(conversation, audience="groups", groups=[own.pk, foreign.pk])


def test_a_passphrase_that_is_required_is_what_is_said_to_be_missing(
    conversation: Conversation, share: Callable[..., Link], settings: Any
) -> None:
    settings.SHARE_PASSPHRASE = "required"
    with pytest.raises(sharing.NotShared, match="passphrase"):
        share(conversation)
    assert not share(conversation, audience="colleagues").row.passphrase, "colleagues sign in"


def published(link: Link, shown: Shown) -> ShareVersion:
    """The next version of `link`, published with these decisions."""
    owner, row = link.row.owner, link.row.conversation
    ready = sharing.preview(owner, conversation=row.public_id, shown=shown)
    return sharing.publish(
        owner, share=link.row.public_id, until=ready.until, digest=ready.digest, shown=shown
    )


def test_what_was_decided_for_a_version_is_kept_for_the_one_after_it(
    link: Link, conversation: Conversation
) -> None:
    first = conversation.messages.order_by("pk")[0].public_id
    published(link, Shown(("names",), hidden=[first], kept=["a finding"]))
    kept = sharing.shown_of(Share.objects.get())
    assert (kept.choices, kept.hidden, kept.kept) == (["names"], [first], ["a finding"])


def test_nothing_is_published_under_a_link_that_was_revoked(link: Link, alice: Any) -> None:
    sharing.revoke(alice, share=link.row.public_id)
    with pytest.raises(Refused, match="not_found"):
        published(link, Shown())
    assert link.row.versions.count() == 1


def test_embedding_is_for_links_that_anyone_may_open(
    conversation: Conversation, share: Callable[..., Link], settings: Any
) -> None:
    settings.SHARE_EMBED_ORIGINS = ["https://wiki.example"]
    with pytest.raises(sharing.NotShared, match="forbidden"):
        share(conversation, audience="colleagues", embed=True)
    assert share(conversation, embed=True).row.embed


def test_the_passphrase_of_an_embedded_link_is_asked_for_where_its_page_may_be_framed(
    conversation: Conversation, share: Callable[..., Link], client: Client, settings: Any
) -> None:
    settings.SHARE_EMBED_ORIGINS = ["https://wiki.example"]
    link = share(conversation, passphrase=PASSPHRASE, embed=True, live=True)
    plain = share(conversation, passphrase=PASSPHRASE)
    for given in ({}, {"passphrase": "not that one"}):
        for path, framed_by in ((f"{link.path}?embed=1", "https://wiki.example"), (link.path, "'none'"),
                                (f"{plain.path}?embed=1", "'none'")):  # fmt: skip
            form = client.post(path, given) if given else client.get(path)
            assert framers(form) == framed_by, path
            assert ("X-Frame-Options" in form) == (framed_by == "'none'")
            assert "script-src 'none'" in form["Content-Security-Policy"], "a form runs none, its page may"
    page = client.post(f"{link.path}?embed=1", {"passphrase": PASSPHRASE})
    assert framers(page) == "https://wiki.example"
    assert "expand and contract" in page.content.decode()


def test_no_refusal_may_be_framed(
    conversation: Conversation, share: Callable[..., Link], client: Client, settings: Any
) -> None:
    settings.SHARE_EMBED_ORIGINS = ["https://wiki.example"]
    over, revoked = (share(conversation, passphrase=PASSPHRASE, embed=True) for _ in range(2))
    for _ in range(settings.SHARE_PASSPHRASE_TRIES):
        client.post(over.path, {"passphrase": "not that one"})
    sharing.revoke(conversation.owner, share=revoked.row.public_id)
    given = {"passphrase": PASSPHRASE}
    never = client.post(f"{unknown()}?embed=1", given)
    assert (never.status_code, framers(never)) == (404, "'none'")
    for link in (over, revoked):
        answer = client.post(f"{link.path}?embed=1", given)
        assert (answer.content, list(answer.items())) == (never.content, list(never.items()))


def test_an_embedded_page_offers_neither_a_copy_nor_files(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any,
    settings: Any,
) -> None:  # fmt: skip
    settings.SHARE_EMBED_ORIGINS = ["https://wiki.example"]
    link = share(conversation, embed=True)
    with_file(link, "plan.txt")
    client = client_of(bob)
    for query, offered in (("", True), ("?embed=1", False)):
        page = client.get(link.path + query).content.decode()
        assert ("copy/" in page) == ("files/1/" in page) == offered


def test_a_copy_that_is_not_allowed_is_not_offered(
    link: Link, client_of: Callable[..., Client], bob: Any, settings: Any
) -> None:
    settings.SHARE_OPTIONS = ["names"]
    assert "copy/" not in client_of(bob).get(link.path).content.decode()


def test_a_copy_holds_what_was_frozen_and_nothing_later(
    link: Link, conversation: Conversation, client_of: Callable[..., Client], alice: Any, bob: Any,
    demo_agent: Any,
) -> None:  # fmt: skip
    client = client_of(bob)
    ticket = ticket_in(client.get(link.path).content.decode())
    add_turn(conversation, alice, demo_agent, "Later?", "A later answer.")
    Conversation.objects.update(title="Renamed")
    client.post(f"{link.path}copy/", {"ticket": ticket})
    copy = Conversation.objects.get(owner=bob)
    assert (copy.title, copy.messages.count()) == ("Moving orders", 4)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_copy_goes_on_with_the_agent_where_it_may_be_asked(
    enabled: bool, link: Link, client_of: Callable[..., Client], bob: Any
) -> None:
    Agent.objects.update(enabled=enabled)
    client = client_of(bob)
    client.post(f"{link.path}copy/", {"ticket": ticket_in(client.get(link.path).content.decode())})
    assert (Conversation.objects.get(owner=bob).agent is not None) == enabled


def test_the_last_opening_lasts_while_its_page_is_open(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], bob: Any
) -> None:
    link, client = share(conversation, max_openings=1), client_of(bob)
    ticket = ticket_in(client.get(link.path).content.decode())
    assert client_of().get(link.path).status_code == 404
    assert client.post(f"{link.path}copy/", {"ticket": ticket}).status_code == 303


def with_file(link: Link, name: str) -> None:
    """As if the first message had brought a file; the text's checksum is not looked at."""
    version = link.row.versions.get()
    content = json.loads(version.content)
    content["messages"][0]["files"] = [{"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "name": name, "size": 7}]
    ShareVersion.objects.filter(pk=version.pk).update(content=json.dumps(content))


def test_a_file_s_name_is_text(link: Link, client: Client) -> None:
    with_file(link, "<img src=x onerror=alert(1)>")
    page = client.get(link.path).content.decode()
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") == 2
    assert "<img" not in page


def test_a_text_that_was_tampered_with_is_told_on_its_page(
    link: Link, client_of: Callable[..., Client], alice: Any
) -> None:
    path, told = f"/shares/{link.row.public_id}/", "does not match the text"
    assert told not in client_of(alice).get(path).content.decode()
    with_file(link, "plan.txt")
    assert told in client_of(alice).get(path).content.decode()


def test_guessing_files_is_guessing(link: Link, client_of: Callable[..., Client], settings: Any) -> None:
    guesser, file = client_of(REMOTE_ADDR="203.0.113.9"), f"{link.path}files/1/?ticket=x"
    assert {guesser.get(file).status_code for _ in range(settings.SHARE_GUESSES)} == {404}
    assert guesser.get(file).status_code == guesser.get(link.path).status_code == 429


def test_a_link_ends_on_the_day_that_was_chosen(
    conversation: Conversation, share: Callable[..., Link]
) -> None:
    row = share(conversation, days=3).row
    assert row.expires_at - row.created_at == timedelta(days=3)


def test_my_links_are_all_that_are_open_and_the_last_that_are_over(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], alice: Any,
    monkeypatch: Any,
) -> None:  # fmt: skip
    monkeypatch.setattr("chat.views.sharing.LISTED", 2)
    oldest, *rest = (share(conversation).row.public_id for _ in range(6))
    for public_id in rest:
        sharing.revoke(alice, share=public_id)
    live, _, over = client_of(alice).get("/shares/").content.decode().partition(">Over<")
    assert oldest in live
    assert [public_id in over for public_id in rest] == [False, False, False, True, True]
    assert "The last 2 are listed." in over


def test_a_live_link_is_not_published_again(
    conversation: Conversation, share: Callable[..., Link], client_of: Callable[..., Client], alice: Any
) -> None:
    link = share(conversation, live=True)
    assert client_of(alice).get(f"/shares/{link.row.public_id}/publish/").status_code == 404
    assert "/publish/" not in client_of(alice).get("/shares/").content.decode()


def test_a_reader_is_counted_once_however_often_they_come(
    link: Link, client_of: Callable[..., Client], bob: Any, charlie: Any
) -> None:
    for person in (bob, charlie, None):
        for _ in range(3):
            client_of(person).get(link.path)
    row = Share.objects.with_readers().get()
    assert (row.openings, row.readers) == (9, 3)


def test_the_preview_shows_blanks_and_names_as_a_reader_will_see_them(
    alice: Any, make_conversation: Callable[..., Conversation], client_of: Callable[..., Client]
) -> None:
    row = make_conversation(alice, [("The key?", f"It is {KEY}.")])
    Message.objects.filter(role="assistant").update(reasoning=f"Hm, {KEY}.")
    fields = {"names": "on", "reasoning": "on", "action": "preview"}
    page = client_of(alice).post(f"/c/{row.public_id}/share/", fields).content.decode()
    articles = page[page.index("<article") : page.rindex("</article>")].split('<ul class="hits"')
    shown = articles[0] + "".join(rest.partition("</ul>")[2] for rest in articles[1:])
    assert KEY not in shown
    assert "<h2>alice</h2>" in shown
    assert shown.count(BLANK) == 2
