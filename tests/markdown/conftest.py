"""A page with the product's Content-Security-Policy and import map, in Chromium, on a loopback server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page

from chat.importmap import IMPORTS

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.md"))
HOSTILE: list[str] = json.loads((Path(__file__).parent / "hostile.json").read_text())
STATIC = Path(__file__).resolve().parents[2] / "chat/static"
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-n0nce'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; "
    "base-uri 'none'; object-src 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types stkweb dompurify"
)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<link rel="icon" href="data:,"><title>Markdown</title>
<script type="importmap" nonce="n0nce">{imports}</script>
<script nonce="n0nce">
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) =>
  violations.push(e.violatedDirective + " " + e.sample));
</script>
<script type="module" nonce="n0nce">
import * as whole from "stkweb/markdown";
import { StreamRenderer } from "stkweb/markdown-stream";
const enhance = async (...given) => (await import("stkweb/markdown-enhance")).enhanceBlocks(...given);
window.markdown = { ...whole, StreamRenderer, enhance };
</script>
<main id="answer"></main></html>"""


def until(page: Page, expression: str, seconds: float = 10.0) -> None:
    """Wait for a condition; Playwright's own waiting evaluates strings, which the policy forbids."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"


@dataclass
class Site:
    """The loopback server: where it is and every path it was asked for."""

    url: str
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve the page at / and chat/static at /static/."""
    imports = json.dumps({"imports": {name: f"/static/{path}" for name, path in IMPORTS.items()}})
    page = PAGE.replace("{imports}", imports).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served.requests.append(self.path)
            target = STATIC / self.path.removeprefix("/static/")
            if self.path == "/":
                self.answer(200, page, "text/html; charset=utf-8")
            elif self.path.startswith("/static/") and ".." not in self.path and target.is_file():
                kind = "text/javascript" if target.suffix in (".js", ".mjs") else guess_type(target.name)[0]
                self.answer(200, target.read_bytes(), kind or "application/octet-stream")
            else:
                self.answer(404, b"", "text/plain")

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Site(f"http://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser_page(site: Site, browser: Browser) -> Iterator[Page]:
    """Return one page for a file of tests, with the modules loaded as `window.markdown`."""
    page = browser.new_page()
    page.goto(site.url)
    until(page, "window.markdown !== undefined")
    yield page
    page.close()
