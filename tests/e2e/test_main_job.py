"""The main job: ask, watch, leave, come back, stop, and lose nothing whatever happens."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.acts import (
    answer,
    answers,
    ask,
    at_work,
    ended,
    questions,
    sign_in,
    stored,
    text_of,
    words,
    written,
)
from tests.real_server import Server

Visit = Callable[..., Any]


def test_someone_signs_in_asks_and_watches_the_answer_grow(visit: Visit) -> None:
    page = visit(None)
    expect(page).to_have_url(re.compile("/accounts/login/"))
    sign_in(page)
    at_work(page)
    ask(page, "Write a migration plan for our orders database")
    first = written(page, 8)
    second = written(page, len(first.split()) + 10)
    assert len(second) > len(first)
    expect(answer(page)).to_have_attribute("aria-busy", "true")
    last = ended(page)
    expect(last.locator("table")).to_have_count(1)
    expect(last.locator(".tokens")).to_contain_text("asked")
    assert text_of(answers(stored(page))[0]).count("|") > 10


#: The last answer has so many words, or will not get them any more.
GROWN_OR_ENDED = """count => !document.querySelector('.answer.live')
    || [...document.querySelectorAll('.answer > .prose')].at(-1).innerText.split(/\\s+/).length >= count"""


def test_a_reload_at_any_moment_shows_the_same_and_goes_on(visit: Visit) -> None:
    """UX 21, R24: ten reloads of one stream; nothing is missing, nothing is doubled."""
    watching = visit()
    conversation = ask(watching, "/long 7 Read this while I reload")
    reloading = visit(page=watching, path=f"/c/{conversation}/")
    moments = random.Random(7)
    for _ in range(10):
        target = len(words(reloading).split()) + moments.randint(1, 9)
        if not reloading.locator(".answer.live").count():
            break
        reloading.wait_for_function(GROWN_OR_ENDED, arg=target)
        shown = words(reloading)
        reloading.reload(wait_until="commit")
        reloading.wait_for_selector("#act", state="attached")  # the whole document is there, scripts or not
        again = words(reloading)
        assert again.startswith(shown[:-30]), f"{again[-80:]!r} after {shown[-80:]!r}"
        at_work(reloading)
    ended(watching)
    ended(reloading)
    assert words(watching) == words(reloading)
    fresh = visit(page=watching, path=f"/c/{conversation}/")
    assert words(fresh) == words(watching)
    (final,) = answers(stored(watching))
    assert final["stkweb"]["state"] == "completed"
    plain = " ".join(re.sub(r"(?m)^\d+\. ", "", text_of(final)).split())
    assert words(watching) == plain


def test_a_second_tab_stops_the_answer_and_both_say_so(visit: Visit) -> None:
    """R25, UX 20: the button says at once that it was heard, both tabs show the end within a second."""
    first = visit()
    conversation = ask(first, "/long 40")
    second = visit(page=first, path=f"/c/{conversation}/")
    written(second, 12)
    said = second.evaluate(
        "() => { const stop = document.getElementById('stop'); stop.click(); return stop.textContent }"
    )
    assert "Stopping" in said
    for page in (first, second):
        expect(page.locator(".state.stopped")).to_be_visible(timeout=10_000)
        expect(page.locator("#send")).to_be_visible()
    kept = words(first)
    assert words(second) == kept
    second.reload()
    assert words(second) == kept
    expect(second.locator(".state.stopped")).to_contain_text("Stopped. The text so far is kept.")


def test_stop_works_after_a_reload(visit: Visit) -> None:
    page = visit()
    ask(page, "/long 40")
    written(page, 8)
    page.reload()
    expect(page.locator("#stop")).to_be_visible()
    at_work(page)
    page.click("#stop")
    expect(page.locator(".state.stopped")).to_be_visible(timeout=10_000)


def test_an_answer_that_is_stopped_before_its_first_word_ends_once(visit: Visit) -> None:
    """R26."""
    page = visit()
    ask(page, "/slow /long 3")
    page.click("#stop")
    expect(page.locator(".state.stopped")).to_be_visible()
    expect(page.locator(".waiting")).to_have_count(0)
    (only,) = answers(stored(page))
    assert only["stkweb"]["state"] == "stopped"


def test_another_device_sees_the_text_as_it_is_written(visit: Visit) -> None:
    """UX 21."""
    laptop = visit()
    conversation = ask(laptop, "/long 5")
    written(laptop, 6)
    phone = visit(
        "alice", f"/c/{conversation}/", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    seen = words(phone)
    written(phone, len(seen.split()) + 6)
    ended(laptop)
    ended(phone)
    assert words(phone) == words(laptop)


def test_a_question_from_one_device_appears_on_the_other(visit: Visit) -> None:
    laptop = visit()
    conversation = ask(laptop, "/fast /echo one")
    ended(laptop)
    phone = visit("alice", f"/c/{conversation}/")
    ask(laptop, "/fast /echo two")
    expect(phone.locator(".question")).to_have_count(2)
    expect(phone.locator(".answer").last).to_contain_text("two")
    ended(phone)


# -- The server goes away --------------------------------------------------------------------------


def test_a_killed_server_leaves_the_text_and_says_why(
    visit: Visit, make_server: Callable[..., Server]
) -> None:
    """R01: at most the last quarter of a second is lost; Continue and Try again both work."""
    server = make_server(STKWEB_LEASE_SECONDS="3")
    page = visit(server=server)
    conversation = ask(page, "/long 3")
    written(page, 14)
    server.kill()
    shown = words(page)
    expect(page.locator("#banner")).to_contain_text("Reconnecting", timeout=15_000)
    server.start()
    expect(page.locator(".state.interrupted")).to_be_visible(timeout=45_000)
    expect(page.locator(".state.interrupted")).to_contain_text("stopped unexpectedly")
    expect(page.locator("#banner")).to_be_hidden()
    kept = words(page)
    assert shown.startswith(kept) or kept.startswith(shown)
    assert len(kept) > len(shown) - 120
    page.reload()
    at_work(page)
    assert words(page) == kept

    page.click(".state [data-do=continue]")
    expect(page.locator(".answer")).to_have_count(2)
    ended(page)
    assert answers(stored(page, conversation))[1]["stkweb"]["continues"]

    page.locator(".answer").last.locator("[data-do=retry]").click()
    expect(page.locator(".which")).to_contain_text("2/2")
    ended(page)


def test_a_stopped_server_saves_everything_first(visit: Visit, make_server: Callable[..., Server]) -> None:
    """R02: nothing that was shown is lost, and the answer says that the server was restarted."""
    server = make_server()
    page = visit(server=server)
    ask(page, "/long 30")
    written(page, 14)
    server.stop()
    shown = words(page)
    server.start()
    expect(page.locator(".state.interrupted")).to_be_visible(timeout=45_000)
    expect(page.locator(".state.interrupted")).to_contain_text("was restarted")
    assert words(page).startswith(shown)
    page.reload()
    assert words(page).startswith(shown)
    page.locator(".answer [data-do=retry]").click()
    written(page, 5)
    page.click("#stop")
    ended(page)
    expect(page.locator(".which")).to_contain_text("2/2")


# -- One question, one answer ------------------------------------------------------------------------


def test_a_double_click_on_send_makes_one_question(visit: Visit) -> None:
    """R27."""
    page = visit()
    page.fill("#text", "/fast /echo once")
    page.dblclick("#send")
    page.wait_for_url("**/c/**")
    _is_single(page)


def test_enter_twice_and_enter_held_make_one_question(visit: Visit) -> None:
    """R27."""
    page = visit()
    page.fill("#text", "/echo once and no more")
    page.focus("#text")
    page.keyboard.down("Enter")
    for _ in range(5):
        page.keyboard.down("Enter")  # a held key repeats
    page.keyboard.up("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/**")
    _is_single(page)


def test_a_lost_reply_and_another_send_make_one_question(visit: Visit, house: Server) -> None:
    """R27: the first request arrived, its reply did not."""
    page = visit()
    ask(page, "/fast /echo zero")
    ended(page)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/messages/", lose, times=1)
    page.fill("#text", "/echo once, though the reply was lost")
    page.press("#text", "Enter")
    # The answer itself may arrive by the socket; the question settles when it is sent again.
    page.wait_for_function(
        """() => !document.querySelector('.question.sending')
        && document.querySelectorAll('.question').length === 2"""
    )
    # At once where the button still stands: it goes away when the question is sent again by itself.
    page.locator("[data-do=send-now]").evaluate_all("buttons => buttons.forEach((button) => button.click())")
    ended(page)
    expect(page.locator(".question")).to_have_count(2)
    expect(page.locator(".question.unsent")).to_have_count(0)
    items = stored(page)
    assert len(questions(items)) == len(answers(items)) == 2


def _is_single(page: Page) -> None:
    ended(page)
    expect(page.locator(".question")).to_have_count(1)
    expect(page.locator(".answer")).to_have_count(1)
    items = stored(page)
    assert len(questions(items)) == len(answers(items)) == 1
