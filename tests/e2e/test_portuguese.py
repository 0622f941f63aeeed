"""The whole way in Brazilian Portuguese, at a desk and on a phone, with not one English text on it.

With STKWEB_SCREENSHOTS=folder each station leaves a picture there, to be looked at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.acts import ask, at_work, ended, sign_in, written
from tests.real_server import Server
from tests.test_locale import ALIKE, ENTRIES

Visit = Callable[..., Any]

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
#: Data that somebody wrote: names, examples, questions, answers, titles.
WRITTEN = (
    ".prose, .bubble, .alone > p, .agents strong, .agents small, .examples, .title, #title, h2, option, title"
)
#: Every text, name and hint of the page, seen or only heard, dialogs and menus included.
TEXTS = """skip => {
    const found = new Set();
    const kinds = NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT;
    const walk = document.createTreeWalker(document.documentElement, kinds);
    while (walk.nextNode()) {
        const node = walk.currentNode;
        const element = node.nodeType === 1 ? node : node.parentElement;
        if (element.closest("script, style, noscript, [hidden] #empty") || element.closest(skip)) continue;
        if (node.nodeType === 3) found.add(node.data.trim());
        else for (const name of ["aria-label", "title", "placeholder", "alt"])
            if (node.hasAttribute(name)) found.add(node.getAttribute(name).trim());
    }
    return [...found].filter(Boolean);
}"""
#: What sticks out of the panel, dialog or banner around it.
STICKS_OUT = """() => [...document.querySelectorAll(":popover-open, dialog[open], #banner:not([hidden])")]
    .filter((panel) => panel.id !== "list") // its rows reach its edge
    .flatMap((panel) => [...panel.querySelectorAll("*")].filter((inner) => {
        const box = inner.getBoundingClientRect(), around = panel.getBoundingClientRect();
        const inside = around.right - parseFloat(getComputedStyle(panel).paddingRight) + 0.5;
        return box.width > 0 && !inner.closest(".sr") && box.right > inside;
    }).map((inner) => inner.outerHTML.slice(0, 80)))"""
#: Words that no Portuguese sentence has.
ENGLISH_WORDS = re.compile(
    r"\b(the|and|your?|is|are|was|were|not|with|this|that|answer|question|again|please|kept|try|wait|by|of|to|from|sent)\b",
    re.I,
)


def _patterns() -> list[re.Pattern[str]]:
    """The English texts as they would appear, with anything in their holes."""
    forms = {value for entry in ENTRIES for key, value in entry.items() if key.startswith("msgstr")}
    found = []
    for entry in ENTRIES:
        for text in (entry["msgid"], entry.get("msgid_plural", "")):
            if text and text not in ALIKE and text not in forms:
                parts = re.split(r"\{\w+\}|%\(\w+\)[sd]|%[sd]", text)
                found.append(re.compile(".+".join(re.escape(part) for part in parts)))
    return found


PATTERNS = _patterns()


def portuguese(page: Page, station: str = "") -> None:
    """Nothing on the page is English, and nothing is wider than the page."""
    assert page.get_attribute("html", "lang") == "pt-br"
    # The label of a row's options ends with the conversation's title, which a person wrote.
    own = ("English", "Opções de ")
    shown = [text for text in page.evaluate(TEXTS, WRITTEN) if not text.startswith(own)]
    assert len(shown) > 3
    assert [text for text in shown if any(pattern.fullmatch(text) for pattern in PATTERNS)] == []
    assert [text for text in shown if ENGLISH_WORDS.search(text)] == []
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{station}: {wider} px too wide"
    assert page.evaluate(STICKS_OUT) == []
    folder = os.environ.get("STKWEB_SCREENSHOTS")
    if folder and station:
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=Path(folder) / f"pt-{width}-{station}.png")


@pytest.fixture(params=[WIDE, PHONE], ids=["desk", "phone"])
def here(request: pytest.FixtureRequest) -> dict[str, Any]:
    touch = {"has_touch": True, "is_mobile": True} if request.param is PHONE else {}
    return {"locale": "pt-BR", "viewport": request.param, **touch}


@pytest.fixture
def brazil(make_server: Callable[..., Server]) -> Iterator[Server]:
    """A server of its own: people lock themselves out there."""
    yield make_server()


def test_the_whole_way_is_portuguese(visit: Visit, here: dict[str, Any]) -> None:
    page = visit(None, "/accounts/login/", **here)
    portuguese(page, "entrar")
    sign_in(page)
    at_work(page)
    portuguese(page, "vazio")
    ask(page, "/fast Explique o que é idempotência, com um exemplo")
    ended(page)
    expect(page.locator(".answer .tokens")).to_contain_text("tokens")
    portuguese(page, "resposta")
    page.reload()
    at_work(page)
    portuguese(page, "resposta-recarregada")
    ask(page, "/slow Explique de novo")
    portuguese(page, "respondendo")
    written(page, 4)
    page.click("#stop")
    ended(page)
    expect(page.locator(".answer .state.stopped").last).to_contain_text("Parada.")
    portuguese(page, "parada")
    page.locator("[data-do=continue]").last.click()
    expect(page.locator(".continued")).to_have_text("continuação")
    page.click("#stop")
    ended(page)
    portuguese(page, "continuacao")
    ask(page, "/fast /fail busy")
    expect(ended(page).locator(".state.failed")).to_contain_text("O agente está com pedidos demais agora.")
    portuguese(page, "falha")


def test_settings_dialogs_and_errors_are_portuguese(visit: Visit, here: dict[str, Any]) -> None:
    page = visit("bob", "/", **here)
    if here["viewport"] is PHONE:
        page.locator(".drawer").click()
    portuguese(page, "lista")
    page.locator("[popovertarget=settings]").click()
    expect(page.locator("#settings")).to_be_visible()
    portuguese(page, "ajustes")
    page.locator("[data-do=shortcuts]").click()
    expect(page.locator("#shortcuts")).to_be_visible()
    portuguese(page, "atalhos")
    page.goto("/accounts/password_change/")
    portuguese(page, "trocar-senha")
    page.goto("/c/01NOTHERE/")
    portuguese(page, "404")


def test_the_line_and_the_session_are_told_in_portuguese(
    visit: Visit, brazil: Server, here: dict[str, Any]
) -> None:
    page = visit("charlie", "/", server=brazil, **here)
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("Você está sem conexão.")
    portuguese(page, "sem-conexao")
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_be_hidden()
    brazil.rows("DELETE FROM django_session")
    expect(page.locator("#signin")).to_be_visible()
    portuguese(page, "entrar-de-novo")
    page.locator("#signin [data-close]").first.click()
    page.fill("#text", "Ainda estou aqui?")
    page.press("#text", "Enter")
    expect(page.locator("#signin")).to_be_visible()
    page.locator("#signin [data-close]").first.click()
    expect(page.locator(".question.unsent")).to_contain_text("Não enviada: sua sessão terminou.")
    portuguese(page, "nao-enviada")


def test_a_lockout_is_told_in_portuguese(visit: Visit, brazil: Server, here: dict[str, Any]) -> None:
    page = visit(None, "/accounts/login/", server=brazil, **here)
    for _attempt in range(12):
        sign_in(page, password="wrong")
        page.wait_for_load_state()
        if not page.locator("#id_password").count():
            break
        portuguese(page, "senha-errada")
    expect(page.locator("h1")).to_have_text("Tentativas demais")
    portuguese(page, "bloqueio")


def test_numbers_and_times_are_brazilian(visit: Visit) -> None:
    page = visit("alice", "/", locale="pt-BR")
    ask(page, "/fast /long 90 escreva muito")
    answer = ended(page)
    live = answer.locator(".tokens").inner_text()
    assert re.search(r"\d\.\d{3} tokens", live), live
    assert re.search(r"\d,\d s|min", answer.locator(".took").inner_text())
    page.reload()
    at_work(page)
    assert answer.locator(".tokens").inner_text() == live
    whole = answer.locator("header time").get_attribute("title") or ""
    assert re.search(r"\d+ de [a-zç]+ de \d{4}", whole), whole
