"""The pages that say what went wrong: nothing that axe-core finds, in both themes and languages (UX 14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from tests.axe import violations
from tests.browser.conftest import ORIGIN, _static

PAGES = [path.name for path in sorted(Path(settings.BASE_DIR, "templates").glob("[0-9]*.html"))]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "pt-br"])
def test_axe_finds_nothing_on_pages_that_say_what_went_wrong(browser: Any, language: str, theme: str) -> None:
    assert {"404.html", "500.html", "429.html"} <= set(PAGES)
    context = browser.new_context(reduced_motion="reduce")
    drawn: dict[str, str] = {}
    context.route(
        f"{ORIGIN}/page/*",
        lambda route: route.fulfill(
            body=drawn[route.request.url.rpartition("/")[2]], content_type="text/html"
        ),
    )
    context.route(f"{ORIGIN}/static/**", _static)
    page = context.new_page()
    with translation.override(language):
        for name in [*PAGES, "registration/lockout.html"]:
            drawn[Path(name).name] = render_to_string(name, {"theme": theme, "error_id": "01E"})
    for name in drawn:
        page.goto(f"{ORIGIN}/page/{name}")
        assert page.locator("h1").count() == 1, name
        assert violations(page) == [], name
    context.close()
