"""CSV, JSON and ZIP: the numbers of the screen to the unit, no formula, and a manifest that holds."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from chat.admin.audit import tables
from chat.admin.audit.files import safe
from chat.models import AuditEvent, Conversation, LedgerEntry
from chat.models.prices import Price
from tests.audit.conftest import body, cells

pytestmark = pytest.mark.django_db
TOKENS = ("user_tokens", "enrichment_tokens", "output_tokens")


def total(rows: list[dict[str, str]], column: str) -> int:
    return sum(int(row[column] or 0) for row in rows)


@pytest.mark.parametrize("view", ["person", "team", "agent", "model", "day", "calls"])
@pytest.mark.parametrize("query", ["", "outcome=failed", "period=today", "certainty=estimated"])
@pytest.mark.parametrize("gone", [False, True], ids=["as it is", "after deletions"])
def test_screen_file_and_api_give_the_same_numbers(
    view: str, query: str, gone: bool, page: Client, known: Any, alice: Any, bob: Any
) -> None:
    if gone:
        Conversation.objects.all().delete()
        alice.delete()
        bob.delete()
    screen = page.get(f"/admin/audit/?{query}").context["total"]
    rows = cells(page.get(f"/admin/audit/export.csv?{query}&view={view}"))
    api = json.loads(body(page.get(f"/admin/audit/export.json?{query}&view={view}")))
    for column in TOKENS:
        assert total(rows, column) == (getattr(screen, column) or 0)
        assert sum(row[column] or 0 for row in api["rows"]) == (getattr(screen, column) or 0)
    calls = len(rows) if view == "calls" else total(rows, "calls")
    assert calls == screen.calls
    assert api["manifest"]["rows"] == len(rows) == len(api["rows"])


def test_not_reported_is_an_empty_cell_and_null(page: Client, known: Any) -> None:
    rows = cells(page.get("/admin/audit/export.csv?view=calls&outcome=failed"))
    assert [rows[0][column] for column in TOKENS] == ["", "", ""]
    api = json.loads(body(page.get("/admin/audit/export.json?view=calls&outcome=failed")))
    assert [api["rows"][0][column] for column in TOKENS] == [None, None, None]


HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://evil")', "  =1", "＝1", "\n=1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_is_a_formula(name: str, page: Client, book: Callable[..., LedgerEntry]) -> None:
    book(name, agent_name=name, model=name, provider=name)
    for view in ("calls", "person", "agent", "model"):
        for row in cells(page.get(f"/admin/audit/export.csv?view={view}")):
            for cell in row.values():
                assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")), cell
    api = json.loads(body(page.get("/admin/audit/export.json?view=calls")))
    assert api["rows"][0]["username"] == name, "JSON holds what it is"
    assert page.get("/admin/audit/").status_code == 200


@given(st.text())
def test_a_safe_cell_begins_with_nothing_that_calculates(text: str) -> None:
    assert not safe(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert safe(text).removeprefix("'") == text.removeprefix("'")


def test_markup_in_names_stays_text_on_the_page(page: Client, book: Callable[..., LedgerEntry]) -> None:
    book("</script><script>alert(1)</script>", agent_name='"><img src=x onerror=alert(1)>')
    for query in ("", "?view=calls", "?view=agent&stack=person"):
        text = page.get(f"/admin/audit/{query}").content.decode()
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def test_the_manifest_says_what_the_file_is(page: Client, known: Any) -> None:
    Price.objects.create(
        currency="BRL", user=1_000_000, output=2_000_000, valid_from=timezone.now().date(),
        created_at=timezone.now(), created_by="admin",
    )  # fmt: skip
    answer = page.get("/admin/audit/export.csv?view=calls&outcome=completed&period=yesterday")
    content = body(answer)
    manifest = page.get(f"/admin/audit/exports/{answer['X-Export']}/").json()
    assert manifest["rows"] == 1
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["filter"]["outcome"] == "completed"
    assert manifest["filter"]["from"] < manifest["filter"]["to"]
    assert manifest["time_zone"] == "UTC"
    assert manifest["period_complete"] is True
    assert manifest["prices"][0]["currency"] == "BRL"
    assert manifest["columns"] == content.decode("utf-8-sig").splitlines()[0].split(",")
    running = body(page.get("/admin/audit/export.json?period=today"))
    assert json.loads(running)["manifest"]["period_complete"] is False
    rows = running.split(b'{"rows":[')[1].rsplit(b'],\n"manifest":')[0]
    assert json.loads(running)["manifest"]["sha256"] == hashlib.sha256(rows).hexdigest()


def test_a_zip_brings_the_csv_with_its_manifest(page: Client, known: Any) -> None:
    with zipfile.ZipFile(io.BytesIO(body(page.get("/admin/audit/export.zip?view=calls")))) as archive:
        name, other = archive.namelist()
        assert other == "manifest.json"
        manifest = json.loads(archive.read(other))
        assert manifest["sha256"] == hashlib.sha256(archive.read(name)).hexdigest()
        assert manifest["rows"] == 5
        assert archive.testzip() is None


def test_every_export_is_in_the_log_also_one_that_was_broken_off(page: Client, known: Any) -> None:
    body(page.get("/admin/audit/export.csv?view=calls"))
    broken = page.get("/admin/audit/export.csv?view=calls")
    next(iter(broken.streaming_content))
    broken._iterator.close()  # as the server does when the browser is gone
    actions = list(AuditEvent.objects.filter(action__startswith="export").order_by("pk"))
    assert [event.action for event in actions] == [
        "export.begun", "export.finished", "export.begun", "export.broken_off",
    ]  # fmt: skip
    assert all(event.request_id and event.actor == "staff" for event in actions)
    assert "manifest" in page.get("/admin/audit/").content.decode()


def test_calls_that_come_while_a_file_is_read_are_not_in_it(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read in pages of keys, it is all the same what there was at its beginning; in one query a page."""
    monkeypatch.setattr(tables, "CHUNK", 7)
    same = timezone.now() - timedelta(hours=2)
    made = [book(alice, at=same if n % 3 else None) for n in range(30)]
    with CaptureQueriesContext(connection) as queries:
        answer = page.get("/admin/audit/export.csv?view=calls")
        parts = iter(answer.streaming_content)
        content = next(parts) + next(parts)
        late = book(alice)
        content += b"".join(parts)
    for row in made:
        assert content.decode().count(row.public_id) == 1
    assert late.public_id not in content.decode()
    reads = [one for one in queries if "LIMIT 7" in one["sql"]]
    assert len(reads) == 5


def test_money_has_a_column_for_each_currency(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    for currency, model in (("BRL", "a"), ("USD", "b")):
        Price.objects.create(
            model=model, currency=currency, user=3_000_000, output=0, created_at=timezone.now(),
            valid_from=timezone.now().date() - timedelta(days=2),
        )  # fmt: skip
        book(alice, user=1234, output=None, model=model)
    (row,) = cells(page.get("/admin/audit/export.csv?view=person"))
    assert (row["amount_BRL"], row["amount_USD"]) == ("0.003702", "0.003702")
    calls = cells(page.get("/admin/audit/export.csv?view=calls"))
    assert {(call["currency"], call["amount"]) for call in calls} == {
        ("BRL", "0.003702"),
        ("USD", "0.003702"),
    }
    assert page.get("/admin/audit/export.xml").status_code == 404
