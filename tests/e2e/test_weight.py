"""What a first visit costs: counted on the wire by Chromium itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.acts import ask, at_work, ended

Visit = Callable[..., Any]
BYTES = 150_000
REQUESTS = 15


def weigh(page: Any, path: str) -> dict[str, tuple[str, int]]:
    """{request id: (URL, bytes on the wire)} of a cold load, until the page is at work and quiet."""
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    seen: dict[str, list[Any]] = {}
    client.on(
        "Network.requestWillBeSent", lambda e: seen.setdefault(e["requestId"], [e["request"]["url"], 0])
    )
    client.on(
        "Network.loadingFinished",
        lambda e: (
            seen[e["requestId"]].__setitem__(1, int(e["encodedDataLength"]))
            if e["requestId"] in seen
            else None
        ),
    )
    page.goto(path)
    at_work(page)
    page.wait_for_load_state("networkidle")
    return {key: (url, size) for key, (url, size) in seen.items() if not url.startswith("data:")}


@pytest.mark.parametrize("kind", ["empty", "read"])
def test_the_chat_page_is_light(visit: Visit, kind: str) -> None:
    """At most 150 KB compressed and 15 requests, all to one host."""
    page = visit("charlie")
    if kind == "read":
        with page.expect_response("**/usage/now/"):  # the last of what an answer asks for
            ask(page, "/fast /echo An answer in **words**, with a list:\n\n- one\n- two")
            ended(page)
    path = urlsplit(page.url).path
    found = weigh(page, path)
    total = sum(size for _url, size in found.values())
    listing = "\n".join(f"{size:7} {url}" for url, size in sorted(found.values(), key=lambda x: -x[1]))
    print(f"{kind}: {total} bytes, {len(found)} requests\n{listing}")
    assert all(size > 0 for _url, size in found.values()), listing
    assert total <= BYTES, listing
    assert len(found) <= REQUESTS, listing
    assert {urlsplit(url).netloc for url, _size in found.values()} == {urlsplit(page.url).netloc}


def test_an_answer_costs_little_more(visit: Visit) -> None:
    """With the renderer and the colours of its code: what a whole first use weighs."""
    page = visit("charlie")
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    sizes: list[int] = []
    client.on("Network.loadingFinished", lambda e: sizes.append(int(e["encodedDataLength"])))
    page.goto("/")
    at_work(page)
    ask(page, "/fast Review this code")
    ended(page)
    page.wait_for_selector(".hljs-keyword")
    assert sum(sizes) <= 180_000
