"""What goes wrong, in plain words: what happened, what was kept, what to do, an id, one action."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from chat import faults
from chat.agents.errors import CODES
from tests.e2e.acts import answer, answers, ask, at_work, ended, questions, stored, words
from tests.real_server import PASSWORD, Server, Template, running

Visit = Callable[..., Any]
COUNTDOWN = re.compile(r"\d+ s\b")
ULID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


@pytest.fixture(scope="module")
def hasty(_template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for nobody."""
    data = tmp_path_factory.mktemp("hasty") / "data"
    limits = {
        "STKWEB_SENDS_PER_MINUTE": "100000",
        "STKWEB_FIRST_BYTE_SECONDS": "1",
        "STKWEB_IDLE_SECONDS": "1",
        "STKWEB_TURN_SECONDS": "3",
    }
    with running(Server(data, _template.copy_to(data), **limits)) as server:
        yield server


def notice(page: Page) -> str:
    return " ".join(answer(page).locator(".state").inner_text().split())


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_fault_of_an_agent_is_told_in_full(visit: Visit, hasty: Server, code: str) -> None:
    """UX 31, 32: live and after a reload the same; the failure is in front of the eyes."""
    page = visit(server=hasty)
    ask(page, f"/fast /fail {code} and some words")
    ended(page)
    state = answer(page).locator(".state")
    expect(state).to_be_visible()
    (item,) = answers(stored(page))
    error = item["stkweb"]["error"]
    assert error["code"] == code
    text = faults.text_of(code)
    kept = bool(words(page))
    told = notice(page)
    assert text["sentence"] in told
    assert ("What had arrived is kept." if kept else "Your question is kept.") in told
    assert ULID.search(told) and error["id"] in told
    expect(state.get_by_role("button")).to_have_count(1)
    action = state.get_by_role("button").inner_text().strip()
    # What the sentence advises is what the button does.
    assert "Continue from here." not in told or action == "Continue from here"
    assert "Try again." not in told or action == "Try again"
    assert action in ("Continue from here", "Try again", "Edit question")
    assert "demo agent was asked" not in page.locator("body").inner_text(), "details are for administrators"
    page.reload()
    at_work(page)
    # Seconds of a pause go by meanwhile.
    assert COUNTDOWN.sub("", notice(page)) == COUNTDOWN.sub("", told)
    expect(answer(page).locator(".state").get_by_role("button")).to_have_count(1)


