"""The provider's export against the ledger: read leniently, compared a day, with a likely cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from chat.admin.audit.reconcile import Unreadable, number, read
from chat.models import AuditEvent, LedgerEntry

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 4)


@pytest.mark.parametrize(
    "text",
    [
        "date,tokens\n2026-03-04,1234\n",
        "Data;Tokens de entrada;Tokens de saída\n04/03/2026;1.200;34\n",
        "\ufeffDay\tPrompt Tokens\tCompletion Tokens\tOther\n2026-03-04T10:11:12Z\t1,200\t34\tx\n",
        "Report of March\n\nDATE,Input_Tokens,Enrichment Tokens,Output-Tokens\n2026/03/04,1000,200,34\n",
        "timestamp|total_tokens\n1772582400|1234.00\n",
        "date,tokens\n2026-03-04,1000\n2026-03-04,234\n,\nTotal,\n",
    ],
    ids=["plain", "portuguese", "tabs", "title above", "epoch", "several rows a day"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_it_reads_what_providers_write(text: str, encoding: str) -> None:
    if encoding == "cp1252":
        text = text.removeprefix("\ufeff")
    assert read(text.encode(encoding)).days == {DAY: 1234}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "day"),
        (b"\x00\x01\x02", "day"),
        (b"name,tokens\nx,1\n", "day"),
        (b"date,price\n2026-03-04,1\n", "tokens"),
        (b"date,tokens\nnever,many\n", "row"),
        (b"date,tokens\n2026-13-45,3\n", "row"),
    ],
)
def test_what_it_cannot_read_it_says_in_a_sentence(content: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        read(content)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1234", 1234), ("1.234.567", 1234567), ("1,234", 1234), ("1 234", 1234), ("12.00", 12), ("-5", -5),
     ("", None), ("x", None), ("1.5", None), ("1e9", None)],
)  # fmt: skip
def test_numbers_of_any_locale(text: str, value: int | None) -> None:
    assert number(text) == value


def test_a_day_and_a_month_are_told_apart_as_chosen() -> None:
    assert set(read(b"date,tokens\n03/04/2026,1\n").days) == {date(2026, 4, 3)}
    assert set(read(b"date,tokens\n03/04/2026,1\n", day_first=False).days) == {date(2026, 3, 4)}
    assert set(read(b"date,tokens\n03/14/2026,1\n").days) == {date(2026, 3, 14)}


def test_it_names_difference_and_likely_cause_a_day(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    first = datetime(2026, 3, 2, 12, tzinfo=UTC)
    amounts = {0: 1000, 1: 1000, 2: 700, 3: 1300, 4: 1000}
    for day, tokens in amounts.items():
        book(alice, user=tokens, output=0, at=first + timedelta(days=day))
    book(alice, user=None, output=None, at=first + timedelta(days=1))
    book(alice, user=500, output=0, at=first + timedelta(days=4), agent_id=8, agent_name="Other")
    lines = ["date,tokens", *(f"{first + timedelta(days=n):%Y-%m-%d},{t}" for n, t in
             {0: 1000, 1: 1250, 2: 1000, 3: 1000, 4: 900, 5: 77}.items())]  # fmt: skip
    file = SimpleUploadedFile("export.csv", "\n".join(lines).encode())
    answer = page.post("/admin/audit/reconcile/", {"file": file, "agents": ["7"], "day_first": "on"})
    found = answer.context["comparison"]
    assert [(line.provider, line.ledger, line.difference) for line in found.lines] == [
        (1000, 1000, 0), (1250, 1000, 250), (1000, 700, 300), (1000, 1300, -300), (900, 1000, -100),
        (77, None, 77),
    ]  # fmt: skip
    causes = [line.cause for line in found.lines]
    assert causes[0] == ""
    assert causes[1] == "1 calls of this day came without usage"
    assert "another hour" in causes[2]
    assert "another hour" in causes[3]
    assert "part of the agents" in causes[4]
    assert "another client" in causes[5]
    assert (found.provider, found.ledger) == (5227, 5000)
    event = AuditEvent.objects.get(action="reconcile.done")
    assert (event.actor, event.data["provider"], event.data["ledger"]) == ("staff", 5227, 5000)


def test_a_wrong_file_is_refused_beside_its_field(page: Client) -> None:
    file = SimpleUploadedFile("export.csv", b"\x89PNG")
    answer = page.post("/admin/audit/reconcile/", {"file": file})
    assert answer.status_code == 200
    assert answer.context["form"].errors["file"]
    assert not AuditEvent.objects.filter(action="reconcile.done").exists()
