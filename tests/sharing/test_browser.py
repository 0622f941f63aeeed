"""The flow from making a link to revoking it, in Chromium, on the real server."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from tests.real_server import ROOT, Server, wait_for
from tests.sharing.pages import Owner

pytestmark = [pytest.mark.browser, pytest.mark.server]

#: A folder for screenshots to look at; none are taken without it.
SHOTS = os.environ.get("STKWEB_TEST_SHOTS", "")
QUESTION = (
    "/fast /echo ## Plan\n\nWrite to maria.silva@example.com, then use the key AKIAIOSFODNN7EXAMPLE.\n\n"
    "| Step | Locks |\n| --- | --- |\n| Add columns | none |\n\n"
    "```sql\nALTER TABLE orders ADD COLUMN placed_at timestamptz;\n```"
)


def shot(page: Any, name: str, **options: Any) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True, **options)


@pytest.fixture
def asked(shared_server: Server) -> str:
    """A conversation of alice's with an ended answer; its id."""
    session = shared_server.sign_in("alice")
    sent = shared_server.ask(session, QUESTION)

    def ended() -> bool:
        query = "SELECT 1 FROM chat_message WHERE public_id = ? AND state = 'completed'"
        return bool(shared_server.rows(query, sent["answer"]))

    wait_for(ended, 20, "the answer")
    return sent["conversation"]


def make_link(page: Any, audience: str = "anyone") -> str:
    page.check(f"input[name=audience][value={audience}]")
    page.click("button[value=make]")
    page.wait_for_selector("#address")
    return page.input_value("#address")