def test_try_again_keeps_the_question_and_the_failed_answer(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /fail agent_unavailable")
    ended(page)
    page.locator(".state [data-do=retry]").click()
    expect(page.locator(".which")).to_contain_text("2/2")
    ended(page)
    expect(page.locator(".question")).to_have_count(1)


def test_continue_goes_on_below_what_had_arrived(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /cut some words")
    ended(page)
    before = words(page)
    page.locator(".state [data-do=continue]").click()
    expect(page.locator(".answer")).to_have_count(2)
    ended(page)
    assert " ".join(page.locator(".answer .prose").first.inner_text().split()) == before


def test_a_question_that_is_too_long_for_the_agent_can_be_edited(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /fail prompt_too_long much too long")
    ended(page)
    page.locator(".state [data-do=edit-question]").click()
    expect(page.locator("#text")).to_have_value("/fast /fail prompt_too_long much too long")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#text")).to_have_value("")


def test_a_refused_send_gives_the_text_back_with_a_countdown(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 32."""
    page = visit(server=make_server(STKWEB_SENDS_PER_MINUTE="1"))
    ask(page, "/fast /echo one")
    ended(page)
    page.fill("#text", "/fast /echo two")
    page.keyboard.press("Enter")
    expect(page.locator("#strip")).to_contain_text("You sent many questions within a minute.")
    expect(page.locator("#strip")).to_contain_text(re.compile(r"You can send again in \d+ s"))
    expect(page.locator("#text")).to_have_value("/fast /echo two")
    expect(page.locator(".question")).to_have_count(1)
    page.fill("#text", "")


# -- The line --------------------------------------------------------------------------------------------


def test_offline_is_told_within_three_seconds_and_writing_goes_on(visit: Visit) -> None:
    """UX 34, R31: what cannot go out is seen as unsent, can be taken back, and goes out later."""
    page = visit()
    ask(page, "/fast /echo before")
    ended(page)
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("You are offline", timeout=10_000)
    page.fill("#text", "/fast /echo while offline")
    page.keyboard.press("Enter")
    unsent = page.locator(".question.unsent")
    expect(unsent).to_contain_text("Not sent: you are offline.")
    unsent.get_by_role("button", name="Take back").click()
    expect(page.locator(".question.unsent")).to_have_count(0)
    expect(page.locator("#text")).to_have_value("/fast /echo while offline")
    page.keyboard.press("Enter")
    expect(unsent).to_be_visible()
    assert len(questions(_stored_online(page))) == 1
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator(".question.unsent")).to_have_count(0)
    ended(page)
    expect(answer(page)).to_contain_text("while offline")
    assert len(questions(stored(page))) == 2


def _stored_online(page: Page) -> list[dict[str, Any]]:
    return stored(page)  # Playwright's own requests do not go through the page's line


def test_what_was_written_while_offline_survives_a_reload_as_unsent(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /echo before")
    ended(page)
    page.route("**/messages/", lambda route: route.abort())
    page.fill("#text", "/fast /echo kept unsent")
    page.keyboard.press("Enter")
    expect(page.locator(".question.unsent")).to_contain_text("the server cannot be reached")
    page.reload()
    expect(page.locator(".question.unsent")).to_contain_text("kept unsent")
    page.unroute("**/messages/")  # "It goes out when it can": nobody has to ask for it
    expect(answer(page)).to_contain_text("kept unsent")
    expect(page.locator(".question.unsent")).to_have_count(0)
    assert len(questions(stored(page))) == 2


def test_a_server_that_is_away_is_told_and_tried_by_hand(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 35: silent at first, "Reconnecting…" after 2 s, a button after 10 s, and nothing is lost."""
    server = make_server()
    page = visit(server=server)
    ask(page, "/fast /echo before")
    ended(page)
    page.fill("#text", "written meanwhile")
    server.stop()
    expect(page.locator("#banner")).to_have_text(re.compile("Reconnecting"), timeout=15_000)
    expect(page.locator("#banner button")).to_be_hidden()
    expect(page.locator("#banner button")).to_be_visible(timeout=30_000)
    server.start()
    # Not by the mouse: where the page was back by itself first, the button has gone.
    page.locator("#banner button").evaluate("button => button.click()")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator("#text")).to_have_value("written meanwhile")
    page.fill("#text", "/fast /echo after")
    page.keyboard.press("Enter")
    expect(answer(page)).to_contain_text("after")
    ended(page)


def test_a_busy_server_is_tried_again_by_itself(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /echo before")
    ended(page)
    page.route(
        "**/messages/",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}"),
        times=1,
    )
    page.fill("#text", "/fast /echo second try")
    page.keyboard.press("Enter")
    expect(page.locator(".question.unsent")).to_contain_text("Next try in")
    expect(answer(page)).to_contain_text("second try")
    assert len(questions(stored(page))) == 2


# -- The session -------------------------------------------------------------------------------------------


def test_a_session_that_ends_while_writing_is_renewed_in_place(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 37: within five seconds the page asks, and the text is still there."""
    server = make_server()
    page = visit(server=server)
    ask(page, "/fast /echo before")
    ended(page)
    page.fill("#text", "/fast /echo half a")
    server.rows("DELETE FROM django_session")
    dialog = page.locator("#signin")
    expect(dialog).to_be_visible(timeout=10_000)
    expect(page.locator("#signin-password")).to_be_focused()
    page.fill("#signin-password", "not it")
    page.keyboard.press("Enter")
    expect(dialog.locator(".problem")).to_contain_text("do not match")
    page.fill("#signin-password", PASSWORD)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#text")).to_have_value("/fast /echo half a")
    expect(page.locator("#text")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type(" thought")
    page.keyboard.press("Enter")
    expect(answer(page)).to_contain_text("half a thought")
    ended(page)
    page.reload()
    expect(page.locator(".question")).to_have_count(2)


def test_a_question_sent_after_the_session_ended_goes_out_after_signing_in(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 37."""
    server = make_server()
    page = visit(server=server)
    ask(page, "/fast /echo before")
    ended(page)

    def late(route: Route) -> None:
        server.rows("DELETE FROM django_session")
        route.continue_()

    # On its way: a session that ends before makes the page ask at once, wherever the person is.
    page.route("**/messages/", late, times=1)
    page.fill("#text", "/fast /echo not lost")
    page.keyboard.press("Enter")
    expect(page.locator("#signin")).to_be_visible()
    page.fill("#signin-password", PASSWORD)
    # The socket of the session that is over would be closed seconds later, and ask once more.
    with page.expect_websocket():
        page.keyboard.press("Enter")
    expect(answer(page)).to_contain_text("not lost")
    ended(page)
    expect(page.locator(".question.unsent")).to_have_count(0)
    assert len(questions(stored(page))) == 2


def test_somebody_else_who_signs_in_meets_nothing_of_the_former_person(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """UX 36."""
    server = make_server()
    page = visit("alice", server=server)
    page.fill("#text", "alice's secret")
    server.rows("DELETE FROM django_session")
    expect(page.locator("#signin")).to_be_visible(timeout=10_000)
    page.fill("#signin-user", "bob")
    page.fill("#signin-password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".me")).to_contain_text("bob")
    at_work(page)
    expect(page.locator("#text")).to_have_value("")
    assert "secret" not in page.evaluate("() => JSON.stringify({...sessionStorage})")


def test_a_page_that_is_not_there_says_so_and_leads_back(visit: Visit) -> None:
    page = visit("bob")
    theirs = ask(page, "/fast /echo bob's own")
    ended(page)
    stranger = visit("charlie")
    for path in (f"/c/{theirs}/", "/c/01ARZ3NDEKTSV4RRFFQ69G5FAV/", "/no/such/page/"):
        stranger.goto(path)
        expect(stranger.get_by_role("heading")).to_have_text("Nothing is here")
        stranger.get_by_role("link", name="Back to the conversations").click()
        at_work(stranger)
