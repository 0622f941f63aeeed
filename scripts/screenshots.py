"""Take the pictures of the README: a fresh server with its demo agent, in Chromium.

    python -m scripts.screenshots    writes docs/wide.png and docs/phone.png

Needs what the tests need (`make setup-dev`, Chromium or its path in CHROMIUM). Nothing is drawn by hand:
what is seen is what a newcomer sees after a few questions.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.real_server import Database, Server, Template, running

DOCS = Path(__file__).resolve().parent.parent / "docs"
#: Bytes of a picture; more would make the README slow to read.
MOST = 150_000
#: What has been talked about; the last one is open.
EARLIER = (
    "Review this code before I merge it",
    "What is the formula for compound interest?",
    "Explique o que é idempotência, com um exemplo",
)
PLAN = "Write a migration plan for our orders database, without downtime"
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 860}, "color_scheme": "dark", "is_mobile": True, "has_touch": True,
}  # fmt: skip


def ended(page: Page) -> None:
    """Wait until nothing is being written any more."""
    page.wait_for_function("() => document.getElementById('stop').hidden", timeout=60_000)
    page.wait_for_timeout(300)


def ask(page: Page, text: str) -> None:
    """Send a question in a conversation of its own."""
    page.goto("/")
    page.fill("#text", text)
    page.press("#text", "Enter")
    page.wait_for_url(re.compile("/c/"))


def keep(page: Page, name: str) -> None:
    """Write what is seen; refuses a picture that is too large."""
    path = DOCS / f"{name}.png"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, optimize=True)
    if path.stat().st_size > MOST:
        raise SystemExit(f"{path} has {path.stat().st_size:,} bytes, above {MOST:,}")
    print(f"{path.relative_to(DOCS.parent)}: {path.stat().st_size:,} bytes")


def open_page(browser: Browser, server: Server, look: dict[str, Any]) -> Page:
    """A page of alice's, in English."""
    context = browser.new_context(base_url=server.base_url, locale="en-GB", **look)
    context.add_cookies(server.cookies(server.sign_in("alice")))
    return context.new_page()


def take(browser: Browser, server: Server) -> None:
    """Both pictures."""
    page = open_page(browser, server, WIDE)
    for text in EARLIER:
        ask(page, f"{text} /fast")
        ended(page)
    # The words that make the demo agent hurry are no part of what it was asked.
    server.rows("UPDATE chat_conversation SET title = replace(title, ' /fast', '')")
    ask(page, PLAN)
    ended(page)
    page.locator("#scroll").evaluate("view => { view.scrollTop = 0; }")
    page.wait_for_timeout(300)
    keep(page, "wide")
    phone = open_page(browser, server, PHONE)
    phone.goto(page.url)
    phone.wait_for_timeout(500)
    keep(phone, "phone")


def main() -> None:
    """Start a server of its own, take the pictures, leave nothing behind."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        data = Path(folder) / "data"
        template = Template(Path(folder), Database())
        with running(Server(data, template.copy_to(data))) as server:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
            take(browser, server)
            browser.close()


if __name__ == "__main__":
    main()
