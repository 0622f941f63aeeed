"""The audit pages in Chromium: the numbers that were put in, the chart drawn, narrow, without a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.axe import violations
from tests.real_server import PASSWORD, Server

_BOOK = """
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from chat.models import LedgerEntry, new_id
now = timezone.now()
entries = [
    LedgerEntry(public_id=new_id(), user_id=n % 3 + 1000, username=("alice", "bob", "charlie")[n % 3],
                agent_id=1, agent_name="Demo", provider="demo", conversation_id=new_id(),
                message_id=new_id(), user_tokens=100, enrichment_tokens=None if n % 2 else 50,
                output_tokens=10, certainty="reported",
                outcome="completed", started_at=now - timedelta(hours=n + 1), duration_ms=1500,
                ended_at=now - timedelta(hours=n), first_delta_ms=200)
    for n in range(60)
]
with transaction.atomic():
    LedgerEntry.objects.append(entries)
"""
_MAY_READ = """
from django.contrib.auth.models import Permission, User
given = Permission.objects.get(codename="read_conversations")
User.objects.get(username="admin").user_permissions.add(given)
"""
_DRAWN = """() => {
    const canvas = document.querySelector("#chart canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3] === 255) colours.add(data.slice(i, i + 3).join());
    }
    return ["user", "enrichment", "output"].map((name) => {
        const mark = document.querySelector(`.chart .legend i.${name}`);
        return colours.has(getComputedStyle(mark).backgroundColor.match(/[0-9]+/g).slice(0, 3).join());
    });
}"""
TOKENS = 60 * 110 + 30 * 50


@pytest.fixture(scope="module")
def booked(make_shared: Callable[..., Server]) -> Server:
    server = make_shared()
    done = server.manage("shell", text=_BOOK)
    assert done.returncode == 0, done.stderr
    return server


@pytest.fixture(scope="module")
def make_shared(_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """A server of this module's own: the sums of the session's would depend on the other tests."""
    from contextlib import ExitStack

    from tests.real_server import running

    with ExitStack() as stack:

        def make() -> Server:
            data = tmp_path_factory.mktemp("audit") / "data"
            return stack.enter_context(running(Server(data, _template.copy_to(data))))

        yield make


@pytest.fixture
def enter(booked: Server, open_page: Callable[..., Any]) -> Callable[..., Any]:
    def make(path: str = "/admin/audit/", **options: Any) -> Any:
        page = open_page(booked, **options)
        page.goto(f"/admin/login/?next={path}")
        page.fill("#id_username", "admin")
        page.fill("#id_password", PASSWORD)
        page.click("input[type=submit]")
        page.wait_for_selector(".audit")
        return page

    return make


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_what_was_put_in_and_draws_it(enter: Callable[..., Any], scheme: str) -> None:
    page = enter(color_scheme=scheme)
    assert int(page.get_attribute("#total-tokens", "data-tokens")) == TOKENS
    assert page.inner_text("#total-tokens") == f"{TOKENS:,}"
    assert page.locator(".audit .numbers .big").first.inner_text() == f"{TOKENS:,}"
    page.wait_for_selector("#chart canvas")
    drawn = page.evaluate(_DRAWN)
    assert drawn == [True, True, True], "each kind of tokens is drawn in its colour"
    page.hover("#chart .u-over", position={"x": 10, "y": 10})
    page.click(".numbers-of-chart summary")
    rows = page.locator(".numbers-of-chart tbody tr td:last-child").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in rows) == TOKENS
    page.select_option(".filters [name=person]", label="alice")
    page.click(".filters .button")
    page.wait_for_selector("#total-tokens")
    assert "person=" in page.url
    assert int(page.get_attribute("#total-tokens", "data-tokens")) == TOKENS // 3
    page.reload()
    assert int(page.get_attribute("#total-tokens", "data-tokens")) == TOKENS // 3
    page.emulate_media(media="print")
    assert not page.locator(".filters").is_visible()
    assert page.locator("#table tbody tr").first.is_visible()
    assert page.problems == []


def test_it_fits_a_phone(enter: Callable[..., Any]) -> None:
    for path in ("/admin/audit/", "/admin/audit/?view=calls", "/admin/audit/reconcile/"):
        page = enter(path, viewport={"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.problems == []


def test_without_a_script_everything_but_the_chart_is_there(enter: Callable[..., Any]) -> None:
    page = enter(java_script_enabled=False)
    assert int(page.get_attribute("#total-tokens", "data-tokens")) == TOKENS
    assert not page.locator("#chart").is_visible()
    page.click(".numbers-of-chart summary")
    assert page.locator(".numbers-of-chart tbody tr").first.is_visible()
    page.select_option(".filters [name=outcome]", "failed")
    page.click(".filters .button")
    page.wait_for_selector("#table >> text=No call in this period")


def test_the_file_of_the_button_holds_what_the_screen_shows(enter: Callable[..., Any], tmp_path: Any) -> None:
    page = enter("/admin/audit/?view=calls")
    with page.expect_download() as taken:
        page.click(".take a:has-text('CSV')")
    taken.value.save_as(tmp_path / "calls.csv")
    import csv

    with (tmp_path / "calls.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = ("user_tokens", "enrichment_tokens", "output_tokens")
    assert sum(int(row[kind] or 0) for row in rows for kind in kinds) == TOKENS


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(enter: Callable[..., Any], scheme: str) -> None:
    assert [
        found for found in violations(enter(color_scheme=scheme)) if ".audit" in found or "#chart" in found
    ] == []


def test_who_is_read_sees_it_at_once_and_the_reader_sees_the_words(
    booked: Server, enter: Callable[..., Any], open_page: Callable[..., Any]
) -> None:
    given = booked.manage("shell", text=_MAY_READ)
    assert given.returncode == 0, given.stderr
    session = booked.sign_in("alice")
    sent = booked.ask(session, "What is **idempotency**?")
    owner = open_page(booked, "alice")
    owner.goto(f"/c/{sent['conversation']}/")
    owner.wait_for_selector(".answer .foot")
    reader = enter(f"/admin/reading/?conversation={sent['conversation']}")
    reader.fill("#id_reason", "A customer reports a wrong answer")
    reader.click(".stack .button")
    reader.wait_for_selector(".shared .a .prose")
    assert reader.inner_text(".shared .bubble") == "What is **idempotency**?"
    owner.wait_for_selector("#notices .notice")
    told = owner.inner_text("#notices")
    assert "admin (administration) may read this conversation until" in told
    assert "A customer reports a wrong answer" in told
    owner.reload()
    assert "A customer reports a wrong answer" in owner.inner_text("#notices")
    assert owner.problems == reader.problems == []
