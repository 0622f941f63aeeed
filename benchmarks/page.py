"""What the chat page weighs when it is opened cold, by Chromium: bytes on the wire, requests, hosts."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any
from urllib.parse import urlsplit

from benchmarks.client import Person

QUIET = 1.5  # seconds without a new request after which the page counts as loaded


async def weigh(person: Person, path: str) -> dict[str, float]:
    """Open `path` in a fresh profile; KB of 1,000 bytes, requests, other hosts.

    Bytes are those on the wire, headers included. Empty when Playwright is not installed.
    """
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        return {}
    asked: dict[str, str] = {}
    weights: dict[str, float] = {}
    own = f"http://127.0.0.1:{person.port}"
    async with async_playwright() as playwright:
        binary = os.environ.get("STKWEB_CHROMIUM") or shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=binary)
        context = await browser.new_context()
        await context.add_cookies(
            [{"name": name, "value": value, "url": own} for name, value in person.cookies.items()]
        )
        page = await context.new_page()
        wire = await context.new_cdp_session(page)

        def on_request(event: dict[str, Any]) -> None:
            asked[event["requestId"]] = event["request"]["url"]

        def on_finished(event: dict[str, Any]) -> None:
            weights[event["requestId"]] = event["encodedDataLength"]

        wire.on("Network.requestWillBeSent", on_request)
        wire.on("Network.loadingFinished", on_finished)
        await wire.send("Network.enable")
        await page.goto(own + path, wait_until="load")
        known = -1
        while known != len(asked):
            known = len(asked)
            await asyncio.sleep(QUIET)
        await browser.close()
    urls = [url for url in asked.values() if url.startswith("http")]
    others = {urlsplit(url).netloc for url in urls} - {f"127.0.0.1:{person.port}"}
    return {"KB": sum(weights.values()) / 1000, "requests": len(urls), "other hosts": len(others)}
