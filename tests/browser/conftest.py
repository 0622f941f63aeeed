"""The page's modules in Chromium without a server: each import goes through the product's own import map.

modules            a page where `await import("stkweb/...")` works
drawn_page(...)    the chat page as the template draws it, with a scripted server behind it
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chat.importmap import IMPORTS
from tests.browser.stage import Stage

STATIC = Path(__file__).resolve().parents[2] / "chat" / "static"
ORIGIN = "http://stkweb.test"
BLANK = (
    '<!doctype html><html lang="en"><title>modules</title><body>'
    '<script id="strings" type="application/json">{}</script>'
    '<script id="boot" type="application/json">{}</script>'
    '<script type="importmap">'
    + json.dumps({"imports": {n: f"/static/{p}" for n, p in IMPORTS.items()}})
    + "</script>"
)


def _static(route: Any) -> None:
    path = STATIC / route.request.url.partition("/static/")[2]
    kind = "text/javascript" if path.suffix in (".js", ".mjs") else mimetypes.guess_type(path.name)[0]
    route.fulfill(body=path.read_bytes(), content_type=kind or "application/octet-stream")


@pytest.fixture
def modules(browser: Any) -> Iterator[Any]:
    """A blank page with the import map; `page.evaluate` may import any module."""
    context = browser.new_context(locale="en-GB", timezone_id="America/Sao_Paulo")
    context.route(f"{ORIGIN}/", lambda route: route.fulfill(body=BLANK, content_type="text/html"))
    context.route(f"{ORIGIN}/static/**", _static)
    page = context.new_page()
    page.goto(f"{ORIGIN}/")
    yield page
    context.close()


@pytest.fixture
def drawn_page(browser: Any) -> Iterator[Callable[..., Stage]]:
    """drawn_page(items=[...], **context options): the chat page at /c/<thread>/, or at / without items."""
    contexts = []

    def make(items: list[dict[str, Any]] | None = None, **options: Any) -> Stage:
        context = browser.new_context(locale="en-GB", timezone_id="America/Sao_Paulo", **options)
        contexts.append(context)
        stage = Stage(context, ORIGIN, items)
        context.route(f"{ORIGIN}/static/**", _static)  # of two routes that fit, the later one answers
        return stage

    yield make
    for context in contexts:
        context.close()
