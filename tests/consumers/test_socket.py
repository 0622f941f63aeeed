"""The socket door: who comes in, what they see, and that it is what the rows hold."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from chat import actions
from chat.consumers import guard
from chat.models import Agent, Conversation, Message, State, new_id
from chat.turns import runtime
from tests.agent_server import AgentServer, gate, hang, pause, say, think, usage
from tests.consumers.conftest import Site
from tests.page import Gap, Page
from tests.real_server import wait_for
from tests.tab import Tab

OpenTab = Callable[..., Tab]


# -- coming in -----------------------------------------------------------------------------------

OWN = django_settings.ORIGINS[0]
PORT = OWN.rpartition(":")[2]


@pytest.mark.parametrize(
    "origin",
    [None, "null", "", "https://evil.example", f"http://127.0.0.1.evil.example:{PORT}",
     f"http://evil127.0.0.1:{PORT}", f"https://127.0.0.1:{PORT}", "http://127.0.0.1", "http://127.0.0.1:1",
     f"http://127.0.0.1:{PORT}@evil.example", "http://[::1", "file://", "*"],
)  # fmt: skip
def test_a_foreign_origin_is_refused_before_the_socket_opens(site: Site, alice: Any, origin: Any) -> None:
    """S01, S02."""
    with pytest.raises(InvalidStatus) as caught:
        site.tab(alice, origin=origin)
    assert caught.value.response.status_code == 403
    assert not guard._sockets


@pytest.mark.parametrize(
    "cookie", ["", "{name}=", "{name}=junk", "{name}=" + "x" * 4000, "{name}=a;b;c=", "="]
)
def test_nobody_is_accepted_before_they_are_known(site: Site, cookie: str) -> None:
    """S03."""
    with pytest.raises(InvalidStatus) as caught:
        site.tab(None, cookie=cookie.format(name=django_settings.SESSION_COOKIE_NAME))
    assert caught.value.response.status_code == 403
    assert site.call(runtime.current().hub.topics) == []


def test_a_session_that_is_over_is_refused(site: Site, alice: Any) -> None:
    """S03: expired, signed out, tampered with, deactivated, with another password."""
    client = site.sign_in(alice)
    cookie = site.cookie(client)
    site.tab(None, cookie=cookie).close()
    for change in (
        lambda: Session.objects.update(expire_date=timezone.now()),
        lambda: Session.objects.all().delete(),
    ):
        change()
        with pytest.raises(InvalidStatus):
            site.tab(None, cookie=cookie)
    cookie = site.cookie(site.sign_in(alice))
    with pytest.raises(InvalidStatus):
        site.tab(None, cookie=cookie[:-1] + ("a" if cookie[-1] != "a" else "b"))
    alice.set_password("another password 1")
    alice.save()
    with pytest.raises(InvalidStatus):
        site.tab(None, cookie=cookie)
    cookie = site.cookie(site.sign_in(alice))
    alice.is_active = False
    alice.save()
    with pytest.raises(InvalidStatus):
        site.tab(None, cookie=cookie)


@pytest.mark.parametrize("other", ["a,b=c", '{"json": 1}=2', "é=1", 'q="unclosed', "path=/", "a=b=c; ;;"])
def test_cookies_of_others_on_this_host_do_no_harm(
    site: Site, alice: Any, open_tab: OpenTab, other: str
) -> None:
    cookie = site.cookie(site.sign_in(alice))
    tab = open_tab(None, cookie=f"{other}; {cookie}")
    wait_for(lambda: tab.of_type("hello"))


def test_the_first_frame_says_hello(site: Site, alice: Any, open_tab: OpenTab) -> None:
    tab = open_tab(alice)
    wait_for(lambda: tab.frames)
    assert tab.frames[0]["type"] == "hello"
    assert tab.frames[0]["user"] == "alice"
    assert tab.frames[0]["version"]


def test_a_ping_is_answered(site: Site, alice: Any, open_tab: OpenTab) -> None:
    tab = open_tab(alice)
    tab.send(type="ping")
    wait_for(lambda: tab.of_type("pong"))


def test_a_closed_socket_leaves_nothing_behind(site: Site, alice: Any, agent: Agent) -> None:
    sent = site.ask(alice)
    site.ended(sent)
    tab = site.tab(alice)
    page = tab.subscribe(sent.conversation)
    wait_for(lambda: page.seq is not None)
    tab.close()
    wait_for(lambda: not guard._sockets)
    wait_for(lambda: site.call(runtime.current().hub.topics) == [])


# -- watching ------------------------------------------------------------------------------------


def fresh(site: Site, user: Any, thread_id: str) -> Page:
    """What somebody who comes now is shown."""
    with site.tab(user) as tab:
        page = tab.subscribe(thread_id)
        wait_for(lambda: page.seq is not None, what="a snapshot")
        return page


def test_a_snapshot_shows_the_whole_branch(site: Site, alice: Any, agent: Agent, open_tab: OpenTab) -> None:
    sent = site.ask(alice, "Hi")
    answer = site.ended(sent)
    tab = open_tab(alice)
    page = tab.subscribe(sent.conversation)
    wait_for(lambda: page.seq is not None)
    (snapshot,) = tab.of_type("snapshot")
    assert snapshot["complete"] is True
    assert (snapshot["thread_id"], snapshot["seq"]) == (sent.conversation, answer.seq)
    assert [item["type"] for item in snapshot["items"]] == ["user_message", "assistant_message"]
    assert page.text(sent.answer) == "Hello, world"
    assert page.item(sent.answer)["stkweb"]["usage"] == {
        "user": 10, "enrichment": None, "output": 5, "total": 15,
    }  # fmt: skip


def test_one_who_comes_in_the_middle_sees_all_that_was_and_then_goes_on_live(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    agent_server.answer(think("hm"), say("so "), gate("go"), say("far"), usage())
    sent = site.ask(alice)
    wait_for(lambda: any(turn.text == "so " for turn in runtime.current().turns.values()))
    tab = open_tab(alice)
    tab.subscribe(sent.conversation)
    wait_for(lambda: tab.text(sent.answer) == "so ")
    assert tab.state(sent.answer) == State.STREAMING
    agent_server.open("go")
    wait_for(lambda: tab.state(sent.answer) == State.COMPLETED)
    assert tab.text(sent.answer) == "so far"
    assert tab.subscriptions == 1
    assert tab.pages[sent.conversation].items == fresh(site, alice, sent.conversation).items


def test_a_snapshot_and_the_events_after_it_are_a_fresh_snapshot(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    """Whoever joins at whatever moment ends with the same page, exactly."""
    chance = random.Random(7)
    words = [chance.choice(["a ", "é", "👩‍👩‍👧", "\n", "**b** "]) for _ in range(120)]
    steps = [step for word in words for step in (say(word), pause(chance.choice([0, 0, 0.004, 0.02])))]
    agent_server.answer(think("I think"), pause(0.05), think(" more"), *steps, usage())
    sent = site.ask(alice)
    tabs: list[Tab] = []
    wait_for(lambda: runtime.current().turns)
    while len(tabs) < 10 and runtime.current().turns:
        tabs.append(open_tab(alice))
        tabs[-1].subscribe(sent.conversation)
        time.sleep(chance.uniform(0, 0.08))
    answer = site.ended(sent)
    assert answer.text == "".join(words)
    wait_for(lambda: all(tab.state(sent.answer) == State.COMPLETED for tab in tabs))
    last = fresh(site, alice, sent.conversation)
    firsts = set()
    for tab in tabs:
        page = tab.pages[sent.conversation]
        assert (page.seq, page.items) == (last.seq, last.items)
        assert tab.subscriptions == 1, "in one process nobody sees a gap"
        firsts.add(tab.of_type("snapshot")[0]["seq"])
    assert len(firsts) >= 3, "they joined at different moments"


def test_subscribing_after_a_number_brings_what_changed_since(
    site: Site, alice: Any, agent: Agent, open_tab: OpenTab
) -> None:
    first = site.ask(alice, "one")
    seen = site.ended(first).seq
    second = site.ask(alice, "two", first.conversation)
    last = site.ended(second).seq
    tab = open_tab(alice)

    def snapshot(after: int | None) -> dict[str, Any]:
        count = len(tab.of_type("snapshot"))
        tab.subscribe(first.conversation, after)
        wait_for(lambda: len(tab.of_type("snapshot")) > count)
        return tab.of_type("snapshot")[-1]

    def ids(frame: dict[str, Any]) -> list[str]:
        return [item["id"] for item in frame["items"]]

    changed = snapshot(seen)
    assert (changed["complete"], ids(changed)) == (False, [second.question, second.answer])
    nothing = snapshot(last)
    assert (nothing["complete"], ids(nothing), nothing["seq"]) == (False, [], last)
    everything = [first.question, first.answer, second.question, second.answer]
    for after in (None, last + 1, last + 5000, 2**53):
        frame = snapshot(after)
        assert (frame["complete"], ids(frame), frame["seq"]) == (True, everything, last), after
    assert ids(snapshot(0)) == everything


def test_subscribing_after_a_number_of_another_branch_brings_the_whole_one(
    site: Site, alice: Any, agent: Agent, open_tab: OpenTab
) -> None:
    sent = site.ask(alice, "one")
    seen = site.ended(sent).seq
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    site.ended(again)
    tab = open_tab(alice)
    page = tab.subscribe(sent.conversation, seen)
    wait_for(lambda: page.seq is not None)
    assert tab.of_type("snapshot")[0]["complete"] is True
    assert [item["id"] for item in page.items] == [sent.question, again.answer]


def test_one_who_was_away_for_longer_than_a_page_misses_nothing_in_the_middle(
    site: Site, alice: Any, open_tab: OpenTab
) -> None:
    conversation = Conversation.objects.create(owner=alice, title="t", seq=0, updated_at=timezone.now())
    parent = None
    for n in range(80):
        parent = Message.objects.create(
            conversation=conversation, parent=parent, role="assistant" if n % 2 else "user", text=str(n),
            seq=n + 1, author=alice, agent_name="Scripted", created_at=timezone.now(),
        )  # fmt: skip
    Conversation.objects.update(seq=80, leaf=parent)
    tab = open_tab(alice)
    page = tab.subscribe(conversation.public_id, 10)
    wait_for(lambda: page.seq is not None)
    (frame,) = tab.of_type("snapshot")
    assert len(frame["items"]) == 50
    assert frame["complete"] is True, "upserting these would leave a hole of 20 messages"
    page = tab.subscribe(conversation.public_id, 40)
    wait_for(lambda: len(tab.of_type("snapshot")) == 2)
    assert tab.of_type("snapshot")[1]["complete"] is False
    assert len(tab.of_type("snapshot")[1]["items"]) == 40


def test_trying_again_is_seen_by_every_tab_as_a_new_branch(
    site: Site, alice: Any, agent: Agent, open_tab: OpenTab
) -> None:
    sent = site.ask(alice, "one")
    site.ended(sent)
    tabs = [open_tab(alice), open_tab(alice)]
    for tab in tabs:
        tab.subscribe(sent.conversation)
    wait_for(lambda: all(tab.text(sent.answer) for tab in tabs))
    again = actions.retry(alice, conversation=sent.conversation, answer=sent.answer)
    site.ended(again)
    for tab in tabs:
        wait_for(lambda tab=tab: tab.state(again.answer) == State.COMPLETED)
        page = tab.pages[sent.conversation]
        assert page.items == fresh(site, alice, sent.conversation).items
        assert tab.item(sent.answer) is None


def test_a_tab_that_leaves_a_conversation_hears_no_more_of_it(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    agent_server.answer(say("a"), gate("go"), say("b"), usage())
    sent = site.ask(alice)
    tab = open_tab(alice)
    tab.subscribe(sent.conversation)
    wait_for(lambda: tab.text(sent.answer) == "a")
    tab.send(type="unsubscribe", thread_id=sent.conversation)
    tab.send(type="ping")
    wait_for(lambda: tab.of_type("pong"))
    heard = len(tab.of_type("event"))
    agent_server.open("go")
    site.ended(sent)
    tab.send(type="ping")
    wait_for(lambda: len(tab.of_type("pong")) == 2)
    assert len(tab.of_type("event")) == heard


# -- foreign -------------------------------------------------------------------------------------


def test_a_foreign_conversation_looks_exactly_like_one_that_is_not_there(
    site: Site, alice: Any, bob: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    """S04."""
    agent_server.answer(say("secret"), gate("go"), say(" text"), usage())
    his = site.ask(bob, "private")
    site.wait_text(his, "secret")
    hers = site.ask(alice)
    site.ended(hers)
    actions.delete(alice, conversation=hers.conversation)
    tab = open_tab(alice)
    names = [his.conversation, hers.conversation, new_id(), "x", "..", "01K6101856EC0MKJ8KN4S2B9C\u0131"]
    for name in names:
        tab.send(type="subscribe", thread_id=name, after=None)
        tab.send(type="stop", thread_id=name)
    wait_for(lambda: len(tab.of_type("error")) == 2 * len(names))
    assert tab.of_type("error") == [
        {"type": "error", "code": "not_found", "thread_id": name} for name in names for _ in range(2)
    ]  # fmt: skip
    agent_server.open("go")
    assert site.ended(his).state == State.COMPLETED, "nor was it stopped"
    tab.send(type="ping")
    wait_for(lambda: tab.of_type("pong"))
    assert {frame["type"] for frame in tab.frames} == {"hello", "error", "pong"}


# -- going out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [2, 50])
def test_whoever_may_not_be_there_any_more_is_off_within_five_seconds(
    site: Site, make_person: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab,
    share: int, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """S05: with a stream open, whether one look takes all sockets or a share of them."""
    monkeypatch.setattr(guard, "SHARE", share)
    agent_server.always(*[step for _ in range(200) for step in (say("x"), pause(0.05))], hang())
    names = ["signs out", "is deactivated", "changes the password", "session ends", "stays"]
    people = {name: make_person(name.replace(" ", "-")) for name in names}
    clients = {name: site.sign_in(user) for name, user in people.items()}
    tabs = {}
    for name, user in people.items():
        sent = site.ask(user)
        tabs[name] = open_tab(None, cookie=site.cookie(clients[name]))
        tabs[name].subscribe(sent.conversation)
    wait_for(lambda: all(tab.of_type("event") for tab in tabs.values()))
    begun = time.monotonic()
    clients["signs out"].post("/accounts/logout/")
    user = people["is deactivated"]
    user.is_active = False
    user.save()
    user = people["changes the password"]
    user.set_password("another password 1")
    user.save()
    clients["session ends"].session.delete()
    leaving = [tab for name, tab in tabs.items() if name != "stays"]
    wait_for(lambda: all(tab.code is not None for tab in leaving), 8)
    for tab in leaving:
        assert tab.code == 4401
        assert tab.closed_at is not None and tab.closed_at - begun <= 5.0
    assert tabs["stays"].code is None
    heard = len(tabs["stays"].frames)
    wait_for(lambda: len(tabs["stays"].frames) > heard, what="the others are unaffected")


def test_a_conversation_that_is_deleted_is_left_within_five_seconds(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    agent_server.answer(say("a"), hang())
    sent = site.ask(alice)
    tab = open_tab(alice)
    tab.subscribe(sent.conversation)
    wait_for(lambda: tab.text(sent.answer) == "a")
    actions.delete(alice, conversation=sent.conversation)
    wait_for(lambda: tab.of_type("error"), 6)
    assert tab.of_type("error") == [{"type": "error", "code": "not_found", "thread_id": sent.conversation}]


def test_a_server_that_stops_says_that_it_restarts(site: Site, alice: Any, open_tab: OpenTab) -> None:
    tab = open_tab(alice)
    wait_for(lambda: tab.of_type("hello"))
    site.server.should_exit = True
    wait_for(lambda: tab.code == 1012)


# -- stopping and the feed -----------------------------------------------------------------------


def test_a_stop_from_one_tab_is_seen_in_all_within_a_second(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    """R25."""
    agent_server.answer(say("so far"), hang())
    tabs = [open_tab(alice) for _ in range(3)]
    sent = site.ask(alice)
    for tab in tabs:
        tab.subscribe(sent.conversation)
    wait_for(lambda: all(tab.text(sent.answer) == "so far" for tab in tabs))
    begun = time.monotonic()
    tabs[1].stop(sent.conversation)
    wait_for(lambda: all(tab.state(sent.answer) == State.STOPPED for tab in tabs), 3)
    assert time.monotonic() - begun <= 1.0
    assert all(tab.text(sent.answer) == "so far" for tab in tabs)
    tabs[2].stop(sent.conversation)
    tabs[2].send(type="ping")
    wait_for(lambda: tabs[2].of_type("pong"))
    assert tabs[2].of_type("error") == []


def test_a_stop_is_heard_in_the_middle_of_a_stream(
    site: Site, alice: Any, agent: Agent, agent_server: AgentServer, open_tab: OpenTab
) -> None:
    agent_server.answer(*[step for _ in range(2000) for step in (say("x" * 50), pause(0.002))], hang())
    sent = site.ask(alice)
    tab = open_tab(alice)
    tab.subscribe(sent.conversation)
    wait_for(lambda: len(tab.of_type("event")) > 5)
    begun = time.monotonic()
    tab.stop(sent.conversation)
    wait_for(lambda: tab.state(sent.answer) == State.STOPPED, 3)
    assert time.monotonic() - begun <= 1.0


def test_the_feed_tells_of_a_persons_own_conversations_alone(
    site: Site, alice: Any, bob: Any, agent: Agent, open_tab: OpenTab
) -> None:
    tab, other = open_tab(alice), open_tab(bob)
    wait_for(lambda: tab.of_type("hello") and other.of_type("hello"))
    sent = site.ask(alice, "Hi")
    site.ended(sent)
    site.ended(site.ask(alice, "more", sent.conversation))
    actions.rename(alice, conversation=sent.conversation, title="Renamed")
    actions.delete(alice, conversation=sent.conversation)
    actions.restore(alice, conversation=sent.conversation)
    wait_for(lambda: len(tab.of_type("feed")) == 7)
    kinds = [frame["event"]["type"].removeprefix("conversation.") for frame in tab.of_type("feed")]
    assert kinds == ["created", "finished", "running", "finished", "renamed", "deleted", "restored"]
    assert {frame["event"]["conversation"]["id"] for frame in tab.of_type("feed")} == {sent.conversation}
    assert other.of_type("feed") == []


def test_looking_at_a_conversation_marks_it_read_in_every_tab(
    site: Site, alice: Any, agent: Agent, open_tab: OpenTab
) -> None:
    first, second = open_tab(alice), open_tab(alice)
    sent = site.ask(alice)
    assert site.ended(sent).conversation.unread is True
    first.subscribe(sent.conversation)
    wait_for(lambda: any(f["event"]["type"] == "conversation.read" for f in second.of_type("feed")))
    assert Conversation.objects.get().unread is False


def test_the_tabs_own_page_notices_a_gap(site: Site) -> None:
    """The stand-in for the browser is no use if it hides gaps."""
    page = Page(seq=1)
    with pytest.raises(Gap):
        page.take({"type": "event", "seq": 3, "event": {"type": "notice"}})
    assert json.dumps(page.items) == "[]"
