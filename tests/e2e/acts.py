"""What a person does, and what they can see: the words of these tests."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.real_server import PASSWORD

LIVE = re.compile(r"\blive\b")
ID = re.compile(r"/c/(\w+)/")


def at_work(page: Page) -> None:
    """Its modules run: the line of key hints is theirs."""
    page.wait_for_selector("#keys:not(:empty)", state="attached")


def sign_in(page: Page, username: str = "alice", password: str = PASSWORD) -> None:
    """Through the form, as people do."""
    page.fill("#id_username", username)
    page.fill("#id_password", password)
    page.click("button[type=submit]")


def ask(page: Page, text: str) -> str:
    """Write and press Enter; returns the id of the conversation."""
    page.fill("#text", text)
    page.press("#text", "Enter")
    page.wait_for_url(ID)
    expect(page.locator(".question.sending")).to_have_count(0)
    return conversation_of(page)


def conversation_of(page: Page) -> str:
    found = ID.search(page.url)
    assert found, page.url
    return found[1]


def answer(page: Page) -> Locator:
    return page.locator(".answer").last


def ended(page: Page, timeout: float = 30_000) -> Locator:
    """The last answer, when nothing is being written any more."""
    expect(page.locator("#stop")).to_be_hidden(timeout=timeout)
    expect(page.locator(".answer.live")).to_have_count(0, timeout=timeout)
    return answer(page)


def words(page: Page) -> str:
    """The text of the last answer as it is read, spaces evened out."""
    return " ".join(answer(page).locator("> .prose").inner_text().split())


def written(page: Page, count: int, timeout: float = 30_000) -> str:
    """Wait until the last answer has so many words; returns its text."""
    page.wait_for_function(
        """count => (([...document.querySelectorAll('.answer > .prose')].at(-1)?.innerText ?? '')
        .split(/\\s+/).length >= count)""",
        arg=count,
        timeout=timeout,
    )
    return words(page)


def stored(page: Page, conversation: str | None = None) -> list[dict[str, Any]]:
    """The items of the conversation as the server has them."""
    reply = page.request.get(
        f"/c/{conversation or conversation_of(page)}/", headers={"Accept": "application/json"}
    )
    assert reply.ok, reply.status
    return reply.json()["items"]


def text_of(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in item["content"])


def answers(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["type"] == "assistant_message"]


def questions(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["type"] == "user_message"]


def spoken(page: Page) -> None:
    """From now on `window.heard` collects what the live regions say."""
    page.evaluate("""() => {
        window.heard = [];
        for (const id of ["polite", "urgent"]) {
            new MutationObserver(() => {
                const said = document.getElementById(id).textContent;
                if (said) window.heard.push([id, said]);
            }).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
        }
    }""")


def hide(page: Page, hidden: bool = True) -> None:
    """As if another tab were in front of this one (Playwright keeps every page visible)."""
    page.evaluate(
        """hidden => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        Object.defineProperty(document, "visibilityState",
            { configurable: true, get: () => (hidden ? "hidden" : "visible") });
        document.dispatchEvent(new Event("visibilitychange"));
    }""",
        hidden,
    )
