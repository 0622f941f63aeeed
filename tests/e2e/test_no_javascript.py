"""Without JavaScript: sign in, read, ask, stop, rename, delete and undo by plain forms (UX 38)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import conversation_of, sign_in

Visit = Callable[..., Any]


@pytest.fixture
def plain(visit: Visit) -> Any:
    page = visit(None, java_script_enabled=False)
    sign_in(page)
    expect(page.locator("#composer")).to_be_visible()
    return page


def send(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.click("#send")
    page.wait_for_url("**/c/**")


def finished(page: Page) -> None:
    """The page refreshes itself while an answer is being written; here it is reloaded by hand."""
    for _ in range(40):
        if not page.locator(".answer.live").count():
            return
        page.wait_for_timeout(250)
        page.reload()
    raise AssertionError("still being written")


def test_a_question_is_asked_and_its_answer_read(plain: Any) -> None:
    send(plain, "/fast Write a migration plan")
    expect(plain.locator(".question .bubble")).to_have_text("/fast Write a migration plan")
    finished(plain)
    expect(plain.locator(".answer table")).to_have_count(1)
    expect(plain.locator(".answer .tokens")).to_contain_text("answered")
    expect(plain.locator(".conversation")).not_to_have_count(0)
    send(plain, "/fast /echo and again")
    finished(plain)
    expect(plain.locator(".answer")).to_have_count(2)
    for scripted in plain.locator(".js").all():
        expect(scripted).to_be_hidden()


def test_the_page_refreshes_itself_while_an_answer_is_written(plain: Any) -> None:
    send(plain, "/long 2")
    refresh = plain.locator("noscript meta[http-equiv=refresh]")
    assert refresh.count() == 1 or 'http-equiv="refresh"' in plain.content()
    expect(plain.locator(".answer.live")).to_have_count(0)
    expect(plain.locator(".answer .tokens")).to_contain_text("answered")
    assert 'http-equiv="refresh"' not in plain.content()


def test_an_answer_can_be_stopped(plain: Any) -> None:
    send(plain, "/long 40")
    plain.click("#stop")
    expect(plain).to_have_url(re.compile("/c/"))
    finished(plain)
    expect(plain.locator(".state.stopped")).to_be_visible()


def test_a_failed_answer_can_be_tried_again_and_the_first_one_read(plain: Any) -> None:
    send(plain, "/fast /fail agent_unavailable")
    finished(plain)
    expect(plain.locator(".state.failed")).to_contain_text("The agent's service has a problem.")
    plain.locator(".state").get_by_role("button", name="Try again").click()
    finished(plain)
    expect(plain.locator(".which")).to_contain_text("2/2")
    plain.get_by_role("button", name="Previous answer").click()
    expect(plain.locator(".which")).to_contain_text("1/2")


def test_a_conversation_is_renamed_deleted_and_brought_back(plain: Any) -> None:
    send(plain, "/fast /echo plain forms")
    finished(plain)
    conversation = conversation_of(plain)
    plain.click("#more-button")
    plain.fill("#rename-title", "Another title")
    plain.locator("#more").get_by_role("button", name="Rename").click()
    expect(plain.locator("#title")).to_have_text("Another title")
    plain.click("#more-button")
    plain.locator("#more summary").click()
    plain.get_by_role("button", name="Delete this conversation").click()
    expect(plain.locator(".alert")).to_contain_text("The conversation was deleted.")
    expect(plain.locator(f".conversation[data-id='{conversation}']")).to_have_count(0)
    plain.get_by_role("button", name="Undo").click()
    expect(plain.locator("#title")).to_have_text("Another title")


def test_settings_are_forms_too(plain: Any) -> None:
    plain.click("[popovertarget=settings]")
    plain.click("[name=theme][value=dark]")
    expect(plain.locator("html")).to_have_attribute("data-theme", "dark")
    plain.click("[popovertarget=settings]")
    plain.get_by_role("button", name="Sign out").click()
    expect(plain).to_have_url(re.compile("/accounts/"))


def test_a_file_is_given_without_javascript(visit: Visit) -> None:
    page = visit(java_script_enabled=False)
    page.set_input_files(
        ".composer input[type=file]", [{"name": "a.txt", "mimeType": "text/plain", "buffer": b"one"}]
    )
    page.fill("#text", "/fast /echo with a file")
    page.click("#send")
    expect(page.locator(".question .files a")).to_contain_text("a.txt")
