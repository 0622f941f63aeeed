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
    assert causes[1] == "1 call came without usage"
    assert "another hour" in causes[2]
    assert "another hour" in causes[3]
    assert "part of the agents" in causes[4]
    assert "nothing went through here" in causes[5]
    assert (found.provider, found.ledger) == (5227, 5000)
    event = AuditEvent.objects.get(action="reconcile.done")
    assert (event.actor, event.data["provider"], event.data["ledger"]) == ("staff", 5227, 5000)


def test_a_few_calls_do_not_explain_what_is_far_too_much(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    for day in (0, 1, 2):
        book(alice, user=500, output=500, at=noon + timedelta(days=day))
    book(alice, user=None, output=None, at=noon)
    book(alice, user=5, output=5, outcome="failed", at=noon + timedelta(days=1))
    book(alice, user=5, output=5, outcome="stopped", certainty="estimated", at=noon + timedelta(days=2))
    lines = "date,tokens\n2026-03-04,90000\n2026-03-05,0\n2026-03-06,1000\n"
    answer = page.post("/admin/audit/reconcile/", {"file": SimpleUploadedFile("x.csv", lines.encode())})
    first, second, third = (line.cause for line in answer.context["comparison"].lines)
    assert "another client" in first, "one call without usage is not 89,000 tokens"
    assert "holds nothing" in second
    assert third == "1 call was estimated"


def test_a_call_that_failed_explains_what_the_provider_did_not_charge(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    book(alice, user=1000, output=0, at=noon)
    book(alice, user=1000, output=0, outcome="failed", at=noon)
    file = SimpleUploadedFile("x.csv", b"date,tokens\n2026-03-04,1000\n")
    (line,) = page.post("/admin/audit/reconcile/", {"file": file}).context["comparison"].lines
    assert line.cause == "1 call failed or was stopped: the provider may not charge it"


@pytest.mark.parametrize(("second", "noted"), [(700, True), (600, False)])
def test_it_says_when_the_totals_agree_and_the_days_do_not(
    second: int, noted: bool, page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    for day in (0, 1):
        book(alice, user=1000, output=0, at=datetime(2026, 3, 4 + day, 12, tzinfo=UTC))
    file = SimpleUploadedFile("x.csv", f"date,tokens\n2026-03-04,1300\n2026-03-05,{second}\n".encode())
    text = page.post("/admin/audit/reconcile/", {"file": file}).content.decode()
    assert ("The totals agree and the days do not" in text) is noted


OPENAI = """\
start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,model,input_tokens,output_tokens,input_cached_tokens
1772582400,1772668800,2026-03-04T00:00:00+00:00,2026-03-05T00:00:00+00:00,p,2,gpt-4o,1000,200,800
1772582400,1772668800,2026-03-04T00:00:00+00:00,2026-03-05T00:00:00+00:00,p,1,gpt-4o-mini,30,4,0
1772668800,1772755200,2026-03-05T00:00:00+00:00,2026-03-06T00:00:00+00:00,,,,,,
"""  # noqa: E501 (as it is exported)


def test_an_export_of_openai_is_compared_in_utc_whatever_is_chosen(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    book(alice, user=1030, output=204, at=datetime(2026, 3, 4, 1, tzinfo=UTC))
    file = SimpleUploadedFile("completions_usage.csv", OPENAI.encode())
    answer = page.post("/admin/audit/reconcile/", {"file": file, "zone": "America/Sao_Paulo"})
    export, found = answer.context["export"], answer.context["comparison"]
    assert (export.rows, export.skipped, export.utc) == (3, 0, True), "a day without use is understood"
    assert [(line.day, line.provider, line.ledger, line.cause) for line in found.lines] == [
        (DAY, 1234, 1234, ""), (DAY + timedelta(days=1), 0, None, ""),
    ]  # fmt: skip
    assert "days of UTC" in answer.content.decode()


def test_the_days_of_a_file_are_those_of_the_chosen_zone(
    page: Client, book: Callable[..., LedgerEntry], alice: Any
) -> None:
    book(alice, user=1000, output=234, at=datetime(2026, 3, 5, 1, tzinfo=UTC))
    for zone, ledger in (("America/Sao_Paulo", 1234), ("UTC", None)):
        file = SimpleUploadedFile("export.csv", b"date,tokens\n2026-03-04,1234\n")
        answer = page.post("/admin/audit/reconcile/", {"file": file, "zone": zone, "agents": ["7"]})
        (line,) = answer.context["comparison"].lines
        assert line.ledger == ledger
    assert AuditEvent.objects.filter(action="reconcile.done").first().data["time_zone"] == "UTC"  # type: ignore[union-attr]
    href = "?period=custom&amp;from=2026-03-04&amp;to=2026-03-04&amp;zone=UTC&amp;agent=7&amp;view=calls"
    assert href in answer.content.decode(), "a day leads to the calls that were compared"


@pytest.mark.parametrize("months", [("2026-02", "2026-03"), ("02/2026", "03/2026")])
def test_a_file_of_months_is_compared_by_months(
    page: Client, book: Callable[..., LedgerEntry], alice: Any, months: tuple[str, str]
) -> None:
    for day, tokens in ((1, 100), (28, 20), (29, 3), (59, 1000)):
        book(alice, user=tokens, output=0, at=datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(days=day))
    text = f"Mês;Tokens de Prompt;Tokens de Embedding\n{months[0]};100;20\n{months[1]};1.003;5\n"
    file = SimpleUploadedFile("tokens.csv", text.encode())
    answer = page.post("/admin/audit/reconcile/", {"file": file})
    found = answer.context["comparison"]
    assert [(line.day, line.last, line.provider, line.ledger) for line in found.lines] == [
        (date(2026, 2, 1), date(2026, 2, 28), 120, 120), (date(2026, 3, 1), date(2026, 3, 31), 1008, 1003),
    ]  # fmt: skip
    assert "February 2026" in answer.content.decode()


def test_days_and_months_in_one_file_are_refused() -> None:
    with pytest.raises(Unreadable, match="others of months"):
        read(b"date,tokens\n2026-03,5\n2026-03-04,5\n")


def test_a_wrong_file_is_refused_beside_its_field(page: Client) -> None:
    file = SimpleUploadedFile("export.csv", b"\x89PNG")
    answer = page.post("/admin/audit/reconcile/", {"file": file})
    assert answer.status_code == 200
    assert answer.context["form"].errors["file"]
    assert not AuditEvent.objects.filter(action="reconcile.done").exists()