def test_a_link_is_made_read_published_again_and_revoked(
    shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    page = open_page(shared_server, "alice", viewport={"width": 1280, "height": 900})
    page.goto(f"/c/{asked}/")
    page.click("#share")
    page.wait_for_selector(".preview")
    shot(page, "preview")

    # The preview: the e-mail address and the key are blanked, and can be shown again.
    preview = page.locator(".preview .shared")
    assert "maria.silva@example.com" not in preview.locator("article").all_inner_texts()[1]
    assert page.locator(".hits li").count() >= 2
    page.locator(".hits li", has_text="maria.silva").last.locator("input[name=blank]").uncheck()
    assert page.locator(".stale").is_visible()
    page.click("button[value=preview]")
    page.wait_for_selector("form:not([data-stale])")
    assert "maria.silva@example.com" in page.locator(".preview article.a").inner_text()
    assert "AKIAIOSFODNN7EXAMPLE" not in page.locator(".preview article.a").inner_text()
    shown = (
        page.locator(".preview article.a .prose").inner_html().replace("<mark>", "").replace("</mark>", "")
    )
    address = make_link(page)
    shot(page, "made")

    # The reader sees exactly that, without a script and without signing in.
    reader = open_page(shared_server, java_script_enabled=False, viewport={"width": 1280, "height": 900})
    reader.goto(address)
    assert reader.locator("article.a .prose").inner_html() == shown
    shot(reader, "shared-light")

    # A later turn does not appear by itself.
    session = shared_server.sign_in("alice")
    sent = shared_server.ask(session, "/echo A later answer.", asked)
    query = "SELECT 1 FROM chat_message WHERE public_id = ? AND state = 'completed'"
    wait_for(lambda: shared_server.rows(query, sent["answer"]), 20, "the later answer")
    reader.reload()
    assert "A later answer" not in reader.inner_text("main")

    # The owner sees the difference and publishes it.
    page.goto("/shares/")
    shot(page, "my-links")
    page.click("text=Publish again")
    assert "2 messages are new" in page.inner_text(".changes")
    shot(page, "publish-again")
    page.click("button[value=make]")
    page.wait_for_url("**/shares/*/")
    shot(page, "one-link")
    reader.reload()
    assert "A later answer" in reader.inner_text("main")
    assert "Version 2" in reader.inner_text("main")

    # Revoked: dead at the next request.
    page.goto("/shares/")
    page.locator(".links li").first.locator("summary").click()
    page.click("text=Revoke this link")
    page.wait_for_selector(".alert")
    shot(page, "revoked")
    assert reader.goto(address).status == 404
    shot(reader, "gone")
    assert page.problems == reader.problems == []


def test_a_colleague_goes_on_with_a_copy(
    shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    page = open_page(shared_server, "alice")
    page.goto(f"/c/{asked}/share/")
    address = make_link(page, "colleagues")
    colleague = open_page(shared_server, "bob")
    colleague.goto(address)
    colleague.click("text=Continue with a copy of mine")
    colleague.wait_for_url("**/c/*/")
    assert "Add columns" in colleague.inner_text("#items")
    assert asked not in colleague.url
    assert colleague.problems == []


def test_a_stranger_signs_in_and_is_brought_to_the_shared_page(
    shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    from tests.real_server import PASSWORD

    page = open_page(shared_server, "alice")
    page.goto(f"/c/{asked}/share/")
    address = make_link(page, "colleagues")
    stranger = open_page(shared_server)
    assert stranger.goto(address).status == 404
    stranger.click("a.button")
    stranger.fill("#id_username", "bob")
    stranger.fill("#id_password", PASSWORD)
    stranger.click("main button[type=submit]")
    stranger.wait_for_url(address)
    assert "Add columns" in stranger.inner_text("main")


def test_the_address_is_copied_by_its_button(
    shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    page = open_page(shared_server, "alice", permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/c/{asked}/share/")
    address = make_link(page)
    page.click("[data-copy]")
    page.wait_for_function("() => document.querySelector('[data-copy]').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 360, 1280])
def test_a_shared_page_fits_every_width_in_both_themes(
    scheme: str, width: int, shared_server: Server, open_page: Callable[..., Any], asked: str
) -> None:
    page = open_page(shared_server, "alice")
    page.goto(f"/c/{asked}/share/")
    address = make_link(page)
    reader = open_page(
        shared_server,
        java_script_enabled=False,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    reader.goto(address)
    shot(reader, f"shared-{scheme}-{width}")
    box = reader.locator("main").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    for article in reader.locator("article").all():
        found = article.bounding_box()
        assert found["x"] + found["width"] <= width + 1, "nothing is cut off at the side"


def test_on_paper_there_are_no_controls_links_show_where_they_lead_and_no_sheet_stays_empty(
    shared_server: Server, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    session = shared_server.sign_in("alice")
    code = "\n".join(f"step_{n}()" for n in range(120))
    rows = "\n".join(f"| {n} | {'none of them, ' * 12} |" for n in range(60))
    text = f"/fast /echo See [the manual](https://example.org/manual).\n\n```python\n{code}\n```\n\n"
    text += "Compare [the guide](https://example.net/guide) and https://example.com/plan now.\n\n"
    text += f"| Step | Locks |\n| --- | --- |\n{rows}\n\n" + "\n\n".join(f"Paragraph {n}." for n in range(40))
    sent = shared_server.ask(session, text)
    query = "SELECT 1 FROM chat_message WHERE public_id = ? AND state = 'completed'"
    wait_for(lambda: shared_server.rows(query, sent["answer"]), 20, "the answer")
    page = open_page(shared_server, "alice")
    page.goto(f"/c/{sent['conversation']}/share/")
    address = make_link(page, "colleagues")
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.locator(".continue").is_visible()
    after = page.evaluate("getComputedStyle(document.querySelector('.prose a'), '::after').content")
    assert "https://example.org/manual" in page.locator(".prose a").first.get_attribute("href")
    assert after != "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.locator(".q").evaluate_all("all => all.forEach((one) => one.remove())")
    target = Path(SHOTS or tmp_path) / "paper.pdf"
    page.pdf(path=target, format="A4")
    sheets = [sheet.extract_text() for sheet in PdfReader(target).pages]
    lines = [len(sheet.splitlines()) for sheet in sheets]
    assert min(lines[:-1]) >= 25, f"a sheet is half empty: {lines}"
    assert sum("python" in sheet and "step_0()" in sheet for sheet in sheets) == 1, (
        "code begins with its head"
    )
    told = " ".join(" ".join(sheets).split())
    assert told.count("example.net") == told.count("example.com") == 1, "an address is told once"
    assert "the guide (https://example.net/guide) and https://example.com/plan now" in told
    rows = [" ".join(sheet.split()).count("none of them,") for sheet in sheets]
    assert sum(rows) == 60 * 12
    assert not any(count % 12 for count in rows), f"a row of the table is torn: {rows}"


@pytest.fixture
def wiki() -> Iterator[tuple[int, dict[str, str]]]:
    """A web server of somebody else: its port, and its pages to be filled in."""
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *values: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, pages
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("host", "passphrase", "shown"),
    [("127.0.0.1", "", True), ("127.0.0.1", "a long enough phrase", True), ("localhost", "", False)],
)
def test_a_link_is_embedded_where_the_administrator_lists_the_page(
    host: str, passphrase: str, shown: bool, wiki: tuple[int, dict[str, str]],
    make_server: Callable[..., Server], open_page: Callable[..., Any],
) -> None:  # fmt: skip
    port, pages = wiki
    server = make_server(STKWEB_SHARE_EMBED_ORIGINS=f"http://127.0.0.1:{port}")
    owner = Owner(server, "alice")
    thread = owner.answered("/fast /echo Embedded words")
    address = owner.share(thread, embed="on", passphrase=passphrase)
    pages["/"] = f"<!doctype html><iframe src='{address}?embed=1' width='600' height='400'></iframe>"
    page = open_page(server)
    page.goto(f"http://{host}:{port}/")
    frame = page.frames[1]
    frame.wait_for_load_state()
    if passphrase:
        frame.fill("#passphrase", passphrase)
        frame.click("button")
        frame.locator("main", has_text="Embedded words").wait_for()
    assert bool(frame.locator("main").count() and "Embedded words" in frame.inner_text("main")) is shown


def test_hostile_texts_run_nothing_on_a_live_page(
    shared_server: Server, open_page: Callable[..., Any]
) -> None:
    """S14, S17: the one shared page with a script puts HTML in its place; no vector may come alive."""
    vectors = json.loads((ROOT / "tests/markdown/hostile.json").read_text(encoding="utf-8"))
    owner = Owner(shared_server, "alice")
    thread = owner.answered("/fast /echo First")
    page = open_page(shared_server)
    page.goto(owner.share(thread, live="on"))
    page.evaluate("() => { window.hit = () => { document.title = 'hit'; }; }")
    owner.answered("/fast /echo " + "\n\n".join(vectors) + "\n\nThe end of it.", thread)
    page.locator("#messages .prose").get_by_text("The end of it.").wait_for()
    assert (
        page.locator("#messages :is(script, img, iframe, object, embed, svg, video, style, form)").count()
        == 0
    )
    assert page.title() != "hit"
    assert page.problems == []
