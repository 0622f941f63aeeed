"""What an answer with code, formulas and tables asks for, read cold and asked cold; counted by Chromium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.e2e.acts import ask, at_work, ended

Visit = Callable[..., Any]

REQUESTS = 15
BYTES = 150_000  # compressed, headers included
#: The renderer, its parser, its streaming, what is added to finished blocks.
MARKDOWN_FILES = 4

CODE = "/fast /echo Look:\n\n```python\nprint('one')\n```\n\nand **that** is all."
EVERYTHING = "/fast /echo # All\n\n```python\nx = 1\n```\n\n$x^2$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"


class Count:
    """What a page asks for from now on, with an empty cache. A WebSocket is no file and counted apart."""

    def __init__(self, page: Page) -> None:
        self.urls: dict[str, str] = {}
        self.size = 0.0
        wire = page.context.new_cdp_session(page)
        wire.on("Network.requestWillBeSent", self._asked)
        wire.on("Network.loadingFinished", self._came)
        wire.send("Network.enable")
        wire.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def _asked(self, event: dict[str, Any]) -> None:
        self.urls[event["requestId"]] = event["request"]["url"]

    def _came(self, event: dict[str, Any]) -> None:
        if event["requestId"] in self.urls:  # what was on its way before does not count
            self.size += event["encodedDataLength"]

    def paths(self, part: str = "/") -> list[str]:
        paths = [urlsplit(url).path for url in self.urls.values() if url.startswith("http")]
        return [path for path in paths if part in path]


def test_a_conversation_with_code_opens_cold_within_the_budget(visit: Visit) -> None:
    page = visit()
    # All that the answer asks for has come, the person's own use last.
    with page.expect_response("**/usage/now/"):
        ask(page, CODE)
        expect(ended(page).locator("code .hljs-string").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    count = Count(page)
    page.reload()
    at_work(page)
    expect(page.locator("code .hljs-string").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert 10 <= len(count.paths()) <= REQUESTS, count.paths()
    assert 10_000 < count.size <= BYTES
    # What is only read needs no renderer.
    assert [path for path in count.paths() if "markdown-it" in path or "purify" in path] == []


def test_a_formula_is_set_without_the_renderer(visit: Visit) -> None:
    page = visit()
    ask(page, "/fast /echo The sum $a+b$ of two.")
    expect(ended(page).locator("math")).to_be_attached()
    page.wait_for_load_state("networkidle")
    count = Count(page)
    page.reload()
    at_work(page)
    expect(page.locator(".prose math")).to_be_attached()
    page.wait_for_load_state("networkidle")
    assert len(count.paths()) <= REQUESTS, count.paths()
    assert 10_000 < count.size <= BYTES


def test_a_first_question_asks_for_few_files(visit: Visit) -> None:
    """Code, a formula and a table at once."""
    page = visit()
    count = Count(page)
    ask(page, EVERYTHING)
    answer = ended(page)
    expect(answer.locator("math")).to_be_attached()
    expect(answer.locator("code .hljs-number")).to_be_attached()
    assert len(count.paths("/chat/markdown")) == MARKDOWN_FILES
    # The parser, the sanitiser, the formulas, the colours and their one language.
    assert len(count.paths("/static/")) <= MARKDOWN_FILES + 5, count.paths("/static/")
