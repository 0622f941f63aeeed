"""Files from the person's desk to the agent, in front of the real server."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.acts import answer, ask, ended, questions, stored

Visit = Callable[..., Any]
#: Two and a half slices.
BIG = b"0123456789abcde\n" * 640_000


def png(width: int = 8, height: int = 8) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes((20, 120, 110)) * width for _ in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def file(name: str, data: bytes, kind: str = "text/plain") -> Any:
    return {"name": name, "mimeType": kind, "buffer": data}


def given(page: Page, name: str) -> Any:
    return page.locator(".given .file", has_text=name)


def send(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def test_files_go_with_the_first_question_and_stay_under_it(visit: Visit) -> None:
    """UX 42: a text and a picture; the same after a reload and in the tray."""
    page = visit()
    page.set_input_files(
        "#upload", [file("notes.txt", b"Ana owns it."), file("team.png", png(), "image/png")]
    )
    expect(given(page, "notes.txt")).to_contain_text("Ready")
    expect(given(page, "team.png")).to_contain_text("Ready")
    ask(page, "/fast /echo Who owns it?")
    ended(page)
    files = page.locator(".question .files")
    expect(files.get_by_role("link")).to_have_count(2)
    expect(files.get_by_role("img", name="team.png")).to_be_visible()
    drawn = files.inner_text()
    (asked,) = questions(stored(page))
    assert [one["name"] for one in asked["attachments"]] == ["notes.txt", "team.png"]
    page.reload()
    assert page.locator(".question .files").inner_text() == drawn
    assert page.evaluate("() => document.querySelector('.question img').naturalWidth") > 0
    with page.expect_download() as got:
        page.locator(".question .files a").first.click()
    assert got.value.suggested_filename == "notes.txt"
    assert got.value.path().read_bytes() == b"Ana owns it."
    page.click("#more-button")
    page.click("#files-link")
    tray = page.locator("#tray .file", has_text="notes.txt")
    expect(tray.get_by_role("link", name="Download: notes.txt")).to_be_visible()
    tray.get_by_role("button", name="Delete: notes.txt").click()
    page.get_by_role("button", name="Delete for good?").click()
    expect(page.locator("#tray .file")).to_have_count(1)
    page.keyboard.press("Escape")
    page.reload()
    expect(page.locator(".question .file.gone")).to_contain_text("no longer there")


def test_the_network_is_cut_at_sixty_percent_and_the_rest_follows(visit: Visit) -> None:
    """R39: with the line itself cut in the middle of a slice."""
    page = visit()
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    speed = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 6_000_000}
    line.send("Network.emulateNetworkConditions", speed)
    page.set_input_files("#upload", [file("big.txt", BIG)])
    page.wait_for_function(
        "size => document.querySelector('.given progress')?.value >= 0.6 * size", arg=len(BIG)
    )
    line.send("Network.emulateNetworkConditions", {**speed, "offline": True})
    expect(given(page, "big.txt")).to_contain_text("No connection. It goes on by itself.")
    send(page, "/fast /echo Read it")
    expect(page.locator("#strip")).to_contain_text("It is sent as soon as 1 file is there.")
    line.send("Network.emulateNetworkConditions", {**speed, "uploadThroughput": -1})
    expect(page.locator(".question .files")).to_contain_text("big.txt")
    ended(page)
    link = page.locator(".question .files a").get_attribute("href")
    assert page.request.get(link).body() == BIG


def test_a_second_tab_sees_the_files_of_what_the_first_one_sends(visit: Visit) -> None:
    first = visit()
    ask(first, "/fast /echo before")
    ended(first)
    second = visit(page=first, path=re.sub(r"^https?://[^/]+", "", first.url))
    for page, name in ((first, "one.txt"), (second, "two.txt")):
        page.set_input_files("#upload", [file(name, name.encode())])
        expect(given(page, name)).to_contain_text("Ready")
    send(first, "/fast /echo with one")
    expect(second.locator(".question .files")).to_contain_text("one.txt")
    ended(first)
    expect(given(second, "two.txt")).to_contain_text("Ready")
    send(second, "/fast /echo with two")
    expect(first.locator(".question .files").last).to_contain_text("two.txt")
    ended(second)


def test_a_file_that_lies_about_its_type_is_refused_in_plain_words(visit: Visit) -> None:
    page = visit()
    page.set_input_files("#upload", [file("picture.png", b"<script>alert(1)</script>" * 20, "image/png")])
    row = given(page, "picture.png")
    expect(row).to_have_attribute("data-state", "refused")
    assert len(row.locator(".how").inner_text()) > 20
    send(page, "/fast /echo go")
    expect(page.locator("#strip")).to_contain_text("picture.png cannot go along")
    row.get_by_role("button", name="Remove picture.png").click()
    expect(page.locator("#strip")).to_be_hidden()
    page.press("#text", "Enter")
    ended(page)
    expect(answer(page)).to_contain_text("go")
