"""The page around the words: the list, going from one conversation to another, what is said aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.stage import AGENT, THREAD, Stage, answer, question

ITEMS = [question("Q1", "Why?"), answer("A1", "Because.", "Q1")]
OTHER = {"id": "01OTHER", "title": "Another one", "updated_at": "2026-03-01T12:00:00+00:00", "unread": False}


@pytest.fixture
def stage(drawn_page: Callable[..., Stage]) -> Iterator[Stage]:
    stage = drawn_page(ITEMS)
    stage.open()
    stage.tell_list("created", {"id": THREAD, "title": "A title", "updated_at": "2026-03-02T12:00:00+00:00"})
    stage.tell_list("created", OTHER)
    stage.page.wait_for_selector("[data-id='01OTHER']")
    yield stage
    assert stage.problems == []


def titles(page: Any) -> list[str]:
    return page.locator(".conversation .title").all_inner_texts()


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")


def test_a_running_conversation_has_a_ring_and_an_unread_one_a_dot(stage: Stage) -> None:
    stage.tell_list("running", {**OTHER, "state": "running"})
    assert stage.page.inner_text("[data-id='01OTHER'] .ring") == "answering"
    stage.tell_list("finished", {**OTHER, "unread": True})
    assert stage.page.inner_text("[data-id='01OTHER'] .dot") == "new answer"


def test_news_of_what_the_list_does_not_show_changes_nothing(stage: Stage) -> None:
    """A turn that was ended for a process that is gone tells neither title nor time."""
    before = titles(stage.page)
    stage.tell_list(
        "finished", {"id": "01UNKNOWN", "state": "idle", "unread": True, "outcome": "interrupted"}
    )
    stage.tell_list("running", {**OTHER, "state": "running"})
    stage.page.wait_for_selector("[data-id='01OTHER'] .ring")
    assert titles(stage.page) == before


def test_what_is_open_in_front_of_somebody_is_not_unread(stage: Stage) -> None:
    stage.tell_list("finished", {"id": THREAD, "title": "A title", "unread": True})
    stage.page.wait_for_selector(f"[data-id='{THREAD}']")
    assert stage.page.locator(f"[data-id='{THREAD}'] .dot").count() == 0


def test_opening_another_moves_the_focus_to_its_heading_and_says_its_title(stage: Stage) -> None:
    stage.replies["/c/01OTHER/"] = (200, {
        "conversation": {"id": "01OTHER", "title": "Another one", "seq": 3}, "draft": "half", "earlier": True,
        "items": [question("Q9", "Hm?"), answer("A9", "**Well.**", "Q9")], "agent": AGENT,
    })  # fmt: skip
    stage.page.click("[data-id='01OTHER'] a")
    stage.page.wait_for_selector("#m-A9 strong")
    assert focused(stage.page) == "title"
    assert stage.page.title() == "Another one · stkweb"
    assert stage.page.input_value("#text") == "half"
    assert stage.page.is_visible("#earlier")
    stage.page.wait_for_selector("#polite:has-text('Another one')", state="attached")
    assert stage.said[-2:] == [
        {"type": "unsubscribe", "thread_id": THREAD},
        {"type": "subscribe", "thread_id": "01OTHER", "after": 3},
    ]


def test_the_search_finds_titles_without_their_accents_and_teaches_when_it_finds_none(stage: Stage) -> None:
    stage.tell_list("renamed", {**OTHER, "title": "Migração de pedidos"})
    stage.page.keyboard.press("Control+k")
    stage.page.keyboard.type("migracao")
    assert titles(stage.page) == ["Migração de pedidos"]
    stage.page.keyboard.type("?!")
    assert "No title matches." in stage.page.inner_text("#conversations")
    stage.page.click("#conversations button")
    assert len(titles(stage.page)) == 2
    assert focused(stage.page) == "find"


def test_deleting_keeps_the_focus_near_and_can_be_undone(stage: Stage) -> None:
    stage.page.hover("[data-id='01OTHER']")
    stage.page.click("[data-id='01OTHER'] .square")
    stage.page.click("#row-menu .danger")
    stage.page.wait_for_selector(".toast")
    assert titles(stage.page) == ["A title"]
    assert focused(stage.page) == "A title"
    assert len(stage.posts("/c/01OTHER/delete/")) == 1
    stage.page.click(".toast button")
    stage.page.wait_for_selector("[data-id='01OTHER']")
    assert len(stage.posts("/c/01OTHER/restore/")) == 1
    assert focused(stage.page) == "Another one"


def test_renaming_changes_list_heading_and_window(stage: Stage) -> None:
    stage.page.click("#more-button")
    stage.page.click("#more [data-do=rename]")
    stage.page.fill("#ask-field", "A better title")
    stage.page.keyboard.press("Enter")
    stage.page.wait_for_selector("#title:has-text('A better title')")
    assert stage.posts(f"/c/{THREAD}/rename/")[0][0] == {"title": "A better title"}
    assert stage.page.title() == "A better title · stkweb"
    assert "A better title" in titles(stage.page)
    assert focused(stage.page) == "more-button", "it returns to what opened the dialog"


def test_trying_again_twice_at_once_asks_once(stage: Stage) -> None:
    ids = {"conversation": THREAD, "question": "Q1", "answer": "A2"}
    stage.replies[f"/c/{THREAD}/retry/"] = (202, ids)
    stage.page.evaluate("""() => {
        const button = document.querySelector("#m-A1 [data-do=retry]");
        button.click();
        button.click();
    }""")
    stage.page.wait_for_selector("#m-A2.live")
    assert len(stage.posts(f"/c/{THREAD}/retry/")) == 1
    assert stage.page.locator(".toast").count() == 0


def test_a_new_conversation_begins_in_place(stage: Stage) -> None:
    stage.page.evaluate("document.activeElement.blur()")
    stage.page.keyboard.press("Control+Shift+O")
    stage.page.wait_for_selector("#empty:not([hidden])")
    assert stage.page.url.endswith("/")
    assert focused(stage.page) == "text"
    stage.page.click(".examples a")
    assert stage.page.input_value("#text") == "Why?"


def test_an_answer_is_told_once_at_its_beginning_and_once_at_its_end(stage: Stage) -> None:
    stage.page.evaluate("""window.spoken = []; new MutationObserver(() => {
        const { textContent } = document.getElementById("polite");
        if (textContent) spoken.push(textContent);
    }).observe(document.getElementById("polite"), { childList: true })""")
    stage.replies[f"/c/{THREAD}/messages/"] = (
        202,
        {"conversation": THREAD, "question": "Q2", "answer": "A2"},
    )
    stage.page.fill("#text", "Now?")
    stage.page.press("#text", "Enter")
    stage.page.wait_for_selector("#polite:has-text('Answering')", state="attached")
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    for word in ("One ", "two ", "three."):
        stage.delta("A2", word)
    stage.page.wait_for_selector("#m-A2[aria-busy=true] .prose:has-text('three.')")
    stage.event(type="thread.item.done", item=answer("A2", "One two three.", "Q2"))
    stage.page.wait_for_selector("#polite:has-text('Answer ready, 3 words')", state="attached")
    assert stage.page.evaluate("spoken") == ["Answering…", "Answer ready, 3 words"]
    assert stage.page.get_attribute("#m-A2", "aria-busy") is None


def test_a_finished_block_is_dressed_while_the_rest_is_written(stage: Stage) -> None:
    text = "$$x^2$$\n\n```python\nif x: pass\n```\n\nAnd so on.\n"
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.delta("A2", text)
    stage.page.wait_for_selector("#m-A2[aria-busy=true] .prose math")
    stage.page.wait_for_selector("#m-A2[aria-busy=true] .prose .hljs-keyword")
    kept = stage.page.evaluate_handle("document.querySelector('#m-A2 math')")
    stage.event(type="thread.item.done", item=answer("A2", text, "Q2"))
    stage.page.wait_for_selector("#m-A2:not([aria-busy])")
    assert stage.page.evaluate("node => node === document.querySelector('#m-A2 math')", kept)
    assert stage.page.locator("#m-A2 button.copy").count() == 1


def test_after_a_break_the_own_use_is_asked_for_anew(stage: Stage) -> None:
    stage.replies["/"] = (200, {"conversations": []})
    stage.replies["/usage/now/"] = (200, {"text": "7 tokens this month", "percent": None, "level": ""})
    stage.frame(type="hello", version="1", user="alice")
    stage.page.wait_for_selector("#use:has-text('7 tokens this month')", state="attached")


def test_a_failed_answer_says_what_happened_what_was_kept_and_offers_one_way_on(stage: Stage) -> None:
    error = {"code": "connection_lost", "params": {}, "retryable": True, "id": "01ERROR"}
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.event(type="thread.item.done", item=answer("A2", "Half of", "Q2", "failed", error=error))
    stage.page.wait_for_selector("#m-A2 .state.failed")
    said = stage.page.inner_text("#m-A2 .state")
    assert "The connection to the agent was lost." in said
    assert "What had arrived is kept." in said
    assert "01ERROR" in said
    assert stage.page.locator("#m-A2 .state .button").count() == 1
    stage.page.wait_for_selector("#m-A2 .prose:has-text('Half of')")
    stage.page.wait_for_selector(
        "#urgent:has-text('The connection to the agent was lost.')", state="attached"
    )


@pytest.mark.parametrize(
    ("state", "code", "said"),
    [
        ("failed", "connection_lost", "Your question is kept. Try again."),
        ("interrupted", "interrupted_restart", "Your question is kept. Try again."),
        ("stopped", None, "Stopped before the first word."),
    ],
)
def test_an_answer_that_ended_without_a_word_promises_no_text(
    drawn_page: Callable[..., Stage], state: str, code: str | None, said: str
) -> None:
    """Arriving and drawn by the server: nothing is kept, there is nothing to copy or to continue."""
    error = {"code": code, "params": {}, "retryable": True, "id": "01ERROR"} if code else None
    ended = answer("A2", "", "Q2", state, error=error)
    stage = drawn_page(ITEMS)
    stage.open()
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.event(type="thread.item.done", item=ended)
    again = drawn_page([*ITEMS, question("Q2", "Now?", "A1"), ended])
    again.open()
    for page in (stage.page, again.page):
        shown = " ".join(page.wait_for_selector("#m-A2 .state").inner_text().split())
        assert said in shown
        assert "had arrived" not in shown and "Continue" not in shown
        assert page.locator("#m-A2 [data-do=copy]").count() == 0
        assert page.locator("#m-A2 [data-do=retry]").count() == 1
    assert stage.problems == again.problems == []


def test_what_a_failure_advises_is_what_its_button_does(drawn_page: Callable[..., Stage]) -> None:
    """Above the end of the conversation nothing is continued, arriving or drawn by the server."""
    error = {"code": "connection_lost", "params": {}, "retryable": True, "id": "01ERROR"}
    cut = [question("Q2", "Now?", "A1"), answer("A2", "Half of", "Q2", "failed", error=error)]
    after = [question("Q3", "And now?", "A2"), answer("A3", "All of it.", "Q3")]
    stage = drawn_page(ITEMS)
    stage.open()
    for item in [*cut, *after]:
        stage.event(type="thread.item.done", item=item)
    last, above = drawn_page([*ITEMS, *cut]), drawn_page([*ITEMS, *cut, *after])
    ways = {last.open(): "Continue from here", above.open(): "Try again", stage.page: "Try again"}
    for page, way in ways.items():
        page.wait_for_selector(f"#m-A2 .state:has-text('What had arrived is kept. {way}.')")
        assert page.inner_text("#m-A2 .state .button").strip() == way
    assert stage.problems == last.problems == above.problems == []


def test_an_answer_that_goes_on_says_so_above_its_text(drawn_page: Callable[..., Stage]) -> None:
    """One drawn by the server, one that arrives; the answer that was cut says nothing of it."""
    drawn = [
        question("Q1", "Why?"),
        answer("A1", "Because", "Q1", "stopped"),
        answer("A2", "it is.", "A1", continues="A1"),
    ]
    stage = drawn_page(drawn)
    page = stage.open()
    assert page.inner_text("#m-A2 header .continued") == "continued"
    stage.event(type="thread.item.added", item=answer("A3", "", "A2", "queued", continues="A2"))
    assert page.wait_for_selector("#m-A3 header .continued").inner_text() == "continued"
    stage.event(type="thread.item.done", item=answer("A3", "Truly.", "A2", continues="A2"))
    page.wait_for_selector("#m-A3:not(.live) .prose:has-text('Truly.')")
    assert page.locator("#m-A3 header .continued").count() == 1
    assert page.locator("#m-A1 .continued").count() == 0
    assert stage.problems == []


@pytest.mark.parametrize(
    ("usage", "estimated", "said"),
    [
        ({"user": 1265, "enrichment": 578, "output": 361, "total": 2204}, None, "2,204 tokens"),
        ({"user": 12, "enrichment": None, "output": None, "total": 12}, None, "knowledge: not reported"),
        (None, None, "Tokens: not reported"),
        ({"user": None, "enrichment": None, "output": None, "total": None}, None, "Tokens: not reported"),
        (None, 4120, "about 4,120 tokens (estimated)"),
        ({"user": 1, "enrichment": 2, "output": 3, "total": 6}, 41, "and about 41 tokens (estimated)"),
    ],
)
def test_tokens_are_split_and_what_is_unknown_or_estimated_is_said(
    stage: Stage, usage: Any, estimated: int | None, said: str
) -> None:
    stage.event(type="thread.item.done", item=question("Q2", "Now?", "A1"))
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued"))
    stage.event(type="thread.item.done", item=answer("A2", "Yes.", "Q2", usage=usage, estimated=estimated))
    stage.page.wait_for_selector("#m-A2 .foot")
    assert said in stage.page.inner_text("#m-A2 .tokens")


def test_names_and_titles_are_text_and_never_markup(stage: Stage) -> None:
    hostile = '<img src=x onerror="document.title=1"><b>x</b>'
    stage.tell_list("renamed", {**OTHER, "title": hostile})
    stage.event(type="thread.item.done", item=question("Q2", hostile, "A1"))
    agent = {"id": AGENT["id"], "name": hostile}
    stage.event(type="thread.item.added", item=answer("A2", "", "Q2", "queued", agent=agent))
    stage.page.wait_for_selector("#m-A2 header")
    assert hostile in titles(stage.page)
    assert stage.page.inner_text("#m-Q2 .bubble") == hostile
    assert stage.page.inner_text("#m-A2 header h2") == hostile
    assert stage.page.locator("main img").count() == 0


def test_a_gap_asks_for_what_was_missed_once(stage: Stage) -> None:
    stage.seq += 3
    before = len(stage.said)
    stage.delta("A1", " Indeed.")
    stage.delta("A1", " Indeed.")
    stage.tell_list("renamed", {**OTHER, "title": "After both"})
    stage.page.wait_for_selector(".title:has-text('After both')")
    assert [frame["after"] for frame in stage.said[before:] if frame["type"] == "subscribe"] == [7]


def test_a_newer_version_offers_to_reload(stage: Stage) -> None:
    stage.frame(type="hello", version="2", user="alice")
    stage.page.wait_for_selector("#banner:has-text('A new version is ready.')")
    assert stage.page.inner_text("#banner button") == "Reload"


def test_exact_tokens_of_a_stopped_answer_take_the_place_of_the_estimate(stage: Stage) -> None:
    stage.replies["/usage/now/"] = (200, {"text": "18 tokens this month", "percent": None, "level": ""})
    stage.event(
        type="thread.item.done", item=answer("A2", "One", "Q1", "stopped", usage=None, estimated=64)
    )  # fmt: skip
    stage.page.wait_for_selector("#m-A2 .tokens:has-text('about 64 tokens (estimated)')")
    usage = {"user": 5, "enrichment": 6, "output": 7, "total": 18}
    told = {"id": THREAD, "answer": "A2", "usage": usage, "estimated": None}
    before = titles(stage.page)
    stage.tell_list("settled", {**told, "id": "01OTHER"})  # of another conversation: nothing here
    stage.tell_list("settled", {**told, "answer": "01GONE"})
    stage.tell_list("settled", told)
    stage.page.wait_for_selector("#m-A2 .tokens:has-text('18 tokens')")
    assert "estimated" not in stage.page.inner_text("#m-A2 .tokens")
    stage.page.wait_for_selector("#m-A2 .prose:has-text('One')")
    stage.page.wait_for_selector("#use:has-text('18 tokens this month')", state="attached")
    assert titles(stage.page) == before, "news of tokens change no list"
